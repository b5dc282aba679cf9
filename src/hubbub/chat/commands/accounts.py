"""The slash commands for accounts. Their arguments are secrets: they are neither stored nor shown to anybody."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from hubbub.chat.commands.moderation import SlashCommand
from hubbub.errors import Refused
from hubbub.model.events import Notice
from hubbub.text import refusals

if TYPE_CHECKING:
    from hubbub.chat.hub import Hub
    from hubbub.chat.session import Session

GROUP = "accounts"


def _answer(hub: Hub, session: Session, refusal: Refused | None) -> None:
    if refusal:
        hub.refuse(session, refusal)


def _register(hub: Hub, session: Session, argument: str) -> None:
    code, password = "", argument
    if hub.nicks.accounts.registration == "invite":
        code, _, password = argument.partition(" ")
    hub.account_users.register(session, session.nick, password.strip(), partial(_answer, hub, session), code)


def _log_in(hub: Hub, session: Session, argument: str) -> None:
    name, _, secret = argument.partition(" ")
    accounts = hub.nicks.accounts
    if secret.strip():
        start = partial(accounts.log_in, name, secret.strip())
    else:
        start = partial(accounts.redeem, name)
    hub.account_users.check(session, start, partial(_answer, hub, session))


def _link(hub: Hub, session: Session, _: str) -> None:
    account = session.user.account if session.user else None
    if account is None:
        raise refusals.NOT_LOGGED_IN()
    operation = session.begin("code")

    def made(code: str | Refused) -> None:
        if isinstance(code, Refused):
            hub.refuse(session, code)
        elif not session.closed:
            text = f"On your other device, log in with the code {code} within five minutes: /login {code}"
            hub.reply(session, Notice((text,)))
        session.end(operation)

    hub.nicks.accounts.make_code(account, made)


ROWS = (
    SlashCommand("register", "PASSWORD", "Make your name yours: only you can use it.", _register, GROUP),
    SlashCommand("login", "NAME PASSWORD", "Log in, with a password or a code of /link.", _log_in, GROUP),
    SlashCommand("link", "", "Make a code that logs in another device of yours.", _link, GROUP),
)
