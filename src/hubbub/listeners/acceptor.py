"""The one door: accepts who comes, within the limits, and gives each to the wire that it speaks."""

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

from hubbub.core.budget import scopes
from hubbub.errors import SettingsError, reason
from hubbub.listeners.address import bind_all, contains, is_loopback, network, origin, show, wire_of
from hubbub.listeners.connection import ClientProtocol, Connection, Shared
from hubbub.listeners.sniffer import TOO_LATE, Caller, Sniffer, TlsSniffer, Undecided
from hubbub.wire import http
from hubbub.wire.sniff import Wire

log = logging.getLogger("hubbub")

AT_ONCE = 64  # accepted in a turn of the loop, so that a storm leaves time for who is in already
RETRY = 0.5  # seconds before accepting again after files or memory ran out
REPEAT = 10.0  # seconds between two lines in the log about that
TURNED_AWAY = 64  # connections that are being told that there is no place; more are closed without a word
FAREWELL = 2.0  # seconds they have to read it
HANDSHAKE = 10.0  # seconds that a TLS handshake may take
HANDSHAKES = 128  # that may be unfinished from one address: a class behind one router opens its pages at once
OUT_OF = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})

FULL = "The chat is full just now; try again later."
TOO_MANY = "There are too many connections from your address."
TOO_OFTEN = "There are too many new connections from your address; try again in {} s."
ENCRYPTED_ONLY = (
    "This chat takes encrypted connections only; use TLS, as in: openssl s_client -quiet -connect HOST:PORT"
)
NO_HTTP = "There is no web page at this address."
NO_PROXY = "The PROXY protocol is not accepted from your address."
NO_SSH = "This chat does not speak SSH; use nc, telnet, a browser or an IRC client."
NOT_SPOKEN = (
    "This chat speaks plain lines (nc, telnet), HTTP/1.1, IRC and TLS, but not what your client has begun with."
)
ONLY = "This address is for {} clients only."


NAMES = {Wire.LINE: "nc and telnet", Wire.IRC: "IRC"}


def _in_words_of(wire: Wire, refusal: str) -> str:
    """Return a sentence as a client that speaks this wire can show it, without the end of its last line."""
    if wire is Wire.IRC:
        return f"ERROR :{refusal}\r"
    if wire is Wire.HTTP:
        status = "408 Request Timeout" if refusal == TOO_LATE else "403 Forbidden"
        return http.refusal(status, refusal, http.HEADERS).decode().removesuffix("\n")
    return refusal


class Counted(Protocol):
    """A connection that the front counts."""

    origin: str


class ProtocolFactory(Protocol):
    """What the front needs of the server."""

    def line_client(self, caller: Caller) -> ClientProtocol:
        """Return the dialogue of a new connection on the line wire."""
        ...

    def irc_client(self, caller: Caller) -> ClientProtocol:
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


class Acceptor:
    """Listens, and makes a connection of everybody who comes.

    Args:
        shared: the server's.
        tasks: owns the moment in which a connection is made.
        wires: makes what speaks each wire.
        sniffs: whether the first bytes decide about the wire; if not, all is the line wire.

    """

    def __init__(self, shared: Shared, tasks: asyncio.TaskGroup, wires: ProtocolFactory, sniffs: bool = True) -> None:
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
        self._encrypting: Counter[str] = Counter()  # unfinished handshakes by address
        self._arrivals: set[Undecided] = set()
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
        trusted = any(contains(trusted, peer[0]) for trusted in self._trusted)
        if refusal := self.enter(where, new=not trusted):  # all that a balancer's clients do comes from its address
            self.turn_away(sock, refusal)
            return
        caller = Caller(peer, where, self.shared.clock(), wire)
        if not trusted and (wire is Wire.HTTP or not self._sniffs):
            self.hand(wire or Wire.LINE, sock, caller)
        else:
            Sniffer(self, caller, sock, trusted).look()

    # --- counting -------------------------------------------------------------------------------------------------

    def enter(self, where: str, new: bool = True) -> str:
        """Count a connection from an address; return why that may not be, "" if it may.

        Args:
            where: the address.
            new: whether it is to be counted among the new connections from there, too.

        """
        settings = self.shared.settings
        if not settings.no_limits:
            if self._count >= settings.max_connections:
                return FULL
            if any(self._by_address[scope] >= times * settings.max_per_address for scope, times in scopes(where)):
                return TOO_MANY
            if new and (seconds := self.shared.budget.connections.take(where)):
                return TOO_OFTEN.format(math.ceil(seconds))
        self._count_in(where)
        return ""

    def _count_in(self, where: str) -> None:
        self._count += 1
        for scope, _ in scopes(where):
            self._by_address[scope] += 1

    def leave(self, where: str) -> None:
        """Count a connection from an address no more."""
        self._count -= 1
        for scope, _ in scopes(where):
            self._by_address[scope] -= 1
            if not self._by_address[scope]:
                del self._by_address[scope]

    def recount(self, before: str, after: str) -> str:
        """Count a connection from another address than before; return why that may not be, "" if it may."""
        self.leave(before)
        if refusal := self.enter(after):
            self._count_in(before)
        return refusal

    def _gone(self, connection: Counted) -> None:
        self.leave(connection.origin)

    @property
    def arriving(self) -> int:
        """How many connections have not shown yet what they speak."""
        return len(self._arrivals)

    # --- arrivals -------------------------------------------------------------------------------------------------

    def await_first_bytes(self, arrival: Undecided) -> None:
        """Keep who has not shown yet what it speaks."""
        self._arrivals.add(arrival)

    def decided(self, arrival: Undecided) -> None:
        """Let go of it: it has."""
        self._arrivals.discard(arrival)

    def hand(self, wire: Wire, sock: socket.socket, caller: Caller, refusal: str = "") -> None:
        """Give a counted socket to a wire; or turn it away in the wire's words, with a refusal or the front's own."""
        if wire is Wire.TLS:
            self._encrypt(sock, caller)
            return
        protocol = self.protocol(wire, caller, sock, refusal)
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
            sock.close()  # a client that has sent a TLS hello can read no sentence, and no answer behind the prompt
            return
        caller.only = None  # whatever is spoken inside
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
            self._encrypting += Counter()  # forgets those of which there are none

        task.add_done_callback(done)

    def protocol(self, wire: Wire, caller: Caller, sock: socket.socket | None, refusal: str = "") -> Connection | str:
        """Return what speaks a wire with a peer, or the sentence that it is turned away with.

        Args:
            wire: the wire.
            caller: the peer.
            sock: where to write to; None if that is encrypted.
            refusal: why it is turned away in any case; "" if it is not.

        """
        if refusal := refusal or self.refusal(wire, caller, sock is not None):
            return _in_words_of(wire, refusal)
        if wire is Wire.HTTP:
            return self._wires.http(sock, caller.peer, caller.where, self._gone) or _in_words_of(wire, NO_HTTP)
        dialogue = self._wires.irc_client(caller) if wire is Wire.IRC else self._wires.line_client(caller)
        connection = Connection(self.shared, dialogue, sock, self._gone)
        connection.peer, connection.origin = caller.peer, caller.where
        return connection

    def refusal(self, wire: Wire, caller: Caller, plain: bool) -> str:
        """Return why a peer is turned away by what it speaks, "" if it is not."""
        if plain and self.shared.settings.plaintext == "no" and not is_loopback(caller.where):
            return ENCRYPTED_ONLY
        if caller.only not in (None, wire):
            return NO_HTTP if wire is Wire.HTTP else ONLY.format(NAMES.get(caller.only, caller.only.upper()))
        return {Wire.PROXY: NO_PROXY, Wire.SSH: NO_SSH, Wire.TLS: NOT_SPOKEN, Wire.OTHER: NOT_SPOKEN}.get(wire, "")

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
        self.shut_down(sock, f"{sentence}\n".encode())

    def shut_down(self, sock: socket.socket, last: bytes) -> None:
        """Send the last bytes to a socket that is not counted, and close it; at once if there are too many of them."""
        if len(self._leaving) >= TURNED_AWAY:
            sock.close()
            return
        with contextlib.suppress(OSError):
            sock.send(last)
            sock.shutdown(socket.SHUT_WR)  # a close would reset it, if it has sent something, and take our last bytes
        self._leaving.add(sock)
        self.shared.loop.call_later(FAREWELL, self._let_go, sock)

    def _let_go(self, sock: socket.socket) -> None:
        self._leaving.discard(sock)
        sock.close()
