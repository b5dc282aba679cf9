"""Notifications to people who are away: one request for a mention or a private message that none of them has read.

The node that has published the message sends it, after some seconds: by then it may have been read, or deleted.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable
from datetime import datetime
from functools import partial

from msgspec.structs import replace

from hubbub.chat.core import Core
from hubbub.chat.notices.mentions import Mentions
from hubbub.chat.users.read_markers import of_person, of_room
from hubbub.errors import BrokerError, Refused
from hubbub.model.accounts.account import Account, id_of
from hubbub.model.conversation import is_conversation
from hubbub.model.entries import Entry, Said
from hubbub.model.events import Notice
from hubbub.model.notices.ignoring import hides
from hubbub.model.notices.mentions import Mention
from hubbub.model.notices.push import Push, is_quiet, made

WAIT = 5.0  # seconds until a notification is sent
ACTIVE = 300.0  # seconds for which somebody who has said something is taken to read
PER_ACCOUNT = 10  # notifications of one account that wait; further ones are dropped
MOST = 1_000  # of all accounts

Sender = Callable[[str, Push, Callable[[bool], None]], None]


class Pushes:
    """The notifications that wait, and those that are being sent: one at a time for each account.

    Args:
        core: the users, the accounts and the clock.
        mentions: reads a message as its reader may see it.
        page: returns the address of the page, "" if there is none.

    """

    def __init__(self, core: Core, mentions: Mentions, page: Callable[[], str]) -> None:
        self._core = core
        self._mentions = mentions
        self._page = page
        # Sends a notification to a URL, and calls back with True if there is nobody at that URL any more; None if
        # this server sends none.
        self.send: Sender | None = None
        self.encrypted_only = True  # False if this server may reach some addresses over http, too
        self._waiting: Counter[str] = Counter()  # notifications that are not sent, by the id of the account
        self._total = 0
        self._due: dict[str, deque[Mention]] = {}  # to be sent now, by the accounts for which one is being sent

    def note(self, account: Account, place: Mention) -> None:
        """Send a notification of a message to the owner of an account, unless the message is read in time."""
        if (
            not (self.send and account.push)
            or self._is_here(account)
            or self._waiting[account.id] >= PER_ACCOUNT
            or self._total >= MOST
        ):
            return
        self._waiting[account.id] += 1
        self._total += 1
        self._core.later(WAIT, partial(self._begin, account.id, place))

    def _begin(self, id: str, place: Mention) -> None:
        if id in self._due:
            self._due[id].append(place)
        else:
            self._due[id] = deque([place])
            self._next(id)

    def _next(self, id: str) -> None:
        if not self._due[id]:
            del self._due[id]
            return
        place = self._due[id].popleft()
        self._waiting[id] -= 1
        self._total -= 1
        if not self._waiting[id]:
            del self._waiting[id]
        account = self._core.nicks.accounts.by_id(id)
        if account and self._is_wanted(account):
            viewer = self._core.viewer_for(account, "")
            self._mentions.fetch(place, viewer, partial(self._fetched, account))
        else:
            self._next(id)

    def _is_wanted(self, account: Account) -> bool:
        """Return whether the owner of an account wants notifications now, and is not here."""
        now = self._core.clock()
        if not account.push or not account.is_open(now) or is_quiet(account.quiet, datetime.fromtimestamp(now).hour):
            return False
        return not self._is_here(account)

    def _is_here(self, account: Account) -> bool:
        """Return whether the owner of an account is on this node, and is taken to read what comes."""
        user = self._core.owners.get(account.host)
        return bool(user and user.sessions and not user.away and self._core.clock() - user.active < ACTIVE)

    def _fetched(self, account: Account, entry: Entry | BrokerError | None) -> None:
        send, done = self.send, partial(self._sent, account)
        if (
            send is None
            or not isinstance(entry, Entry)
            or not isinstance(entry.body, Said)
            or hides(account.ignored, entry)
        ):
            self._next(account.id)
            return
        private = is_conversation(entry.room)
        target = of_person(id_of(entry.host)) if private else of_room(entry.room_id)
        if self._core.read_markers.find(account.id, target) >= entry.time:
            self._next(account.id)
            return
        send(account.push, made(entry.nick, "" if private else entry.room, entry.body.text, self._page()), done)

    def _sent(self, account: Account, gone: bool) -> None:
        if gone:
            self._core.nicks.accounts.change(
                account, partial(_without, account.push), partial(self._removed, account.push)
            )
        self._next(account.id)

    def _removed(self, url: str, outcome: Account | Refused) -> None:
        user = self._core.owners.get(outcome.host) if isinstance(outcome, Account) else None
        for session in user.sessions if user else ():
            text = (
                f"Nobody takes notifications at {url} any more, so none are sent; /notify via URL names another address"
            )
            self._core.reply(session, Notice((text,)))


def _without(url: str, account: Account) -> Account:
    return replace(account, push="") if account.push == url else account
