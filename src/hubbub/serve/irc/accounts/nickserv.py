"""NickServ: the commands for accounts in the form that IRC users know.

Messages to NickServ hold passwords: they are neither stored nor shown to anybody, not even to the other clients of
their author.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

from hubbub.chat.commands.accounts import account_of, changeable_account
from hubbub.chat.users.account_users import PASSWORD
from hubbub.chat.users.accounts import Checked
from hubbub.errors import Refused
from hubbub.model.accounts.grants import Grant
from hubbub.serve.irc.accounts import login
from hubbub.serve.irc.client import IrcClient
from hubbub.serve.irc.network import human
from hubbub.text import refusals
from hubbub.text.cleaning import SHOWN, clean
from hubbub.text.names import key_of
from hubbub.wire.irc import lines as wire

NAME = "NickServ"
KEY = key_of(NAME)


class ServiceCommand(NamedTuple):
    """A command: the function that gets the words after it, its usage, and its line in the help."""

    run: Callable[[IrcClient, list[str]], None]
    usage: str
    help: str
    needs: int = 0  # words after it
    most: int = 500  # words after it: a password would be cut at its first space


def services(client: IrcClient, params: list[str]) -> None:
    """NS command: manage your account; NS HELP lists the commands."""
    run(client, " ".join(params))


def hear(client: IrcClient, message: wire.Message) -> None:
    """Run the command in a PRIVMSG to NickServ; a NOTICE or a TAGMSG is none."""
    if message.verb == "PRIVMSG":
        run(client, " ".join(message.params[1:]))


def run(client: IrcClient, text: str) -> None:
    """Run a command to NickServ, and answer with notices."""
    if not login.mechanisms(client):
        _tell(client, "There are no accounts here. A nick is free as soon as its user leaves.")
        return
    verb, *words = text.split() or ["HELP"]
    command = COMMANDS.get(verb.upper())
    if command is None:
        _tell(client, f"There is no command {clean(verb[:SHOWN])}. HELP lists the commands.")
    elif not command.needs <= len(words) <= command.most:
        _tell(client, f"Usage: {verb.upper()} {command.usage}")
    else:
        try:
            command.run(client, words)
        except Refused as refusal:
            _tell(client, refusal.text)


def _tell(client: IrcClient, *texts: str) -> None:
    source = f"{NAME}!services@{client.network.name}"
    client.send(*(wire.line(source, "NOTICE", client.nick, text, tags=client.time) for text in texts))


def _wait(client: IrcClient, kind: str, start: Callable[[Callable[[object], None]], None], told: object) -> None:
    """Start something for a client whose next commands wait, and tell it the end.

    Args:
        client: the client.
        kind: the kind of the operation.
        start: starts it, and calls back with the outcome or a refusal.
        told: returns the text for an outcome, or is the text.

    """
    operation = client.session.begin(kind)

    def done(outcome: object) -> None:
        if not client.session.closed:
            if isinstance(outcome, Refused):
                _tell(client, outcome.text)
            else:
                _tell(client, told(outcome) if callable(told) else str(told))
        client.session.end(operation)

    start(done)


# --- logging in -----------------------------------------------------------------------------------------------------


def _register(client: IrcClient, words: list[str]) -> None:
    if login.is_logged_in(client):
        raise refusals.LOGGED_IN_ALREADY(name=client.nick)
    code = words[1] if len(words) > 1 else ""
    start = client.hub.credentials.registration(client.session, client.nick, words[0], code)
    login.check(client, start, partial(_answer, client, f"{client.nick} is yours now."))


def _identify(client: IrcClient, words: list[str]) -> None:
    name, secret = (words[0], words[1]) if len(words) > 1 else (client.nick, words[0])
    start = partial(client.hub.nicks.accounts.log_in, name, secret)
    login.check(client, start, partial(_answer, client, f"You are logged in as {clean(name[:SHOWN])}."))


def _answer(client: IrcClient, told: str, refusal: Refused | None) -> None:
    _tell(client, refusal.text if refusal else told)


def _regain(client: IrcClient, words: list[str]) -> None:
    if login.is_logged_in(client):
        _tell(client, f"You have your name: {client.nick}.")
    else:
        _identify(client, words)


def _ghost(client: IrcClient, words: list[str]) -> None:
    if not login.is_logged_in(client):
        if len(words) < 2:
            raise refusals.NOT_LOGGED_IN()
        _identify(client, words)
        return
    changeable_account(client.session)
    assert client.user
    others = [one.id for one in client.hub.screens(client.user) if one.id != client.session.id_prefix]
    client.hub.end_sessions(client.user, others)
    _tell(client, f"Your other connections are closed: {len(others)}.")


def _log_out(client: IrcClient, words: list[str]) -> None:
    account_of(client.session)
    client.end("Logged out", "Logged out")


# --- the account ----------------------------------------------------------------------------------------------------


def _info(client: IrcClient, words: list[str]) -> None:
    account = client.hub.nicks.accounts.find(words[0] if words else client.nick)
    if account is None:
        raise refusals.NAME_UNREGISTERED(name=clean((words[0] if words else client.nick)[:SHOWN]))
    lines = [f"{account.name} was registered on {human(account.created)}."]
    if client.user and client.user.account and client.user.account.id == account.id:
        lines.append(f"STAY is {_switch(account.stays)}, HISTORY is {_switch(account.history)}.")
    _tell(client, *lines, "End of INFO.")


def _switch(on: bool) -> str:
    return "on" if on else "off"


def _set(client: IrcClient, words: list[str]) -> None:
    accounts, account, (setting, value) = client.hub.nicks.accounts, changeable_account(client.session), words[:2]
    setting, start = setting.upper(), None
    if setting == "PASSWORD":
        peer = client.hub.credentials.peer(client.session)
        start = partial(accounts.change_password, account, value, peer)
        _wait(
            client,
            PASSWORD,
            start,
            "Your password is changed; cookies, tokens, codes, certificates and ssh keys have ended.",
        )
    elif setting in ("STAY", "HISTORY") and value.lower() in ("on", "off"):
        field = {"STAY": "stays", "HISTORY": "history"}[setting]

        def change(done: Checked) -> None:
            accounts.set(account, done, **{field: value.lower() == "on"})

        _wait(client, "account", change, f"{setting} is {value.lower()}.")
    else:
        _tell(client, f"Usage: SET {COMMANDS['SET'].usage}")


def _sessions(client: IrcClient, words: list[str]) -> None:
    account_of(client.session)
    assert client.user
    screens = client.hub.screens(client.user)
    if not words:
        _tell(client, *(one.told(client.session.id_prefix) for one in screens), "End of SESSIONS.")
        return
    ids = [one.id for one in screens if one.code == words[-1].lower()]
    if words[0].upper() != "END" or not ids:
        _tell(client, f"Usage: SESSIONS {COMMANDS['SESSIONS'].usage}")
        return
    changeable_account(client.session)
    client.hub.end_sessions(client.user, ids)
    _tell(client, "That connection is ended.")


def _token(client: IrcClient, words: list[str]) -> None:
    accounts, account = client.hub.nicks.accounts, changeable_account(client.session)
    if not words:
        rows = [f"{one.id} {one.grant.name}" for one in accounts.tokens(account)]
        _tell(client, *rows, "End of TOKEN.")
    elif words[0].upper() == "END" and len(words) > 1:
        start = partial(accounts.end_tokens, account, words[1:])
        _wait(client, "token", start, lambda count: f"Tokens that were ended: {count}.")
    else:
        grant = Grant(name=clean(" ".join(words)[:SHOWN]))
        start = partial(accounts.make_token, account, grant)
        _wait(client, "token", start, lambda token: f"The token, which is shown only now: {token}")


def _code(client: IrcClient, words: list[str]) -> None:
    start = partial(client.hub.nicks.accounts.make_code, changeable_account(client.session))
    _wait(client, "code", start, lambda code: f"On your other device, log in with the code {code} within five minutes.")


def _cert(client: IrcClient, words: list[str]) -> None:
    accounts, account = client.hub.nicks.accounts, changeable_account(client.session)
    if not words:
        _tell(client, *account.certificates, "End of CERT.")
        return
    verb, shown = words[0].upper(), words[1] if len(words) > 1 else login.fingerprint(client)
    change = {"ADD": accounts.add_certificate, "DEL": accounts.remove_certificate}.get(verb)
    if change is None:
        _tell(client, f"Usage: CERT {COMMANDS['CERT'].usage}")
    elif not shown:
        raise refusals.CERTIFICATE_MISSING()
    else:
        told = "can log in to your account now" if verb == "ADD" else "cannot log in any more"
        _wait(client, "account", partial(change, account, shown), f"The certificate {told}.")


def _unregister(client: IrcClient, words: list[str]) -> None:
    account = changeable_account(client.session)
    if key_of(words[0]) != key_of(account.name):
        raise refusals.NAME_IS_ACCOUNT(name=account.name)
    if len(words) < 2 or words[1] != client.confirmation:
        client.confirmation = secrets.token_hex(4)
        line = f"/msg {NAME} UNREGISTER {account.name} {client.confirmation}"
        _tell(client, f"Nobody can ever log in as {account.name} again, if you type:", line)
        _tell(client, "To delete all your messages as well, in rooms and in private, type:", f"{line} TAKE-BACK")
    elif len(words) > 2 and words[2].upper() != "TAKE-BACK":
        _tell(client, f"Usage: UNREGISTER {COMMANDS['UNREGISTER'].usage}")
    else:
        start = partial(client.hub.nicks.accounts.delete, account, take_back=len(words) > 2)
        _wait(client, "account", start, f"The account {account.name} is closed.")


def _help(client: IrcClient, words: list[str]) -> None:
    asked = words[0].upper() if words else ""
    shown = {asked: COMMANDS[asked]} if asked in COMMANDS else COMMANDS
    rows = [f"{verb} {row.usage}".strip() + f": {row.help}" for verb, row in shown.items()]
    _tell(client, *rows, "End of HELP.")


COMMANDS = {
    "REGISTER": ServiceCommand(_register, "PASSWORD [INVITATION]", "make your nick yours", 1, 2),
    "IDENTIFY": ServiceCommand(_identify, "[NAME] PASSWORD", "log in, with a password or a code", 1, 2),
    "LOGOUT": ServiceCommand(_log_out, "", "log out and disconnect"),
    "GHOST": ServiceCommand(_ghost, "[NAME PASSWORD]", "end your other connections"),
    "REGAIN": ServiceCommand(_regain, "NAME PASSWORD", "take your name back from a guest, and log in", 2, 2),
    "INFO": ServiceCommand(_info, "[NAME]", "show an account"),
    "SET": ServiceCommand(_set, "PASSWORD NEW | STAY on|off | HISTORY on|off", "change your account", 2, 2),
    "SESSIONS": ServiceCommand(_sessions, "[END CODE]", "list your connections, or end one", 0, 2),
    "TOKEN": ServiceCommand(_token, "[NAME | END ID]", "list, make or end tokens for programs"),
    "CERT": ServiceCommand(
        _cert, "[ADD | DEL [FINGERPRINT]]", "list, add or remove certificates for SASL EXTERNAL", 0, 2
    ),
    "CODE": ServiceCommand(_code, "", "make a code that logs in another device"),
    "UNREGISTER": ServiceCommand(_unregister, "NAME [CODE [TAKE-BACK]]", "close your account for ever", 1, 3),
    "HELP": ServiceCommand(_help, "[COMMAND]", "show this, or one command"),
}
