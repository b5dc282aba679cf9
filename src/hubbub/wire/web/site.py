"""Compare the site that a browser's request comes from with the site that it is for."""

from __future__ import annotations

import ipaddress
from collections.abc import Collection, Mapping

PORTS = {"http": ":80", "https": ":443"}  # left out by browsers


def host_name(host: str) -> str:
    """Return the name or address in a Host header, in lower case, without port, brackets and final dot."""
    name = host.rpartition(":")[0] if ":" in host and not host.endswith("]") else host
    return name.removeprefix("[").removesuffix("]").lower().removesuffix(".")


def is_ours(host: str, names: Collection[str]) -> bool:
    """Return whether a request names this server by a name that no attacker can redirect to it (DNS rebinding).

    Such names are addresses, localhost and its subdomains, and the given names.
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
    """Return whether a browser says that a page of another site caused a request (Fetch metadata).

    Args:
        headers: the request's headers.
        navigable: whether links to it from other sites are allowed.

    """
    if headers.get("Sec-Fetch-Site") != "cross-site":
        return False
    navigates = headers.get("Sec-Fetch-Mode") == "navigate" and headers.get("Sec-Fetch-Dest") == "document"
    return not (navigable and navigates)
