"""Peers with TLS, who believe every certificate."""

from __future__ import annotations

import socket
import ssl


def context() -> ssl.SSLContext:
    made = ssl.create_default_context()
    made.check_hostname = False
    made.verify_mode = ssl.CERT_NONE
    return made


def encrypted(port: int, alpn: list[str] | None = None) -> ssl.SSLSocket:
    made = context()
    if alpn:
        made.set_alpn_protocols(alpn)
    sock = made.wrap_socket(socket.create_connection(("127.0.0.1", port), timeout=120))
    sock.settimeout(120)
    return sock


def read_until(sock: socket.socket, end: bytes) -> bytes:
    data = b""
    while not data.endswith(end):
        piece = sock.recv(4096)
        assert piece, f"ended after {data!r}"
        data += piece
    return data


def read_all(sock: socket.socket) -> bytes:
    data = b""
    while piece := sock.recv(4096):
        data += piece
    return data
