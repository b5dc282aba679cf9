"""The client for whom an HTTP proxy asks: X-Forwarded-For, and Forwarded (RFC 7239).

A proxy appends the address that it was asked from. What stands before that is what the client has said, and may be
made up. So the header is read from its end, as far as the addresses there are those of proxies that are trusted.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Mapping, Sequence

HOPS = 16  # addresses at the end of the header that are looked at

# A request with a header that begins so, or is called so, was passed on by a proxy.
BEGINNINGS = ("x-forwarded", "forwarded", "x-original-", "x-envoy-", "cf-", "x-amzn-", "x-arr-")
SIGNS = {"via", "x-real-ip", "x-client-ip", "x-cluster-client-ip", "true-client-ip", "fly-client-ip", "cdn-loop"}

_FOR = re.compile(r"(?:^|;)\s*for\s*=\s*(\"[^\"]*\"|[^;]*)", re.IGNORECASE)


def client(peer: str, hops: Sequence[str], trusted: Callable[[str], bool]) -> str:
    """Return the address for which a trusted peer asks: the last one that is not trusted itself.

    If all of them are trusted, it is the first one. What is no address ends the search: then it is that of the proxy
    that said so.

    Args:
        peer: the address of the connection's other end.
        hops: what the proxies have said, in the order of the header.
        trusted: returns whether an address is that of a proxy that is believed.

    """
    found = peer
    for hop in reversed(hops[-HOPS:]):
        address = _address(hop) if trusted(found) else None
        if address is None:
            break
        found = address
    return found


def hops(x_forwarded_for: Sequence[str], forwarded: Sequence[str]) -> list[str]:
    """Return the addresses in the values of the two headers, as they are written.

    X-Forwarded-For is believed alone if it is there: most proxies append to it, and pass on what the client says in
    the other one.
    """
    if x_forwarded_for:
        return ",".join(x_forwarded_for).split(",")
    # The end of the header is the proxy's, so an open quote in front of it, which is the client's, must not hide it.
    elements = ",".join(forwarded).split(",") if forwarded else []
    return [match[1] if (match := _FOR.search(element)) else "" for element in elements]


def is_forwarded(headers: Mapping[str, str]) -> bool:
    """Return whether a request says that a proxy has passed it on."""
    names = [name.lower() for name in headers]
    return any(name in SIGNS or name.startswith(BEGINNINGS) for name in names)


def _address(text: str) -> str | None:
    """Return an address as it is normally written; None for what is none, like `unknown` or `_hidden`."""
    text = text.strip().strip('"')
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        return None
