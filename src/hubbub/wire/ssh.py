"""The refusal of an ssh client before any key exchange, with its reason (RFC 4253)."""

from __future__ import annotations

VERSION = "hubbub"  # of the server: nobody who scans for OpenSSH finds one
GREETING = f"SSH-2.0-{VERSION}\r\n".encode()
_DISCONNECT = 1  # the type of a message
_TOO_MANY = 12  # SSH_DISCONNECT_TOO_MANY_CONNECTIONS, the reason that fits most refusals
_BLOCK = 8  # a packet is a multiple of this many bytes long
_LEAST = 4  # bytes of padding


def refusal(text: str) -> bytes:
    """Return the server's version line, and a message that ends the connection and that clients show."""
    shown = text.encode()
    payload = bytes([_DISCONNECT]) + _number(_TOO_MANY) + _number(len(shown)) + shown + _number(0)
    padding = _BLOCK - (4 + 1 + len(payload)) % _BLOCK
    padding += _BLOCK if padding < _LEAST else 0
    return GREETING + _number(1 + len(payload) + padding) + bytes([padding]) + payload + bytes(padding)


def _number(value: int) -> bytes:
    return value.to_bytes(4, "big")
