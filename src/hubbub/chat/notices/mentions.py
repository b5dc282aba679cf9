"""Mentions: each stored message is searched for names that it addresses, and for words that people want to hear of.

The sessions of members on this node learn of them at once. For the owners of accounts, the node that has published the
message stores its place; the list of their mentions is read from the log, so it shows no message that was deleted, and
none that they may not read any more.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from functools import partial
from typing import Protocol

from hubbub.chat.core import Core
from hubbub.chat.session import Room, Session, User
from hubbub.chat.users.accounts import Accounts
from hubbub.chat.users.read_markers import of_room
from hubbub.errors import BrokerError, Closed
from hubbub.model.access import Action, may
from hubbub.model.accounts.account import Account, id_of, is_account
from hubbub.model.entries import Entry, Said
from hubbub.model.events import Mentioned
from hubbub.model.notices.ignoring import hides
from hubbub.model.notices.mentions import Mention, addressed, words_in
from hubbub.model.queries import After, Around, LogPage
from hubbub.model.viewer import SYSTEM, Viewer
from hubbub.text import refusals
from hubbub.text.tags import reply_to

People = dict[str, Account | User]  # by the host of an account, or the id of a guest

Fetched = Callable[[Entry | BrokerError | None], None]


class MentionStore(Protocol):
    """The places of the newest mentions of accounts: durable, and the same on all nodes."""

    def add(self, account: str, mention: Mention) -> None:
        """Store a mention of the account with an id."""
        ...

    def of(self, account: str, done: Callable[[Sequence[Mention] | BrokerError], None]) -> None:
        """Call `done` with the mentions of the account with an id, the oldest first."""
        ...

    def drop(self, account: str) -> None:
        """Delete the mentions of the account with an id."""
        ...


class Mentions:
    """Find mentions in stored messages, tell the people who are here, and store them for the owners of accounts."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self.store: MentionStore | None = None  # the owner sets it
        # Called with the account whose owner may read a message that mentions them, and its place.
        self.found: Callable[[Account, Mention], None] = lambda account, place: None
        self._listeners: dict[str, set[str]] = {}  # the ids of accounts by their own words
        self._words: dict[str, Sequence[str]] = {}  # own words by the ids of accounts

    def follow(self, accounts: Accounts) -> None:
        """Follow the own words of these accounts."""
        for account in accounts.with_words():
            self._changed(account)
        accounts.changed.append(self._changed)

    def _changed(self, account: Account) -> None:
        for word in self._words.pop(account.id, ()):
            self._listeners[word].discard(account.id)
            if not self._listeners[word]:
                del self._listeners[word]
        if account.words:
            self._words[account.id] = account.words
        for word in account.words:
            self._listeners.setdefault(word, set()).add(account.id)
        if account.deleted and self.store:
            self.store.drop(account.id)

    # --- a stored message -----------------------------------------------------------------------------------------

    def note(self, entries: Sequence[Entry]) -> None:
        """Find the mentions in the messages among the entries of a room that were stored and delivered."""
        for entry in entries:
            if type(entry.body) is not Said:
                continue
            text = entry.body.text
            # Most messages have none of these signs, so there is nothing to look for.
            names = addressed(text) if "@" in text or ":" in text or "," in text else ()
            words = words_in(text) & self._listeners.keys() if self._listeners else ()
            target = reply_to(entry.tags) if entry.tags else ""
            if names or words or target:
                self._find(entry, names, words, target)

    def _find(self, entry: Entry, names: Collection[str], words: Collection[str], target: str) -> None:
        """Tell the people with these names, the listeners of these words, and the author of the answered message."""
        room = self._core.loaded.by_id.get(entry.room_id)
        found: People = {}
        for name in names:
            _add(found, self._named(name))
        for id in [id for word in words for id in self._listeners[word]]:
            self._add_listener(found, room, id)
        published = self._core.pipeline.find(entry) is not None
        if target:
            answered = partial(self._answered, entry, published, frozenset(found))
            about = next((one for one in room.latest if one.id == target), None) if room else None
            if about:
                _add(found, self._author(about))
            else:
                query = Around(entry.room, "around", (target,), 1, True, viewer=SYSTEM, room_id=entry.room_id)
                self._core.read(query, answered)
        self._tell(entry, published, found)

    def _named(self, name: str) -> Account | User | None:
        account = self._core.nicks.accounts.find(name)
        return account if account and account.is_open(self._core.clock()) else self._core.nicks.find(name)

    def _author(self, entry: Entry) -> Account | User | None:
        if is_account(entry.host):
            account = self._core.nicks.accounts.by_id(id_of(entry.host))
            return account if account and account.is_open(self._core.clock()) else None
        user = self._core.nicks.find(entry.nick)
        return user if user and user.wrote(entry) else None

    def _add_listener(self, found: People, room: Room | None, id: str) -> None:
        """Add the owner of an account, whose word was said, if they are a member of the room."""
        account = self._core.nicks.accounts.by_id(id)
        owner = self._core.owners.get(account.host) if account else None
        if room and owner and owner in room.members:
            _add(found, account)

    def _answered(self, entry: Entry, published: bool, known: Collection[str], page: LogPage | BrokerError) -> None:
        """Tell the author of an older message that it was answered, unless the answer mentions them anyway."""
        found: People = {}
        for one in page.entries if isinstance(page, LogPage) else ():
            _add(found, self._author(one))
        self._tell(entry, published, {key: one for key, one in found.items() if key not in known})

    def _tell(self, entry: Entry, published: bool, found: People) -> None:
        room = self._core.loaded.by_id.get(entry.room_id)
        for one in found.values():
            if one.host == entry.host if isinstance(one, Account) else one.wrote(entry):
                continue  # their own message
            if hides(one.ignored, entry):
                continue
            user = self._core.owners.get(one.host) if isinstance(one, Account) else one
            if room and user and user in room.members:
                _show(user, entry)
            if published and isinstance(one, Account) and self._may_read(one, room):
                self._keep(one, Mention(entry.time, entry.room_id, entry.seq))

    def _keep(self, account: Account, place: Mention) -> None:
        if self.store:
            self.store.add(account.id, place)
        self.found(account, place)

    def _may_read(self, account: Account, room: Room | None) -> bool:
        """Return whether the owner of an account may read a room; if it is not loaded, that is checked later."""
        return room is None or may(self._core.viewer_for(account, ""), Action.READ, room.state) is None

    # --- the list ---------------------------------------------------------------------------------------------------

    def check_kept(self, session: Session) -> None:
        """Raise Refused if a session has no account: the mentions of guests are not kept."""
        if session.account is None:
            raise refusals.MENTIONS_NOT_KEPT()

    def of_session(
        self, session: Session, limit: int, unread: bool, done: Callable[[LogPage | BrokerError], None]
    ) -> None:
        """Call `done` with the newest messages that mention the account of a session, the oldest first.

        With `unread`, these are only messages behind the read markers of their rooms.
        """
        account = session.account.id if session.account else ""
        self.collect(account, limit, self._core.viewer(session), unread, done)

    def collect(
        self, account: str, limit: int, viewer: Viewer, unread: bool, done: Callable[[LogPage | BrokerError], None]
    ) -> None:
        """Call `done` with the newest mentions of an account that a viewer may read, the oldest first."""
        markers = self._core.read_markers
        found: list[Entry] = []

        def listed(mentions: Sequence[Mention] | BrokerError) -> None:
            if isinstance(mentions, BrokerError):
                done(mentions)
            else:
                next_of([one for one in mentions if not unread or one.time > markers.find(account, of_room(one.room))])

        def next_of(left: list[Mention]) -> None:
            if left and len(found) < limit:
                self.fetch(left.pop(), viewer, partial(took, left))
            else:
                done(LogPage(found[::-1], bool(left)))

        def took(left: list[Mention], entry: Entry | BrokerError | None) -> None:
            if isinstance(entry, BrokerError):
                done(entry)
                return
            found.extend([entry] if entry else [])
            next_of(left)

        if self.store:
            self.store.of(account, listed)
        else:
            next_of([])

    def fetch(self, mention: Mention, viewer: Viewer, done: Fetched) -> None:
        """Call `done` with the message of a mention; None if it was deleted, or the viewer may not read it."""

        def read(page: LogPage | BrokerError) -> None:
            if isinstance(page, Closed):
                done(None)
            elif isinstance(page, BrokerError):
                done(page)
            else:
                done(next((one for one in page.entries if type(one.body) is Said), None))

        self._core.read(After("", mention.seq - 1, mention.seq, 1, viewer=viewer, room_id=mention.room), read)


def _add(found: People, one: Account | User | None) -> None:
    if one:
        found[one.host if isinstance(one, Account) else one.id] = one


def _show(user: User, entry: Entry) -> None:
    for session in user.sessions:
        bell = user.account is not None and user.account.bell
        session.tell(Mentioned(entry, session.rings or bell))
