"""The credentials of web clients: the token or cookie of a request."""

from __future__ import annotations

import asyncio
import hashlib
import secrets
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

from hubbub.chat.users.accounts import Accounts, LoginPeer
from hubbub.errors import Refused
from hubbub.model.account import Account
from hubbub.text import refusals
from hubbub.wire.web import credentials as wire

SECONDS = 30.0  # that the accounts may take to answer


class Visitor(NamedTuple):
    """The facts about a peer that its handshake shows.

    `account` is None for a guest; its `grant` is the id of the cookie that proves it, "" if a proxy does.
    """

    account: Account | None
    encrypted: bool
    browser: str = ""  # identifies its browser


def browser_of(host: str, cookies: Mapping[str, str], encrypted: bool) -> tuple[str, dict[str, str]]:
    """Return an identifier of the browser that sends a handshake, and the headers of the answer that it needs for that.

    A browser has a random token in a cookie, so that bans and mutes find it again under another name. The token is
    secret: the server does not store it, and its identifier is a hash of it.

    Args:
        host: the Host header.
        cookies: the cookies of the request.
        encrypted: whether the connection of the browser is.

    """
    name, headers = wire.browser_cookie(host), {}
    token = cookies.get(name, "")
    if not wire.is_browser_token(token):
        token = secrets.token_urlsafe(24)
        headers["Set-Cookie"] = wire.set_cookie(name, token, wire.BROWSER_SECONDS, encrypted)
    return hashlib.blake2b(token.encode(), digest_size=16).hexdigest(), headers


async def outcome_of(start: Callable[[Callable[[Any], None]], None]) -> Any:
    """Return the outcome that `start` calls back with. Raises Refused: it is a refusal, or does not come in SECONDS."""
    outcome: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
    start(lambda found: None if outcome.done() else outcome.set_result(found))
    try:
        found = await asyncio.wait_for(outcome, SECONDS)
    except TimeoutError:
        raise refusals.ACCOUNTS_UNREADABLE() from None
    if isinstance(found, Refused):
        raise found
    return found


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
