"""Private messages between accounts: they are stored, and reach somebody who is absent at the next login.

A conversation is a room that nobody joins (model/conversation.py), so its messages go the way of all entries: they are
stored before anybody sees them, numbered, found by searches and kept by retention. The room is never loaded. When a
message is stored, the process that published it gives it to all sessions of both people.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from msgspec import Struct
from msgspec.structs import replace

from hubbub.chat.core import Core
from hubbub.chat.giving import give
from hubbub.chat.nodes.remote_users import RemoteUsers
from hubbub.chat.posting import Parties
from hubbub.chat.session import Posting, Session, User
from hubbub.chat.turns import OperationKind, by_name, no_reply
from hubbub.errors import BrokerError
from hubbub.model.accounts.account import Account
from hubbub.model.codec import text_of
from hubbub.model.conversation import conversation_of
from hubbub.model.entries import Body, Entry, Redacted, Said
from hubbub.model.events import Event, Notice, Private
from hubbub.model.notices.mentions import Mention
from hubbub.model.room.room_ids import RoomRef
from hubbub.text import refusals

TOLD = 100  # accounts of which a session remembers that it knows that messages to them are not stored


class MessageAnnounced(Struct, frozen=True):
    """A message to the account with an id must be announced and published."""

    to: str
    body: Said
    tags: str
    label: str
    nick: str  # of its author


class MessageStored(Struct, frozen=True):
    """A message with an id, from one account to another, waits for its outcome."""

    id: str
    author: str
    to: str


class PrivateLog:
    """Store private messages, and give them to the sessions of both people.

    Args:
        core: the users, the pipeline and the accounts.
        remote: the users of other nodes.

    """

    def __init__(self, core: Core, remote: RemoteUsers) -> None:
        self._core = core
        self._remote = remote
        # Called with the account that a stored message is for, and the place of the message.
        self.arrived: Callable[[Account, Mention], None] = lambda account, place: None
        self._flying: dict[str, Posting] = {}  # messages that have no outcome yet, by id
        core.operations |= by_name(
            OperationKind(MessageAnnounced, no_reply, self._announce),
            OperationKind(MessageStored, self._settled),
        )

    def partner(self, session: Session, name: str, present: User | None) -> Account | None:
        """Return the account to which messages of a session to a name go, if they go from one account to another.

        `present` is the user who has that name now.
        """
        mine = session.account
        account = self._core.nicks.accounts.find(name) if mine else None
        if account is None or mine is None or self._core.positions is None:
            return None
        if not account.is_open(self._core.clock()):
            return None
        return account if present is None or present.host == account.host else None

    def keeps(self, session: Session, account: Account) -> bool:
        """Return whether messages of a session to an account are stored."""
        mine = session.account
        return bool(mine and mine.history and account.history)

    def tell_unstored(self, session: Session, account: Account) -> None:
        """Tell a session the first time that a message to an account is not stored."""
        if account.id not in session.told_unstored and len(session.told_unstored) < TOLD:
            session.told_unstored += (account.id,)
            which = "you" if account.history else account.name
            self._core.reply(session, Notice((f"Not stored, because {which} switched the history off",)))

    def send(self, session: Session, account: Account, body: Said, tags: str = "", label: str = "") -> None:
        """Store a message of a session to an account, and give it to all sessions of both when it is stored.

        A failure is reported by a Refusal. With a label the session gets an `Acknowledged` reply when it is stored.
        """
        session.queue(MessageAnnounced(account.id, body, tags, session.label or label, session.nick))

    def _announce(self, session: Session, sent: MessageAnnounced, done: Callable[[BrokerError | None], None]) -> None:
        """Announce a message, and publish it when that is durable."""
        mine, positions = session.account, self._core.positions
        assert mine and positions
        account = self._core.nicks.accounts.by_id(sent.to)
        if account is None:
            self._core.refuse(session, refusals.RECIPIENT_LEFT(), sent.label)
            done(None)
            return
        parties = Parties(mine, account, account.name)

        def announced(error: BrokerError | None) -> None:
            if error:
                self._core.refuse(session, refusals.NOT_STORED(reason=error), sent.label)
            else:
                posting = self._publish(session, parties, sent.body, sent.tags, sent.label, sent.nick)
                self._forget_unread()
                self._flying[posting.draft.id] = posting
                session.queue(MessageStored(posting.draft.id, mine.id, account.id))
            done(None)

        positions.announce(account.id, mine.id, announced)

    def change(self, session: Session, parties: Parties, body: Body, tags: str = "") -> None:
        """Store a change of a message, and show it to all sessions of both people when it is stored.

        Raises:
            Refused: the change is not a redaction, and one of the two keeps no history.

        """
        if type(body) is not Redacted and not self.keeps(session, parties.recipient):
            raise refusals.PRIVATE_NOT_KEPT()
        self._publish(session, parties, body, tags, nick=parties.author.name)

    def _publish(
        self, session: Session, parties: Parties, body: Body, tags: str = "", label: str = "", nick: str = ""
    ) -> Posting:
        room = RoomRef("", conversation_of(parties.author.id, parties.recipient.id))
        posting = self._core.publish(session, room, body, tags, label, nick)
        posting.parties = parties
        return posting

    def _settled(self, session: Session, sent: MessageStored, _: object) -> Event | None:
        """Return a notice for the author of a stored message whose recipient is not here."""
        posting = self._flying.pop(sent.id, None)
        if posting is None:  # another process has sent it, or `_forget_unread` has forgotten it
            return None
        assert self._core.positions
        self._core.positions.settled(sent.to, sent.author)
        if posting.entry is None or posting.parties is None:
            return None
        if posting.parties.recipient.host in self._core.owners:
            return None
        name = posting.parties.name
        return Notice((f"{name} is not here now, and will be shown your message at the next login",))

    def _forget_unread(self) -> None:
        """Forget the messages with an outcome whose sessions have left and may never read it: their peers are gone."""
        for id, one in list(self._flying.items()):
            if one.done and one.session and one.session.closed and one.session.paused:
                del self._flying[id]
                assert self._core.positions and one.parties
                self._core.positions.settled(one.parties.recipient.id, one.parties.author.id)

    def stored(self, entries: Sequence[Entry]) -> None:
        """Give stored private messages that this process published to all sessions of both people."""
        for entry in entries:
            posting = self._core.pipeline.find(entry)
            if posting and posting.parties and posting.session:
                # The session that has sent a message knows it; a change it is shown unless it gets an answer.
                knows = type(entry.body) is Said or posting.label
                self._give(posting.session if knows else None, posting.parties, entry)
                if type(entry.body) is Said and posting.parties.author.id != posting.parties.recipient.id:
                    self.arrived(posting.parties.recipient, Mention(entry.time, entry.room_id, entry.seq))

    def _give(self, knows: Session | None, parties: Parties, entry: Entry) -> None:
        """Give an entry to all sessions of both people, on all nodes, except to the one that knows it."""
        author, recipient = parties.author, parties.recipient
        event = Private(entry.nick, text_of(entry.body), parties.shown(entry), author.id)
        sender = self._core.owners.get(author.host)
        if sender and author.id != recipient.id:  # a note to oneself comes once
            copy = replace(event, user=recipient.id, to=parties.name)
            give([one for one in sender.sessions if one is not knows], copy)
            if self._remote.homes(sender):
                self._remote.send(sender, copy)
        target, given = self._core.owners.get(recipient.host), partial(self._note, recipient.id, author.id, entry.seq)
        if target is None:
            # They may have come on another node, and have been shown what waited, before this was stored.
            given(False)
            return
        here = give(target.sessions, event)
        if self._remote.homes(target):
            self._remote.deliver(target, event, lambda there: given(here or there))
        else:
            given(here)

    def _note(self, account: str, other: str, seq: int, given: bool | None) -> None:
        """Note whether somebody was given a message; one that they missed holds their position until the next login."""
        assert self._core.positions
        note = self._core.positions.given if given else self._core.positions.missed
        note(account, other, seq)
