"""The one door: accepts who comes, within the limits, and gives each to the wire that it speaks."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import socket
import ssl
from collections import Counter
from collections.abc import Callable
from typing import Any, Protocol

from hubbub.errors import SettingsError, reason
from hubbub.listeners.address import bind_all, contains, is_loopback, network, origin, show, wire_of
from hubbub.listeners.arrival import Arrival, Inside
from hubbub.listeners.connection import Connection, Dialogue, Shared
from hubbub.wire.sniff import Wire

log = logging.getLogger("hubbub")

AT_ONCE = 64  # accepted in a turn of the loop, so that a storm leaves time for who is in already
RETRY = 0.5  # seconds before accepting again after files or memory ran out
REPEAT = 10.0  # seconds between two lines in the log about that
TURNED_AWAY = 64  # connections that are being told that there is no place; more are closed without a word
FAREWELL = 2.0  # seconds they have to read it
HANDSHAKE = 10.0  # seconds that a TLS handshake may take
OUT_OF = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})

FULL = "The chat is full just now; try again later."
TOO_MANY = "There are too many connections from your address."
ENCRYPTED_ONLY = (
    "This chat takes encrypted connections only; use TLS, as in: openssl s_client -quiet -connect HOST:PORT"
)
HTTP_REFUSAL = "HTTP/1.1 403 Forbidden\r\nContent-Type: text/plain\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{}"
NO_HTTP = HTTP_REFUSAL.format(38, "There is no web page at this address.")
NO_PROXY = "The PROXY protocol is not accepted from your address."


class Counted(Protocol):
    """A connection that the front counts."""

    origin: str


class Wires(Protocol):
    """What the front needs of the server."""

    def converse(self) -> Dialogue:
        """Return the dialogue of a new connection on the line wire."""
        ...

    def irc(self) -> Dialogue:
        """Return the dialogue of a new IRC client."""
        ...

    def http(
        self, sock: socket.socket | None, peer: Any, origin: str, gone: Callable[[Counted], None]
    ) -> Connection | None:
        """Return the protocol of a new connection that speaks HTTP; None where that is not served."""
        ...

    def tls(self) -> ssl.SSLContext | None:
        """Return what new connections are encrypted with; None where that is not served."""
        ...


class Front:
    """Listens, and makes a connection of everybody who comes.

    Args:
        shared: the server's.
        tasks: owns the moment in which a connection is made.
        wires: makes what speaks each wire.
        sniffs: whether the first bytes decide about the wire; if not, all is the line wire.

    """

    def __init__(self, shared: Shared, tasks: asyncio.TaskGroup, wires: Wires, sniffs: bool = True) -> None:
        self.shared = shared
        self._tasks = tasks
        self._wires = wires
        self._sniffs = sniffs
        self._trusted = [network(text) for text in shared.settings.trust_proxy]
        self._sockets: dict[socket.socket, Wire | None] = {}
        self._count = 0
        self.turned_away = 0  # since the start
        self._by_address: Counter[str] = Counter()
        self._told = -REPEAT
        self._leaving: set[socket.socket] = set()
        self._handshakes: set[asyncio.Task[None]] = set()
        self._arrivals: set[Arrival | Inside] = set()
        shared.recount = self.recount

    def listen(self) -> list[tuple[str, Wire | None]]:
        """Listen on the addresses of the settings; return them with the ports they got and what they are fixed to.

        Raises:
            SettingsError: one cannot be understood, found, or had.

        """
        try:
            for address in self.shared.settings.listen:
                wire = wire_of(address) if self._sniffs else Wire.LINE
                self._sockets |= dict.fromkeys(bind_all(address, self.shared.settings.buffer), wire)
        except SettingsError:
            self.close()
            raise
        for sock in self._sockets:
            self.shared.loop.add_reader(sock, self._accept, sock)
        return [(show(sock.getsockname()), wire) for sock, wire in self._sockets.items()]

    def close(self) -> None:
        """Accept nobody any more, and let go of those who have not shown yet what they speak."""
        for sock in self._sockets:
            self.shared.loop.remove_reader(sock)
            sock.close()
        self._sockets.clear()
        for sock in self._leaving:
            sock.close()
        self._leaving.clear()
        for arrival in list(self._arrivals):
            arrival.farewell()
        for task in list(self._handshakes):
            task.cancel()

    def _accept(self, listener: socket.socket) -> None:
        for _ in range(AT_ONCE):
            try:
                sock, peer = listener.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:
                if error.errno not in OUT_OF:
                    log.warning("A connection could not be accepted: %s", error)
                    return
                self._wait(listener, error)
                return
            sock.setblocking(False)
            self._take(sock, peer, self._sockets[listener])

    def _wait(self, listener: socket.socket, error: OSError) -> None:
        """Leave who comes now in the kernel's queue until there are files again."""
        now = self.shared.clock()
        if now - self._told >= REPEAT:
            self._told = now
            log.warning("No more connections can be accepted (%s) with %d open; trying on", reason(error), self._count)
        self.shared.loop.remove_reader(listener)
        self.shared.loop.call_later(RETRY, self._retry, listener)

    def _retry(self, listener: socket.socket) -> None:
        if listener in self._sockets:
            self.shared.loop.add_reader(listener, self._accept, listener)

    def _take(self, sock: socket.socket, peer: Any, wire: Wire | None) -> None:
        where = origin(peer[0])
        if refusal := self.enter(where):
            self.turn_away(sock, refusal)
            return
        trusted = any(contains(trusted, peer[0]) for trusted in self._trusted)
        if wire is None or trusted:
            Arrival(self, sock, peer, where, wire, trusted).look()
        else:
            self.hand(wire, sock, peer, where)

    # --- counting -------------------------------------------------------------------------------------------------

    def enter(self, where: str) -> str:
        """Count a connection from an address; return why that may not be, "" if it may."""
        settings = self.shared.settings
        if not settings.no_limits:
            if self._count >= settings.max_connections:
                return FULL
            if self._by_address[where] >= settings.max_per_address:
                return TOO_MANY
        self._count += 1
        self._by_address[where] += 1
        return ""

    def leave(self, where: str) -> None:
        """Count a connection from an address no more."""
        self._count -= 1
        self._by_address[where] -= 1
        if not self._by_address[where]:
            del self._by_address[where]

    def recount(self, before: str, after: str) -> str:
        """Count a connection from another address than before; return why that may not be, "" if it may."""
        self.leave(before)
        refusal = self.enter(after)
        if refusal:
            self._count += 1
            self._by_address[before] += 1
        return refusal

    def _gone(self, connection: Counted) -> None:
        self.leave(connection.origin)

    # --- arrivals -------------------------------------------------------------------------------------------------

    def await_first_bytes(self, arrival: Arrival | Inside) -> None:
        """Keep who has not shown yet what it speaks."""
        self._arrivals.add(arrival)

    def decided(self, arrival: Arrival | Inside) -> None:
        """Let go of it: it has."""
        self._arrivals.discard(arrival)

    def hand(self, wire: Wire, sock: socket.socket, peer: Any, where: str) -> None:
        """Give a counted socket to a wire."""
        if wire is Wire.TLS:
            context = self._wires.tls()
            if context is None:
                self.leave(where)
                sock.close()  # whoever says a TLS hello cannot read a sentence
                return
            inside = Inside(self, peer, where)
            patience = min(HANDSHAKE, self.shared.settings.name_timeout)
            connecting = self._connect(sock, inside, where, ssl=context, ssl_handshake_timeout=patience)
            task = self._tasks.create_task(connecting)
            self._handshakes.add(task)
            task.add_done_callback(self._handshakes.discard)
            return
        protocol = self.protocol(wire, peer, where, sock)
        if isinstance(protocol, str):
            self.leave(where)
            self.turn_away(sock, protocol)
        else:
            self._tasks.create_task(self._connect(sock, protocol, where))

    def protocol(self, wire: Wire, peer: Any, where: str, sock: socket.socket | None) -> Connection | str:
        """Return what speaks a wire with a peer, or the sentence that it is turned away with.

        Args:
            wire: the wire.
            peer: its socket address.
            where: what counts as its address.
            sock: where to write to; None if that is encrypted.

        """
        refusal = ""
        if sock is not None and self.shared.settings.plaintext == "no" and not is_loopback(where):
            refusal = ENCRYPTED_ONLY
        elif wire is Wire.PROXY:
            refusal = NO_PROXY
        elif wire is Wire.HTTP:
            return self._wires.http(sock, peer, where, self._gone) or NO_HTTP
        if refusal:
            if wire is Wire.IRC:
                return f"ERROR :{refusal}\r"
            return HTTP_REFUSAL.format(len(refusal) + 1, refusal) if wire is Wire.HTTP else refusal
        dialogue = self._wires.irc() if wire is Wire.IRC else self._wires.converse()
        connection = Connection(self.shared, dialogue, sock, self._gone)
        connection.peer, connection.origin = peer, where
        return connection

    async def _connect(self, sock: socket.socket, protocol: Any, where: str, **options: Any) -> None:
        try:
            await self.shared.loop.connect_accepted_socket(lambda: protocol, sock, **options)
        except (OSError, asyncio.CancelledError) as error:
            # It went away again, its handshake failed, there are no files, or the server stops.
            sock.close()
            if not getattr(protocol, "made", False):
                self.leave(where)
            if isinstance(error, asyncio.CancelledError):
                raise

    def turn_away(self, sock: socket.socket, sentence: str) -> None:
        """Say a sentence to a socket that is not counted, and close it."""
        self.turned_away += 1
        if len(self._leaving) >= TURNED_AWAY:
            sock.close()
            return
        with contextlib.suppress(OSError):
            sock.send(f"{sentence}\n".encode())
            sock.shutdown(socket.SHUT_WR)  # a close would reset it, if it has sent something, and take our sentence
        self._leaving.add(sock)
        self.shared.loop.call_later(FAREWELL, self._let_go, sock)

    def _let_go(self, sock: socket.socket) -> None:
        self._leaving.discard(sock)
        sock.close()
