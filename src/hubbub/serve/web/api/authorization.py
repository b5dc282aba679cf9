"""The account that a request of the API acts for, by its token, and the rights of a token."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

from hubbub.chat.users.accounts import Accounts, LoginPeer
from hubbub.model.accounts.account import Account
from hubbub.serve.web.credentials import outcome_of
from hubbub.text import refusals
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


def check_bearer(accounts: Accounts, bearer: Account | None, scopes: Sequence[str], room: str) -> None:
    """Raise Refused unless a request may do something.

    Args:
        accounts: knows what people without an account may do.
        bearer: the account that the request acts for; None for a guest.
        scopes: the kinds of the request: "read" or "say", and perhaps "private".
        room: the room that it is about, or `@` and a name; "" for all rooms, of which the viewer leaves out those that
            a token is not for.

    """
    if bearer is None:
        if "private" in scopes:
            raise refusals.NOT_LOGGED_IN()
        if accounts.guests == "no":
            raise refusals.ACCOUNT_REQUIRED()
        return
    permit = bearer.permit
    for scope in scopes:
        if scope not in permit.scopes or (scope == "private" and not permit.reads_private):
            raise refusals.TOKEN_SCOPE(scope=scope)
    if room and permit.rooms and room not in permit.rooms:
        raise refusals.TOKEN_ROOM(room=room)
