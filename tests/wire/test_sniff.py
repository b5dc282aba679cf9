"""Which wire it is: the same answer however the bytes are cut, and never another with more of them."""

import codecs

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hubbub.text.names import GREETINGS
from hubbub.wire.sniff import PEEK, PROXY_V2, Wire, may_be_typed, sniff

CASES = [
    # HTTP: a request line, whatever else is wrong with it
    (b"GET / HTTP/1.1\r\n", Wire.HTTP),
    (b"GET / HTTP/1.0\n", Wire.HTTP),
    (b"POST /api/v1/rooms/ops/messages HTTP/1.1\r\n", Wire.HTTP),
    (b"OPTIONS * HTTP/1.1\r\n", Wire.HTTP),
    (b"PROPFIND /x HTTP/1.1\r\n", Wire.HTTP),
    (b"CONNECT a:b HTTP/1.1\r\n", Wire.HTTP),
    (b"GET  HTTP/1.1\r\n", Wire.HTTP),
    (b"\r\nGET / HTTP/1.1\r\n", Wire.HTTP),
    (b"GET /" + b"x" * PEEK, Wire.HTTP),
    (b"GET /\0 HTTP/1.1\r\n", Wire.HTTP),
    (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", Wire.HTTP),  # these are refused as HTTP
    (b"OPTIONS sip:nm SIP/2.0\r\n", Wire.HTTP),
    (b"OPTIONS / RTSP/1.0\r\n", Wire.HTTP),
    (b"GNUTELLA CONNECT/0.6\r\n", Wire.HTTP),
    # TLS, and a balancer's header
    (b"\x16\x03\x01\x02\x00\x01", Wire.TLS),
    (b"\x16\x03\x03\x00", Wire.TLS),
    (b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n", Wire.PROXY),
    (PROXY_V2 + b"\x21\x11", Wire.PROXY),
    # IRC: what registers a client, with or without a parameter, and what clients send before that
    (b"CAP LS 302\r\n", Wire.IRC),
    (b"NICK ada\r\n", Wire.IRC),
    (b"pass secret\r\n", Wire.IRC),
    (b"USER a 0 * :Ada\r\n", Wire.IRC),
    (b"PASS \r\n", Wire.IRC),
    (b"PASS\r\n", Wire.IRC),
    (b"CAP\n", Wire.IRC),
    (b"NICK\n", Wire.IRC),
    (b"NICK  \r\n", Wire.IRC),
    (b"nick\r\n", Wire.IRC),
    (b"QUIT\r\n", Wire.IRC),
    (b"QUIT :bye\r\n", Wire.IRC),
    (b"PING :x\r\n", Wire.IRC),
    (b"ping x\r\n", Wire.IRC),
    (b"JOIN #lobby\r\n", Wire.IRC),
    (b"MODE\r\n", Wire.IRC),
    (b"STARTTLS\r\n", Wire.IRC),
    (b"WEBIRC secret gateway host 192.0.2.1\r\n", Wire.IRC),
    (b"AUTHENTICATE PLAIN\r\n", Wire.IRC),
    (b":ada NICK ada\r\n", Wire.IRC),
    (b":ada!a@h  user a 0 * :Ada\r\n", Wire.IRC),
    (b"@label=1 CAP LS\r\n", Wire.IRC),
    (b"\r\nNICK ada\r\n", Wire.IRC),
    (b"\n\n\nCAP LS\r\n", Wire.IRC),
    # what this server does not speak
    (b"SSH-2.0-OpenSSH_9.2\r\n", Wire.SSH),
    (b"GET /\r\n", Wire.OTHER),
    (b"GET\n", Wire.OTHER),
    (b"HEAD\r\n", Wire.OTHER),
    (b"CONNECT {}\r\n", Wire.OTHER),
    (b"EHLO there\r\n", Wire.OTHER),
    (b"helo there\r\n", Wire.OTHER),
    (b"EHLO\r\n", Wire.OTHER),
    (b"HELP\r\n", Wire.OTHER),
    (b"STATS\r\n", Wire.OTHER),
    (b"version\r\n", Wire.OTHER),
    (b"*1\r\n$4\r\nPING\r\n", Wire.OTHER),
    (b"a001 CAPABILITY\r\n", Wire.OTHER),
    (b"<?xml version='1.0'?>", Wire.OTHER),
    (b"<stream:stream to=", Wire.OTHER),
    (b"<policy-file-request/>\0", Wire.OTHER),
    (b"AMQP\0\0\x09\x01", Wire.OTHER),
    (b"JRMI\0\x02K", Wire.OTHER),
    (b"\x10\x16\0\x04MQTT\x04\x02", Wire.OTHER),
    (b"\x10\x28\0\x06MQIsdp\x03", Wire.OTHER),
    (b"\x03\0\0\x13\x0e\xe0\0\0", Wire.OTHER),  # remote desktops
    (b"\0\0\0\x85\xffSMB", Wire.OTHER),
    (b"\0\0\0\x08\x04\xd2\x16\x2f", Wire.OTHER),  # PostgreSQL
    (b"\x05\x01\0", Wire.OTHER),  # SOCKS
    (b"\x04\x01\0\x50", Wire.OTHER),
    (b"\0\x1e\0\x06\x01\0\0\x01", Wire.OTHER),  # DNS
    (b"\x80\x2e\x01\x03\x01", Wire.OTHER),  # a TLS hello of the last century
    (b"0\x0c\x02\x01\x01\x60", Wire.OTHER),  # LDAP
    (b"\x13BitTorrent protocol", Wire.OTHER),
    (b"\x01default\n", Wire.OTHER),
    # people, pipes and devices
    (b"\xff\xfb\x1f", Wire.LINE),
    (b"Ada\n", Wire.LINE),
    (b"Ada\r", Wire.LINE),
    (b"\nAda\n", Wire.LINE),
    (b"Nick\n", Wire.LINE),
    (b"Nick\nUSER\n", Wire.LINE),
    (b"Nick Cave\n", Wire.LINE),
    (b"Cap\n", Wire.LINE),
    (b"Version\n", Wire.LINE),
    (b"GEORGE\n", Wire.LINE),
    (b"NICKY\n", Wire.LINE),
    (b"Captain\n", Wire.LINE),
    (b"PROXYHOLDER\n", Wire.LINE),
    (b"help me\n", Wire.LINE),
    (b"get\tup\n", Wire.LINE),
    (b"x" * PEEK, Wire.LINE),
    (b"\x16ada\n", Wire.LINE),
    (b"\x04\n", Wire.LINE),
    (b"\x0212.50\x03\r\n", Wire.LINE),
    (b"\x02 12.50 kg\x03\r\n", Wire.LINE),
    (b"a\x7fda\n", Wire.LINE),
    (b"NICL\x7fK ada\n", Wire.LINE),
    (b"\x1b[A", Wire.LINE),
    (b"\x7f", Wire.LINE),
    (b"/quit\n", Wire.LINE),
    (b"42\n", Wire.LINE),
    ("Юля\n".encode(), Wire.LINE),
    ("Юля\n".encode("cp1251"), Wire.LINE),
    (codecs.BOM_UTF16_LE + "klaus\r\n".encode("utf-16-le"), Wire.LINE),
    (codecs.BOM_UTF16_BE + "klaus\r\n".encode("utf-16-be"), Wire.LINE),
    *[(b"\x01\x7f\x00", Wire.LINE), (b"7\x7f\x01\n", Wire.LINE)],  # DEL is a key
    ("klaus\r\n".encode("utf-16-le"), Wire.LINE),
    ("klaus\r\n".encode("utf-16-be"), Wire.LINE),
    ("7up\r\n".encode("utf-16-le"), Wire.LINE),
]


@pytest.mark.parametrize(("data", "wire"), CASES)
def test_answer_is_the_same_for_every_cut(data: bytes, wire: Wire) -> None:
    answers = [sniff(data[:length]) for length in range(len(data) + 1)]
    decided = next(answer for answer in answers if answer)
    assert decided is wire
    assert answers[answers.index(decided) :] == [decided] * (len(answers) - answers.index(decided))
    assert sniff(data[:PEEK]) is wire


@pytest.mark.parametrize("data", [b"", b"\r", b"\r\n\r\n", b"\n", b"G", b"NICK ada", b"\x16", b"\0", PROXY_V2[:5]])
def test_it_may_still_become_one_thing_or_another(data: bytes) -> None:
    assert sniff(data) is None


PIECES = [
    *[b"\r\n", b"\n", b" ", b":", b"@", b"NICK", b"user", b"GET", b"HTTP/1.1", b"A/1.0", b"SSH-2", b"help", b"<?xml"],
    *[b"\0", b"\x01", b"\x10", b"\x16\x03", b"\x80", b"a", b"k\0", b"Z", b"0", b"*", PROXY_V2, b"PROXY "],
]
BYTES = st.one_of(st.binary(max_size=30), st.lists(st.sampled_from(PIECES), max_size=8).map(b"".join))


@given(BYTES, st.integers(0, 2))
def test_answer_never_changes_with_more_bytes(data: bytes, pad: int) -> None:
    data = data[:-pad] + b"x" * PEEK * (pad == 2) if pad else data
    answers = [answer for length in range(len(data) + 1) if (answer := sniff(data[:length]))]
    assert len(set(answers)) <= 1
    if len(data.lstrip(b"\r\n")) >= PEEK:
        assert answers


@pytest.mark.parametrize("word", [*sorted(GREETINGS), "cap", "nick", "quit", "Ada"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_one_word_and_no_more_may_be_typed(word: str, end: str) -> None:
    assert may_be_typed(f"{word}{end}".encode())


@pytest.mark.parametrize(
    "data",
    [b"help\nme\n", b"HELP\r\n", b"EHLO\n", b"HELP\r\nX", b"EHLO x\n", b"CAP\n", b"NICK\r\n", b"help", b"\nhelp\n"],
)
def test_what_only_a_program_sends_at_once_is_not_typed(data: bytes) -> None:
    assert not may_be_typed(data)
