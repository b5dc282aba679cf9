"""Which wire it is: the same answer however the bytes are cut, and never another with more of them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hubbub.wire.sniff import PEEK, PROXY_V2, Wire, sniff

CASES = [
    (b"GET / HTTP/1.1\r\n", Wire.HTTP),
    (b"POST /api/v1/rooms/ops/messages HTTP/1.1\r\n", Wire.HTTP),
    (b"OPTIONS * HTTP/1.1\r\n", Wire.HTTP),
    (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", Wire.HTTP),
    (b"\x16\x03\x01\x02\x00\x01", Wire.TLS),
    (b"\x16\x03\x03\x00", Wire.TLS),
    (b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n", Wire.PROXY),
    (PROXY_V2 + b"\x21\x11", Wire.PROXY),
    (b"CAP LS 302\r\n", Wire.IRC),
    (b"NICK ada\r\n", Wire.IRC),
    (b"pass secret\r\n", Wire.IRC),
    (b"USER a 0 * :Ada\r\n", Wire.IRC),
    (b"\xff\xfb\x1f", Wire.LINE),
    (b"Ada\n", Wire.LINE),
    (b"GEORGE\n", Wire.LINE),
    (b"GET\n", Wire.LINE),
    (b"Captain\n", Wire.LINE),
    (b"NICK\n", Wire.LINE),
    (b"NICK  \r\n", Wire.LINE),
    (b"USER" + b" " * PEEK, Wire.LINE),
    (b"PROXYHOLDER\n", Wire.LINE),
    (b"\x16ada\n", Wire.LINE),
    (b"\r\nAda\n", Wire.LINE),
    (b"\n", Wire.LINE),
    ("Юля\n".encode(), Wire.LINE),
]


@pytest.mark.parametrize(("data", "wire"), CASES)
def test_answer_is_the_same_for_every_cut(data: bytes, wire: Wire) -> None:
    answers = [sniff(data[:length]) for length in range(len(data) + 1)]
    decided = next(answer for answer in answers if answer)
    assert decided is wire
    assert answers[answers.index(decided) :] == [decided] * (len(answers) - answers.index(decided))
    assert sniff(data[:PEEK]) is wire


@given(st.binary(max_size=3 * PEEK))
def test_answer_never_changes_with_more_bytes(data: bytes) -> None:
    answers = [answer for length in range(len(data) + 1) if (answer := sniff(data[:length]))]
    assert len(set(answers)) <= 1
    if len(data) >= PEEK:
        assert answers
