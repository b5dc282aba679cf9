"""Which wire a peer speaks, from the first bytes that it sends."""

from __future__ import annotations

import re
from enum import StrEnum

PEEK = 16  # bytes that are enough to tell
PROXY_V2 = b"\r\n\r\n\x00\r\nQUIT\n"

_METHODS = (b"GET", b"HEAD", b"POST", b"PUT", b"DELETE", b"OPTIONS", b"PATCH", b"CONNECT", b"TRACE", b"PRI")
_VERBS = (b"CAP", b"NICK", b"PASS", b"USER", b"QUIT")
# What only a program begins with, and the beginnings of that.
_STARTS = (*(method + b" " for method in _METHODS), b"PROXY ", PROXY_V2, b"\x16\x03\x00")
_IRC = re.compile(rb"(?:CAP|NICK|PASS|USER) +[^ \r\n]|QUIT +:", re.IGNORECASE)


class Wire(StrEnum):
    """What a peer may speak."""

    LINE = "line"
    HTTP = "http"
    TLS = "tls"
    PROXY = "proxy"
    IRC = "irc"


def sniff(data: bytes) -> Wire | None:
    """Return what a peer speaks that began with `data`; None if it may still become one thing or another.

    The answer never changes with more bytes, so it does not depend on where the network cut them.

    Args:
        data: what came so far; PEEK bytes are always enough.

    """
    if data[:2] == b"\x16\x03" and len(data) > 2:
        return Wire.TLS
    if data.startswith((b"PROXY ", PROXY_V2)):
        return Wire.PROXY
    if data.startswith(_STARTS[: len(_METHODS)]):
        return Wire.HTTP
    if _IRC.match(data):
        return Wire.IRC
    if any(start.startswith(data) for start in _STARTS) or _begins_irc(data):
        return None
    return Wire.LINE


def _begins_irc(data: bytes) -> bool:
    word, space, rest = data.upper().partition(b" ")
    if space:
        return word in _VERBS and not rest.strip(b" ") and len(data) < PEEK
    return any(verb.startswith(word) for verb in _VERBS)
