"""The addresses that are listened on: accepts who comes, within the limits, and survives a lack of files."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import ipaddress
import logging
import os
import re
import socket
from collections import Counter
from collections.abc import Callable
from typing import Any

from hubbub.errors import SettingsError
from hubbub.listeners.connection import Connection, Dialogue, Shared

log = logging.getLogger("hubbub")

BACKLOG = 4096  # connections that the kernel keeps until they are accepted
AT_ONCE = 64  # accepted in a turn of the loop, so that a storm leaves time for who is in already
RETRY = 0.5  # seconds before accepting again after files or memory ran out
REPEAT = 10.0  # seconds between two lines in the log about that
TURNED_AWAY = 64  # connections that are being told that there is no place; more are closed without a word
FAREWELL = 2.0  # seconds they have to read it
_ADDRESS = re.compile(r"(?:\[(?P<v6>[^\[\]\0]+)\]|(?P<host>[^\[\]:\0]*)):(?P<port>[0-9]{1,5})")
NOT_HERE = frozenset({errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL})
OUT_OF = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})


class Front:
    """Listens, and makes a connection of everybody who comes.

    Args:
        shared: the server's.
        tasks: owns the moment in which a connection is made.
        converse: makes the dialogue of a new connection.

    """

    def __init__(self, shared: Shared, tasks: asyncio.TaskGroup, converse: Callable[[], Dialogue]) -> None:
        self._shared = shared
        self._tasks = tasks
        self._converse = converse
        self._sockets: list[socket.socket] = []
        self._count = 0
        self._by_address: Counter[str] = Counter()
        self._told = -REPEAT
        self._leaving: set[socket.socket] = set()

    def listen(self) -> list[str]:
        """Listen on the addresses of the settings, and return them with the ports they got.

        Raises:
            SettingsError: one cannot be understood, found, or had.

        """
        try:
            for address in self._shared.settings.listen:
                self._sockets += _bind_all(address, self._shared.settings.buffer)
        except SettingsError:
            self.close()
            raise
        for sock in self._sockets:
            self._shared.loop.add_reader(sock, self._accept, sock)
        return [show(sock.getsockname()) for sock in self._sockets]

    def close(self) -> None:
        """Accept nobody any more."""
        for sock in self._sockets:
            self._shared.loop.remove_reader(sock)
            sock.close()
        self._sockets.clear()
        for sock in self._leaving:
            sock.close()
        self._leaving.clear()

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
            self._take(sock, peer)

    def _wait(self, listener: socket.socket, error: OSError) -> None:
        """Leave who comes now in the kernel's queue until there are files again."""
        now = self._shared.clock()
        if now - self._told >= REPEAT:
            self._told = now
            reason = os.strerror(error.errno or 0)
            log.warning("No more connections can be accepted (%s) with %d open; trying on", reason, self._count)
        self._shared.loop.remove_reader(listener)
        self._shared.loop.call_later(RETRY, self._retry, listener)

    def _retry(self, listener: socket.socket) -> None:
        if listener in self._sockets:
            self._shared.loop.add_reader(listener, self._accept, listener)

    def _take(self, sock: socket.socket, peer: Any) -> None:
        settings = self._shared.settings
        address = origin(peer[0])
        if not settings.no_limits:
            if self._count >= settings.max_connections:
                self._turn_away(sock, "The chat is full just now; try again later.\n")
                return
            if self._by_address[address] >= settings.max_per_address:
                self._turn_away(sock, "There are too many connections from your address.\n")
                return
        self._count += 1
        self._by_address[address] += 1
        connection = Connection(self._shared, self._converse(), sock, self._gone)
        connection.peer, connection.origin = peer, address
        self._tasks.create_task(self._connect(sock, connection))

    def _gone(self, connection: Connection) -> None:
        self._count -= 1
        self._by_address[connection.origin] -= 1
        if not self._by_address[connection.origin]:
            del self._by_address[connection.origin]

    async def _connect(self, sock: socket.socket, connection: Connection) -> None:
        try:
            await self._shared.loop.connect_accepted_socket(lambda: connection, sock)
        except OSError:  # it went away again, or there are no files; gone() is called by who has had it
            sock.close()
            if connection not in self._shared.connections:
                self._gone(connection)

    def _turn_away(self, sock: socket.socket, sentence: str) -> None:
        if len(self._leaving) >= TURNED_AWAY:
            sock.close()
            return
        with contextlib.suppress(OSError):
            sock.send(sentence.encode())
            sock.shutdown(socket.SHUT_WR)  # a close would reset it, if it has sent something, and take our sentence
        self._leaving.add(sock)
        self._shared.loop.call_later(FAREWELL, self._let_go, sock)

    def _let_go(self, sock: socket.socket) -> None:
        self._leaving.discard(sock)
        sock.close()


def resolve(address: str) -> list[tuple[socket.AddressFamily, tuple[object, ...]]]:
    """Return the sockets that an address means: HOST:PORT, [IPV6]:PORT, or :PORT for every interface.

    Raises:
        SettingsError: it means none.

    """
    parts = _ADDRESS.fullmatch(address)
    if not parts or int(parts["port"]) > 65535:
        raise SettingsError(f"The address {address!r} is not like 127.0.0.1:8888 or [::1]:8888.")
    host, port = parts["v6"] or parts["host"], parts["port"]
    try:
        found = socket.getaddrinfo(host or None, int(port), type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (socket.gaierror, UnicodeError):
        raise SettingsError(f"The host of the address {address!r} is not known.") from None
    return list(dict.fromkeys((family, where) for family, _, _, _, where in found))


def _bind_all(address: str, buffer: int) -> list[socket.socket]:
    """Listen on all that an address means; of two IP versions, one may be missing on this machine."""
    sockets: list[socket.socket] = []
    failure: SettingsError | None = None
    for family, where in resolve(address):
        try:
            sockets.append(_bind(family, where, address, buffer))
        except SettingsError as error:
            cause = error.__cause__
            if not (isinstance(cause, OSError) and cause.errno in NOT_HERE):
                for sock in sockets:
                    sock.close()
                raise
            failure = error
    if failure and not sockets:
        raise failure
    return sockets


def _bind(family: socket.AddressFamily, where: tuple[object, ...], address: str, buffer: int) -> socket.socket:
    try:
        sock = socket.socket(family, socket.SOCK_STREAM)
    except OSError as error:
        raise SettingsError(f"The address {address} cannot be listened on: {os.strerror(error.errno or 0)}.") from error
    try:
        # Accepted sockets inherit these. Inline: urgent data that vanished would leave half a telnet command.
        for level, option, value in _OPTIONS:
            sock.setsockopt(level, option, value)
        # The kernel would keep megabytes for who does not read, and fetching them costs those who do.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, buffer)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.bind(where)
        sock.listen(BACKLOG)
    except OSError as error:
        sock.close()
        if error.errno == errno.EADDRINUSE:
            raise SettingsError(f"The address {address} is in use by another program.") from error
        raise SettingsError(f"The address {address} cannot be listened on: {os.strerror(error.errno or 0)}.") from error
    sock.setblocking(False)
    return sock


_OPTIONS = [
    (socket.SOL_SOCKET, socket.SO_REUSEADDR, 1),
    (socket.SOL_SOCKET, socket.SO_OOBINLINE, 1),
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    (socket.IPPROTO_TCP, socket.TCP_NODELAY, 1),
]
if hasattr(socket, "TCP_KEEPIDLE"):
    _OPTIONS += [
        (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 60),
        (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 15),
    ]
if hasattr(socket, "TCP_USER_TIMEOUT"):
    _OPTIONS += [(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 300_000)]  # ms until unanswered bytes end it


def show(name: tuple[object, ...]) -> str:
    """Return a socket's name as people write it."""
    return f"[{name[0]}]:{name[1]}" if ":" in str(name[0]) else f"{name[0]}:{name[1]}"


def origin(host: str) -> str:
    """Return what counts as one address: an IPv4 address, or the /64 that one household has of IPv6."""
    if ":" not in host:
        return host
    address = ipaddress.IPv6Address(host.partition("%")[0])
    if address.ipv4_mapped:
        return str(address.ipv4_mapped)
    return str(ipaddress.IPv6Network((address, 64), strict=False))
