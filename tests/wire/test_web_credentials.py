"""Credentials in the headers of HTTP requests."""

import pytest

from hubbub.wire.web.credentials import (
    Credentials,
    browser_cookie,
    browser_name,
    cookie_name,
    is_browser_token,
    read_body,
    set_cookie,
    token_of,
)
from hubbub.wire.web.forwarded import is_encrypted


@pytest.mark.parametrize(
    ("header", "token"),
    [
        ("", None),
        ("Basic YTpi", None),
        ("Bearer hub_x", "hub_x"),
        ("bearer   hub_x ", "hub_x"),
        ("Bearer", ""),
        ("Bearerhub_x", None),
    ],
)
def test_token_of_an_authorization(header: str, token: str | None) -> None:
    assert token_of(header) == token


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ([], None),
        (["https"], True),
        (["http"], False),
        (["http, HTTPS"], True),
        (["https", "http"], False),
        ([""], False),
    ],
)
def test_the_last_proxy_says_whether_its_client_is_encrypted(values: list[str], said: bool | None) -> None:
    assert is_encrypted(values) is said


@pytest.mark.parametrize(
    ("host", "name"),
    [
        ("localhost", "hubbub"),
        ("localhost:8888", "hubbub-8888"),
        ("[::1]:8888", "hubbub-8888"),
        ("[::1]", "hubbub"),
        ("", "hubbub"),
        ("x:y;z=1", "hubbub"),
    ],
)
def test_a_cookie_is_for_one_port(host: str, name: str) -> None:
    assert cookie_name(host) == name


def test_token_of_a_browser() -> None:
    assert browser_cookie("localhost:8888") == "hubbub-8888-browser"
    assert is_browser_token("aZ09_-" + "x" * 26)
    assert not any(map(is_browser_token, ("", "x" * 31, "x" * 33, "x" * 31 + ";")))


def test_a_cookie_is_for_this_site_and_no_script() -> None:
    assert set_cookie("c", "x", 60.0, False) == "c=x; Path=/; Max-Age=60; HttpOnly; SameSite=Strict"
    assert set_cookie("c", "", 0, True) == "c=; Path=/; Max-Age=0; HttpOnly; SameSite=Strict; Secure"


@pytest.mark.parametrize(
    ("agent", "name"),
    [
        ("Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0", "Firefox on Linux"),
        (
            "Mozilla/5.0 (Windows NT 10.0) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/1 Safari/1 Edg/1",
            "Edge on Windows",
        ),
        ("Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) Version/18.0 Safari/604.1", "Safari on iPhone"),
        ("curl/8", "A browser"),
    ],
)
def test_name_of_a_browser(agent: str, name: str) -> None:
    assert browser_name(agent) == name


@pytest.mark.parametrize(
    ("body", "right"),
    [
        (b'{"secret": "x"}', True),
        (b'{"secret": "x", "more": 1}', True),
        (b"{}", False),
        (b'{"secret": "\xff"}', False),
        (b"[" * 4000, False),
        (b'{"secret": "x", "name": "%s"}' % (b"x" * 3000), False),
    ],
)
def test_body_with_credentials(body: bytes, right: bool) -> None:
    assert read_body(body, Credentials) == (Credentials("x") if right else None)
