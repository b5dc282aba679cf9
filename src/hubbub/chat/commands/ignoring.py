"""The slash commands that hide people: /ignore and /unignore."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.structs import replace

from hubbub.chat.commands.accounts import account_change, account_of, changeable_account
from hubbub.chat.commands.moderation import SlashCommand
from hubbub.chat.session import owner
from hubbub.chat.users.accounts import Checked
from hubbub.errors import Refused
from hubbub.model.accounts.account import Account, is_account
from hubbub.model.events import Notice
from hubbub.model.notices.ignoring import MOST, Ignored
from hubbub.text import refusals
from hubbub.text.cleaning import beginning
from hubbub.text.names import key_of

if TYPE_CHECKING:
    from hubbub.chat.hub import Hub
    from hubbub.chat.session import Session

GROUP = "messages"
Ignoring = tuple[Ignored, ...]


def _ignore(hub: Hub, session: Session, name: str) -> None:
    if not name:
        hub.reply(session, Notice((_list(session.ignored),)))
        return
    person = _person(hub, session, name.removeprefix("@"))
    told = f"You ignore {person.name} now. /unignore {person.name} ends that"
    _change(hub, session, IgnoringChange((person,), True, told))


def _unignore(hub: Hub, session: Session, name: str) -> None:
    key = key_of(name.removeprefix("@"))
    found = [one for one in session.ignored if key_of(one.name) == key]
    # Somebody who has another nick now is found by the host and the ids under which they are ignored.
    if not found and (user := hub.nicks.find(key)):
        found = [one for one in session.ignored if one.host == user.host and one.prefix == user.id_prefix]
    if not found:
        raise refusals.NOT_IGNORED(name=beginning(name))
    _change(hub, session, IgnoringChange(tuple(found), False, f"You do not ignore {found[0].name} any more"))


def _list(ignored: Sequence[Ignored]) -> str:
    return f"You ignore {', '.join(one.name for one in ignored)}" if ignored else "You ignore nobody"


def _person(hub: Hub, session: Session, name: str) -> Ignored:
    user, account = hub.nicks.find(name), hub.nicks.accounts.find(name)
    if user is owner(session):
        raise refusals.IGNORES_SELF()
    if user and not is_account(user.host):
        return Ignored(user.nick, user.host, key_of(user.nick), user.id_prefix)
    if user:
        return Ignored(user.nick, user.host)
    if account:
        return Ignored(account.name, account.host)
    raise refusals.NO_SUCH_NAME(name=beginning(name))


class IgnoringChange(Struct, frozen=True):
    """A session's user is to ignore some people, or not any more; `told` is the sentence about it."""

    people: tuple[Ignored, ...]
    on: bool
    told: str


def _changed(known: Ignoring, asked: IgnoringChange) -> Ignoring | Refused:
    same = {one[1:] for one in asked.people}  # whatever their names are now
    others = tuple(one for one in known if one[1:] not in same)
    if not asked.on:
        return others
    return refusals.TOO_MANY_IGNORED(limit=MOST) if len(others) >= MOST else (*others, *asked.people)


def _edited(asked: IgnoringChange, account: Account) -> Account | Refused:
    ignored = _changed(account.ignored, asked)
    return ignored if isinstance(ignored, Refused) else replace(account, ignored=ignored)


def _store(hub: Hub, session: Session, asked: IgnoringChange, done: Checked) -> None:
    hub.nicks.accounts.change(account_of(session), partial(_edited, asked), done)


def _change(hub: Hub, session: Session, asked: IgnoringChange) -> None:
    """Change the people whom a session's user ignores: those of an account are stored with it."""
    user = owner(session)
    if user.account:
        changeable_account(session)
        session.start(asked)
        return
    ignored = _changed(user.guest_ignores, asked)
    if isinstance(ignored, Refused):
        raise ignored
    user.guest_ignores = ignored
    hub.note_ignored(user)
    hub.reply(session, Notice((asked.told,)))


OPERATIONS = (account_change(IgnoringChange, _store, lambda asked, account: asked.told),)

ROWS = (
    SlashCommand("ignore", "[NAME]", "Hide all that somebody says, or list the people you ignore.", _ignore, GROUP),
    SlashCommand("unignore", "NAME", "Show again all that somebody says.", _unignore, GROUP),
)
