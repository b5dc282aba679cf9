"""Room names in NATS subjects: the encoding of a name as one token, and its decoding."""

from __future__ import annotations

_PLAIN = frozenset("abcdefghijklmnopqrstuvwxyz0123456789_-")


def encode_name(name: str) -> str:
    """Return a name as one token of a subject.

    Lower-case ASCII letters, digits, `_` and `-` stay; each byte of the UTF-8 of any other character becomes =XX.
    """
    return "".join(
        char if char in _PLAIN else "".join(f"={byte:02X}" for byte in char.encode("utf-8", "surrogatepass"))
        for char in name
    )


def first_name(key: str) -> str:
    """Return the first name of the room with a key; the key's token itself if hubbub did not make it."""
    token = key.partition("==")[0]
    try:
        return decode_name(token)
    except ValueError:
        return token


def decode_name(token: str) -> str:
    """Return the name that a token encodes. Raises ValueError if the token is invalid."""
    parts = token.split("=")
    data = parts[0].encode()
    for part in parts[1:]:
        data += bytes.fromhex(part[:2]) + part[2:].encode()
    return data.decode("utf-8", "surrogatepass")
