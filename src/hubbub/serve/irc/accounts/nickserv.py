"""NickServ: the commands for accounts in the form that IRC users know.

Messages to NickServ hold passwords: they are neither stored nor shown to anybody, not even to the other clients of
their author.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

from msgspec import Struct

from hubbub.chat.commands.accounts import (
    SettingChange,
    account_of,
    change_password,
    changeable_account,
    is_code_alone,
    set_field,
)
from hubbub.chat.turns import OperationKind
from hubbub.chat.users.account_users import PasswordChange
from hubbub.chat.users.accounts import Checked, Ended, Made
from hubbub.errors import Refused
from hubbub.model.accounts.account import Account
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


def _service(
    request: type[Struct],
    start: Callable[[IrcClient, Any, Callable[[Any], None]], None],
    told: Callable[[Any, Any], str],
    moves: bool = False,
) -> OperationKind:
    """Return the kind of the operations that change something of a client's account, and tell the client the end.

    Args:
        request: the type of the requests.
        start: starts it; it is called with the client, the request and a callback for the outcome or a refusal.
        told: returns the text for a request and its outcome.
        moves: see OperationKind.

    """

    def answer(client: IrcClient, asked: Any, outcome: Any) -> None:
        _tell(client, outcome.text if isinstance(outcome, Refused) else told(asked, outcome))

    return OperationKind(request, answer, start, at_once=True, moves=moves)


# --- logging in -----------------------------------------------------------------------------------------------------


def _register(client: IrcClient, words: list[str]) -> None:
    if login.is_logged_in(client):
        raise refusals.LOGGED_IN_ALREADY(name=client.nick)
    code = words[1] if len(words) > 1 else ""
    start = client.hub.credentials.registration(client.session, client.nick, words[0], code)
    login.check(client, start, partial(_answer, client, f"{client.nick} is yours now."))


def _identify(client: IrcClient, words: list[str]) -> None:
    accounts, text = client.hub.nicks.accounts, " ".join(words)
    name, secret = (words[0], words[1]) if len(words) > 1 else (client.nick, words[0])
    if is_code_alone(accounts, name, text):
        start = partial(accounts.redeem, text)
    else:
        start = partial(accounts.log_in, name, secret)
    login.check(client, start, partial(_identified, client))


def _identified(client: IrcClient, refusal: Refused | None) -> None:
    _answer(client, f"You are logged in as {client.account.name}." if client.account else "", refusal)


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
    changeable_account(client.session)
    setting, value = words[0].upper(), words[1]
    if setting == "PASSWORD":
        told = "Your password is changed; cookies, tokens, codes, certificates and ssh keys have ended."
        client.session.start(PasswordSet(value, told))
    elif setting in _SETTINGS and value.lower() in ("on", "off"):
        on = value.lower()
        client.session.start(SettingSet(_SETTINGS[setting], on == "on", f"{setting} is {on}."))
    else:
        _tell(client, f"Usage: SET {COMMANDS['SET'].usage}")


class PasswordSet(PasswordChange, frozen=True):
    """SET PASSWORD: the account is to have another password."""


def _set_password(client: IrcClient, asked: PasswordSet, done: Checked) -> None:
    change_password(client.hub, client.session, asked, done)


_SETTINGS = {"STAY": "stays", "HISTORY": "history"}  # the fields of Account


class SettingSet(SettingChange, frozen=True):
    """SET STAY or HISTORY: a setting of the account is to be on or off."""


def _set_setting(client: IrcClient, asked: SettingSet, done: Checked) -> None:
    set_field(client.hub, client.session, asked, done)


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
    elif words[0].upper() == "END":
        if len(words) == 1:
            raise refusals.ARGUMENT_MISSING(synopsis="TOKEN END ID")
        client.session.start(TokensEnded(tuple(words[1:])))
    else:
        client.session.start(TokenMade(clean(" ".join(words)[:SHOWN])))


class TokensEnded(Struct, frozen=True):
    """TOKEN END: the tokens with some ids are to end."""

    ids: tuple[str, ...]


def _end_tokens(client: IrcClient, asked: TokensEnded, done: Ended) -> None:
    client.hub.nicks.accounts.end_tokens(account_of(client.session), asked.ids, done)


class TokenMade(Struct, frozen=True):
    """TOKEN: a token is to be made, with a name for its list."""

    name: str


def _make_token(client: IrcClient, asked: TokenMade, done: Made) -> None:
    client.hub.nicks.accounts.make_token(account_of(client.session), Grant(name=asked.name), done)


def _code(client: IrcClient, words: list[str]) -> None:
    changeable_account(client.session)
    client.session.start(CodeMade())


class CodeMade(Struct, frozen=True):
    """CODE: a code is to be made that logs in another device."""


def _make_code(client: IrcClient, asked: CodeMade, done: Made) -> None:
    client.hub.nicks.accounts.make_code(account_of(client.session), done)


def _cert(client: IrcClient, words: list[str]) -> None:
    account = changeable_account(client.session)
    if not words:
        _tell(client, *account.certificates, "End of CERT.")
        return
    verb, shown = words[0].upper(), words[1] if len(words) > 1 else login.fingerprint(client)
    if verb not in ("ADD", "DEL"):
        _tell(client, f"Usage: CERT {COMMANDS['CERT'].usage}")
    elif not shown:
        raise refusals.CERTIFICATE_MISSING()
    else:
        client.session.start(CertificateChange(shown, verb == "ADD"))


class CertificateChange(Struct, frozen=True):
    """CERT: the certificate with a fingerprint is to log in to the account, or not any more."""

    fingerprint: str
    on: bool


def _change_certificate(client: IrcClient, asked: CertificateChange, done: Checked) -> None:
    accounts = client.hub.nicks.accounts
    change = accounts.add_certificate if asked.on else accounts.remove_certificate
    change(account_of(client.session), asked.fingerprint, done)


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
        client.session.start(AccountDropped(len(words) > 2))


class AccountDropped(Struct, frozen=True):
    """UNREGISTER: the account is to be closed for ever; with `take_back` all that its owner has said is deleted."""

    take_back: bool


def _drop_account(client: IrcClient, asked: AccountDropped, done: Checked) -> None:
    client.hub.nicks.accounts.delete(account_of(client.session), done, take_back=asked.take_back)


def _certificate_told(asked: CertificateChange, _: Account) -> str:
    return f"The certificate {'can log in to your account now' if asked.on else 'cannot log in any more'}."


OPERATIONS = (
    _service(SettingSet, _set_setting, lambda asked, _: asked.told, moves=True),
    _service(CertificateChange, _change_certificate, _certificate_told, moves=True),
    # None of the others is begun twice: they have a secret, make one, or have another outcome the second time.
    _service(PasswordSet, _set_password, lambda asked, _: asked.told),
    _service(TokensEnded, _end_tokens, lambda _, count: f"Tokens that were ended: {count}."),
    _service(TokenMade, _make_token, lambda _, token: f"The token, which is shown only now: {token}"),
    _service(
        CodeMade,
        _make_code,
        lambda _, code: f"On your other device, log in with the code {code} within five minutes.",
    ),
    _service(AccountDropped, _drop_account, lambda _, account: f"The account {account.name} is closed."),
)


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
