"""The past of private conversations: missed messages, answers to queries, and the list of the conversations."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from msgspec.structs import replace

from hubbub.chat.core import Core
from hubbub.chat.posting import Parties
from hubbub.chat.private.positions import Position, Positions
from hubbub.chat.session import Session
from hubbub.errors import BrokerError
from hubbub.model.accounts.account import Account
from hubbub.model.conversation import conversation_of, is_conversation, partner_of
from hubbub.model.entries import Entry
from hubbub.model.events import Missed, Notice, PrivateShown
from hubbub.model.notices.ignoring import shown
from hubbub.model.queries import LAST, After, Latest, LogPage, LogQuery
from hubbub.model.viewer import Viewer
from hubbub.text import refusals
from hubbub.text.bounds import FOLDED_CHARS
from hubbub.text.cleaning import beginning, clean
from hubbub.text.list_pages import ListPart
from hubbub.text.names import key_of

MISSED = 200  # most messages of one conversation that a login shows
CONVERSATIONS = 100  # most conversations that a login, or a list of them, looks into

Pages = list[LogPage | BrokerError]


class Conversation(NamedTuple):
    """A private conversation as one of the two sees it: the name of its room, and the one as author of messages."""

    name: str
    parties: Parties

    @property
    def id(self) -> str:
        """No id: the room is found by its name, which never changes."""
        return ""


class ConversationList(NamedTuple):
    """A part of somebody's conversations.

    Args:
        last: the names of the others, each with the time of the last message; those without messages are left out.
        more: the number of conversations that are not in this part.
        end: the last name of this part, whether it is left out or not; "" for an empty part.

    """

    last: Sequence[tuple[str, float]]
    more: int
    end: str


class PrivateHistory:
    """Read private conversations for the two people in them."""

    def __init__(self, core: Core) -> None:
        self._core = core

    def room_with(self, session: Session, name: str) -> Conversation:
        """Return the conversation between a session and the owner of a name, which may begin with @.

        Raises:
            Refused: the session is not logged in, or nobody else owns the name.

        """
        if session.account is None:
            raise refusals.NOT_LOGGED_IN()
        if not self._core.viewer(session).account:
            raise refusals.TOKEN_SCOPE(scope="private")
        return self.between(session.account, name)

    def between(self, mine: Account, name: str) -> Conversation:
        """Return the conversation between an account and the owner of a name, which may begin with @; notes to oneself.

        Raises:
            Refused: nobody owns the name.

        """
        short, accounts = name.removeprefix("@")[: FOLDED_CHARS + 1], self._core.nicks.accounts
        account = accounts.find(short) or accounts.former(short)
        if account is None:
            raise refusals.NO_SUCH_NAME(name=beginning(clean(short)))
        return Conversation(conversation_of(mine.id, account.id), Parties(mine, account, account.name))

    def of_room(self, session: Session, room: str) -> Conversation:
        """Return the conversation of a session's account that has a room of this name.

        Raises:
            Refused: the session is not logged in, or nothing is known of the other account.

        """
        if session.account is None:
            raise refusals.NOT_LOGGED_IN()
        return self.between(session.account, self._name_of(partner_of(room, session.account.id)))

    def shown(self, session: Session, page: LogPage) -> LogPage:
        """Return a page as wires show it to a session."""
        return self.shown_to(session.account, page)

    def shown_to(self, mine: Account | None, page: LogPage) -> LogPage:
        """Return a page as wires show it: the room of a private message is `@` and the name of its recipient."""
        if mine is None:
            return page
        seen = shown(mine.ignored, page.entries)
        page = page if seen is page.entries else replace(page, entries=seen)
        if not any(is_conversation(entry.room) for entry in page.entries):
            return page
        return replace(page, entries=[self._shown(mine, entry) for entry in page.entries])

    def _shown(self, mine: Account, entry: Entry) -> Entry:
        if not is_conversation(entry.room):
            return entry
        to = mine.name if entry.host != mine.host else self._name_of(partner_of(entry.room, mine.id))
        return replace(entry, room=f"@{to}")

    def _mine(self, session: Session) -> Account | None:
        """Return the account of a session that may read its private conversations."""
        return session.account if self._core.viewer(session).account else None

    def _name_of(self, id: str) -> str:
        """Return the name by which `between` finds an account; its id if nothing is known of it."""
        accounts = self._core.nicks.accounts
        account = accounts.by_id(id) or accounts.former_by_id(id)
        return account.name if account else id

    def event(self, session: Session, other: str, page: LogPage, none: str, more: str = "") -> PrivateShown | Notice:
        """Return the event that shows a session a page of a conversation.

        Args:
            session: the session.
            other: the id of the other account.
            page: the page.
            none: a sentence for an empty page.
            more: a sentence for a page that was cut.

        """
        notes = (page.note,) if page.note else ()
        if not page.entries:
            return Notice((none, *notes))
        tail = (*((more,) if page.more and more else ()), *notes)
        entries = self.shown(session, page).entries
        return PrivateShown(entries, self._core.clock(), session.nick, self._name_of(other), other, tail=tail)

    def note_given(self, session: Session, other: str, page: LogPage) -> None:
        """Note that a session was given a page of the conversation with the account with an id."""
        if page.entries and self._core.positions and session.account:
            seq = max(entry.seq for entry in page.entries)
            self._core.positions.given(session.account.id, other, seq)

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
                After(room, one.seq, LAST, MISSED, history=True, viewer=viewer)
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
                positions.missed(mine.id, one.other, one.seq + 1)  # the next login shows them
                continue
            missed = [entry for entry in shown(mine.ignored, page.entries) if entry.host != mine.host]
            if missed:
                name = self._name_of(one.other)
                entries = self.shown(session, LogPage(missed)).entries
                tail = (f"There is more, see /history {name}",) if page.more else ()
                events.append(PrivateShown(entries, self._core.clock(), mine.name, name, one.other, True, tail))
            seq = page.entries[-1].seq if page.entries else one.seq
            positions.shown(mine.id, one.other, seq, all=not page.more)
        if events:
            since = min(event.entries[0].time for event in events)
            self._core.reply(
                session, Missed("", sum(len(event.entries) for event in events), since, self._core.clock())
            )
        for event in events:
            self._core.reply(session, event)

    def list(self, session: Session, done: Callable[[Sequence[tuple[str, float]]], None]) -> None:
        """Call `done` with the other user's name and the time of the last message of each conversation of a session."""

        def listed(found: ConversationList | BrokerError) -> None:
            done(() if isinstance(found, BrokerError) else found.last)

        mine = self._mine(session)
        if mine is None:
            done(())
        else:
            self.list_of(mine, self._core.viewer(session), ListPart(limit=CONVERSATIONS), listed)

    def list_of(
        self, mine: Account, viewer: Viewer, part: ListPart, done: Callable[[ConversationList | BrokerError], None]
    ) -> None:
        """Call `done` with a part of the conversations of an account, those that changed last first."""

        def known(found: Sequence[Position] | BrokerError) -> None:
            if isinstance(found, BrokerError):
                done(found)
                return
            names = {self._name_of(one.other): one.other for one in reversed(found)}
            shown = list(names)
            if part.after is not None:
                shown = sorted((name for name in shown if key_of(name) > key_of(part.after)), key=key_of)
            listed = shown[: min(part.limit, CONVERSATIONS)]
            queries = [Latest(conversation_of(mine.id, names[name]), 1, viewer=viewer) for name in listed]
            self._read(queries, lambda pages: done(_with_times(listed, pages, len(shown) - len(listed))))

        if self._core.positions:
            self._core.positions.of(mine.id, known)
        else:
            done(ConversationList((), 0, ""))

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


def _with_times(names: Sequence[str], pages: Pages, more: int) -> ConversationList:
    last = [
        (name, page.entries[-1].time)
        for name, page in zip(names, pages, strict=True)
        if isinstance(page, LogPage) and page.entries
    ]
    return ConversationList(last, more, names[-1] if names else "")
