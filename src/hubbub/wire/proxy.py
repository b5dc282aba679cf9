"""The PROXY protocol: a balancer's header about the peer, before the peer's own bytes.

Source: https://www.haproxy.org/download/2.9/doc/proxy-protocol.txt, versions 1 and 2.
"""

from __future__ import annotations

import ipaddress
import struct

from hubbub.wire.sniff import PROXY_V2

MAX_V1 = 107  # bytes of a version 1 header, including its CR LF
MAX_V2 = 536  # bytes of an accepted version 2 header: addresses of a UNIX socket, and some extensions
ADDRESSES = {0x1: (4, "!4s4sHH"), 0x2: (16, "!16s16sHH")}  # by family: bytes of an address, format of all of them


class BadHeader(ValueError):
    """The bytes are not a valid PROXY header."""


def need(data: bytes) -> int:
    """Return the length in bytes of the header that begins so; 0 if it is not known yet.

    Raises:
        BadHeader: it is not a header, or it is too long.

    """
    if PROXY_V2.startswith(data[: len(PROXY_V2)]):
        if len(data) < 16:
            return 0
        length: int = 16 + struct.unpack_from("!H", data, 14)[0]
        if length > MAX_V2:
            raise BadHeader("too long")
        return length
    end = data.find(b"\r\n", 0, MAX_V1)
    if end < 0 and len(data) >= MAX_V1:
        raise BadHeader("too long")
    return end + 2 if end >= 0 else 0


def parse(header: bytes) -> tuple[str, int] | None:
    """Return the peer's address and port; None if the balancer itself is the peer (a health check).

    Args:
        header: the whole header and nothing else, see `need`.

    Raises:
        BadHeader: it is not a valid header.

    """
    return _version_2(header) if header.startswith(PROXY_V2) else _version_1(header)


def _version_1(header: bytes) -> tuple[str, int] | None:
    try:
        words = header.removesuffix(b"\r\n").decode("ascii").split(" ")
        if words[:2] == ["PROXY", "UNKNOWN"]:
            return None
        proxy, protocol, source, destination, port, _ = words
        kind = {"TCP4": ipaddress.IPv4Address, "TCP6": ipaddress.IPv6Address}[protocol]
        kind(destination)
        if proxy != "PROXY" or not port.isdecimal() or int(port) > 65535:
            raise BadHeader("no such port")
        return str(kind(source)), int(port)
    except (ValueError, KeyError):
        raise BadHeader("not of version 1") from None


def _version_2(header: bytes) -> tuple[str, int] | None:
    version_command, family = header[12], header[13] >> 4
    if version_command == 0x20:  # LOCAL
        return None
    if version_command != 0x21:  # PROXY
        raise BadHeader("not of version 2")
    if family not in ADDRESSES:
        return None
    length, form = ADDRESSES[family]
    if len(header) < 16 + 2 * length + 4:
        raise BadHeader("cut off")
    source, _, port, _ = struct.unpack_from(form, header, 16)
    return str(ipaddress.ip_address(source)), port
