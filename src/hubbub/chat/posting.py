"""A draft on its way into the log, as the process that has published it knows it."""

from __future__ import annotations

from typing import Any, Generic, TypeVar

from msgspec import Struct, structs

from hubbub.model.accounts.account import Account
from hubbub.model.entries import Draft, Entry, Joined, Left, ModesChanged, NickChanged, Said
from hubbub.model.events import Acknowledged, Event, Refusal
from hubbub.text import refusals
from hubbub.text.cleaning import beginning

MEMBERSHIP = (Joined, Left, NickChanged)  # bodies that change a user, with all their sessions

PublisherT = TypeVar("PublisherT")


class Parties(Struct, frozen=True, eq=False):
    """The accounts of the author and the recipient of a stored private message.

    `name` is that by which the author names the recipient.
    """

    author: Account
    recipient: Account
    name: str

    def shown(self, entry: Entry) -> Entry:
        """Return the message as wires show it: in the room `@NAME`."""
        return structs.replace(entry, room=f"@{self.name}")


class PostingOf(Struct, Generic[PublisherT], eq=False):
    """A draft on its way into the log, with everything about it that only this process needs to know.

    Its publisher is a session; chat/session.py has the class of those.

    Args:
        draft: the draft, as the log gets it.
        session: the session that published it and waits for the outcome, or None.
        label: the session's own identifier for it: the reply repeats it, and the stored id ends with it.
        size: the characters of its text while it is in the pipeline.
        typed: changes as its own session typed them, if they are stored in another form: with a room key in plain text.
        after: of a join: the number after which its session wants to go on.
        entry: the stored entry.
        settled: whether it has its outcome.
        done: whether its session does not wait for its outcome: it has one, or the draft is published again.
        error: the reason of the failed commit.
        definite: with an error, whether it is certain that the draft is not stored.
        watchers: other sessions that wait for its outcome.
        parties: the accounts that it is from and for, if it is a private message.

    """

    draft: Draft
    session: PublisherT | None = None
    label: str = ""
    size: int = 0
    typed: ModesChanged | None = None
    after: int | None = None
    entry: Entry | None = None
    settled: bool = False
    done: bool = False
    error: str | None = None
    definite: bool = True
    watchers: list[PublisherT] | None = None
    parties: Parties | None = None

    @property
    def outcome(self) -> Event | None:
        """The reply for its session, if there is anything to say."""
        draft = self.draft
        if self.error and not self.definite:
            # Without a label, the text itself tells the user which message the refusal is about.
            if isinstance(draft.body, Said):
                unsure = refusals.MESSAGE_NOT_CONFIRMED(reason=self.error, text=beginning(draft.body.text))
            else:
                unsure = refusals.NOT_CONFIRMED(reason=self.error)
            return Refusal.of(unsure, self.label)
        if self.error and isinstance(draft.body, Joined):
            return Refusal.of(refusals.JOIN_NOT_STORED(reason=self.error, room=draft.room), self.label)
        if self.error:
            return Refusal.of(refusals.NOT_STORED(reason=self.error), self.label)
        entry = structs.replace(self.entry, body=self.typed) if self.entry and self.typed else self.entry
        return self.acknowledged(entry) if entry and self.label else None

    def acknowledged(self, entry: Entry) -> Acknowledged:
        """Return the reply that says that it is stored as this entry."""
        if self.parties:
            return Acknowledged(self.label, self.parties.shown(entry), self.parties.recipient.id)
        return Acknowledged(self.label, entry)


class Barrier:
    """A place among a session's replies: those behind it wait until a posting, also of another session, has an outcome.

    Args:
        posting: the posting.

    """

    __slots__ = ("posting",)

    def __init__(self, posting: PostingOf[Any]) -> None:
        self.posting = posting

    @property
    def done(self) -> bool:
        """Whether the replies behind it need not wait any more."""
        return self.posting.done
