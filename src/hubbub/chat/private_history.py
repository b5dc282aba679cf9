"""The past of private conversations: missed messages, answers to queries, and the list of the conversations."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from msgspec.structs import replace

from hubbub.chat.core import Core
from hubbub.chat.positions import Position, Positions
from hubbub.chat.session import Session
from hubbub.errors import BrokerError
from hubbub.model.account import Account
from hubbub.model.conversation import conversation_of, is_conversation, partner_of
from hubbub.model.entries import Entry
from hubbub.model.events import Missed, Notice, PrivateShown
from hubbub.model.queries import After, Latest, LogPage, LogQuery
from hubbub.text import refusals
from hubbub.text.cleaning import beginning, clean

MISSED = 200  # most messages of one conversation that a login shows
CONVERSATIONS = 100  # most conversations that a login, or a list of them, looks into
END = (1 << 62) - 1  # higher than every number

Pages = list[LogPage | BrokerError]


class Conversation(NamedTuple):
    """A private conversation of a session's user: the name of its room, and the account of the other person."""

    name: str
    account: Account


class PrivateHistory:
    """Read private conversations for the two people in them."""

    def __init__(self, core: Core) -> None:
        self._core = core

    def room_with(self, session: Session, name: str) -> Conversation:
        """Return the conversation between a session and the owner of a name, which may begin with @.

        Raises:
            Refused: the session is not logged in, or nobody else owns the name.

        """
        mine = self._mine(session)
        if mine is None:
            raise refusals.NOT_LOGGED_IN()
        account = self._core.nicks.accounts.find(name.removeprefix("@"))
        if account is None or account.id == mine.id:
            raise refusals.NO_SUCH_NAME(name=beginning(clean(name)))
        return Conversation(conversation_of(mine.id, account.id), account)

    def shown(self, session: Session, page: LogPage) -> LogPage:
        """Return a page as wires show it: the room of a private message is `@` and the name of its recipient."""
        mine = self._mine(session)
        if mine is None or not any(is_conversation(entry.room) for entry in page.entries):
            return page
        return replace(page, entries=[self._shown(mine, entry) for entry in page.entries])

    def _shown(self, mine: Account, entry: Entry) -> Entry:
        if not is_conversation(entry.room):
            return entry
        to = mine.name if entry.host != mine.host else self._name_of(partner_of(entry.room, mine.id))
        return replace(entry, room=f"@{to}")

    @staticmethod
    def _mine(session: Session) -> Account | None:
        return session.user.account if session.user else None

    def _name_of(self, id: str) -> str:
        """Return the name of an account; its id if the account is forgotten."""
        account = self._core.nicks.accounts.by_id(id)
        return account.name if account else id

    def event(
        self, session: Session, account: Account, page: LogPage, none: str, more: str = ""
    ) -> PrivateShown | Notice:
        """Return the event that shows a session a page of its conversation with an account.

        Args:
            session: the session.
            account: the other account.
            page: the page.
            none: a sentence for an empty page.
            more: a sentence for a page that was cut.

        """
        notes = (page.note,) if page.note else ()
        if not page.entries:
            return Notice((none, *notes))
        tail = (*((more,) if page.more and more else ()), *notes)
        entries = self.shown(session, page).entries
        return PrivateShown(entries, self._core.clock(), session.nick, account.name, account.id, tail=tail)

    def note_given(self, session: Session, account: Account, page: LogPage) -> None:
        """Note that a session was given a page of its conversation with an account."""
        mine, positions = self._mine(session), self._core.positions
        if page.entries and mine and positions:
            positions.given(mine.id, account.id, max(entry.seq for entry in page.entries))

    # --- all conversations of somebody ------------------------------------------------------------------------------

    def catch_up(self, session: Session) -> None:
        """Show a session the private messages that its user has missed; do nothing for a guest."""
        mine, positions = self._mine(session), self._core.positions
        if mine is None or positions is None:
            return

        def known(found: Sequence[Position] | BrokerError) -> None:
            waiting = [] if isinstance(found, BrokerError) else [one for one in found if one.waiting][:CONVERSATIONS]
            rooms = [conversation_of(mine.id, one.other) for one in waiting]
            viewer = self._core.viewer(session)
            queries = [
                After(room, one.seq, END, MISSED, said=True, viewer=viewer)
                for room, one in zip(rooms, waiting, strict=True)
            ]
            self._read(queries, lambda pages: self._show_missed(session, mine, positions, waiting, pages))

        positions.of(mine.id, known)

    def _show_missed(
        self, session: Session, mine: Account, positions: Positions, waiting: Sequence[Position], pages: Pages
    ) -> None:
        """Show a session the messages of others in some conversations, and note that it was given them."""
        if session.closed or session.user is None:
            return
        events = []
        for one, page in zip(waiting, pages, strict=True):
            if isinstance(page, BrokerError):
                continue  # the next login shows them
            missed = [entry for entry in page.entries if entry.host != mine.host]
            if missed:
                name = self._name_of(one.other)
                entries = self.shown(session, LogPage(missed)).entries
                tail = (f"There is more, see /history {name}",) if page.more else ()
                events.append(PrivateShown(entries, self._core.clock(), mine.name, name, one.other, True, tail))
            session.user.unread.discard(one.other)
            seq = page.entries[-1].seq if page.entries else one.seq
            positions.given(mine.id, one.other, seq, all=not page.more)
        if events:
            since = min(event.entries[0].time for event in events)
            self._core.reply(
                session, Missed("", sum(len(event.entries) for event in events), since, self._core.clock())
            )
        for event in events:
            self._core.reply(session, event)

    def list(self, session: Session, done: Callable[[Sequence[tuple[str, float]]], None]) -> None:
        """Call `done` with the other user's name and the time of the last message of each conversation of a session."""
        mine, positions = self._mine(session), self._core.positions
        if mine is None or positions is None:
            done(())
            return

        def known(found: Sequence[Position] | BrokerError) -> None:
            others = [] if isinstance(found, BrokerError) else [one.other for one in found[-CONVERSATIONS:]]
            viewer = self._core.viewer(session)
            queries = [Latest(conversation_of(mine.id, other), 1, viewer=viewer) for other in others]
            self._read(queries, lambda pages: done(self._times(others, pages)))

        positions.of(mine.id, known)

    def _times(self, others: Sequence[str], pages: Pages) -> Sequence[tuple[str, float]]:
        return [
            (self._name_of(other), page.entries[-1].time)
            for other, page in zip(others, pages, strict=True)
            if isinstance(page, LogPage) and page.entries
        ]

    def _read(self, queries: Sequence[LogQuery], then: Callable[[Pages], None]) -> None:
        """Answer queries one after the other, and call `then` with all answers."""
        pages: Pages = []

        def answered(page: LogPage | BrokerError) -> None:
            pages.append(page)
            go_on()

        def go_on() -> None:
            if len(pages) < len(queries):
                self._core.read(queries[len(pages)], answered)
            else:
                then(pages)

        go_on()
