"""Heads of HTTP responses, and the responses that are written past aiohttp."""

from __future__ import annotations

from collections.abc import Mapping

HEADERS = {  # of every answer
    "Server": "hubbub",
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
}
ENCRYPTED = HEADERS | {"Strict-Transport-Security": "max-age=31536000"}  # where the connection is encrypted


def head(status: str, headers: Mapping[str, str]) -> bytes:
    """Return the status line and the headers of a response."""
    lines = [f"HTTP/1.1 {status}", *(f"{name}: {value}" for name, value in headers.items()), "", ""]
    return "\r\n".join(lines).encode("ascii")


def refusal(status: str, sentence: str, headers: Mapping[str, str]) -> bytes:
    """Return a complete response that refuses something and ends the connection."""
    body = f"{sentence}\n".encode()
    fields = {"Content-Type": "text/plain; charset=utf-8", "Content-Length": str(len(body)), "Connection": "close"}
    return head(status, {**headers, **fields}) + body
