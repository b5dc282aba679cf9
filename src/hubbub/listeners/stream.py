"""A room that is followed over HTTP: a session that watches, in a body without an end."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, cast

from hubbub.core.hub import Hub
from hubbub.core.model import Event, Form
from hubbub.listeners.connection import Shared
from hubbub.listeners.outflow import Outflow
from hubbub.wire import http as wire

if TYPE_CHECKING:
    from hubbub.listeners.web import HttpConnection

ALIVE = 20.0  # seconds between two signs of life


class Stream(Outflow):
    """A stream to one peer: the hub's outlet for a session that watches a room.

    Args:
        hub: the hub.
        connection: the peer's; deliveries pass by what aiohttp makes of it.
        shared: the server's.
        form: how entries look.

    """

    def __init__(self, hub: Hub, connection: HttpConnection, shared: Shared, form: Form) -> None:
        super().__init__(connection.sock)
        self._hub = hub
        self._connection = connection
        self._shared = shared
        self._over = asyncio.Event()
        self._paused_at = 0.0
        self.transport = cast(asyncio.Transport, connection.transport)
        self.attach(shared.settings.buffer // 2)
        self.session = hub.connect(self, self, form)
        connection.talk = self

    def tell(self, event: Event) -> None:
        """End: a stream is told nothing but that it cannot go on."""
        self._over.set()

    def go_on(self) -> None:
        """Do nothing: there is no next command."""

    def pause(self) -> None:
        """Let the hub write nothing."""
        self._left = True
        self._paused_at = self._shared.clock()
        self._hub.pause(self.session)

    def resume(self) -> None:
        """Let the hub write again."""
        self._left = False
        self._paused_at = 0.0
        self._hub.resume(self.session)

    def lost(self) -> None:
        """End: the peer is gone, or the server stops."""
        self._over.set()

    async def run(self) -> None:
        """Keep the stream alive until it is over."""
        alive = wire.ALIVE if self.session.form is wire.EVENTS else b""
        while not self._over.is_set():
            try:
                await asyncio.wait_for(self._over.wait(), ALIVE)
            except TimeoutError:
                if not self._paused_at:
                    self.write(alive)
                elif self._shared.clock() - self._paused_at >= self._shared.settings.stall_timeout:
                    self.transport.abort()

    def end(self) -> None:
        """Leave."""
        self._over.set()
        self.stop()
        self._hub.depart(self.session)
