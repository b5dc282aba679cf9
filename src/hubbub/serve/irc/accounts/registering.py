"""The IRC commands REGISTER and VERIFY (https://ircv3.net/specs/extensions/account-registration)."""

from __future__ import annotations

from functools import partial

from hubbub.accounts.hashing import check_password
from hubbub.errors import Refused
from hubbub.serve.irc.accounts import login
from hubbub.serve.irc.client import IrcClient
from hubbub.text import refusals
from hubbub.text.names import key_of

# The codes of the standard replies, by the code of the refusal; else TEMPORARILY_UNAVAILABLE.
_REGISTER = {
    "name-invalid": "BAD_ACCOUNT_NAME",
    "name-registered": "ACCOUNT_EXISTS",
    "name-taken": "ACCOUNT_EXISTS",
    "weak-password": "WEAK_PASSWORD",
    "not-encrypted": "UNACCEPTABLE_PASSWORD",
    "logged-in-already": "ALREADY_AUTHENTICATED",
}
_VERIFY = {"wrong-password": "INVALID_CODE", "registration-closed": "INVALID_CODE", **_REGISTER}
_UNAVAILABLE = "TEMPORARILY_UNAVAILABLE"


def register(client: IrcClient, params: list[str]) -> None:
    """REGISTER account|* email|* password: register a name, and log in. An e-mail address is not needed."""
    given, _, password = params[:3]
    name = given if given != "*" else client.nick if client.registered else client.asked
    if not name:
        client.fail("REGISTER", "NEED_NICK", given, "Choose a nick first.")
    elif login.is_logged_in(client):
        client.fail("REGISTER", "ALREADY_AUTHENTICATED", name, "You are logged in already.")
    elif client.hub.nicks.accounts.registration == "invite":
        _ask_for_invitation(client, name, password)
    else:
        _register(client, "REGISTER", name, password)


def _ask_for_invitation(client: IrcClient, name: str, password: str) -> None:
    hub = client.hub
    try:
        hub.nicks.unregistered(name, client.user)
        check_password(password)
        if not hub.nicks.accounts.takes_passwords(hub.credentials.peer(client.session)):
            raise refusals.NOT_ENCRYPTED()
    except Refused as refusal:
        client.registering = None
        _answer(client, "REGISTER", name, refusal)
        return
    client.registering = name, password
    text = "To register here, you need an invitation. Send it by VERIFY."
    client.reply("REGISTER", "VERIFICATION_REQUIRED", name, text)


def _register(client: IrcClient, verb: str, name: str, password: str, code: str = "") -> None:
    try:
        start = client.hub.credentials.registration(client.session, name, password, code)
    except Refused as refusal:
        _answer(client, verb, name, refusal)
    else:
        login.check(client, start, partial(_answer, client, verb, name))


def _answer(client: IrcClient, verb: str, name: str, refusal: Refused | None) -> None:
    if refusal:
        codes = _REGISTER if verb == "REGISTER" else _VERIFY
        client.fail(verb, codes.get(refusal.code, _UNAVAILABLE), name, refusal.text)
    else:
        done = "is registered" if verb == "REGISTER" or client.registering else "is yours"
        client.registering = None
        client.reply(verb, "SUCCESS", name, f"{name} {done}, and you are logged in.")


def verify(client: IrcClient, params: list[str]) -> None:
    """VERIFY account code: send the invitation for a registration, or log in with a code from another device."""
    name, code = params[:2]
    if login.is_logged_in(client):
        client.fail("VERIFY", "ALREADY_AUTHENTICATED", name, "You are logged in already.")
    elif client.registering and key_of(client.registering[0]) == key_of(name):
        _register(client, "VERIFY", *client.registering, code)
    else:
        start = partial(client.hub.nicks.accounts.log_in, name, code)
        login.check(client, start, partial(_answer, client, "VERIFY", name))
