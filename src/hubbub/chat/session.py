"""Users and their sessions: a user is a member of rooms and has rights there, a session is one screen of a user.

A guest has one session; a user with an account may have several. A user's properties and rights are kept once
(users/user.py); a session has its own connection, its own replies in order (replies.py), and its own place in the log
of each room.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TypeAlias, TypeVar

from hubbub.chat.posting import PostingOf
from hubbub.chat.replies import NOTHING, Replies
from hubbub.chat.rooms.loaded_room import LoadedRoom
from hubbub.chat.turns import Operation
from hubbub.chat.users.user import UserOf
from hubbub.model.accounts.account import SshKey
from hubbub.model.accounts.grants import EVERYTHING, Permit
from hubbub.model.client import ByteSink, Client, Encoder
from hubbub.model.entries import Entry, ModeChange
from hubbub.model.events import Event, Mentioned, Private

Value = TypeVar("Value")


class Session(Replies["User"]):
    """One peer, as the hub knows it.

    Args:
        id_prefix: the prefix of the ids of this session's drafts.
        client: the listener's side of the connection.
        sink: receives the bytes for the peer.
        encoder: renders the entries of the session's current room.
        host: the public form of the peer's address, as entries show it.
        address: the peer's address, which only operators see.

    """

    __slots__ = (
        "address",
        "browser",
        "came_as",
        "current",
        "encoder",
        "grant",
        "host",
        "id_prefix",
        "keeps_history",
        "label",
        "last_ban",
        "never_joined",
        "next_id",
        "permit",
        "plain",
        "preserves_spaces",
        "reading",
        "rings",
        "secure",
        "seen",
        "sink",
        "ssh_key",
        "told_unstored",
        "unheard",
        "user_id",
        "watched",
    )

    def __init__(
        self, id_prefix: str, client: Client, sink: ByteSink, encoder: Encoder, host: str = "", address: str = ""
    ) -> None:
        super().__init__(client)
        self.id_prefix = id_prefix
        self.sink = sink
        self.encoder = encoder
        self.host = host
        self.address = address
        # Identifies its browser, or the ssh key that its peer has proven, among all of them; "" for others.
        self.browser = ""
        self.came_as = ""  # the mask of its first user as it joined that one: a guest's, also after a login
        self.last_ban: tuple[str, list[ModeChange]] | None = None  # id of the room and changes of its last ban
        self.preserves_spaces = False  # the spaces in its messages are kept
        # Its client keeps the history: after a return to a room it is shown only the messages that it missed.
        self.keeps_history = False
        # The last seconds before its end, in which entries written to it may not have arrived.
        self.unheard = 0.0
        self.rings = False  # a guest wants the terminal to ring for mentions, also once logged in; see Account.bell
        self.plain = False  # likewise: nothing is to be written twice to the terminal; see Account.plain
        self.secure = False  # encrypted connection
        self.ssh_key: SshKey | None = None  # that its peer has proven; None for another one
        self.permit = EVERYTHING  # the permissions of its login
        self.grant = ""  # the id of the token or cookie with which it ends; see GrantHolders
        # Before it has a user: by the id of a room, the number of the last entry that its client has of an earlier
        # connection.
        self.seen: Mapping[str, int] = NOTHING
        self.user_id = id_prefix.rstrip(".")  # the id that a new user of this session will have
        self.watched: Mapping[str, Room] = NOTHING  # the rooms that it reads without a user, by id
        # The label for the drafts that it publishes now: each of them is acknowledged under it.
        self.label = ""
        self.current = ""  # the id of the room in which it speaks; "" for none
        self.next_id = 0
        self.reading = False  # a log page is being read for it
        self.never_joined = True  # no room joined yet
        self.told_unstored: tuple[str, ...] = ()  # the accounts of which it knows that messages to them are not stored

    @contextmanager
    def labelled(self, label: str) -> Iterator[None]:
        """Publish drafts under another label than that of the current command; "" for none."""
        before, self.label = self.label, label
        try:
            yield
        finally:
            self.label = before

    @property
    def is_plain(self) -> bool:
        """Whether nothing is to be written twice to its terminal."""
        return self.plain or (self.account is not None and self.account.plain)

    @property
    def rooms(self) -> Mapping[str, Room]:
        """The rooms whose entries it is given, by id: those of its user, or those that it watches without a user.

        If its login is for some rooms only, the others are as if its user were not in them.
        """
        if self.user is None:
            return self.watched
        if self.permit is EVERYTHING:
            return self.user.rooms
        return {id: room for id, room in self.user.rooms.items() if self.permit.opens(room.name)}

    @property
    def current_name(self) -> str:
        """The name of the room in which it speaks; "" for none."""
        room = self.rooms.get(self.current)
        return room.name if room else ""

    @property
    def operator(self) -> bool:
        """Whether it may act as a server operator."""
        return bool(self.user and self.user.operator and not self.permit.is_limited)

    @property
    def nick(self) -> str:
        """The nick of its user, or the name of the account that it acts for; "" before it has a user."""
        if self.user:
            return self.user.nick
        return self.acts_for.name if self.acts_for else ""

    @property
    def mask(self) -> str:
        """Its `nick!~user@host` mask, which bans are matched against; the mask never holds its address."""
        return f"{self.nick}!{self.host}"

    @property
    def tags(self) -> str:
        """The tags of all entries of its user."""
        return self.user.tags if self.user else ""

    def tell(self, event: Event) -> bool:
        """Send an event that is no reply; return False if it misses it, because it takes no bytes or may not see it."""
        if self.paused or not (self.permit is EVERYTHING or _is_for(self.permit, event)):
            return False
        self.client.send_event(event)
        return True

    def encoder_in(self, room: str) -> Encoder:
        """Return the encoder for the entries of the room with an id: the current room may have another than others."""
        return self.encoder if room == self.current else self.encoder.for_other_room


def _is_for(permit: Permit, event: Event) -> bool:
    """Return whether a login allows to see an event that is no reply."""
    if isinstance(event, Private):
        return "read" in permit.scopes and not permit.rooms
    room = event.entry.room if isinstance(event, Mentioned) else getattr(event, "room", "")
    return not room or permit.opens(room)


class User(UserOf[Session]):
    """The owner of a nick, with their sessions."""

    __slots__ = ()

    rooms: dict[str, Room]
    joining: dict[str, Posting]
    changing: list[Operation | Posting]


class Posting(PostingOf[Session], eq=False):
    """A draft of a session on its way into the log."""


Room: TypeAlias = LoadedRoom[User, Session]


def without(known: Mapping[str, Value], key: str) -> Mapping[str, Value]:
    """Return a mapping without a key, which need not be in it."""
    return {one: value for one, value in known.items() if one != key} if key in known else known


def author(posting: Posting) -> Session:
    """Return the session that published a draft; the posting must have one."""
    assert posting.session is not None
    return posting.session


def wrote(session: Session, entry: Entry) -> bool:
    """Return whether the user of a session, or the owner of the account that it acts for, is the author of an entry."""
    if session.acts_for:
        return entry.host == session.acts_for.host
    return owner(session).wrote(entry)


def owner(session: Session) -> User:
    """Return the user of a session; it must have one."""
    assert session.user is not None
    return session.user
