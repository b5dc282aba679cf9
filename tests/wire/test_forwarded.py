"""The client for whom a proxy asks."""

from __future__ import annotations

import pytest

from hubbub.wire.web.forwarded import HOPS, client, hops, is_forwarded

PROXIES = {"127.0.0.1", "10.0.0.1", "10.0.0.2", "::1"}


@pytest.mark.parametrize(
    ("header", "found"),
    [
        ("192.0.2.7", "192.0.2.7"),
        (" 192.0.2.7 ", "192.0.2.7"),
        ("192.0.2.7:5678", "192.0.2.7"),
        ("2001:db8::7", "2001:db8::7"),
        ("[2001:db8::7]:5678", "2001:db8::7"),
        ("[2001:DB8:0::7]", "2001:db8::7"),
        ("198.51.100.1, 192.0.2.7", "192.0.2.7"),
        ("198.51.100.1, 192.0.2.7, 10.0.0.1", "192.0.2.7"),
        ("192.0.2.7, 10.0.0.1, 10.0.0.2", "192.0.2.7"),
        ("10.0.0.2, 10.0.0.1", "10.0.0.2"),
        ("192.0.2.7, unknown", "127.0.0.1"),
        ("192.0.2.7, unknown, 10.0.0.1", "10.0.0.1"),
        ("192.0.2.7, ", "127.0.0.1"),
        ("", "127.0.0.1"),
        ("' OR 1=1, 192.0.2.7", "192.0.2.7"),
        ("\x1b[31m", "127.0.0.1"),
    ],
)
def test_last_address_that_is_not_trusted_counts(header: str, found: str) -> None:
    assert client("127.0.0.1", hops([header], []), PROXIES.__contains__) == found
    assert client("192.0.2.9", hops([header], []), PROXIES.__contains__) == "192.0.2.9", "it is not believed"


def test_header_in_several_lines_is_one() -> None:
    assert client("::1", hops(["198.51.100.1", "192.0.2.7", "10.0.0.1"], []), PROXIES.__contains__) == "192.0.2.7"
    assert client("::1", [], PROXIES.__contains__) == "::1"


@pytest.mark.parametrize(
    ("header", "found"),
    [
        ("for=192.0.2.7", "192.0.2.7"),
        ("For=192.0.2.7;proto=http;by=203.0.113.43", "192.0.2.7"),
        ("proto=https; for=192.0.2.7", "192.0.2.7"),
        ('for="[2001:db8::7]:4711"', "2001:db8::7"),
        ('for="192.0.2.7:47011"', "192.0.2.7"),
        ("for=198.51.100.1, for=192.0.2.7", "192.0.2.7"),
        ("for=192.0.2.7, for=10.0.0.1;host=a", "192.0.2.7"),
        ('for="open, for=192.0.2.7', "192.0.2.7"),
        ("for=192.0.2.7, for=_hidden", "127.0.0.1"),
        ("for=192.0.2.7, for=unknown", "127.0.0.1"),
        ("by=192.0.2.7", "127.0.0.1"),
        ("xfor=192.0.2.7", "127.0.0.1"),
        ("", "127.0.0.1"),
    ],
)
def test_forwarded_is_read_likewise(header: str, found: str) -> None:
    assert client("127.0.0.1", hops([], [header]), PROXIES.__contains__) == found


def test_x_forwarded_for_is_believed_before_what_the_client_may_have_said() -> None:
    assert hops(["192.0.2.7"], ["for=198.51.100.1"]) == ["192.0.2.7"]


def test_header_without_end_costs_little() -> None:
    asked = []

    def trusted(host: str) -> bool:
        asked.append(host)
        return True

    assert client("127.0.0.1", hops(["127.0.0.1," * 1000 + "127.0.0.1"], []), trusted) == "127.0.0.1"
    assert len(asked) == HOPS


def test_request_that_was_passed_on_says_so() -> None:
    assert is_forwarded({"Via": "1.1 nginx"}) and is_forwarded({"X-Real-IP": "192.0.2.7"})
    assert is_forwarded({"cf-connecting-ip": "192.0.2.7"}) and is_forwarded({"x-forwarded-port": "443"})
    assert not is_forwarded({"Host": "localhost", "Accept": "*/*", "User-Agent": "curl"})
