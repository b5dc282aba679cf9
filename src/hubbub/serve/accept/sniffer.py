"""Detect which protocol ("wire") a new connection speaks, from its first bytes.

The first line decides. It is only peeked at, so the chosen wire still reads it from the start. A person at a terminal
waits for the prompt, so a silent connection is sent the prompt after a short wait. The prompt does not fix the wire: a
program whose first bytes come late, through a tunnel or after a lost packet, is still passed to its own wire.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from typing import Any, cast

from hubbub.errors import Refused
from hubbub.serve.accept.address import origin
from hubbub.serve.accept.dispatcher import Caller, Dispatcher
from hubbub.serve.sockets.connection import STOPPING
from hubbub.text import refusals
from hubbub.wire import hello, proxy
from hubbub.wire.line.encoder import PROMPT, encode, notice
from hubbub.wire.sniff import PEEK, Wire, may_be_typed, sniff

# A peer that has sent nothing is sent the prompt after PATIENCE seconds plus ROUND_TRIPS round trips, at most
# MAX_PATIENCE seconds. The wait is this long because a program whose first bytes come after the prompt may not
# understand the prompt. A round trip counts as at least HIDDEN_TRIP seconds: for a tunnel, such as `ssh -L`, the kernel
# measures the round trip to the near end only.
# A browser opens more connections than it needs, and sends on some of them long after: Chromium keeps each for a
# minute, and takes the prompt for an invalid answer to a later request. So a peer whose connection was opened together
# with one of a browser from its address is sent no prompt. One that came within BROWSING seconds is more likely a
# person behind the same router: it waits MAX_PATIENCE seconds for the prompt.
PATIENCE = 0.25  # seconds
ROUND_TRIPS = 4
HIDDEN_TRIP = 0.1  # seconds
MAX_PATIENCE = 3.0  # seconds
TOGETHER = 0.25  # seconds at most between two connections that a browser opens together
BROWSING = 2.0  # seconds
DEADLINE = 10.0  # seconds that a peer has to complete a first line that it has begun
_RTT = struct.Struct("68xI")  # the round-trip time in the kernel's tcp_info, in microseconds


SPOKEN = {"http/1.1": Wire.HTTP, "irc": Wire.IRC}  # by ALPN protocol name
UNSNIFFED = (Wire.HTTP, Wire.SSH, Wire.TELNET)  # an address for one of these alone waits for no first line
BROWSER = b"Mozilla/"  # the User-Agent of every browser begins with it
# Requests that are answered even after the prompt was sent, because they change nothing on the server.
LATE_IS_SAFE = (b"GET ", b"HEAD ", b"OPTIONS ")


class Undecided:
    """A connection whose protocol is not known yet, plain or inside TLS.

    Args:
        dispatcher: passes the peer to its wire.
        caller: the peer.

    """

    def __init__(self, dispatcher: Dispatcher, caller: Caller) -> None:
        self.slot = 0
        self._dispatcher = dispatcher
        self._caller = caller
        self._seen = 0  # bytes received of the unfinished first line
        self._begun = 0.0  # time at which the first of these bytes came

    def consider(self, data: bytes, ended: bool) -> None:
        """Choose a wire from the input so far, or wait for more input.

        Args:
            data: all bytes received so far.
            ended: whether no more bytes will come.

        """
        wire = sniff(data + b"\n" if ended else data)
        if wire is None and not ended:
            self._await_more(data)
        elif wire is None or (self._caller.prompted and may_be_typed(data)):
            self._decide(Wire.LINE, data)
        else:
            self._decide(wire, data)

    def on_timer(self) -> None:
        """Send the prompt, choose the line wire, or wait longer for a browser: no more input came in time."""
        if self._seen or self._caller.prompted or not self._prompts:
            self._decide(Wire.LINE, b"")
        # A browser may have come from the address since this wait began.
        elif self._dispatcher.shared.clock() < self._caller.since + self._patience():
            self._await_more(b"")
        elif self._dispatcher.seconds_from_browser(self._caller) <= TOGETHER:
            self.drop()
        else:
            self._prompt()
            self._await_more(b"")

    def farewell(self) -> None:
        """Close the connection because the server is stopping."""
        raise NotImplementedError

    def drop(self) -> None:
        """Close the connection without a message."""
        raise NotImplementedError

    def _give(self, wire: Wire, refused: Refused | None) -> None:
        """Pass the peer to this wire, or refuse it in a form that the wire's clients can show.

        Args:
            wire: the wire that the peer speaks.
            refused: the refusal of the peer; None if it is allowed.

        """
        raise NotImplementedError

    def _write(self, data: bytes) -> None:
        raise NotImplementedError

    @property
    def _socket(self) -> Any:
        raise NotImplementedError

    @property
    def _prompts(self) -> bool:
        """Whether the peer may be a person who waits for the prompt: the line wire is allowed on this connection."""
        return not self._dispatcher.refusal(Wire.LINE, self._caller)

    def _prompt(self) -> None:
        self._caller.prompted = True
        self._write(PROMPT.encode())

    def _decide(self, wire: Wire, data: bytes) -> None:
        dispatcher, caller = self._dispatcher, self._caller
        dispatcher.arrivals.discard(self)
        dispatcher.shared.deadlines.clear(self)
        if caller.only in (*UNSNIFFED, Wire.TLS):
            wire = caller.only
        # The first line may be an IRC command that looks like plain text, such as HELP or INFO.
        elif caller.only is Wire.IRC and wire in (Wire.LINE, Wire.OTHER):
            wire = Wire.IRC
        if wire is Wire.HTTP and BROWSER in data:
            dispatcher.note_browser(caller)
        late = wire is Wire.HTTP and caller.prompted and not data.lstrip().startswith(LATE_IS_SAFE)
        self._give(wire, refusals.TOO_LATE() if late else None)

    def _await_more(self, data: bytes) -> None:
        """Wait for more bytes than these, and set the deadline for them.

        The deadline is that for the prompt, that for the end of a first line, or that for a name (`name_timeout`).
        """
        dispatcher, caller = self._dispatcher, self._caller
        now = dispatcher.shared.clock()
        if data and not self._seen:
            self._begun = now
        self._seen = len(data)
        if caller.only is Wire.LINE and not (data or caller.prompted):
            self._prompt()  # only line clients use this address
        if data:
            # A program may send an empty line before its first one. A person who has typed it waits for an answer.
            longest = min(DEADLINE, dispatcher.shared.settings.name_timeout)
            deadline = self._begun + (longest if data.strip(b"\r\n") else self._patience())
        elif caller.prompted or caller.only in (Wire.IRC, Wire.TLS):
            deadline = caller.since + dispatcher.shared.settings.name_timeout
        else:
            deadline = caller.since + self._patience()
        dispatcher.arrivals.add(self)
        dispatcher.shared.deadlines.set(self, deadline - now)

    def _patience(self) -> float:
        """Return the seconds that the peer may send nothing before it is sent the prompt."""
        apart = self._dispatcher.seconds_from_browser(self._caller)
        if apart <= BROWSING:
            return self._dispatcher.shared.settings.name_timeout if apart <= TOGETHER else MAX_PATIENCE
        rtt = 0.0
        with contextlib.suppress(OSError, AttributeError, struct.error):  # not Linux, or not TCP
            rtt = _RTT.unpack(self._socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _RTT.size))[0] / 1e6
        return min(MAX_PATIENCE, PATIENCE + ROUND_TRIPS * max(rtt, HIDDEN_TRIP))


class Sniffer(Undecided):
    """A socket whose protocol is not known yet.

    Args:
        dispatcher: passes the peer to its wire.
        caller: the peer.
        sock: the socket.
        trusted: whether the peer is a trusted proxy, which may report its client's address by the PROXY protocol.

    """

    def __init__(self, dispatcher: Dispatcher, caller: Caller, sock: socket.socket, trusted: bool) -> None:
        super().__init__(dispatcher, caller)
        self._sock = sock
        self._trusted = trusted
        self._size = PEEK  # maximum number of bytes to peek at
        # A PROXY header or a TLS hello has begun. A peer that does not complete it could not read a sentence either.
        self._half = False
        self._reading = False

    @property
    def _socket(self) -> Any:
        return self._sock

    def look(self) -> None:
        """Peek at the first bytes, and choose a wire or wait for more."""
        try:
            data = self._sock.recv(self._size, socket.MSG_PEEK)
        except BlockingIOError:
            self.consider(b"", False)
        except OSError:
            self.drop()
        else:
            # The socket becomes readable when there are more bytes than last time, or at the end of the input.
            self.consider(data, len(data) <= self._seen)

    def on_timer(self) -> None:
        """Send the prompt, choose the line wire, or drop an unfinished header: no more input came in time."""
        # After a delay of the whole process, the loop may run its timers before it reports what came meanwhile.
        if self._has_more():
            self.look()
        elif self._half or (self._caller.only is Wire.TLS and not self._seen):
            self.drop()
        else:
            super().on_timer()

    def _has_more(self) -> bool:
        try:
            return len(self._sock.recv(self._size, socket.MSG_PEEK)) > self._seen
        except OSError:  # nothing yet, or the connection is broken
            return False

    def drop(self) -> None:
        """Close the connection without a message."""
        self._forget()
        self._dispatcher.admission.leave(self._caller.where)
        self._sock.close()

    def farewell(self) -> None:
        """Close because the server is stopping. A peer that may be a person is sent a notice first."""
        if self._seen or not self._prompts:
            self.drop()
        else:
            self._forget()
            self._dispatcher.admission.leave(self._caller.where)
            self._dispatcher.admission.turn_away(self._sock, encode(notice(STOPPING), "\n"))

    def _forget(self) -> None:
        self._dispatcher.arrivals.discard(self)
        self._dispatcher.shared.deadlines.clear(self)
        self._dispatcher.shared.loop.remove_reader(self._sock)

    def _write(self, data: bytes) -> None:
        with contextlib.suppress(OSError):  # the next read reports the error
            self._sock.send(data)

    def _await_more(self, data: bytes) -> None:
        super()._await_more(data)
        if data:
            self._report_from(len(data) + 1)
        if not self._reading:
            self._reading = True
            self._dispatcher.shared.loop.add_reader(self._sock, self.look)

    def _report_from(self, size: int) -> None:
        """Let the kernel report the socket as readable only when it has received this many unread bytes."""
        with contextlib.suppress(OSError):
            self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, size)

    def _decide(self, wire: Wire, data: bytes) -> None:
        if wire is Wire.PROXY and self._trusted:
            self._unwrap(data)
        elif Wire.TLS in (wire, self._caller.only) and not self._caller.prompted:
            self._hear(wire)
        else:
            super()._decide(wire, data)

    def _hear(self, wire: Wire) -> None:
        """Start TLS once the complete ClientHello has arrived. Until then the peer costs almost no memory or CPU time.

        A client whose ALPN list contains none of the server's protocols is refused with a TLS alert.
        """
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
            self._dispatcher.admission.leave(self._caller.where)
            self._dispatcher.admission.shut_down(self._sock, hello.NO_PROTOCOL)
        elif len(data) <= self._seen:  # no more bytes will come
            self.drop()
        else:
            self._half = True
            self._await_more(data)

    def _give(self, wire: Wire, refused: Refused | None) -> None:
        self._dispatcher.shared.loop.remove_reader(self._sock)
        if self._seen:
            self._report_from(1)
        if wire is Wire.TLS:
            self._dispatcher.encrypt(self._sock, self._caller, TlsSniffer(self._dispatcher, self._caller))
        else:
            self._dispatcher.dispatch(wire, self._sock, self._caller, refused)

    def _unwrap(self, data: bytes) -> None:
        """Remove the load balancer's PROXY header, and peek at the bytes of the client itself.

        From here on the client's own address is counted. Drop the connection if the header is malformed.
        """
        dispatcher, caller = self._dispatcher, self._caller
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
        self._report_from(1)
        self._seen = 0
        if peer is not None:
            dispatcher.admission.leave(caller.where)
            caller.peer, caller.where = peer, origin(peer[0])
            if refused := dispatcher.admission.enter(caller.where):
                self._forget()
                dispatcher.admission.turn_away(self._sock, encode(refused.text, "\n"))
                return
        if caller.only in UNSNIFFED:
            self._decide(caller.only, b"")
        else:
            self.look()


class TlsSniffer(Undecided, asyncio.Protocol):
    """A TLS connection whose inner protocol is not known yet.

    Args:
        dispatcher: passes the peer to its wire.
        caller: the peer.

    """

    def __init__(self, dispatcher: Dispatcher, caller: Caller) -> None:
        super().__init__(dispatcher, caller)
        self._data = b""
        self._over = False  # the wire is chosen, or the peer is refused
        self._ended = False
        # Once True, `connection_lost` of this protocol or of its successor removes the connection from the count.
        self.made = False

    @property
    def _socket(self) -> Any:
        return self._transport.get_extra_info("socket")

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Choose the wire by ALPN, or wait for the first bytes if the client has negotiated no protocol."""
        self.made = True
        self._transport = cast(asyncio.Transport, transport)
        tls = transport.get_extra_info("ssl_object")
        chosen = SPOKEN.get(tls.selected_alpn_protocol()) if tls is not None else None
        if chosen:
            self._decide(chosen, b"")
        else:
            self._await_more(b"")

    def data_received(self, data: bytes) -> None:
        """Choose the wire by the bytes so far, or wait for more."""
        if not self._over:
            self._data += data
            self.consider(self._data, False)

    def eof_received(self) -> bool:
        """Choose the wire by the bytes so far: no more will come."""
        if not self._over:
            self._ended = True
            self.consider(self._data, True)
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """Remove the connection from the count: it was lost before its protocol was known."""
        self._dispatcher.arrivals.discard(self)
        self._dispatcher.shared.deadlines.clear(self)
        self._dispatcher.admission.leave(self._caller.where)

    def farewell(self) -> None:
        """Close the connection without a message."""
        self.drop()

    def drop(self) -> None:
        """Close the connection without a message."""
        self._transport.abort()

    def _write(self, data: bytes) -> None:
        self._transport.write(data)

    def _give(self, wire: Wire, refused: Refused | None) -> None:
        self._over = True
        protocol = self._dispatcher.connection(wire, self._caller, None, refused)
        if isinstance(protocol, bytes):
            self._transport.write(protocol)
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
