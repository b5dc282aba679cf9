"""Wires whose code is loaded after the server listens: nc needs a third of it, which is there at once.

The code is loaded on a thread, so the loop serves its clients meanwhile. Peers of a wire that is not loaded yet are
accepted, and their input waits. A wire whose code takes much memory is loaded when its first peer comes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from importlib import import_module
from typing import TypeVar

from hubbub.serve.accept.dispatcher import Caller
from hubbub.serve.sockets.connection import TICK, ClientProtocol, Connection

Result = TypeVar("Result")


async def on_thread(function: Callable[[], Result]) -> Result:
    """Call a function once on a thread of its own, and return its result."""
    with ThreadPoolExecutor(1, "hubbub-loading") as thread:
        return await asyncio.get_running_loop().run_in_executor(thread, function)


async def load(*modules: str) -> None:
    """Import modules on a thread."""
    for module in modules:
        await on_thread(partial(import_module, module))


class LateWire:
    """The factory of a wire whose code is loaded late: until then, it makes clients that wait."""

    def __init__(self) -> None:
        self._factory: Callable[[Caller], ClientProtocol] | None = None  # None until the wire is loaded
        self._waiting: dict[WaitingClient, None] = {}  # in the order in which they came
        self._load: Callable[[], object] | None = None  # begins to load the wire; None if nobody has to ask for that

    def __call__(self, caller: Caller) -> ClientProtocol:
        """Return the client for a new connection."""
        return self._factory(caller) if self._factory else WaitingClient(caller, self)

    def load_when_needed(self, load: Callable[[], object]) -> None:
        """Call `load` once, when a client waits. It ends in a call of `open` or `refuse`, perhaps later."""
        self._load = load
        self._ask()

    def _ask(self) -> None:
        if self._waiting and (load := self._load):
            self._load = None
            load()

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
        self._factory = factory
        while self._waiting:
            client = next(iter(self._waiting))
            del self._waiting[client]
            client.give_way(factory(client.caller))

    def refuse(self, load: Callable[[], object]) -> None:
        """Close the waiting clients, because the wire could not be loaded; `load` is called when the next one waits."""
        for client in list(self._waiting):
            client.shut_down()
        self._waiting.clear()
        self._load = load


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
        """Close: the server is stopping, or the wire could not be loaded."""
        self._connection.finish()

    def ask_sign_of_life(self) -> bool:
        """Send nothing and return False."""
        return False

    def check_deadlines(self, now: float, quiet: float) -> float:
        """Return the seconds until the next check: the load, which takes a second, ends the wait in any case."""
        return TICK
