"""A TLS ClientHello: check that it is complete, and find the protocols that the client requests in it.

It is read before TLS begins, so a client that sends half of one costs next to nothing, and a client that requests an
unsupported protocol gets an alert. Malformed ones are left to the TLS library to refuse.
Sources: RFC 8446 (4.1.2, 5.1), RFC 7301.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

OURS = ("http/1.1", "irc")  # supported protocols in ALPN
MAX_RECORD = 5 + 16 * 1024  # bytes of a record with its header
# A fatal alert: no_application_protocol.
NO_PROTOCOL = b"\x15\x03\x03\x00\x02\x02\x78"

_HANDSHAKE, _CLIENT_HELLO, _ALPN = 22, 1, 16


def need(data: bytes) -> int:
    """Return the length of the first record in bytes; 0 if it is not known yet.

    If the data is not TLS, that is the length of the data.
    """
    if data[:1] not in (b"", b"\x16"):
        return len(data)
    return min(5 + int(struct.unpack_from("!H", data, 3)[0]), MAX_RECORD) if len(data) >= 5 else 0


def is_refused(record: bytes) -> bool:
    """Return whether a ClientHello requests protocols, and none of them is supported."""
    try:
        asked = list(_protocols(record))
    except (struct.error, IndexError):
        return False
    return bool(asked) and not any(name in OURS for name in asked)


def _protocols(record: bytes) -> Iterator[str]:
    """Yield the protocol names in the ALPN extension. Raises struct.error or IndexError if the record is cut off."""
    if record[0] != _HANDSHAKE or record[5] != _CLIENT_HELLO:
        return
    at = 5 + 4 + 2 + 32  # headers of record and message, version, random
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
