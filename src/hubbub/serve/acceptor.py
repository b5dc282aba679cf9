"""Accept connections within the limits, and pass each one to the protocol ("wire") that its client speaks."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import math
import socket
import ssl
from collections import Counter
from collections.abc import Callable
from typing import Any, Protocol

from hubbub.chat.budget import scopes
from hubbub.errors import Refused, SettingsError, reason
from hubbub.serve.address import bind_all, contains, is_loopback, network, origin, show, wire_of
from hubbub.serve.connection import ClientProtocol, Connection, Shared
from hubbub.serve.sniffer import Caller, Sniffer, TlsSniffer, Undecided
from hubbub.text import refusals
from hubbub.wire.sniff import Wire
from hubbub.wire.web import http
from hubbub.wire.web.statuses import status_of

log = logging.getLogger("hubbub")

# Connections accepted in one iteration of the event loop. A connection storm thus leaves time for the existing clients.
AT_ONCE = 64
RETRY = 0.5  # seconds until the next attempt to accept after file descriptors or memory ran out
REPEAT = 10.0  # seconds between two log lines about that
# Refused connections that may be open at the same time to receive the reason. Further ones are closed without it.
TURNED_AWAY = 64
FAREWELL = 2.0  # seconds that a refused client has to read the reason
HANDSHAKE = 10.0  # seconds that a TLS handshake may take
# Unfinished TLS handshakes allowed per address. A school class behind one router opens its pages at the same time.
HANDSHAKES = 128
OUT_OF = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})

NAMES = {Wire.LINE: "nc and telnet", Wire.IRC: "IRC"}


UNKNOWN = {
    Wire.PROXY: refusals.NO_PROXY,
    Wire.SSH: refusals.NO_SSH,
    Wire.TLS: refusals.NOT_SPOKEN,
    Wire.OTHER: refusals.NOT_SPOKEN,
}


def _in_words_of(wire: Wire, refused: Refused) -> str:
    """Return a refusal in a form that a client of this wire can show, without the last newline."""
    if wire is Wire.IRC:
        return f"ERROR :{refused.text}\r"
    if wire is Wire.HTTP:
        status = status_of(refused)
        return http.refusal(f"{status} {status.phrase}", refused.text, http.HEADERS).decode().removesuffix("\n")
    return refused.text


class Counted(Protocol):
    """A connection that the acceptor counts."""

    origin: str


class ProtocolFactory(Protocol):
    """The part of the server that the acceptor uses: it makes the clients for new connections."""

    def line_client(self, caller: Caller) -> ClientProtocol:
        """Return the client for a new connection on the line wire."""
        ...

    def irc_client(self, caller: Caller) -> ClientProtocol:
        """Return the client for a new IRC connection."""
        ...

    def http(
        self, sock: socket.socket | None, peer: Any, origin: str, gone: Callable[[Counted], None]
    ) -> Connection | None:
        """Return the protocol for a new HTTP connection; None if the server does not serve HTTP."""
        ...

    def tls(self) -> ssl.SSLContext | None:
        """Return the TLS context for new connections; None if the server does not serve TLS."""
        ...


class Acceptor:
    """Listens on the configured addresses, applies the limits, and starts a connection for each client.

    Args:
        shared: the state that all connections share.
        tasks: runs the short tasks in which connections and TLS handshakes are set up.
        wires: makes the client for each wire.
        sniffs: whether the first bytes decide about the wire. If not, every connection is on the line wire.

    """

    def __init__(self, shared: Shared, tasks: asyncio.TaskGroup, wires: ProtocolFactory, sniffs: bool = True) -> None:
        self.shared = shared
        self._tasks = tasks
        self._wires = wires
        self._sniffs = sniffs
        self._trusted = [network(text) for text in shared.settings.trust_proxy]
        self._sockets: dict[socket.socket, Wire | None] = {}
        self._count = 0
        self.turned_away = 0  # connections refused since the start
        self._by_address: Counter[str] = Counter()
        self._told = -REPEAT
        self._leaving: set[socket.socket] = set()
        self._handshakes: set[asyncio.Task[None]] = set()
        self._encrypting: Counter[str] = Counter()  # unfinished TLS handshakes by address
        self._arrivals: set[Undecided] = set()
        shared.recount = self.recount

    def listen(self) -> list[tuple[str, Wire | None]]:
        """Listen on the addresses of the settings.

        Returns:
            Each address with its actual port, and the wire that it is restricted to (None for every wire).

        Raises:
            SettingsError: an address is malformed, cannot be resolved, or cannot be bound.

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
        """Stop listening, and close the connections whose protocol is not known yet."""
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
        """Stop accepting for RETRY seconds because file descriptors or memory ran out.

        New connections wait in the kernel's queue meanwhile.
        """
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
        trusted = any(contains(trusted, peer[0]) for trusted in self._trusted)
        # All clients behind a load balancer arrive from its address, so its connections cost no connection budget here.
        if refused := self.enter(where, new=not trusted):
            self.turn_away(sock, refused.text)
            return
        caller = Caller(peer, where, self.shared.clock(), wire)
        if not trusted and (wire is Wire.HTTP or not self._sniffs):
            self.hand(wire or Wire.LINE, sock, caller)
        else:
            Sniffer(self, caller, sock, trusted).look()

    # --- counting -------------------------------------------------------------------------------------------------

    def enter(self, where: str, new: bool = True) -> Refused | None:
        """Count a connection from an address, if the limits allow it.

        Args:
            where: the address.
            new: whether the connection is also charged to the address's budget of new connections.

        Returns:
            The refusal; None if the connection is counted.

        """
        settings = self.shared.settings
        if not settings.no_limits:
            if self._count >= settings.max_connections:
                return refusals.SERVER_FULL()
            if any(self._by_address[scope] >= times * settings.max_per_address for scope, times in scopes(where)):
                return refusals.TOO_MANY()
            if new and (seconds := self.shared.budget.connections.take(where)):
                return refusals.TOO_OFTEN(seconds=math.ceil(seconds))
        self._count_in(where)
        return None

    def _count_in(self, where: str) -> None:
        self._count += 1
        for scope, _ in scopes(where):
            self._by_address[scope] += 1

    def leave(self, where: str) -> None:
        """Remove a connection from the count of an address."""
        self._count -= 1
        for scope, _ in scopes(where):
            self._by_address[scope] -= 1
            if not self._by_address[scope]:
                del self._by_address[scope]

    def recount(self, before: str, after: str) -> Refused | None:
        """Move a connection from the count of one address to that of another.

        Return the refusal (then the connection stays in the old count); None if it was moved.
        """
        self.leave(before)
        if refused := self.enter(after):
            self._count_in(before)
        return refused

    def _gone(self, connection: Counted) -> None:
        self.leave(connection.origin)

    @property
    def arriving(self) -> int:
        """The number of connections whose protocol is not known yet."""
        return len(self._arrivals)

    # --- sniffers -------------------------------------------------------------------------------------------------

    def await_first_bytes(self, arrival: Undecided) -> None:
        """Register a connection whose protocol is not known yet."""
        self._arrivals.add(arrival)

    def decided(self, arrival: Undecided) -> None:
        """Remove a connection from the undecided ones: its protocol is known, or it is closed."""
        self._arrivals.discard(arrival)

    def hand(self, wire: Wire, sock: socket.socket, caller: Caller, refused: Refused | None = None) -> None:
        """Pass a counted socket to a wire, or refuse it in a form that the wire's clients can show.

        Args:
            wire: the wire that the client speaks.
            sock: the socket.
            caller: the peer.
            refused: a refusal that holds in any case; None if only the acceptor's own rules decide.

        """
        if wire is Wire.TLS:
            self._encrypt(sock, caller)
            return
        protocol = self.protocol(wire, caller, sock, refused)
        if isinstance(protocol, str):
            self.leave(caller.where)
            self.turn_away(sock, protocol)
        else:
            self._tasks.create_task(self._connect(sock, protocol, caller.where))

    def _encrypt(self, sock: socket.socket, caller: Caller) -> None:
        context = self._wires.tls()
        refused = context is None or caller.prompted or caller.only not in (None, Wire.TLS)
        crowded = any(self._encrypting[scope] >= times * HANDSHAKES for scope, times in scopes(caller.where))
        if refused or (crowded and not self.shared.settings.no_limits):
            self.turned_away += crowded
            self.leave(caller.where)
            # A TLS client cannot read a plain sentence, nor a TLS answer that follows the prompt.
            sock.close()
            return
        caller.only = None  # inside TLS every wire is allowed
        patience = min(HANDSHAKE, self.shared.settings.name_timeout)
        options = {"ssl": context, "ssl_handshake_timeout": patience}
        where = caller.where
        connecting = self._connect(sock, TlsSniffer(self, caller), where, **options)
        task = self._tasks.create_task(connecting)
        self._handshakes.add(task)
        self._encrypting.update(scope for scope, _ in scopes(caller.where))

        def done(task: asyncio.Task[None]) -> None:
            self._handshakes.discard(task)
            self._encrypting.subtract(scope for scope, _ in scopes(where))
            self._encrypting += Counter()  # removes the addresses whose count is 0

        task.add_done_callback(done)

    def protocol(
        self, wire: Wire, caller: Caller, sock: socket.socket | None, refused: Refused | None = None
    ) -> Connection | str:
        """Return the connection that speaks a wire with a peer, or the text that refuses the peer.

        Args:
            wire: the wire.
            caller: the peer.
            sock: the socket to write to; None if the connection is encrypted.
            refused: a refusal that holds in any case; None if only the acceptor's own rules decide.

        """
        if refused := refused or self.refusal(wire, caller, sock is not None):
            return _in_words_of(wire, refused)
        if wire is Wire.HTTP:
            return self._wires.http(sock, caller.peer, caller.where, self._gone) or _in_words_of(
                wire, refusals.NO_PAGE()
            )
        dialogue = self._wires.irc_client(caller) if wire is Wire.IRC else self._wires.line_client(caller)
        connection = Connection(self.shared, dialogue, sock, self._gone)
        connection.peer, connection.origin = caller.peer, caller.where
        return connection

    def refusal(self, wire: Wire, caller: Caller, plain: bool) -> Refused | None:
        """Return the refusal of a peer that speaks this wire; None if it is allowed.

        Args:
            wire: the wire.
            caller: the peer.
            plain: whether the connection is unencrypted.

        """
        if plain and self.shared.settings.plaintext == "no" and not is_loopback(caller.where):
            return refusals.ENCRYPTED_ONLY()
        if caller.only not in (None, wire):
            if wire is Wire.HTTP:
                return refusals.NO_PAGE()
            return refusals.ONE_WIRE_ONLY(wire=NAMES.get(caller.only, caller.only.upper()))
        return UNKNOWN[wire]() if wire in UNKNOWN else None

    async def _connect(self, sock: socket.socket, protocol: Any, where: str, **options: Any) -> None:
        try:
            await self.shared.loop.connect_accepted_socket(lambda: protocol, sock, **options)
        except (OSError, asyncio.CancelledError) as error:
            # The peer has left, its handshake failed, file descriptors ran out, or the server is stopping.
            sock.close()
            if not getattr(protocol, "made", False):
                self.leave(where)
            if isinstance(error, asyncio.CancelledError):
                raise

    def turn_away(self, sock: socket.socket, sentence: str) -> None:
        """Send a sentence to a socket that is not counted, and close it."""
        self.turned_away += 1
        self.shut_down(sock, f"{sentence}\n".encode())

    def shut_down(self, sock: socket.socket, last: bytes) -> None:
        """Send the last bytes to a socket that is not counted, and close it after FAREWELL seconds.

        If TURNED_AWAY sockets are waiting for their close already, close it at once without sending.
        """
        if len(self._leaving) >= TURNED_AWAY:
            sock.close()
            return
        with contextlib.suppress(OSError):
            sock.send(last)
            # A close would reset a connection with unread input, and the peer would lose the last bytes.
            sock.shutdown(socket.SHUT_WR)
        self._leaving.add(sock)
        self.shared.loop.call_later(FAREWELL, self._let_go, sock)

    def _let_go(self, sock: socket.socket) -> None:
        self._leaving.discard(sock)
        sock.close()
