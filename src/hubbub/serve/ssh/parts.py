"""The parts that all ssh peers use."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple, cast

import asyncssh

from hubbub.config import Settings
from hubbub.serve.sockets.connection import Shared
from hubbub.serve.ssh.authentication.login_queue import LoginQueue
from hubbub.serve.ssh.channel import Shapes
from hubbub.serve.ssh.frames import FrameClock
from hubbub.serve.ssh.transport import PacketTransport

Stream = asyncssh.SSHTCPSession[bytes]


class PacketListener(asyncssh.SSHListener):
    """Gives asyncssh connections that it has not accepted: to asyncssh, they come through a tunnel."""

    def __init__(self) -> None:
        super().__init__()
        self._make: Callable[[str, int], Awaitable[Stream] | Stream]

    async def create_server(
        self, session_factory: Callable[[str, int], Any], listen_host: str, listen_port: int
    ) -> asyncssh.SSHListener:
        """Note how asyncssh makes its end of a connection."""
        self._make = session_factory
        return self

    def open(self, packets: PacketTransport) -> Stream:
        """Give asyncssh a connection, and return its end of it."""
        stream = cast(Stream, self._make("", 0))
        stream.connection_made(cast(Any, packets))
        return stream


class SshParts(NamedTuple):
    """The state of all connections, the door to asyncssh, the queue of logins, and the kinds of channels."""

    shared: Shared
    door: PacketListener
    queue: LoginQueue
    shapes: Shapes
    frames: FrameClock

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The event loop in which all peers run."""
        return self.shared.loop

    @property
    def settings(self) -> Settings:
        """The settings with which the server has started."""
        return self.shared.settings
