"""The moment between accepting a connection and knowing what it speaks.

It is decided once, by bytes that are only looked at: whoever speaks the wire then reads them as if nobody had. A person
at a terminal waits for the prompt and says nothing; what has begun to say something is a program, and has longer.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from typing import TYPE_CHECKING, Any, cast

from hubbub.listeners.address import origin
from hubbub.listeners.connection import STOPPING
from hubbub.wire import proxy
from hubbub.wire.line import notice
from hubbub.wire.sniff import PEEK, Wire, sniff

if TYPE_CHECKING:
    from hubbub.listeners.front import Front

PATIENCE = 0.25  # seconds that a peer may say nothing before it is taken for a person at a terminal
DEADLINE = 10.0  # seconds in which what has begun to say something must show what it is


class Arrival:
    """A socket that has not shown yet what it speaks.

    Args:
        front: the front, which has counted it.
        sock: the socket.
        peer: its address.
        where: what counts as its address.
        wire: what it must speak; None for whatever it does.
        trusted: whether it may say by the PROXY protocol for whom it speaks.

    """

    __slots__ = ("_deadline", "_front", "_peer", "_seen", "_sock", "_trusted", "_where", "_wire", "slot")

    def __init__(
        self, front: Front, sock: socket.socket, peer: Any, where: str, wire: Wire | None, trusted: bool
    ) -> None:
        self._front = front
        self._sock = sock
        self._peer = peer
        self._where = where
        self._wire = wire
        self._trusted = trusted
        self._seen = 0  # bytes that did not decide
        self._deadline = front.shared.clock() + DEADLINE
        self.slot = 0

    def look(self) -> None:
        """Look at the first bytes, and decide or wait."""
        try:
            data = self._sock.recv(proxy.MAX_V2 if self._trusted else PEEK, socket.MSG_PEEK)
        except BlockingIOError:
            self._wait(PATIENCE, 1)
            return
        except OSError:
            self.drop()
            return
        wire = sniff(data) if data else Wire.LINE
        if wire is Wire.PROXY and self._trusted:
            self._unwrap(data)
        elif wire is None and len(data) > self._seen:
            self._wait(DEADLINE, len(data) + 1)
        else:  # known, or as much as will come
            self._decide(self._wire or wire or Wire.LINE)

    def tick(self) -> None:
        """Decide: it says nothing more."""
        begun = self._seen and self.slot == 0 and self._front.shared.clock() >= self._deadline
        if begun and self._trusted:
            self.drop()  # half a PROXY header
        else:
            self._decide(self._wire or Wire.LINE)

    def drop(self) -> None:
        """Close it without a word."""
        self._let_go()
        self._sock.close()

    def farewell(self) -> None:
        """Say that the server stops to who may be a person that waits for the prompt, and close."""
        self._let_go()
        if self._seen or self._wire not in (None, Wire.LINE):
            self._sock.close()
        else:
            self._front.turn_away(self._sock, notice(STOPPING))

    def _let_go(self) -> None:
        self._done()
        self._front.leave(self._where)

    def _wait(self, seconds: float, size: int) -> None:
        """Look again when so many bytes are there, or the peer has ended."""
        front = self._front
        front.await_first_bytes(self)
        self._seen = size - 1
        with contextlib.suppress(OSError):
            self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, size)
        front.shared.loop.add_reader(self._sock, self.look)
        front.shared.deadlines.set(self, min(seconds, max(0.0, self._deadline - front.shared.clock())))

    def _done(self) -> None:
        front = self._front
        front.decided(self)
        front.shared.deadlines.clear(self)
        front.shared.loop.remove_reader(self._sock)

    def _decide(self, wire: Wire) -> None:
        self._done()
        if self._seen:
            with contextlib.suppress(OSError):
                self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, 1)
        self._front.hand(wire, self._sock, self._peer, self._where)

    def _unwrap(self, data: bytes) -> None:
        """Take the balancer's header off, and look at what the peer itself says."""
        try:
            length = proxy.need(data)
            if not length or length > len(data):
                if len(data) <= self._seen:
                    raise proxy.BadHeader("cut off")
                self._wait(DEADLINE, len(data) + 1)
                return
            peer = proxy.parse(self._sock.recv(length))
        except (proxy.BadHeader, OSError):
            self.drop()
            return
        self._trusted = False
        self._seen = 0
        if peer is not None:
            self._front.leave(self._where)
            self._peer, self._where = peer, origin(peer[0])
            if refusal := self._front.enter(self._where):
                self._done()
                self._front.turn_away(self._sock, refusal)
                return
        self._deadline = self._front.shared.clock() + DEADLINE
        if self._wire is not None:
            self._decide(self._wire)
        else:
            self.look()


class Inside(asyncio.Protocol):
    """An encrypted connection that has not shown yet what it speaks within.

    Args:
        front: the front, which has counted it.
        peer: its address.
        where: what counts as its address.

    """

    def __init__(self, front: Front, peer: Any, where: str) -> None:
        self._front = front
        self._peer = peer
        self._where = where
        self._data = b""
        self.made = False  # its end is told by `connection_lost`, of this or of what follows
        self.slot = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask ALPN; wait for the first bytes if that says nothing."""
        self.made = True
        self._transport = cast(asyncio.Transport, transport)
        self._front.await_first_bytes(self)
        tls = transport.get_extra_info("ssl_object")
        if tls is not None and tls.selected_alpn_protocol() == "http/1.1":
            self._decide(Wire.HTTP)
        else:
            self._front.shared.deadlines.set(self, PATIENCE)

    def data_received(self, data: bytes) -> None:
        """Look at the first bytes, and decide or wait."""
        self._data += data
        wire = sniff(self._data)
        if wire is None:
            self._front.shared.deadlines.set(self, DEADLINE)
        else:
            self._decide(wire if wire in (Wire.HTTP, Wire.IRC) else Wire.LINE)

    def eof_received(self) -> bool:
        """Decide: it says nothing more."""
        self._decide(Wire.LINE, ended=True)
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget it: it went before it showed anything."""
        self._done()
        self._front.leave(self._where)

    def tick(self) -> None:
        """Decide: it says nothing more."""
        self._decide(Wire.LINE)

    def farewell(self) -> None:
        """Close it without a word."""
        self._transport.abort()

    def _done(self) -> None:
        self._front.decided(self)
        self._front.shared.deadlines.clear(self)

    def _decide(self, wire: Wire, ended: bool = False) -> None:
        self._done()
        protocol = self._front.protocol(wire, self._peer, self._where, None)
        if isinstance(protocol, str):
            self._transport.write(f"{protocol}\n".encode())
            self._transport.close()
            return
        self._transport.set_protocol(protocol)
        protocol.connection_made(self._transport)
        if self._data and isinstance(protocol, asyncio.BufferedProtocol):
            for at in range(0, len(self._data), size := len(protocol.get_buffer(-1))):
                piece = self._data[at : at + size]
                protocol.get_buffer(-1)[: len(piece)] = piece
                protocol.buffer_updated(len(piece))
        elif self._data:
            cast(asyncio.Protocol, protocol).data_received(self._data)
        if ended:
            protocol.eof_received()
