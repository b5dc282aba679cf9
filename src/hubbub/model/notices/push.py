"""Notifications to an address of the user's own, such as an ntfy topic: the valid addresses, and the requests."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from typing import NamedTuple
from urllib.parse import quote, urlsplit

from hubbub.text.cleaning import cut

BODY_CHARS = 100  # of a message that is sent
_NAT64 = ipaddress.ip_network("64:ff9b::/96")  # its last 32 bits are an IPv4 address
# All public IPv6 addresses (https://www.iana.org/assignments/ipv6-address-space). Elsewhere are forms that may lead to
# an IPv4 address, and networks of a site.
_PUBLIC = ipaddress.ip_network("2000::/3")

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class Push(NamedTuple):
    """A notification: its title, the beginning of the message, and the address to open, "" for none."""

    title: str
    body: str
    click: str = ""


def made(nick: str, room: str, text: str, page: str) -> Push:
    """Return the notification of a message in a room, or in private if the room's name is "".

    `page` is the address of the page, "" if there is none.
    """
    body = cut(" ".join(text.split())[:BODY_CHARS], 4 * BODY_CHARS)
    if not room:
        return Push(f"{nick} (private)", body, page)
    return Push(f"{nick} in {room}", body, f"{page}#{quote(room, safe='')}" if page else "")


def is_address(url: str, encrypted_only: bool) -> bool:
    """Return whether a text is a URL to which notifications may be sent: https, or also http, without a password."""
    if not (url.isascii() and url.isprintable()):
        return False
    try:
        parts = urlsplit(url)
        parts.port  # noqa: B018 - raises ValueError if it is no number
    except ValueError:
        return False
    return (
        parts.scheme in (("https",) if encrypted_only else ("https", "http"))
        and bool(parts.hostname)
        and "@" not in parts.netloc
    )


def is_gotify(url: str) -> bool:
    """Return whether a URL is that of Gotify, which takes JSON; ntfy and UnifiedPush take the text itself."""
    parts = urlsplit(url)
    return parts.path.endswith("/message") and "token=" in parts.query


def is_quiet(hours: tuple[int, int] | None, hour: int) -> bool:
    """Return whether an hour of the day is in the hours from one to the other, which may span midnight."""
    if hours is None:
        return False
    start, end = hours
    return start <= hour < end if start < end else hour >= start or hour < end


def is_number(host: str) -> bool:
    """Return whether the host of a URL is an address, perhaps in an old form such as `127.1`, and no name."""
    return ":" in host or host.replace(".", "").isdigit()


def may_reach(text: str, encrypted: bool, allowed: Iterable[Network]) -> bool:
    """Return whether the server may send notifications to an IP address.

    Only public addresses may be reached, and only encrypted, except those in the networks that the operator allows.
    Raises ValueError if the text is no IP address in its usual form.
    """
    address: Address = ipaddress.ip_address(text.partition("%")[0])
    if isinstance(address, ipaddress.IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour
        if address in _NAT64:
            inner = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        address = inner or address
    if any(address in network for network in allowed):
        return True
    return encrypted and address.is_global and not address.is_multicast and not _leads_elsewhere(address)


def _leads_elsewhere(address: Address) -> bool:
    """Return whether an address may lead to another one, through a Teredo tunnel or by its form."""
    return isinstance(address, ipaddress.IPv6Address) and (address not in _PUBLIC or address.teredo is not None)
