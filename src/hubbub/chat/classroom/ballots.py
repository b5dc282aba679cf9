"""The open polls of a room as one session sees them, with its own vote."""

from __future__ import annotations

import hashlib
from base64 import b32encode
from collections.abc import Iterator, Sequence

from hubbub.chat.session import Room, Session
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
    mine = next(iter(chosen(session, poll).values()), 0) if session.nick else 0
    return OpenPoll(
        poll.id, poll.nick, body.question, body.answers, polls.counts(poll, body), mine, polls.guests(poll, body)
    )


def chosen(session: Session, poll: Entry) -> dict[str, int]:
    """Return the numbers of the answers that a session's person has chosen, by the texts with which they did so.

    There are several if somebody voted as a guest and then logged in.
    """
    found = {voter: polls.choice(poll, polled(poll), voter) for voter in voters_of(session, poll)}
    return {voter: choice for voter, choice in found.items() if choice}


def voters_of(session: Session, poll: Entry) -> list[str]:
    """Return the texts that stand for a voter, each the same for all their votes in one poll, but not in another one.

    The first is that of the person as they are now: an account, a browser, or else a name with its host. A guest who
    changes the name is the same voter as before. One who leaves and comes back under another name is not, so those
    whom only their name tells apart are marked: their number is shown with the votes. The others are those with which
    this session's person may have voted before: a guest who has logged in, or whose votes were not marked yet.
    """
    named = _token(poll.id, session.came_as)
    return [*(_token(poll.id, person) for person in _known(session)), polls.NAMED + named[1:], named]


def token_of(session: Session, purpose: str) -> str:
    """Return a text of polls.VOTER characters for the person behind a session: the same one for the same purpose."""
    return _token(purpose, next(iter(_known(session)), session.came_as))


def _known(session: Session) -> list[str]:
    """Return the account and the browser of a session's person, as far as there are some."""
    account = session.account
    return [one for one in (account.id if account else "", session.browser) if one]


def _token(purpose: str, person: str) -> str:
    digest = hashlib.blake2b(f"{purpose} {person}".encode(), digest_size=8).digest()
    return b32encode(digest).decode().lower()[: polls.VOTER]


def polled(poll: Entry) -> Polled:
    """Return the question and the answers of a poll."""
    assert isinstance(poll.body, Polled)
    return poll.body
