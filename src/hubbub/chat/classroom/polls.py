"""Polls: a question to the room, with one vote for each person."""

from __future__ import annotations

from collections.abc import Sequence
from operator import attrgetter
from typing import TYPE_CHECKING

from hubbub.chat.classroom import ballots, hands
from hubbub.chat.classroom.ballots import polled
from hubbub.chat.session import wrote
from hubbub.model.access import Action
from hubbub.model.entries import Entry, PollClosed, Polled, Redacted, Voted
from hubbub.model.messages import polls
from hubbub.model.notices.ignoring import Ignored, shown
from hubbub.model.room.state import MAX_POLLS
from hubbub.text import refusals
from hubbub.text.cleaning import is_blank, one_line

if TYPE_CHECKING:
    from hubbub.chat.hub import Hub
    from hubbub.chat.session import Room, Session

STALE = 7 * 86_400.0  # seconds after which an open poll gives way to a new one


def open_poll(hub: Hub, session: Session, room: Room, question: str, answers: Sequence[str]) -> None:
    """Publish a poll. Raises Refused."""
    hub.check(session, Action.POLL, room)
    question, *clean = (one_line(text)[0].replace("|", "/").strip() for text in (question, *answers))
    chosen = tuple(dict.fromkeys(text for text in clean if not is_blank(text)))
    if is_blank(question) or not polls.LEAST_ANSWERS <= len(chosen) <= polls.MOST_ANSWERS:
        raise refusals.POLL_INVALID(limit=polls.MOST_ANSWERS)
    if sum(len(text.encode()) for text in (question, *chosen)) > polls.POLL_BYTES:
        raise refusals.POLL_TOO_LONG(limit=polls.POLL_BYTES)
    _make_way(hub, session, room)
    viewer = hub.viewer(session)
    room.state.slow.note(viewer)
    hub.publish(session, room.state, Polled(question, chosen), nick=session.nick)
    assert viewer.user is not None  # as for everybody in a room
    hands.use_turn(hub, session, room, viewer.user)


def _make_way(hub: Hub, session: Session, room: Room) -> None:
    """Publish the ends of the oldest polls until there is a place for one more, so that the history shows them closed.

    Polls of others that are not stored yet take a place as well. Raises Refused if the oldest polls are not stale.
    """
    lasting = (poll for poll in room.state.polls.values() if not hub.pipeline.is_ending(poll.id))
    staying = sorted(lasting, key=attrgetter("time"))
    coming = sum(isinstance(body, Polled) for body in hub.pipeline.bodies(room.id))
    surplus = len(staying) + coming + 1 - MAX_POLLS
    oldest = staying[: max(0, surplus)]
    if len(oldest) < surplus or any(poll.time > hub.clock() - STALE for poll in oldest):
        raise refusals.POLLS_FULL(limit=MAX_POLLS)
    # The request is for the new poll, so that one is its answer.
    with session.labelled(""):
        for poll in oldest:
            hub.publish(session, room.state, PollClosed(poll.id), nick=session.nick)


def vote(hub: Hub, session: Session, room: Room, poll: Entry, choice: int) -> str:
    """Publish a vote for an answer by its number, 0 to take it back, and return the answer, "" for none.

    Raises Refused.
    """
    hub.check(session, Action.VOTE, room)
    _check_lasts(hub, poll)
    body = polled(poll)
    if not 0 <= choice <= len(body.answers):
        raise refusals.NO_SUCH_ANSWER(limit=len(body.answers))
    voter, before = ballots.voters_of(session, poll)[0], ballots.chosen(session, poll)
    if choice and not before and sum(polls.counts(poll, body)) >= polls.MOST_VOTES:
        raise refusals.VOTES_FULL(limit=polls.MOST_VOTES)
    # A vote as a guest, before the login, gives way to that of the account.
    changes = [(one, 0) for one in before if one != voter] + [(voter, choice)] * (choice != before.get(voter, 0))
    for number, (one, answer) in enumerate(changes, 1):
        with session.labelled(session.label if number == len(changes) else ""):
            hub.publish(session, room.state, Voted(poll.id, answer, one), nick=session.nick)
    return body.answers[choice - 1] if choice else ""


def close_poll(hub: Hub, session: Session, room: Room, poll: Entry) -> None:
    """Publish the end of a poll. Raises Refused."""
    hub.check(session, Action.CLOSE_OWN_POLL if wrote(session, poll) else Action.CLOSE_POLL, room)
    _check_lasts(hub, poll)
    hub.publish(session, room.state, PollClosed(poll.id), nick=session.nick)


def delete_poll(hub: Hub, session: Session, room: Room, poll: Entry) -> None:
    """Publish that a poll is deleted. Raises Refused."""
    hub.check(session, Action.REDACT_OWN if wrote(session, poll) else Action.REDACT, room)
    _check_lasts(hub, poll)
    hub.publish(session, room.state, Redacted(poll.id))


def _check_lasts(hub: Hub, poll: Entry) -> None:
    """Raise Refused if somebody has ended or deleted a poll already, and that is not stored yet."""
    if hub.pipeline.is_ending(poll.id):
        raise refusals.NO_SUCH_POLL()


def find(room: Room, number: int = 0, id: str = "", ignored: Sequence[Ignored] = ()) -> Entry:
    """Return the open poll of a room with a number, counted from the oldest one, or with an id; else the newest one.

    The newest one is none by the people in `ignored`: whoever ignores them was not shown it. Raises Refused if there is
    none.
    """
    known = list(room.state.polls.values())
    if id:
        found = [poll for poll in known if poll.id == id]
    elif number:
        found = known[number - 1 : number]
    else:
        found = [*shown(ignored, known)][-1:]
    if not found:
        raise refusals.NO_SUCH_POLL()
    return found[0]
