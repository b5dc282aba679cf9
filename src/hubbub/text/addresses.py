"""Addresses of peers, in the form in which the limits count them."""


def is_loopback(where: str) -> bool:
    """Return whether an address is one of this machine's own, which no other machine can use."""
    return where.startswith("127.") or where == "::1"
