"""The slash commands for mentions: the list of them, own words, and notifications."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.structs import replace

from hubbub.chat.commands.accounts import SettingChange, account_change, account_of, changeable_account, set_field
from hubbub.chat.commands.moderation import SlashCommand
from hubbub.chat.operations.asking import question
from hubbub.chat.users.accounts import Checked
from hubbub.errors import BrokerError, Refused
from hubbub.model.accounts.account import Account
from hubbub.model.events import Event, HistoryShown, Notice
from hubbub.model.notices.mentions import MOST_WORDS, own_word
from hubbub.model.notices.push import is_address
from hubbub.model.queries import LogPage
from hubbub.text import refusals
from hubbub.text.bounds import NAME_CHARS
from hubbub.text.concealed import concealed

if TYPE_CHECKING:
    from hubbub.chat.hub import Hub
    from hubbub.chat.session import Session

GROUP = "messages"
_HOURS = r"(?a)(\d{1,2})-(\d{1,2})"
SHOWN = 10  # mentions that are listed by default
MOST = 50


def _mentions(hub: Hub, session: Session, argument: str) -> None:
    if argument and not (argument.isdecimal() and len(argument) < 5 and 1 <= int(argument) <= MOST):
        raise refusals.NUMBER_INVALID(command="mentions", limit=MOST)
    hub.mentions.check_kept(session)
    session.queue(MentionsAsked(int(argument or SHOWN)))


class MentionsAsked(Struct, frozen=True):
    """A session asks for the newest messages that mention its account, at most `limit`."""

    limit: int


def _read(hub: Hub, session: Session, asked: MentionsAsked, done: Callable[[LogPage | BrokerError], None]) -> None:
    hub.mentions.of_session(session, asked.limit, False, done)


def _shown(hub: Hub, session: Session, asked: MentionsAsked, page: LogPage) -> Event:
    if not page.entries:
        return Notice(("Nobody has mentioned you in a room that you can read",))
    return HistoryShown(page.entries, hub.clock(), elsewhere=True)


def _notify(hub: Hub, session: Session, argument: str) -> None:
    account = changeable_account(session)
    if not argument:
        push = f"While you are away, notifications go to {account.push}. /notify off ends that" if account.push else ""
        hub.reply(session, Notice((_words(account), *([push] if push else []))))
        return
    first, _, rest = argument.partition(" ")
    if argument.lower() == "off" or (first.lower() == "via" and rest):
        _send_to(hub, session, rest.strip())
        return
    on = first.lower() != "off" or not rest
    typed = argument if on else rest.strip()
    word = own_word(typed)
    if not word:
        raise refusals.WORD_INVALID(limit=NAME_CHARS)
    session.start(WordHeard(word, on))


def _send_to(hub: Hub, session: Session, url: str) -> None:
    """Send notifications to an address from now on; to none if it is "" and the user typed off."""
    if url and hub.pushes.send is None:
        raise refusals.PUSH_OFF()
    if url and not is_address(url, hub.pushes.encrypted_only):
        raise refusals.PUSH_URL_INVALID()
    told = f"While you are away, notifications go to {url}" if url else "No notifications are sent"
    session.start(PushAddress("push", url, told))


class PushAddress(SettingChange, frozen=True):
    """The address that notifications go to: whoever knows it may be able to read them."""

    __repr__ = concealed


def _dnd(hub: Hub, session: Session, argument: str) -> None:
    hours = re.fullmatch(_HOURS, argument)
    quiet = (int(hours[1]), int(hours[2])) if hours else None
    if (quiet is None and argument.lower() != "off") or (quiet and (max(quiet) > 23 or quiet[0] == quiet[1])):
        raise refusals.ARGUMENT_INVALID(synopsis="/dnd 22-7, with hours from 0 to 23, or /dnd off")
    told = (
        f"No notifications from {quiet[0]}:00 to {quiet[1]}:00, server time" if quiet else "Notifications at any hour"
    )
    changeable_account(session)
    session.start(SettingChange("quiet", quiet, told))


def _words(account: Account) -> str:
    if not account.words:
        return "A message mentions you if it has @ and your name, or your name and a colon. /notify WORD adds a word"
    return f"These words mention you, too: {', '.join(account.words)}. /notify off WORD removes one"


class WordHeard(Struct, frozen=True):
    """A word is to mention the owner of a session's account, or not any more."""

    word: str
    on: bool


def _hear(hub: Hub, session: Session, asked: WordHeard, done: Checked) -> None:
    edit = partial(_with_word if asked.on else _without_word, asked.word)
    hub.nicks.accounts.change(account_of(session), edit, done)


def _with_word(word: str, account: Account) -> Account | Refused:
    words = (*(one for one in account.words if one != word), word)
    return refusals.TOO_MANY_WORDS_HEARD(limit=MOST_WORDS) if len(words) > MOST_WORDS else replace(account, words=words)


def _without_word(word: str, account: Account) -> Account:
    return replace(account, words=tuple(one for one in account.words if one != word))


OPERATIONS = (
    question(MentionsAsked, _shown, _read),
    account_change(WordHeard, _hear, lambda asked, account: _words(account)),
    account_change(PushAddress, set_field, lambda asked, account: asked.told, moves=False),
)

ROWS = (
    SlashCommand("mentions", "[N]", "Show the newest messages that mention you.", _mentions, GROUP),
    SlashCommand(
        "notify",
        "[WORD|off WORD|via URL|off]",
        "Add a word to mentions, or send them to URL while away.",
        _notify,
        GROUP,
    ),
    SlashCommand("dnd", "22-7|off", "Send no notifications in these hours of the day; off ends that.", _dnd, GROUP),
)
