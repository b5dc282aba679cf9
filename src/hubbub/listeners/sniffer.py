"""The moment between accepting a connection and knowing what it speaks.

The first line decides, and it is only looked at: the wire that it belongs to reads it as if nobody had. A person at a
terminal waits for the prompt, so silence brings the prompt. It decides nothing: a program whose first bytes come late,
through a tunnel or after a lost packet, is given to its own wire all the same.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from hubbub.listeners.address import origin
from hubbub.listeners.connection import STOPPING
from hubbub.wire import hello, proxy
from hubbub.wire.line import PROMPT, notice
from hubbub.wire.sniff import PEEK, Wire, may_be_typed, sniff

if TYPE_CHECKING:
    from hubbub.listeners.acceptor import Acceptor

# How long a peer may say nothing before it is shown the prompt: a client whose first bytes come after the prompt may
# not understand it. Of a tunnel, such as `ssh -L`, the kernel knows the near end only.
PATIENCE = 0.25  # seconds, and these round trips
ROUND_TRIPS = 4
HIDDEN_TRIP = 0.1  # seconds: a round trip is taken for at least this
MAX_PATIENCE = 3.0  # seconds
TOO_LATE = "This request came so late that it was taken for a person at a terminal, and it was not done; try again."
DEADLINE = 10.0  # seconds in which a peer that has begun its first line must end it
_RTT = struct.Struct("68xI")  # of the kernel's tcp_info, in microseconds


SPOKEN = {"http/1.1": Wire.HTTP, "irc": Wire.IRC}  # by what ALPN calls it
LATE_IS_SAFE = (b"GET ", b"HEAD ", b"OPTIONS ")  # requests that are answered behind the prompt: they change nothing


@dataclass
class Caller:
    """A peer that is counted.

    Args:
        peer: its socket address.
        where: what counts as its address.
        since: when it was accepted, on the server's clock.
        only: what the address that it has reached is fixed to; None for every wire.
        prompted: whether it was shown the prompt.

    """

    peer: Any
    where: str
    since: float
    only: Wire | None = None
    prompted: bool = False


class Undecided:
    """A peer that has not shown yet what it speaks, over a socket or inside TLS.

    Args:
        front: the front, which has counted it.
        caller: the peer.

    """

    _plain = True  # it is not encrypted

    def __init__(self, front: Acceptor, caller: Caller) -> None:
        self.slot = 0
        self._front = front
        self._caller = caller
        self._seen = 0  # bytes of a first line that has no end yet
        self._begun = 0.0  # when the first of them came

    def consider(self, data: bytes, ended: bool) -> None:
        """Decide by what came so far, or wait for more.

        Args:
            data: all that came.
            ended: whether that is all that will come.

        """
        wire = sniff(data + b"\n" if ended else data)
        if wire is None and not ended:
            self._await_more(data)
        elif wire is None or (self._caller.prompted and may_be_typed(data)):
            self._decide(Wire.LINE, data)
        else:
            self._decide(wire, data)

    def on_timer(self) -> None:
        """Show the prompt, or decide: nothing more came in time."""
        if self._seen or self._caller.prompted or not self._prompts:
            self._decide(Wire.LINE, b"")
        else:
            self._prompt()
            self._await_more(b"")

    def farewell(self) -> None:
        """Close: the server stops."""
        raise NotImplementedError

    def _give(self, wire: Wire, refusal: str) -> None:
        """Let this wire go on with the peer, or turn it away in the wire's words if there is a refusal."""
        raise NotImplementedError

    def _write(self, data: bytes) -> None:
        raise NotImplementedError

    @property
    def _socket(self) -> Any:
        raise NotImplementedError

    @property
    def _prompts(self) -> bool:
        """Whether a person may be there who waits for the prompt."""
        return not self._front.refusal(Wire.LINE, self._caller, self._plain)

    def _prompt(self) -> None:
        self._caller.prompted = True
        self._write(PROMPT.encode())

    def _decide(self, wire: Wire, data: bytes) -> None:
        front, caller = self._front, self._caller
        front.decided(self)
        front.shared.deadlines.clear(self)
        if caller.only in (Wire.HTTP, Wire.TLS):
            wire = caller.only
        elif caller.only is Wire.IRC and wire in (Wire.LINE, Wire.OTHER):  # HELP and INFO are commands there
            wire = Wire.IRC
        late = wire is Wire.HTTP and caller.prompted and not data.lstrip().startswith(LATE_IS_SAFE)
        self._give(wire, TOO_LATE if late else "")

    def _await_more(self, data: bytes) -> None:
        """Keep the peer until more bytes come than these, or it is time to do something about it."""
        front, caller = self._front, self._caller
        now = front.shared.clock()
        if data and not self._seen:
            self._begun = now
        self._seen = len(data)
        if caller.only is Wire.LINE and not (data or caller.prompted):
            self._prompt()  # nobody else is expected there
        if data:
            # An empty line may come before a program's first one; a person who typed it waits for an answer.
            longest = min(DEADLINE, front.shared.settings.name_timeout)
            deadline = self._begun + (longest if data.strip(b"\r\n") else self._patience())
        elif caller.prompted or caller.only in (Wire.IRC, Wire.TLS):
            deadline = caller.since + front.shared.settings.name_timeout
        else:
            deadline = caller.since + self._patience()
        front.await_first_bytes(self)
        front.shared.deadlines.set(self, deadline - now)

    def _patience(self) -> float:
        """Return the seconds that the peer may say nothing before it is shown the prompt."""
        rtt = 0.0
        with contextlib.suppress(OSError, AttributeError, struct.error):  # another system, or no TCP
            rtt = _RTT.unpack(self._socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _RTT.size))[0] / 1e6
        return min(MAX_PATIENCE, PATIENCE + ROUND_TRIPS * max(rtt, HIDDEN_TRIP))


class Sniffer(Undecided):
    """A socket that has not shown yet what it speaks.

    Args:
        front: the front, which has counted it.
        caller: the peer.
        sock: the socket.
        trusted: whether it may say by the PROXY protocol for whom it speaks.

    """

    def __init__(self, front: Acceptor, caller: Caller, sock: socket.socket, trusted: bool) -> None:
        super().__init__(front, caller)
        self._sock = sock
        self._trusted = trusted
        self._size = PEEK  # bytes that are looked at
        self._half = False  # a header or a TLS hello has begun: who does not end it can read no sentence
        self._reading = False

    @property
    def _socket(self) -> Any:
        return self._sock

    def look(self) -> None:
        """Look at the first bytes, and decide or wait."""
        try:
            data = self._sock.recv(self._size, socket.MSG_PEEK)
        except BlockingIOError:
            self.consider(b"", False)
        except OSError:
            self.drop()
        else:  # it is read when there is more than was seen; if there is not, there will be no more
            self.consider(data, len(data) <= self._seen)

    def on_timer(self) -> None:
        """Show the prompt, or decide: nothing more came in time."""
        if self._half or (self._caller.only is Wire.TLS and not self._seen):
            self.drop()
        else:
            super().on_timer()

    def drop(self) -> None:
        """Close it without a word."""
        self._forget()
        self._front.leave(self._caller.where)
        self._sock.close()

    def farewell(self) -> None:
        """Say that the server stops, to a peer that may be a person, and close."""
        if self._seen or not self._prompts:
            self.drop()
        else:
            self._forget()
            self._front.leave(self._caller.where)
            self._front.turn_away(self._sock, notice(STOPPING))

    def _forget(self) -> None:
        self._front.decided(self)
        self._front.shared.deadlines.clear(self)
        self._front.shared.loop.remove_reader(self._sock)

    def _write(self, data: bytes) -> None:
        with contextlib.suppress(OSError):  # what is read next says so
            self._sock.send(data)

    def _await_more(self, data: bytes) -> None:
        super()._await_more(data)
        if data:
            with contextlib.suppress(OSError):
                self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, len(data) + 1)
        if not self._reading:
            self._reading = True
            self._front.shared.loop.add_reader(self._sock, self.look)

    def _decide(self, wire: Wire, data: bytes) -> None:
        if wire is Wire.PROXY and self._trusted:
            self._unwrap(data)
        elif Wire.TLS in (wire, self._caller.only) and not self._caller.prompted:
            self._hear(wire)
        else:
            super()._decide(wire, data)

    def _hear(self, wire: Wire) -> None:
        """Let a TLS client in once all of its hello is there: until then it costs next to nothing."""
        self._size = hello.MAX_RECORD
        try:
            data = self._sock.recv(self._size, socket.MSG_PEEK)
        except OSError:
            self.drop()
            return
        needed = hello.need(data)
        if needed and needed <= len(data) and not hello.is_refused(data):
            super()._decide(wire, data)
        elif needed and needed <= len(data):
            self._forget()
            self._front.leave(self._caller.where)
            self._front.shut_down(self._sock, hello.NO_PROTOCOL)
        elif len(data) <= self._seen:  # there will be no more
            self.drop()
        else:
            self._half = True
            self._await_more(data)

    def _give(self, wire: Wire, refusal: str) -> None:
        self._front.shared.loop.remove_reader(self._sock)
        if self._seen:
            with contextlib.suppress(OSError):
                self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, 1)
        self._front.hand(wire, self._sock, self._caller, refusal)

    def _unwrap(self, data: bytes) -> None:
        """Take the balancer's header off, and look at what the peer itself says."""
        front, caller = self._front, self._caller
        try:
            length = proxy.need(data)
            if not length or length > len(data):
                if len(data) <= self._seen:
                    raise proxy.BadHeader("cut off")
                self._half = True
                self._await_more(data)
                return
            peer = proxy.parse(self._sock.recv(length))
        except (proxy.BadHeader, OSError):
            self.drop()
            return
        self._trusted = self._half = False
        self._seen = 0
        if peer is not None:
            front.leave(caller.where)
            caller.peer, caller.where = peer, origin(peer[0])
            if refusal := front.enter(caller.where):
                self._forget()
                front.turn_away(self._sock, refusal)
                return
        if caller.only is Wire.HTTP:
            self._decide(caller.only, b"")
        else:
            self.look()


class TlsSniffer(Undecided, asyncio.Protocol):
    """An encrypted connection that has not shown yet what it speaks within.

    Args:
        front: the front, which has counted it.
        caller: the peer.

    """

    _plain = False

    def __init__(self, front: Acceptor, caller: Caller) -> None:
        super().__init__(front, caller)
        self._data = b""
        self._over = False  # it was turned away
        self._ended = False
        self.made = False  # its end is told by `connection_lost`, of this or of what follows

    @property
    def _socket(self) -> Any:
        return self._transport.get_extra_info("socket")

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask ALPN; wait for the first bytes if that says nothing."""
        self.made = True
        self._transport = cast(asyncio.Transport, transport)
        tls = transport.get_extra_info("ssl_object")
        chosen = SPOKEN.get(tls.selected_alpn_protocol()) if tls is not None else None
        if chosen:
            self._decide(chosen, b"")
        else:
            self._await_more(b"")

    def data_received(self, data: bytes) -> None:
        """Look at the first bytes, and decide or wait."""
        if not self._over:
            self._data += data
            self.consider(self._data, False)

    def eof_received(self) -> bool:
        """Decide: it says nothing more."""
        if not self._over:
            self._ended = True
            self.consider(self._data, True)
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget it: it went before it showed anything."""
        self._front.decided(self)
        self._front.shared.deadlines.clear(self)
        self._front.leave(self._caller.where)

    def farewell(self) -> None:
        """Close it without a word."""
        self._transport.abort()

    def _write(self, data: bytes) -> None:
        self._transport.write(data)

    def _give(self, wire: Wire, refusal: str) -> None:
        self._over = True
        protocol = self._front.protocol(wire, self._caller, None, refusal)
        if isinstance(protocol, str):
            self._transport.write(f"{protocol}\n".encode())
            self._transport.close()
            return
        self._transport.set_protocol(protocol)
        protocol.connection_made(self._transport)
        buffer = protocol.get_buffer(-1)
        for at in range(0, len(self._data), len(buffer)):
            piece = self._data[at : at + len(buffer)]
            buffer[: len(piece)] = piece
            protocol.buffer_updated(len(piece))
        if self._ended:
            protocol.eof_received()
