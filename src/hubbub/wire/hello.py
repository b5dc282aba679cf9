"""A TLS ClientHello: whether all of it is there, and which protocols the client asks for inside.

It is looked at before TLS begins, so that a client that sends half of one costs next to nothing, and so that one which
asks for a protocol that is not spoken is told so. What is malformed is left to the TLS library to refuse.
Sources: RFC 8446 (4.1.2, 5.1), RFC 7301.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

OURS = ("http/1.1", "irc")  # what may be asked for by ALPN
MAX_RECORD = 5 + 16 * 1024  # bytes of a record with its head
# A fatal alert: no_application_protocol.
NO_PROTOCOL = b"\x15\x03\x03\x00\x02\x02\x78"

_HANDSHAKE, _CLIENT_HELLO, _ALPN = 22, 1, 16


def need(data: bytes) -> int:
    """Return how long the first record is; 0 if that is not known yet, as much as there is if it is no TLS."""
    if data[:1] not in (b"", b"\x16"):
        return len(data)
    return min(5 + int(struct.unpack_from("!H", data, 3)[0]), MAX_RECORD) if len(data) >= 5 else 0


def is_refused(record: bytes) -> bool:
    """Return whether a ClientHello asks for protocols, and for none of ours."""
    try:
        asked = list(_protocols(record))
    except (struct.error, IndexError):
        return False
    return bool(asked) and not any(name in OURS for name in asked)


def _protocols(record: bytes) -> Iterator[str]:
    """Return the names of the ALPN extension. Raises struct.error or IndexError: it is cut off."""
    if record[0] != _HANDSHAKE or record[5] != _CLIENT_HELLO:
        return
    at = 5 + 4 + 2 + 32  # the heads of record and message, version, random
    at += 1 + record[at]  # session
    at += 2 + _number(record, at)  # cipher suites
    at += 1 + record[at]  # compression
    end = at + 2 + _number(record, at)
    at += 2
    while at < end:
        kind, length = struct.unpack_from("!HH", record, at)
        at += 4
        if kind == _ALPN:
            yield from _names(record, at + 2, at + length)
        at += length


def _names(record: bytes, at: int, end: int) -> Iterator[str]:
    while at < end:
        size = record[at]
        yield record[at + 1 : at + 1 + size].decode("latin-1")
        at += 1 + size


def _number(data: bytes, at: int) -> int:
    return int(struct.unpack_from("!H", data, at)[0])
