"""Wires whose code is loaded when their first client comes: nc needs a third of the code, which is there at once.

The code is loaded on a thread, so the loop serves its clients meanwhile. Peers of a wire that is not loaded yet are
accepted, and their input waits.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from importlib import import_module
from typing import TypeVar

from hubbub.serve.accept.dispatcher import Caller
from hubbub.serve.sockets.connection import TICK, ClientProtocol, Connection

log = logging.getLogger("hubbub")

Result = TypeVar("Result")
Load = Callable[[], Awaitable[object]]


async def on_thread(function: Callable[[], Result]) -> Result:
    """Call a function once on a thread of its own, and return its result."""
    with ThreadPoolExecutor(1, "hubbub-loading") as thread:
        return await asyncio.get_running_loop().run_in_executor(thread, function)


async def load(*modules: str) -> None:
    """Import modules on a thread."""
    for module in modules:
        await on_thread(partial(import_module, module))


class LateWire:
    """The factory of a wire whose code is loaded late: until then, it makes clients that wait.

    Args:
        name: the name of the wire, for people.

    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._factory: Callable[[Caller], ClientProtocol] | None = None  # None until the wire is loaded
        self._waiting: dict[WaitingClient, None] = {}  # in the order in which they came
        self._begin: Callable[[], object] | None = (
            None  # begins to load the wire; None before that can be done, and after
        )

    def __call__(self, caller: Caller) -> ClientProtocol:
        """Return the client for a new connection."""
        return self._factory(caller) if self._factory else WaitingClient(caller, self)

    def load_when_needed(self, tasks: asyncio.TaskGroup, load: Load) -> None:
        """Await `load` in a task when a client waits: it calls `open`.

        If it fails, the clients that wait are closed, and the next one lets it try again.
        """
        self._begin = lambda: tasks.create_task(self._try(tasks, load))
        self._ask()

    def _ask(self) -> None:
        if self._waiting and (begin := self._begin):
            self._begin = None
            begin()

    async def _try(self, tasks: asyncio.TaskGroup, load: Load) -> None:
        try:
            await load()
        except Exception:  # whatever a broken installation raises: the chat goes on without the wire
            log.exception("%s clients cannot be served, because the code for them cannot be loaded", self._name)
            for client in list(self._waiting):
                client.shut_down()
            self.load_when_needed(tasks, load)

    def enter(self, client: WaitingClient) -> None:
        """Let a client that has its connection wait, or begin if the wire was loaded before it had one."""
        if self._factory:
            client.give_way(self._factory(client.caller))
        else:
            self._waiting[client] = None
            self._ask()

    def leave(self, client: WaitingClient) -> None:
        """Let a client wait no more: its peer is gone, or it was closed."""
        self._waiting.pop(client, None)

    def open(self, factory: Callable[[Caller], ClientProtocol]) -> None:
        """Let the waiting clients begin: `factory` makes the clients of the wire."""
        self._factory, self._begin = factory, None
        while self._waiting:
            client = next(iter(self._waiting))
            del self._waiting[client]
            client.give_way(factory(client.caller))


class WaitingClient:
    """Keeps the input of a peer until its wire is loaded.

    Args:
        caller: the peer.
        wire: the wire that the client waits for.

    """

    wire_name = "arriving"
    is_idle = True  # never asked: it has no items

    def __init__(self, caller: Caller, wire: LateWire) -> None:
        self.caller = caller
        self._wire = wire
        self._connection: Connection
        self._data = b""

    def begin(self, connection: Connection) -> None:
        """Wait, unless the wire has been loaded since the client was made."""
        self._connection = connection
        self._wire.enter(self)

    def give_way(self, client: ClientProtocol) -> None:
        """Hand the connection and the input so far over to the client that the peer waits for."""
        self._connection.hand_over(client)
        if self._data:
            client.feed(self._data)
        self._connection.resume_input()

    def feed(self, data: bytes) -> None:
        """Keep received bytes. There are few, because the connection reads no more until they are processed."""
        self._data += data

    def next_item(self) -> None:
        """Return None: `ready` allows no item."""

    def ready(self) -> bool:
        """Return False: the input waits."""
        return False

    def handle(self, item: object) -> None:
        """Do nothing: `next_item` never returns an item."""

    def ended(self) -> bool:
        """Return False: the input that waits is not processed yet."""
        return False

    def connection_lost(self) -> None:
        """Wait no more: the peer is gone."""
        self._wire.leave(self)

    def pause(self) -> None:
        """Do nothing: nothing is written."""

    def resume(self) -> None:
        """Do nothing: nothing is written."""

    def shut_down(self) -> None:
        """Close: the server is stopping, or the wire could not be loaded. It is not served after all."""
        self._wire.leave(self)
        self._connection.finish()

    def ask_sign_of_life(self) -> bool:
        """Send nothing and return False."""
        return False

    def check_deadlines(self, now: float, quiet: float) -> float:
        """Return the seconds until the next check: the load, which takes a second, ends the wait in any case."""
        return TICK
