"""Which site a request comes from, and which it is for."""

from __future__ import annotations

import pytest

from hubbub.wire.web import site

NAMES = frozenset({"chat.example"})


@pytest.mark.parametrize(
    ("host", "name"),
    [
        ("Chat.Example", "chat.example"),
        ("chat.example.:8888", "chat.example"),
        ("127.0.0.1:8888", "127.0.0.1"),
        ("[::1]", "::1"),
        ("[::1]:8888", "::1"),
        ("", ""),
    ],
)
def test_name_of_a_host(host: str, name: str) -> None:
    assert site.host_name(host) == name


@pytest.mark.parametrize(
    "host", ["chat.example", "localhost", "LOCALHOST.:1", "a.localhost", "10.0.0.7", "[2001:db8::1]:80"]
)
def test_host_is_ours(host: str) -> None:
    assert site.is_ours(host, NAMES)


@pytest.mark.parametrize("host", ["evil.example", "chat.example.evil", "xlocalhost", "127.0.0.1.evil", "", "1.2.3"])
def test_host_is_not_ours(host: str) -> None:
    assert not site.is_ours(host, NAMES)


def test_loopback() -> None:
    assert all(map(site.is_loopback, ("localhost", "a.localhost", "127.0.0.1", "127.9.9.9", "::1")))
    assert not any(map(site.is_loopback, ("10.0.0.7", "::2", "2001:db8::1", "chat.example", "")))


@pytest.mark.parametrize(
    ("origin", "host", "foreign"),
    [
        (None, "chat.example", False),
        ("https://chat.example", "chat.example", False),
        ("https://chat.example", "chat.example:443", False),
        ("http://chat.example:80", "chat.example", False),
        ("http://CHAT.example:8888", "chat.EXAMPLE:8888", False),
        ("https://chat.example:8443", "chat.example", True),
        ("https://chat.example", "chat.example:80", True),
        ("null", "chat.example", True),
        ("", "", False),
        ("https://evil.example", "chat.example", True),
        ("chat.example", "chat.example", True),
    ],
)
def test_origin_is_that_of_another_site(origin: str | None, host: str, foreign: bool) -> None:
    assert site.is_foreign(origin, host) is foreign


@pytest.mark.parametrize(
    ("kind", "mode", "dest", "navigable", "cross"),
    [
        ("same-origin", "cors", "empty", False, False),
        ("none", "navigate", "document", False, False),
        ("cross-site", "no-cors", "image", True, True),
        ("cross-site", "navigate", "document", True, False),
        ("cross-site", "navigate", "document", False, True),
        ("cross-site", "navigate", "iframe", True, True),
    ],
)
def test_browser_says_that_another_site_asks(kind: str, mode: str, dest: str, navigable: bool, cross: bool) -> None:
    headers = {"Sec-Fetch-Site": kind, "Sec-Fetch-Mode": mode, "Sec-Fetch-Dest": dest}
    assert site.is_cross_site(headers, navigable) is cross
    assert not site.is_cross_site({}, navigable)
