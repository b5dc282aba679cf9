"""PROXY headers, both versions."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hubbub.wire.proxy import MAX_V1, MAX_V2, BadHeader, need, parse
from hubbub.wire.sniff import PROXY_V2


def version_2(command: int, family: int, body: bytes) -> bytes:
    return PROXY_V2 + bytes((command, family)) + struct.pack("!H", len(body)) + body


V4 = bytes((192, 0, 2, 1, 10, 0, 0, 1)) + struct.pack("!HH", 50000, 8888)
V6 = bytes.fromhex("20010db8" + "00" * 11 + "01") + bytes(16) + struct.pack("!HH", 50001, 8888)

GOOD = [
    (b"PROXY TCP4 192.0.2.1 10.0.0.1 50000 8888\r\n", ("192.0.2.1", 50000)),
    (b"PROXY TCP6 2001:db8::1 ::1 50001 8888\r\n", ("2001:db8::1", 50001)),
    (b"PROXY UNKNOWN\r\n", None),
    (b"PROXY UNKNOWN ffff::1 ffff::2 1 2\r\n", None),
    (version_2(0x21, 0x11, V4), ("192.0.2.1", 50000)),
    (version_2(0x21, 0x21, V6), ("2001:db8::1", 50001)),
    (version_2(0x21, 0x11, V4 + b"\x03\x00\x04abcd"), ("192.0.2.1", 50000)),
    (version_2(0x20, 0x00, b""), None),
    (version_2(0x21, 0x31, bytes(216)), None),
]
BAD = [
    b"PROXY\r\n",
    b"PROXY TCP4 192.0.2.1 10.0.0.1 50000\r\n",
    b"PROXY TCP4 192.0.2.300 10.0.0.1 50000 8888\r\n",
    b"PROXY TCP4 ::1 ::1 50000 8888\r\n",
    b"PROXY TCP4 192.0.2.1 ::1 50000 8888\r\n",
    b"PROXY TCP4 192.0.2.1 here 50000 8888\r\n",
    b"PROXY TCP5 192.0.2.1 10.0.0.1 50000 8888\r\n",
    b"PROXY TCP4 192.0.2.1 10.0.0.1 99999 8888\r\n",
    b"PROXY TCP4 192.0.2.1 10.0.0.1 -1 8888\r\n",
    b"PROXY \xff\r\n",
    version_2(0x11, 0x11, V4),
    version_2(0x2F, 0x11, V4),
    version_2(0x21, 0x11, V4[:-1]),
]


@pytest.mark.parametrize(("header", "peer"), GOOD)
def test_good_header(header: bytes, peer: tuple[str, int] | None) -> None:
    assert need(header + b"GET /") == len(header)
    assert parse(header) == peer
    known = 16 if header.startswith(PROXY_V2) else len(header)
    assert [need(header[:cut]) for cut in range(len(header))] == [
        0 if cut < known else len(header) for cut in range(len(header))
    ]


@pytest.mark.parametrize("header", BAD)
def test_bad_header(header: bytes) -> None:
    with pytest.raises(BadHeader):
        parse(header)


@pytest.mark.parametrize("data", [b"PROXY " + b"x" * MAX_V1, version_2(0x21, 0x11, bytes(MAX_V2))])
def test_header_that_is_too_long(data: bytes) -> None:
    with pytest.raises(BadHeader):
        need(data)


@given(st.sampled_from([b"PROXY ", PROXY_V2]), st.binary(max_size=200))
def test_random_header_is_parsed_or_bad(start: bytes, rest: bytes) -> None:
    data = start + rest
    try:
        length = need(data)
        if 0 < length <= len(data):
            parse(data[:length])
    except BadHeader:
        pass
