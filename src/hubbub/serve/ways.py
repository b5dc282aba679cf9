"""The lines that a starting server logs about how to join, with the addresses at which other machines reach it."""

from __future__ import annotations

import contextlib
import ipaddress
import socket
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from hubbub.wire.sniff import Wire

EVERYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # wildcard addresses, with loopback
# Interfaces to containers and virtual machines on this machine. No other machine is reached through them.
INNER = ("docker", "br-", "veth", "virbr", "podman", "cni", "lo")
FAR = ((socket.AF_INET, "192.0.2.1"), (socket.AF_INET6, "2001:db8::1"))


class Door(NamedTuple):
    """An address to join at: host, port, and the only wire that is served there (None for every wire)."""

    host: str
    port: str
    wire: Wire | None

    @property
    def target(self) -> str:
        """The host and port in the form that URLs use."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def is_near(self) -> bool:
        """Whether only this machine reaches the address."""
        with contextlib.suppress(ValueError):
            return ipaddress.ip_address(self.host).is_loopback
        return self.host == "localhost"


def own_addresses() -> list[str]:
    """Return the addresses of this machine's interfaces, first those with the route to other networks."""
    import ifaddr

    found = []
    for family, far in FAR:
        with contextlib.suppress(OSError), socket.socket(family, socket.SOCK_DGRAM) as sock:
            sock.connect((far, 9))  # sends nothing, only selects the route
            found.append(sock.getsockname()[0])
    with contextlib.suppress(OSError):  # a sandbox may forbid the query
        for adapter in ifaddr.get_adapters():
            if not str(adapter.name).startswith(INNER):
                found += [ip.ip if ip.is_IPv4 else ip.ip[0] for ip in adapter.ips]
    return [one for one in dict.fromkeys(found) if not _is_inner(one)]


def _is_inner(text: str) -> bool:
    address = ipaddress.ip_address(text.partition("%")[0])
    return address.is_loopback or address.is_link_local or address.is_unspecified


def doors(listening: Iterable[tuple[str, Wire | None]], own: Sequence[str]) -> list[Door]:
    """Return the addresses to join at; those that other machines reach come first.

    Args:
        listening: each address in the form of `address.show`, with the only wire that it serves (None for every wire).
        own: the addresses of this machine.

    """
    found = []
    for shown, wire in listening:
        host, _, port = shown.rpartition(":")
        host = host.strip("[]")
        hosts = [host]
        if host in EVERYWHERE:
            hosts = [one for one in own if (":" in one) == (host == "::")] or [EVERYWHERE[host]]
        found += [Door(one, port, wire) for one in hosts]
    return sorted(dict.fromkeys(found), key=lambda door: door.is_near)


def url(found: Sequence[Door], clear: bool, names: Sequence[str]) -> str:
    """Return the page's URL, with the server's name if it has one; "" if no address serves browsers.

    Args:
        found: the addresses to join at.
        clear: whether unencrypted connections are allowed.
        names: the server's names in the settings.

    """
    for door in found:
        if door.wire in (None, Wire.HTTP, Wire.TLS):
            door = door._replace(host=names[0]) if names and not door.is_near else door
            return f"http{'s' if door.wire is Wire.TLS or not clear else ''}://{door.target}/"
    return ""


class Speaks(NamedTuple):
    """The kinds of connections that the server accepts: unencrypted ones, TLS and ssh."""

    clear: bool
    encrypts: bool
    ssh: bool = False


def lines(found: Sequence[Door], speaks: Speaks, names: Sequence[str] = ()) -> Iterator[str]:
    """Yield the lines about how to join: one for each kind of client, then the other addresses.

    Args:
        found: the addresses to join at.
        speaks: the kinds of connections that the server accepts.
        names: the server's names in the settings.

    """
    used: set[str] = set()

    def best(*wires: Wire | None) -> Iterator[Door]:
        for door in found:
            if door.wire in wires:
                used.add(door.target)
                yield door
                return

    if speaks.clear:
        yield from (f"  in a terminal: nc {door.host} {door.port}" for door in best(None, Wire.LINE))
    if speaks.ssh:
        yield from (f"  with ssh:      ssh -p {door.port} {door.host}" for door in best(Wire.SSH, None))
    if speaks.encrypts:
        yield from (f"  encrypted:     openssl s_client -quiet -connect {door.target}" for door in best(None, Wire.TLS))
    if speaks.clear:
        yield from (f"  by IRC:        /connect {door.host} {door.port}" for door in best(Wire.IRC, None))
    if page := url(found, speaks.clear, names):
        used.update(door.target for door in best(None, Wire.HTTP, Wire.TLS))
        yield f"  in a browser:  {page}"
    rest = [f"{door.target}{f' ({door.wire} only)' if door.wire else ''}" for door in found if door.target not in used]
    if rest:
        yield f"  also at:       {', '.join(rest)}"
