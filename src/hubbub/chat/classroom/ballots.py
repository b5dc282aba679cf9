"""The open polls of a room as one session sees them, with its own vote."""

from __future__ import annotations

import hashlib
from base64 import b32encode
from collections.abc import Iterator, Sequence

from hubbub.chat.session import Room, Session, owner
from hubbub.model.entries import Entry, Polled
from hubbub.model.events import OpenPoll
from hubbub.model.messages import polls
from hubbub.model.notices.ignoring import hides


def listed(session: Session, room: Room) -> Sequence[OpenPoll]:
    """Return the open polls of a room as a session sees them, the oldest first, without those of ignored people."""
    return tuple(poll for _, poll in numbered(session, room))


def numbered(session: Session, room: Room) -> Iterator[tuple[int, OpenPoll]]:
    """Yield the same polls with their numbers, which are the same for everybody."""
    for number, poll in enumerate(room.state.polls.values(), 1):
        if not hides(session.ignored, poll):
            yield number, seen(session, poll)


def seen(session: Session, poll: Entry) -> OpenPoll:
    """Return a poll as a session sees it."""
    body = polled(poll)
    mine = polls.choice(poll, body, voter_of(session, poll)) if session.nick else 0
    return OpenPoll(
        poll.id, poll.nick, body.question, body.answers, polls.counts(poll, body), mine, polls.guests(poll, body)
    )


def voter_of(session: Session, poll: Entry) -> str:
    """Return a text for a voter that is the same for all their votes in one poll, but another one in each poll.

    A person is an account, a browser, or else a name with its host: a guest who changes the name is the same voter as
    before. One who leaves and comes back under another name is not, so those whom only their name tells apart are
    marked: their number is shown with the votes.
    """
    token = token_of(session, poll.id)
    # A vote from before there was the mark stays the vote of its voter.
    if session.account or session.browser or polls.choice(poll, polled(poll), token):
        return token
    return polls.NAMED + token[1:]


def token_of(session: Session, purpose: str) -> str:
    """Return a text of polls.VOTER characters for the person behind a session: the same one for the same purpose."""
    account = session.account
    person = account.id if account else session.browser or owner(session).came_as
    digest = hashlib.blake2b(f"{purpose} {person}".encode(), digest_size=8).digest()
    return b32encode(digest).decode().lower()[: polls.VOTER]


def polled(poll: Entry) -> Polled:
    """Return the question and the answers of a poll."""
    assert isinstance(poll.body, Polled)
    return poll.body
