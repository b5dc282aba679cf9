"""Find the client behind an HTTP proxy: X-Forwarded-For, and Forwarded (RFC 7239).

A proxy appends the address of its own peer. The entries before that come from the client, and may be forged. So the
header is read from its end, as long as the addresses there are those of trusted proxies.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Mapping, Sequence

HOPS = 16  # addresses that are read at the end of the header

# A proxy passed on a request with a header whose name begins so, or equals one of these.
BEGINNINGS = ("x-forwarded", "forwarded", "x-original-", "x-envoy-", "cf-", "x-amzn-", "x-arr-")
SIGNS = {"via", "x-real-ip", "x-client-ip", "x-cluster-client-ip", "true-client-ip", "fly-client-ip", "cdn-loop"}

_FOR = re.compile(r"(?:^|;)\s*for\s*=\s*(\"[^\"]*\"|[^;]*)", re.IGNORECASE)


def client(peer: str, hops: Sequence[str], trusted: Callable[[str], bool]) -> str:
    """Return the address of the client of a trusted peer: the last address that is not trusted itself.

    If all of them are trusted, it is the first one. An entry that is not an address ends the search: then it is the
    address of the proxy that added the entry.

    Args:
        peer: the address of the connection's other end.
        hops: the entries that the proxies added, in the order of the header.
        trusted: returns whether an address is that of a trusted proxy.

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

    If X-Forwarded-For is there, Forwarded is ignored: most proxies append to the former, and pass on the client's own
    value of the latter.
    """
    if x_forwarded_for:
        return ",".join(x_forwarded_for).split(",")
    # The end of the header is the proxy's: an open quote of the client's before it must not hide it.
    elements = ",".join(forwarded).split(",") if forwarded else []
    return [match[1] if (match := _FOR.search(element)) else "" for element in elements]


def is_forwarded(headers: Mapping[str, str]) -> bool:
    """Return whether a request says that a proxy has passed it on."""
    names = [name.lower() for name in headers]
    return any(name in SIGNS or name.startswith(BEGINNINGS) for name in names)


def is_encrypted(protocols: Sequence[str]) -> bool | None:
    """Return whether the proxy says that its client's connection is encrypted; None if it does not say.

    Args:
        protocols: the values of X-Forwarded-Proto. The last one is the proxy's own.

    """
    return ",".join(protocols).rpartition(",")[2].strip().lower() == "https" if protocols else None


def _address(text: str) -> str | None:
    """Return an address in its normal form; None for anything else, like `unknown` or `_hidden`."""
    text = text.strip().strip('"')
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        return None
