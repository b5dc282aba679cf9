"""The account that a request of the API acts for, by its token."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from hubbub.chat.users.accounts import Accounts, LoginPeer
from hubbub.model.accounts.account import Account
from hubbub.serve.web.credentials import outcome_of
from hubbub.wire.web import credentials as wire


async def bearer_of(accounts: Accounts, headers: Mapping[str, str], peer: LoginPeer) -> Account | None:
    """Return the account that a request acts for, with the permissions of its token; None if it shows no token.

    Raises:
        Refused: the token is not valid, others could read it on its way, or the accounts do not answer.

    """
    token = wire.token_of(headers.get("Authorization", ""))
    if token is None:
        return None
    bearer: Account = await outcome_of(partial(accounts.by_token, token, peer))
    return bearer
