"""Addresses to listen on: their syntax, and the sockets that listen on them; also the comparison of peer addresses."""

from __future__ import annotations

import errno
import ipaddress
import re
import socket

from hubbub.errors import SettingsError, reason
from hubbub.wire.sniff import Wire

BACKLOG = 4096  # connections that the kernel queues until they are accepted
RECEIVED = 32 * 1024  # size of the kernel's receive buffer in bytes
KEEPALIVE = (30, 10)  # seconds of silence before the first keepalive probe, and between two probes
TRIES = 10  # attempts to find a port that is free for every IP version
NOT_HERE = frozenset({errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL})
_ADDRESS = re.compile(
    r"(?:(?P<wire>line|telnet|http|ircs|irc|tls|ssh):)?(?:\[(?P<v6>[^\[\]\0]+)\]|(?P<host>[^\[\]:\0]*)):(?P<port>[0-9]{1,5})"
)


def _parts(address: str) -> re.Match[str]:
    parts = _ADDRESS.fullmatch(address)
    if not parts or int(parts["port"]) > 65535:
        raise SettingsError(f"The address {address!r} does not look like 127.0.0.1:8888 or [::1]:8888.")
    return parts


def wire_of(address: str) -> Wire | None:
    """Return the only wire that an address serves, as in `line:127.0.0.1:8888`; None if it serves every wire.

    Raises:
        SettingsError: the text is not a valid address.

    """
    wire = _parts(address)["wire"]
    return Wire("tls" if wire == "ircs" else wire) if wire else None


def host_of(address: str) -> str:
    """Return the host of an address to listen on; "" if it means every interface.

    Raises:
        SettingsError: the text is not a valid address.

    """
    parts = _parts(address)
    host = (parts["v6"] or parts["host"]).partition("%")[0]
    return "" if host in ("0.0.0.0", "::") else host


def resolve(address: str) -> list[tuple[socket.AddressFamily, tuple[object, ...]]]:
    """Return the socket addresses of an address: HOST:PORT, [IPV6]:PORT, or :PORT for every interface.

    Raises:
        SettingsError: the text is not a valid address, or its host is not known.

    """
    parts = _parts(address)
    host, port = parts["v6"] or parts["host"], parts["port"]
    # In bytes, because a text would be encoded by the codec for foreign names, which is slow to load.
    name = host.encode() if host.isascii() else host
    try:
        found = socket.getaddrinfo(name or None, int(port), type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (socket.gaierror, UnicodeError):
        raise SettingsError(f"The host name in the address {address!r} is unknown.") from None
    return list(dict.fromkeys((family, where) for family, _, _, _, where in found))


def bind_all(address: str, buffer: int) -> list[socket.socket]:
    """Return bound sockets, which do not listen yet, for all socket addresses of an address.

    An IP version that this machine does not have is skipped if the other one works. Port 0 stands for a free port, the
    same for both versions.

    Args:
        address: the address.
        buffer: size of the kernel's send buffer for each connection, in bytes.

    Raises:
        SettingsError: the address is not valid, in use, or cannot be bound.

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
        return _bound(family, where, buffer)
    except OSError as error:
        raise _refusal(address, error) from error


def listen(sock: socket.socket) -> None:
    """Let a bound socket listen. Raises SettingsError if another program was faster with its address."""
    try:
        sock.listen(BACKLOG)
    except OSError as error:
        raise _refusal(show(sock.getsockname()), error) from error


def _refusal(address: str, error: OSError) -> SettingsError:
    if error.errno == errno.EADDRINUSE:
        return SettingsError(f"The address {address} is in use by another program.")
    return SettingsError(f"The server cannot listen on {address}: {reason(error)}.")


def _bound(family: socket.AddressFamily, where: tuple[object, ...], buffer: int) -> socket.socket:
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        # Accepted sockets inherit these options. Without SO_OOBINLINE, urgent data would be lost, and with it half of a
        # telnet command.
        for level, option, value in _OPTIONS:
            sock.setsockopt(level, option, value)
        # By default, the kernel would buffer megabytes for a peer that does not read, at the cost of the other peers.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, buffer)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVED)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.bind(where)
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
    """Return a socket address as HOST:PORT or [IPV6]:PORT."""
    return f"[{name[0]}]:{name[1]}" if ":" in str(name[0]) else f"{name[0]}:{name[1]}"


def origin(host: str) -> str:
    """Return the address under which a host is counted: the IPv4 address, or the /64 network of an IPv6 address.

    A household usually has a whole /64 of IPv6 addresses.
    """
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
    """Return the network that a text names: one address, or a network like 10.0.0.0/8.

    Args:
        text: the text.
        whose: the owner of the address, for the error message.

    Raises:
        SettingsError: the text is not valid.

    """
    try:
        return ipaddress.ip_network(text, strict=False)
    except ValueError:
        raise SettingsError(f"The address {text!r} of {whose} does not look like 192.0.2.1 or 10.0.0.0/8.") from None


def contains(where: Network, host: str) -> bool:
    """Return whether a peer's address is in a network."""
    address = ipaddress.ip_address(host.partition("%")[0])
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped:
        address = address.ipv4_mapped
    return address in where
