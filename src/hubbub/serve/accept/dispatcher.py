"""Pass each peer to the protocol ("wire") that it speaks, or refuse it in a form that its client can show."""

from __future__ import annotations

import asyncio
import math
import socket
import ssl
from collections import Counter, deque
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from msgspec import Struct

from hubbub.errors import Refused
from hubbub.model.rates.budget import scopes
from hubbub.serve.accept.admission import Admission
from hubbub.serve.sockets.connection import ClientProtocol, Connection, Shared
from hubbub.text import refusals
from hubbub.text.addresses import is_loopback
from hubbub.wire import ssh
from hubbub.wire.sniff import Wire

HANDSHAKE = 10.0  # seconds that a TLS handshake may take
# Unfinished TLS handshakes allowed per address. A school class behind one router opens its pages at the same time.
HANDSHAKES = 128
BROWSERS = 1024  # addresses of browsers that are remembered
# Connections of browsers that are remembered for an address: a page opens about six, over seconds on a slow machine.
BROWSER_CONNECTIONS = 16
NAMES = {Wire.LINE: "nc and telnet", Wire.IRC: "IRC"}
UNKNOWN = {  # the refusals of the wires that the server does not speak; refusals.NOT_SPOKEN for the others
    Wire.PROXY: refusals.NO_PROXY,
    Wire.SSH: refusals.NO_SSH,
}


class Caller(Struct):
    """A new peer, which is counted.

    Args:
        peer: its socket address.
        where: the address under which it is counted.
        since: when it was accepted, in seconds on the server's clock.
        only: the only wire that the listening address serves; None for every wire.
        prompted: whether the peer was sent the prompt.
        encrypted: whether the connection uses TLS.

    """

    peer: Any
    where: str
    since: float
    only: Wire | None = None
    prompted: bool = False
    encrypted: bool = False


# A wire is spoken if it has a factory, which makes the client for a new connection.
Wires = Mapping[Wire, Callable[[Caller], ClientProtocol]]


class Arrival(Protocol):
    """A connection whose wire is not known yet."""

    def farewell(self) -> None:
        """Close it because the server is stopping."""
        ...


class Dispatcher:
    """Starts a connection for each peer whose wire is known.

    Args:
        shared: the state that all connections share.
        admission: counts the connections.
        tasks: runs the short tasks in which connections and TLS handshakes are set up.
        wires: the factories of the wires that the server speaks.
        tls: returns the TLS context for new connections; None if the server does not serve TLS.

    """

    def __init__(
        self,
        shared: Shared,
        admission: Admission,
        tasks: asyncio.TaskGroup,
        wires: Wires,
        tls: Callable[[], ssl.SSLContext | None],
    ) -> None:
        self.shared = shared
        self.admission = admission
        self._tasks = tasks
        self._wires = wires
        self._tls = tls
        self.handshakes: set[asyncio.Task[None]] = set()
        self.encrypting: Counter[str] = Counter()  # unfinished TLS handshakes by address
        self.arrivals: set[Arrival] = set()  # connections whose wire is not known yet
        # By address, when the last connections of browsers were accepted; the one that was known last is at the end.
        self._browsers: dict[str, deque[float]] = {}

    def close(self) -> None:
        """Close the connections whose wire is not known yet."""
        for arrival in list(self.arrivals):
            arrival.farewell()
        for task in list(self.handshakes):
            task.cancel()

    def dispatch(self, wire: Wire, sock: socket.socket, caller: Caller, refused: Refused | None = None) -> None:
        """Pass a counted socket to a wire, or refuse it in a form that the wire's clients can show.

        Args:
            wire: the wire that the client speaks.
            sock: the socket.
            caller: the peer.
            refused: a refusal that holds in any case; None if only the rules of this class decide.

        """
        found = self.connection(wire, caller, sock, refused)
        if isinstance(found, bytes):
            self.admission.leave(caller.where)
            self.admission.turn_away(sock, found)
        else:
            self._begin_connecting(sock, found, caller.where)

    def connection(
        self, wire: Wire, caller: Caller, sock: socket.socket | None, refused: Refused | None = None
    ) -> Connection | bytes:
        """Return the connection that speaks a wire with a peer, or the bytes that refuse the peer.

        Args:
            wire: the wire.
            caller: the peer.
            sock: the socket to write to; None if the connection is encrypted.
            refused: a refusal that holds in any case; None if only the rules of this class decide.

        """
        if refused := refused or self.refusal(wire, caller):
            return (b"\r\n" if caller.prompted and wire is Wire.SSH else b"") + _in_words_of(wire, refused)
        connection = Connection(self.shared, self._wires[wire](caller), sock, self._gone)
        connection.peer, connection.origin = caller.peer, caller.where
        return connection

    def note_browser(self, caller: Caller) -> None:
        """Remember the connection of a browser."""
        times = self._browsers.pop(caller.where, None) or deque(maxlen=BROWSER_CONNECTIONS)
        times.append(caller.since)
        self._browsers[caller.where] = times
        if len(self._browsers) > BROWSERS:
            del self._browsers[next(iter(self._browsers))]

    def seconds_from_browser(self, caller: Caller) -> float:
        """Return the seconds between a connection and the nearest one of a browser from its address."""
        return min((abs(caller.since - time) for time in self._browsers.get(caller.where, ())), default=math.inf)

    def refusal(self, wire: Wire, caller: Caller) -> Refused | None:
        """Return the refusal of a peer that speaks this wire; None if it is allowed."""
        open_wire = not caller.encrypted and wire is not Wire.SSH
        if open_wire and self.shared.settings.plaintext == "no" and not is_loopback(caller.where):
            return refusals.ENCRYPTED_ONLY()
        only = caller.only or wire
        if wire is Wire.HTTP and (wire is not only or wire not in self._wires):
            return refusals.NO_PAGE()
        if wire is not only:
            return refusals.ONE_WIRE_ONLY(wire=NAMES.get(only, only.upper()))
        if wire not in self._wires:
            return UNKNOWN.get(wire, refusals.NOT_SPOKEN)()
        return None

    def encrypt(self, sock: socket.socket, caller: Caller, inner: asyncio.Protocol) -> None:
        """Start TLS on a counted socket, or close the socket.

        Args:
            sock: the socket.
            caller: the peer.
            inner: the protocol that the decrypted input is passed to.

        """
        context = self._tls()
        refused = context is None or caller.prompted or caller.only not in (None, Wire.TLS)
        crowded = any(self.encrypting[scope] >= times * HANDSHAKES for scope, times in scopes(caller.where))
        if refused or (crowded and not self.shared.settings.no_limits):
            self.admission.turned_away += crowded
            self.admission.leave(caller.where)
            # A TLS client cannot read a plain sentence, nor a TLS answer that follows the prompt.
            sock.close()
            return
        caller.only = None  # inside TLS every wire is allowed
        caller.encrypted = True
        patience = min(HANDSHAKE, self.shared.settings.name_timeout)
        task = self._begin_connecting(sock, inner, caller.where, ssl=context, ssl_handshake_timeout=patience)
        self._count_handshake(task, caller.where)

    def _count_handshake(self, task: asyncio.Task[None], where: str) -> None:
        self.handshakes.add(task)
        self.encrypting.update(scope for scope, _ in scopes(where))

        def done(task: asyncio.Task[None]) -> None:
            self.handshakes.discard(task)
            self.encrypting.subtract(scope for scope, _ in scopes(where))
            self.encrypting += Counter()  # removes the addresses whose count is 0

        task.add_done_callback(done)

    def _begin_connecting(self, sock: socket.socket, protocol: Any, where: str, **options: Any) -> asyncio.Task[None]:
        task = self._tasks.create_task(self._connect(sock, protocol, where, **options))

        def done(task: asyncio.Task[None]) -> None:
            if task.cancelled():  # perhaps before it began, when the server stops
                sock.close()

        task.add_done_callback(done)
        return task

    async def _connect(self, sock: socket.socket, protocol: Any, where: str, **options: Any) -> None:
        try:
            await self.shared.loop.connect_accepted_socket(lambda: protocol, sock, **options)
        except (OSError, asyncio.CancelledError) as error:
            # The peer has left, its handshake failed, file descriptors ran out, or the server is stopping.
            sock.close()
            if not getattr(protocol, "made", False):
                self.admission.leave(where)
            if isinstance(error, asyncio.CancelledError):
                raise

    def _gone(self, connection: Connection) -> None:
        self.admission.leave(connection.origin)


def _in_words_of(wire: Wire, refused: Refused) -> bytes:
    """Return a refusal in a form that a client of this wire can show."""
    if wire is Wire.IRC:
        return f"ERROR :{refused.text}\r\n".encode()
    if wire is Wire.HTTP:
        # The web is not loaded when the server begins to listen.
        from hubbub.wire.web import http
        from hubbub.wire.web.statuses import status_of

        status = status_of(refused)
        return http.refusal(f"{status} {status.phrase}", refused.text, http.HEADERS)
    if wire is Wire.SSH:
        return ssh.refusal(refused.text)
    return f"{refused.text}\n".encode()
