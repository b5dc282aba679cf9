"""Addresses to listen on: what they mean, and sockets that listen on them."""

from __future__ import annotations

import errno
import ipaddress
import re
import socket

from hubbub.errors import SettingsError, reason
from hubbub.wire.sniff import Wire

BACKLOG = 4096  # connections that the kernel keeps until they are accepted
RECEIVED = 32 * 1024  # bytes that the kernel keeps of what a peer sends, about; the rest waits with the peer
KEEPALIVE = (30, 10)  # seconds of silence after which the kernel asks whether the peer is there, and between two times
TRIES = 10  # free ports that are tried until one is free for every IP version
NOT_HERE = frozenset({errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL})
_ADDRESS = re.compile(
    r"(?:(?P<wire>line|http|ircs|irc|tls):)?(?:\[(?P<v6>[^\[\]\0]+)\]|(?P<host>[^\[\]:\0]*)):(?P<port>[0-9]{1,5})"
)


def _parts(address: str) -> re.Match[str]:
    parts = _ADDRESS.fullmatch(address)
    if not parts or int(parts["port"]) > 65535:
        raise SettingsError(f"The address {address!r} is not like 127.0.0.1:8888 or [::1]:8888.")
    return parts


def wire_of(address: str) -> Wire | None:
    """Return the wire that an address is fixed to, as `line:127.0.0.1:8888` is; None for whatever comes.

    Raises:
        SettingsError: it is no address.

    """
    wire = _parts(address)["wire"]
    return Wire("tls" if wire == "ircs" else wire) if wire else None


def host_of(address: str) -> str:
    """Return the host of an address to listen on; "" if it means every interface.

    Raises:
        SettingsError: it is no address.

    """
    parts = _parts(address)
    host = (parts["v6"] or parts["host"]).partition("%")[0]
    return "" if host in ("0.0.0.0", "::") else host


def resolve(address: str) -> list[tuple[socket.AddressFamily, tuple[object, ...]]]:
    """Return the sockets that an address means: HOST:PORT, [IPV6]:PORT, or :PORT for every interface.

    Raises:
        SettingsError: it means none.

    """
    parts = _parts(address)
    host, port = parts["v6"] or parts["host"], parts["port"]
    try:
        found = socket.getaddrinfo(host or None, int(port), type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (socket.gaierror, UnicodeError):
        raise SettingsError(f"The host of the address {address!r} is not known.") from None
    return list(dict.fromkeys((family, where) for family, _, _, _, where in found))


def bind_all(address: str, buffer: int) -> list[socket.socket]:
    """Listen on all that an address means; of two IP versions, one may be missing on this machine.

    Port 0 is a free one, the same for all of them.
    """
    tries = 1 if int(_parts(address)["port"]) else TRIES
    while True:
        tries -= 1
        try:
            return _bind_each(address, buffer)
        except SettingsError as error:
            if not tries or _errno(error) != errno.EADDRINUSE:
                raise


def _errno(error: SettingsError) -> int | None:
    return error.__cause__.errno if isinstance(error.__cause__, OSError) else None


def _bind_each(address: str, buffer: int) -> list[socket.socket]:
    sockets: list[socket.socket] = []
    failure: SettingsError | None = None
    for family, where in resolve(address):
        if sockets:
            where = (where[0], sockets[0].getsockname()[1], *where[2:])
        try:
            sockets.append(_bind(family, where, address, buffer))
        except SettingsError as error:
            if _errno(error) not in NOT_HERE:
                for sock in sockets:
                    sock.close()
                raise
            failure = error
    if failure and not sockets:
        raise failure
    return sockets


def _bind(family: socket.AddressFamily, where: tuple[object, ...], address: str, buffer: int) -> socket.socket:
    try:
        return _listening(family, where, buffer)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise SettingsError(f"The address {address} is in use by another program.") from error
        raise SettingsError(f"The address {address} cannot be listened on: {reason(error)}.") from error


def _listening(family: socket.AddressFamily, where: tuple[object, ...], buffer: int) -> socket.socket:
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        # Accepted sockets inherit these. Inline: urgent data that vanished would leave half a telnet command.
        for level, option, value in _OPTIONS:
            sock.setsockopt(level, option, value)
        # The kernel would keep megabytes for a peer that does not read, and fetching them costs those who do.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, buffer)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVED)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.bind(where)
        sock.listen(BACKLOG)
    except OSError:
        sock.close()
        raise
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
        (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, KEEPALIVE[0]),
        (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, KEEPALIVE[1]),
    ]
if hasattr(socket, "TCP_USER_TIMEOUT"):
    _OPTIONS += [
        (socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 120_000)
    ]  # ms until bytes or keepalives without an answer end it


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
    if address.is_loopback:
        return str(address)
    return str(ipaddress.IPv6Network((address, 64), strict=False))


Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def network(text: str, whose: str = "a balancer") -> Network:
    """Return the addresses that a text names: one, or all of a network like 10.0.0.0/8. Raises SettingsError."""
    try:
        return ipaddress.ip_network(text, strict=False)
    except ValueError:
        raise SettingsError(f"The address {text!r} of {whose} is not like 192.0.2.1 or 10.0.0.0/8.") from None


def contains(where: Network, host: str) -> bool:
    """Return whether a peer's address is in a network."""
    address = ipaddress.ip_address(host.partition("%")[0])
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped:
        address = address.ipv4_mapped
    return address in where


def is_loopback(where: str) -> bool:
    """Return whether what `origin` returned is this machine."""
    return where.startswith("127.") or where == "::1"
