"""The chat server in a thread of the tests' own process, for clients that block: no process is started for a scene.

    server = InThread(tmp_path / "data", "--no-limits")
    ...
    server.close()

A breakpoint in a handler stops there, and coverage sees it.
"""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import uvloop
from opening import opened

from hubbub import config
from hubbub.chat.users.accounts import Made
from hubbub.errors import Refused
from hubbub.model.accounts.grants import Grant
from hubbub.subcommands.serve import serve
from scene import PATIENCE, Place


class InThread(Place):
    """A server that listens when this is made.

    Args:
        data: its folder; None for --ephemeral.
        flags: more of the command line of `hubbub serve`.
        sniffs: whether the address is for every wire; if not, its prompt comes at once.
        listen: another address.

    """

    def __init__(self, data: Path | None, *flags: str, sniffs: bool = True, listen: str = "") -> None:
        super().__init__()
        self.data = data
        self.sniffs = sniffs
        listen = listen or f"{'' if sniffs else 'line:'}127.0.0.1:0"
        where = ["--data", str(data)] if data else ["--ephemeral"]
        chosen = serve.make_context("serve", ["--listen", listen, *where, *flags]).params
        self._settings = config.read(chosen, chosen.pop("file"), {})
        self._faults: list[str] = []
        self._listens = threading.Event()
        self._thread = threading.Thread(target=self._run, name="server")
        self._thread.start()
        assert self._listens.wait(PATIENCE) and self.port, self._faults

    def _run(self) -> None:
        try:
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                runner.run(self._serve())
        except BaseException as fault:
            self._faults.append(repr(fault))
        self._listens.set()

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._loop.set_exception_handler(self._note)
        self._stop = asyncio.Event()
        async with opened(self._settings) as (self._app, self.port):
            self._listens.set()
            await self._stop.wait()

    def _note(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        self._faults.append(repr(context.get("exception", context["message"])))

    def invite(self) -> str:
        """Return a new code with which somebody can register."""
        return self._made(lambda done: self._app.accounts.invite(done))

    def make_token(self, name: str, grant: Grant) -> str:
        """Return a new token of the account that owns a name."""
        accounts = self._app.accounts
        account = accounts.find(name)
        assert account
        return self._made(lambda done: accounts.make_token(account, grant, done))

    def _made(self, make: Callable[[Made], None]) -> str:
        made: queue.SimpleQueue[str | Refused] = queue.SimpleQueue()
        self._loop.call_soon_threadsafe(make, made.put)
        return str(made.get(timeout=PATIENCE))

    def close(self) -> None:
        """Stop it; nothing may have gone wrong in all its life."""
        self.disconnect()
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(PATIENCE)
        assert not self._thread.is_alive() and not self._faults, self._faults
