"""Credentials in the headers of HTTP requests."""

import pytest

from hubbub.wire.web.credentials import token_of
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
