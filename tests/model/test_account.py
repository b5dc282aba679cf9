"""What an account says of itself."""

from __future__ import annotations

import msgspec
import pytest

from hubbub.model.accounts.account import Account


@pytest.mark.parametrize(
    ("fields", "is_open"),
    [
        ({}, True),
        ({"suspended": True}, False),
        ({"deleted": True}, False),
        ({"expires": 9}, True),
        ({"expires": 5}, False),
    ],
)
def test_an_account_is_open_unless_it_is_suspended_deleted_or_expired(fields: dict[str, float], is_open: bool) -> None:
    assert Account(id="1", name="Ann", created=1, **fields).is_open(5) is is_open  # type: ignore[arg-type]


def test_its_repr_has_no_secret() -> None:
    account = Account(id="1", name="Ann", created=1, password="a hash", scram="a verifier")
    assert repr(account) == "Account(id='1', name='Ann')"
    assert msgspec.json.decode(msgspec.json.encode(account), type=Account) == account
