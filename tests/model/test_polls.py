"""Polls: the effect of votes on the entry of a poll and on its room, and polls in words."""

from __future__ import annotations

import pytest
from msgspec import structs

from hubbub.model.entries import Body, Edited, Entry, Erased, PollClosed, Polled, Quote, Reacted, Redacted, Said, Voted
from hubbub.model.messages import polls
from hubbub.model.messages.overlays import overlaid
from hubbub.model.messages.quotes import with_results
from hubbub.model.messages.redactions import REACTIONS, Redactions
from hubbub.model.room.state import MAX_POLLS, RoomState
from hubbub.text.tags import clean_tags, shown

TEA = Polled("tea?", ("yes", "no"))


def entry(body: Body, id: str = "x.1", seq: int = 1, tags: str = "") -> Entry:
    return Entry("ops", seq, seq - 1, float(seq), "Ann", id, body, "~nc@ann.nc", tags)


def voter(number: int) -> str:
    return f"{number:010}"


def after(poll: Entry, *bodies: Body) -> Entry:
    for number, body in enumerate(bodies, 2):
        poll = overlaid(poll, entry(body, f"y.{number}", number))
    return poll


def test_each_voter_has_one_vote_until_the_poll_is_closed() -> None:
    poll = entry(TEA, tags="+a=b")
    assert polls.counts(poll, TEA) == [0, 0] and not polls.is_closed(poll)
    poll = after(poll, *(Voted("x.1", choice, voter(who)) for who, choice in ((1, 1), (2, 2), (1, 2), (3, 1), (3, 1))))
    assert polls.votes(poll, TEA) == [[voter(3)], [voter(2), voter(1)]]
    assert (polls.choice(poll, TEA, voter(1)), polls.choice(poll, TEA, voter(9))) == (2, 0)
    poll = after(
        poll, Voted("x.1", 0, voter(2)), Voted("x.1", 3, voter(3)), Voted("x.1", 1, "me"), Voted("x.2", 1, "x")
    )
    assert polls.counts(poll, TEA) == [1, 1] and shown(poll.tags) == "+a=b" and clean_tags(poll.tags) == poll.tags
    closed = after(poll, PollClosed("x.1"), PollClosed("x.1"), Voted("x.1", 1, voter(1)))
    assert polls.is_closed(closed) and polls.counts(closed, TEA) == [1, 1]
    assert after(entry(TEA), Voted("x.1", 1, voter(1)), Voted("x.1", 0, voter(1))).tags == ""


@pytest.mark.parametrize("body", [Edited("x.1", "coffee?"), Reacted("x.1", "👍")])
def test_a_poll_is_neither_corrected_nor_reacted_to(body: Body) -> None:
    poll = entry(TEA)
    assert overlaid(poll, entry(body, "y.2", 2)) is poll


def test_a_message_is_no_poll() -> None:
    said = entry(Said("tea?"))
    assert overlaid(said, entry(Voted("x.1", 1, voter(1)), "y.2", 2)) is said
    assert overlaid(said, entry(PollClosed("x.1"), "y.2", 2)) is said


def test_votes_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(polls, "MOST_VOTES", 2)
    poll = after(entry(TEA), *(Voted("x.1", 1, voter(who)) for who in range(3)), Voted("x.1", 2, voter(0)))
    assert polls.votes(poll, TEA) == [[voter(1)], [voter(0)]]


def test_damaged_votes_are_none() -> None:
    assert polls.counts(entry(TEA, tags=f"votes=x.{voter(1)}.{voter(2)}"), TEA) == [0, 1]


def test_a_room_knows_its_open_polls_and_keeps_them_in_its_snapshot() -> None:
    state = RoomState("ops")
    for number in range(MAX_POLLS + 1):
        state.apply(entry(TEA, f"x.{number}", number + 1))
    assert list(state.polls) == [f"x.{number}" for number in range(1, MAX_POLLS + 1)]
    assert state.apply(entry(Voted("x.2", 1, voter(1)), "y.1", 20))
    assert not state.apply(entry(Voted("x.2", 1, voter(1)), "y.2", 21))
    assert not state.apply(entry(Voted("x.0", 1, voter(1)), "y.3", 22))
    again = RoomState("ops", state.snapshot())
    assert again.polls == state.polls and polls.counts(again.polls["x.2"], TEA) == [1, 0]
    end = entry(PollClosed("x.2"), "y.4", 23)
    assert state.apply(end) and not state.apply(end) and "x.2" not in state.polls
    assert state.apply(entry(Redacted("x.3"), "y.5", 24)) and list(state.polls) == ["x.1", "x.4", "x.5"]
    assert [one.id for one in RoomState("ops", state.snapshot()).polls.values()] == ["x.1", "x.4", "x.5"]
    assert not RoomState("ops", [entry(TEA, tags="closed")]).polls


def test_a_deleted_poll_has_no_text() -> None:
    assert after(entry(TEA), Redacted("x.1")).body == Erased()


def test_end_of_a_poll_has_its_result() -> None:
    state, end = RoomState("ops", [entry(TEA), entry(Voted("x.1", 1, voter(1)), "y.1", 2)]), entry(PollClosed("x.1"))
    state.apply(end)
    (told,) = with_results([end], state.closed_polls)
    assert told.quote == Quote("Ann", "tea? yes 1, no 0 (1 vote by guests who can vote again under another name)")
    (unknown,) = with_results([end], ())
    assert unknown.quote is None


def test_end_of_a_poll_that_is_deleted_later_has_no_result() -> None:
    state, end = RoomState("ops", [entry(TEA)]), entry(PollClosed("x.1"), "y.1", 2)
    state.apply(end)
    (told,) = with_results([end], state.closed_polls)
    assert told.quote and overlaid(told, entry(Redacted("x.1"), "y.2", 3)) == end
    state.apply(entry(Redacted("x.1"), "y.2", 3))
    (told,) = with_results([end], state.closed_polls)
    assert told.quote is None


def test_reaction_to_a_deleted_message_does_not_quote_it() -> None:
    reaction = entry(Reacted("x.1", "👍"), "y.1", 2)
    quoting = structs.replace(reaction, quote=Quote("Ann", "secret"))
    assert overlaid(quoting, entry(Redacted("x.1"), "y.2", 3)) == reaction


def test_end_of_a_poll_is_not_forgotten_for_many_votes() -> None:
    known = Redactions()
    known.note(entry(PollClosed("x.1"), "y.0", 2))
    for number in range(REACTIONS + 2):
        known.note(entry(Voted("x.1", 1, voter(number)), f"y.{number}", number + 3))
    (poll,) = known.apply([entry(TEA)])
    assert polls.is_closed(poll)


def test_polls_in_words() -> None:
    assert polls.ballot(TEA) == "tea? 1) yes 2) no"
    assert polls.ballot(Polled("Lunch", ("pizza", "soup"))) == "Lunch: 1) pizza 2) soup"
    assert polls.result(entry(TEA), TEA) == "tea? yes 0, no 0"


def test_poll_is_asked_with_its_votes_and_the_way_to_vote_while_it_is_open() -> None:
    poll = entry(TEA, tags="+a=b")
    assert polls.asked(poll, TEA, "type /vote") == "tea? 1) yes 2) no (type /vote)"
    closed = after(poll, PollClosed("x.1"))
    assert polls.asked(closed, TEA, "type /vote") == "tea? 1) yes 2) no [yes 0, no 0] (closed)"
    poll = after(poll, Voted("x.1", 1, "abcdefghij"))
    assert polls.asked(poll, TEA) == "tea? 1) yes 2) no [yes 1, no 0]"
    assert polls.asked(poll, TEA, "type /vote") == "tea? 1) yes 2) no [yes 1, no 0] (type /vote)"


def test_votes_of_guests_who_can_vote_again_are_told() -> None:
    owners = [Voted("x.1", 1, "abcdefghij"), Voted("x.1", 2, "bbcdefghij")]
    poll = after(entry(TEA), *owners)
    assert polls.guests(poll, TEA) == 0 and polls.result(poll, TEA) == "tea? yes 1, no 1"
    poll = after(entry(TEA), *owners, Voted("x.1", 1, voter(1)), Voted("x.1", 2, voter(2)), Voted("x.1", 1, voter(2)))
    assert polls.guests(poll, TEA) == 2
    assert polls.score(poll, TEA) == "yes 3, no 1 (2 votes by guests who can vote again under another name)"
