"""Rooms in subjects: a name as one token, and back."""

from __future__ import annotations

_PLAIN = frozenset("abcdefghijklmnopqrstuvwxyz0123456789_-")


def encode_name(name: str) -> str:
    """Return a name as one token of a subject: what is no plain letter or digit as =XX, byte for byte of its UTF-8."""
    return "".join(
        char if char in _PLAIN else "".join(f"={byte:02X}" for byte in char.encode("utf-8", "surrogatepass"))
        for char in name
    )


def room_of(key: str) -> str:
    """Return the first name of the room with a key; the key itself if it is none of ours."""
    token = key.partition("==")[0]
    try:
        return decode_name(token)
    except ValueError:
        return token


def decode_name(token: str) -> str:
    """Return the name of a token. Raises ValueError for what is none."""
    parts = token.split("=")
    data = parts[0].encode()
    for part in parts[1:]:
        data += bytes.fromhex(part[:2]) + part[2:].encode()
    return data.decode("utf-8", "surrogatepass")
