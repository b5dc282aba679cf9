"""ClientHellos as OpenSSL makes them, whole and in pieces."""

import ssl
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hubbub.wire.hello import MAX_RECORD, is_refused, need


def hello(*protocols: str, name: str = "chat.example.org") -> bytes:
    """Return what a client sends first."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if protocols:
        context.set_alpn_protocols(list(protocols))
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = context.wrap_bio(incoming, outgoing, server_hostname=name)
    with pytest.raises(ssl.SSLWantReadError):
        client.do_handshake()
    return outgoing.read()


@pytest.mark.parametrize(
    ("protocols", "refused"),
    [
        ((), False),
        (("http/1.1",), False),
        (("h2", "http/1.1"), False),
        (("irc",), False),
        (("h2",), True),
        (("xmpp-client", "foo"), True),
        (("acme-tls/1",), True),
    ],
)
def test_what_a_client_asks_for(protocols: tuple[str, ...], refused: bool) -> None:
    assert is_refused(hello(*protocols)) is refused


def test_how_long_it_is_is_known_from_five_bytes_on() -> None:
    data = hello("h2")
    assert [need(data[:length]) for length in range(5)] == [0] * 5
    assert {need(data[:length]) for length in range(5, len(data) + 1)} == {len(data)}
    assert need(data + b"more") == len(data)
    assert need(b"\x16\x03\x01\xff\xff") == MAX_RECORD


@pytest.mark.parametrize("data", [b"G", b"GET / HTTP/1.1\r\n", b"\x15\x03\x01\x00\x02\x02\x28", b"\x80\x2e\x01"])
def test_what_is_no_hello_is_left_to_others(data: bytes) -> None:
    assert need(data) == len(data)
    assert not is_refused(data)


def test_what_is_cut_off_is_left_to_others() -> None:
    data = hello("h2", "foo")
    whole = [length for length in range(len(data) + 1) if is_refused(data[:length])]
    assert len(data) in whole
    assert not is_refused(b"")


@given(st.binary(max_size=300), st.integers(0, 200), st.just(hello("h2")))
def test_random_hellos_are_refused_or_not(junk: bytes, at: int, data: bytes) -> None:
    is_refused(junk)
    is_refused(data[:at] + junk)
    is_refused(b"\x16\x03\x01" + struct.pack("!H", len(junk)) + b"\x01" + junk)
    need(junk)
