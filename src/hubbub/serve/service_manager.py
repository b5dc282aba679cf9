"""Notifications to a service manager that asks for them (the sd_notify protocol, `Type=notify` of systemd)."""

from __future__ import annotations

import contextlib
import os
import socket


def tell(state: str) -> None:
    """Send a state, such as READY=1 or STOPPING=1, to the service manager; do nothing if there is none."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address.startswith(("/", "@")):
        return
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock:
        sock.setblocking(False)
        sock.sendto(state.encode(), f"\0{address[1:]}" if address.startswith("@") else address)
