"""The slash commands for accounts. Their arguments are secrets: they are neither stored nor shown to anybody."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any

from msgspec import Struct
from msgspec.structs import replace

from hubbub.chat.commands.moderation import SlashCommand
from hubbub.chat.session import Session, owner
from hubbub.chat.turns import OperationKind
from hubbub.chat.users.account_users import PasswordChange
from hubbub.chat.users.accounts import Accounts, Checked, Made, close
from hubbub.chat.users.credential_checks import Login
from hubbub.errors import Refused
from hubbub.model.accounts.account import Account, SshKey
from hubbub.model.events import Notice
from hubbub.text import refusals
from hubbub.text.concealed import concealed
from hubbub.text.typed.codes import read_code

if TYPE_CHECKING:
    from hubbub.chat.hub import Hub

GROUP = "accounts"


def _answer(hub: Hub, session: Session, refusal: Refused | None) -> None:
    if refusal:
        hub.refuse(session, refusal)


def _register(hub: Hub, session: Session, argument: str) -> None:
    code, password = "", argument
    invited = hub.nicks.accounts.registration == "invite"
    if invited:
        code, _, password = argument.partition(" ")
    # A user with an ssh key needs no password.
    if not (session.ssh_key or password) or (invited and not code):
        raise refusals.ARGUMENT_MISSING(synopsis=f"/register {'CODE ' if invited else ''}PASSWORD")
    hub.credentials.register(session, session.nick, password.strip(), partial(_answer, hub, session), code)


def _log_in(hub: Hub, session: Session, argument: str) -> None:
    name, _, secret = argument.partition(" ")
    secret = secret.strip()
    if is_code_alone(hub.nicks.accounts, name, argument):
        name, secret = "", argument
    elif not secret and hub.nicks.accounts.find(name):  # the password was forgotten, and this is no code
        raise refusals.ARGUMENT_MISSING(synopsis="/login NAME PASSWORD")
    session.start(Login(name, secret) if secret else Login("", name))


def is_code_alone(accounts: Accounts, name: str, text: str) -> bool:
    """Return whether a text is a code, which may have a space in it, and not the password of an account.

    Args:
        accounts: know the names.
        name: the name of the account if it is a password.
        text: the whole text, with the name if it begins with that.

    """
    return bool(read_code(text)) and accounts.find(name) is None


def account_of(session: Session) -> Account:
    """Return the account of a session. Raises Refused if it is not logged in."""
    account = session.user.account if session.user else None
    if account is None:
        raise refusals.NOT_LOGGED_IN()
    return account


def changeable_account(session: Session) -> Account:
    """Return the account of a session that may change it. Raises Refused."""
    account = account_of(session)
    if session.permit.is_limited:
        raise refusals.TOKEN_SCOPE(scope="admin")
    return account


def account_change(
    request: type[Struct],
    start: Callable[[Hub, Session, Any, Checked], None],
    told: Callable[[Any, Account], str],
    moves: bool = True,
) -> OperationKind:
    """Return the kind of the operations that change the account of a session, and say so when the change is stored.

    Args:
        request: the type of the requests.
        start: starts the change; it is called with the hub, the session, the request and a callback for the outcome.
        told: returns the sentence about it for a request and the changed account.
        moves: see OperationKind.

    """

    def changed(hub: Hub, session: Session, asked: Any, outcome: Account | Refused) -> None:
        if isinstance(outcome, Refused):
            hub.refuse(session, outcome)
        else:
            hub.reply(session, Notice((told(asked, outcome),)))

    return OperationKind(request, changed, start, at_once=True, moves=moves)


class SettingChange(Struct, frozen=True):
    """A field of the account of a session is to have another value; `told` is the sentence about it."""

    field: str
    value: bool | str | tuple[int, int] | None
    told: str


def set_field(hub: Hub, session: Session, asked: SettingChange, done: Checked) -> None:
    """Start a change of a field."""
    hub.nicks.accounts.change(account_of(session), partial(replace, **{asked.field: asked.value}), done)


def _password(hub: Hub, session: Session, password: str) -> None:
    account = changeable_account(session)
    ended = "cookies, tokens, codes and certificates" if not account.ssh_keys else "all other logins"
    told = f"Your password is changed; {ended} of your account have ended"
    session.start(PasswordChange(password, told if account.password else "You have a password now"))


def change_password(hub: Hub, session: Session, asked: PasswordChange, done: Checked) -> None:
    """Start a change of the password of a session's account."""
    peer = hub.credentials.peer(session)
    hub.nicks.accounts.change_password(account_of(session), asked.password, peer, done)


def _stay(hub: Hub, session: Session, argument: str) -> None:
    changeable_account(session)
    if argument.lower() not in ("on", "off"):
        raise refusals.ARGUMENT_INVALID(synopsis="/stay on|off")
    stays = argument.lower() == "on"
    told = "You stay in your rooms while you are away" if stays else "You leave your rooms when you disconnect"
    session.start(SettingChange("stays", stays, told))


def _store(hub: Hub, session: Session, argument: str) -> None:
    changeable_account(session)
    if argument.lower() not in ("on", "off"):
        raise refusals.ARGUMENT_INVALID(synopsis="/store on|off")
    stores = argument.lower() == "on"
    told = f"Your private messages are {'stored from now on' if stores else 'not stored any more'}"
    session.start(SettingChange("history", stores, told))


def _guests(hub: Hub, session: Session, argument: str) -> None:
    if argument.lower() not in ("on", "off"):
        raise refusals.ARGUMENT_INVALID(synopsis="/guests on|off")
    hub.check_set_modes(session)
    user, off = owner(session), argument.lower() == "off"
    hub.set_modes(user, user.modes | {"R"} if off else user.modes - {"R"})
    senders = "Only people with an account" if off else "Everybody"
    hub.reply(session, Notice((f"{senders} can send you private messages now",)))


def _account(hub: Hub, session: Session, argument: str) -> None:
    account = account_of(session)
    assert session.user
    screens = hub.screens(session.user)
    if argument:
        verb, _, code = argument.lower().partition(" ")
        ids = [one.id for one in screens if one.code == code.strip()]
        if verb != "end" or not ids:
            raise refusals.ARGUMENT_INVALID(synopsis="/account end CODE, with the code of one of your connections")
        changeable_account(session)
        hub.end_sessions(session.user, ids)
        hub.reply(session, Notice(("That connection is ended",)))
        return
    lines = [f"You are logged in as {account.name}. Your connections (/account end CODE ends one):"]
    lines += [f"  {one.told(session.id_prefix)}" for one in screens]
    lines.append(f"You {'stay in' if account.stays else 'leave'} your rooms when you disconnect (/stay on|off)")
    hub.reply(session, Notice(tuple(lines)))


_UNREGISTER = r"(?is)(.*?)(\s+take-back)?(\s+yes)?"


def _unregister(hub: Hub, session: Session, argument: str) -> None:
    """Close the account of a session, after a confirmation and with the password."""
    account = changeable_account(session)
    match = re.fullmatch(_UNREGISTER, argument)
    assert match
    password, take_back, sure = match.groups()
    if not sure:
        lost = "and all your messages are deleted, " if take_back else ""
        lines = [
            f"Nobody can ever log in as {account.name} again, {lost}if you type /unregister PASSWORD"
            f"{' take-back' if take_back else ''} yes"
        ]
        if not take_back:
            lines.append("To delete all your messages as well, type /unregister PASSWORD take-back yes")
        hub.reply(session, Notice(tuple(lines)))
        return
    session.start(AccountClosing(password, bool(take_back)))


class AccountClosing(Struct, frozen=True):
    """The account of a session is to be closed for ever, which a password or a code proves; see `close`."""

    secret: str
    take_back: bool

    __repr__ = concealed


def _close(hub: Hub, session: Session, asked: AccountClosing, done: Checked) -> None:
    peer = hub.credentials.peer(session)
    close(hub.nicks.accounts, account_of(session), asked.secret, peer, asked.take_back, done)


def _log_out(hub: Hub, session: Session, _: str) -> None:
    account_of(session)
    hub.reply(session, Notice(("You are logged out",)))
    hub.depart(session, asked=True)


def _link(hub: Hub, session: Session, argument: str) -> None:
    if session.ssh_key and argument and not (session.user and session.user.account):
        _join_key(hub, session, session.ssh_key, argument)
        return
    changeable_account(session)
    if argument.lower() not in ("", "qr"):
        raise refusals.ARGUMENT_INVALID(synopsis="/link [qr]")
    if argument and not hub.page_url:
        raise refusals.NO_PAGE()
    session.start(CodeForDevice(bool(argument)))


class CodeForDevice(Struct, frozen=True):
    """A session wants a code that logs in another device; with `qr` also as a picture."""

    qr: bool


def _make_code(hub: Hub, session: Session, asked: CodeForDevice, done: Made) -> None:
    hub.nicks.accounts.make_code(account_of(session), done)


def _code_made(hub: Hub, session: Session, asked: CodeForDevice, code: str | Refused) -> None:
    if isinstance(code, Refused):
        hub.refuse(session, code)
        return
    text = f"On your other device, log in with the code {code} within five minutes: /login {code}"
    picture = hub.qr(linked(hub.page_url, code)) if asked.qr else ()
    hub.reply(session, Notice((text, *picture)))


def _join_key(hub: Hub, session: Session, key: SshKey, code: str) -> None:
    """Log a guest in with a code, and add the ssh key that it has shown to the account."""

    def logged_in(refusal: Refused | None) -> None:
        if refusal or session.permit.is_limited:
            _answer(hub, session, refusal)
        else:
            _add_key(session, key)

    hub.credentials.check(session, partial(hub.nicks.accounts.redeem, code), logged_in)


def _add_key(session: Session, key: SshKey) -> None:
    changeable_account(session)
    session.start(KeyAdded(key))


class KeyAdded(Struct, frozen=True):
    """An ssh key, which the session has proven, is to log in to its account."""

    key: SshKey


def _keep_key(hub: Hub, session: Session, asked: KeyAdded, done: Checked) -> None:
    hub.nicks.accounts.add_ssh_key(account_of(session), asked.key, done)


class KeyRemoved(Struct, frozen=True):
    """The ssh key with a fingerprint is to log in no more to the account of a session."""

    fingerprint: str


def _drop_key(hub: Hub, session: Session, asked: KeyRemoved, done: Checked) -> None:
    hub.nicks.accounts.remove_ssh_key(account_of(session), asked.fingerprint, done)


def _keys(hub: Hub, session: Session, argument: str) -> None:
    account = account_of(session)
    verb, _, fingerprint = argument.partition(" ")
    if verb.lower() == "add" and not fingerprint:
        if session.ssh_key is None:
            raise refusals.SSH_KEY_MISSING()
        _add_key(session, session.ssh_key)
    elif verb.lower() == "remove" and fingerprint.strip():
        changeable_account(session)
        session.start(KeyRemoved(fingerprint.strip()))
    elif argument:
        raise refusals.ARGUMENT_INVALID(synopsis="/keys [add | remove FINGERPRINT]")
    else:
        hub.reply(session, Notice(tuple(_listed_keys(account))))


def _listed_keys(account: Account) -> Iterator[str]:
    if not account.ssh_keys:
        yield "You have no ssh keys. To add one, connect with ssh under another name, and type there the code of /link:"
        yield "  /link CODE"
        return
    yield "Your ssh keys (/keys remove FINGERPRINT removes one):"
    for key in account.ssh_keys:
        yield f"  {key.fingerprint} {key.kind}, since {datetime.fromtimestamp(key.added, UTC):%Y-%m-%d}"


def linked(page_url: str, code: str) -> str:
    """Return the address that opens the page with a code filled in; no server is sent what follows the `#`."""
    return f"{page_url}#link={code.replace('-', '')}"


OPERATIONS = (
    account_change(SettingChange, set_field, lambda asked, account: asked.told),
    account_change(KeyAdded, _keep_key, lambda asked, account: "Your ssh key is kept: from now on it logs you in"),
    # None of the others is begun twice: they have a secret, make one, or are refused the second time.
    account_change(PasswordChange, change_password, lambda asked, account: asked.told, moves=False),
    account_change(AccountClosing, _close, lambda asked, account: f"The account {account.name} is closed", moves=False),
    account_change(
        KeyRemoved,
        _drop_key,
        lambda asked, account: "That ssh key is removed: it logs nobody in any more",
        moves=False,
    ),
    OperationKind(CodeForDevice, _code_made, _make_code, at_once=True, moves=False),
)

ROWS = (
    SlashCommand("register", "[PASSWORD]", "Make your name yours. With ssh, your key is enough.", _register, GROUP),
    SlashCommand("login", "NAME PASSWORD", "Log in. With a code of /link, /login CODE is enough.", _log_in, GROUP),
    SlashCommand("password", "PASSWORD", "Change your password.", _password, GROUP),
    SlashCommand("account", "[end CODE]", "Show your account and your connections, or end one.", _account, GROUP),
    SlashCommand("stay", "on|off", "Stay in your rooms while you are away, or not.", _stay, GROUP),
    SlashCommand("store", "on|off", "Store your private messages, or not.", _store, GROUP),
    SlashCommand("guests", "on|off", "Take private messages from people without an account, or not.", _guests, GROUP),
    SlashCommand("unregister", "PASSWORD [take-back] [yes]", "Close your account for ever.", _unregister, GROUP),
    SlashCommand("logout", "", "Log out on this device.", _log_out, GROUP),
    SlashCommand("link", "[qr]", "Make a code that logs in another device of yours.", _link, GROUP),
    SlashCommand("keys", "[remove FINGERPRINT]", "List your ssh keys, or remove one.", _keys, GROUP),
)
