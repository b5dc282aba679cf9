"""Which site a browser's request comes from, and which one it is for."""

from __future__ import annotations

import ipaddress
from collections.abc import Collection, Mapping

PORTS = {"http": ":80", "https": ":443"}  # which a browser leaves out


def host_name(host: str) -> str:
    """Return the name or address in a Host header: without port, brackets and the dot at its end, in lower case."""
    name = host.rpartition(":")[0] if ":" in host and not host.endswith("]") else host
    return name.removeprefix("[").removesuffix("]").lower().removesuffix(".")


def is_ours(host: str, names: Collection[str]) -> bool:
    """Return whether a request is for this server by a name that no attacker can point to it (DNS rebinding).

    Those are addresses, localhost and what is below it, and the names that are given.
    """
    name = host_name(host)
    return name in names or is_localhost(name) or _is_address(name)


def is_localhost(name: str) -> bool:
    """Return whether a name is one that every system resolves to itself (RFC 6761)."""
    return name == "localhost" or name.endswith(".localhost")


def is_loopback(name: str) -> bool:
    """Return whether a name or address in a Host header means this machine."""
    return is_localhost(name) or (_is_address(name) and ipaddress.ip_address(name).is_loopback)


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def is_foreign(origin: str | None, host: str) -> bool:
    """Return whether a request comes from a page of another site than the one that it is for."""
    if origin is None:
        return False
    scheme, _, where = origin.lower().partition("://")
    port = PORTS.get(scheme, "")
    return where.removesuffix(port) != host.lower().removesuffix(port)


def is_cross_site(headers: Mapping[str, str], navigable: bool) -> bool:
    """Return whether a browser says that another site's page makes it ask (Fetch metadata).

    Args:
        headers: the request's.
        navigable: whether links to it from other sites are followed.

    """
    if headers.get("Sec-Fetch-Site") != "cross-site":
        return False
    navigates = headers.get("Sec-Fetch-Mode") == "navigate" and headers.get("Sec-Fetch-Dest") == "document"
    return not (navigable and navigates)
