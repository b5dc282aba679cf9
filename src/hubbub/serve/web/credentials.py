"""The facts about a browser that its requests show, and the answers of the accounts."""

from __future__ import annotations

import asyncio
import hashlib
import secrets
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from hubbub.errors import Refused
from hubbub.model.accounts.account import Account
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
