"""Polls, as the people in a room see them."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from test_account_users import Town
from test_classroom import told
from test_many_reactions import calls

from doubles import House, Peer
from hubbub.chat import messages
from hubbub.chat.classroom import ballots, polls
from hubbub.chat.messages import Which
from hubbub.errors import Refused
from hubbub.model.entries import Kind, PollClosed, Voted
from hubbub.model.events import Acknowledged, OpenPoll, PollCounted, Refusal, RoomEntered
from hubbub.model.messages import polls as model
from hubbub.model.room.state import MAX_POLLS, RoomState
from hubbub.wire.line import encoder as line
from ops_room import ops, typed


def counted(peer: Peer, told: bool = False) -> list[PollCounted]:
    return [one for one in peer.sees() if isinstance(one, PollCounted) and one.told is told]


def state(house: House) -> RoomState:
    made: RoomState = house.hub.rooms.loaded["ops"].state
    assert RoomState("ops", made.snapshot()).polls == made.polls
    return made


def by_guests(number: int) -> str:
    return f" ({number} vote{'s' * (number > 1)} by guests who can vote again under another name)"


def lines(peer: Peer) -> list[str]:
    """Return the lines that a peer is shown, without counts."""
    peer.seen = [one for one in peer.seen if not isinstance(one, PollCounted)]
    return told(peer)


def test_everybody_has_one_vote_which_they_can_change_until_the_end() -> None:
    house, (al, bo, cy) = ops("Al", "Bo", "Cy")
    typed(house, al, "/poll  tea? |yes| no | yes ||")
    assert lines(bo) == ["*** Al asks: tea? 1) yes 2) no (type /vote and a number) ***"]
    typed(house, bo, "/vote 1", "/vote no", "/vote 1", "/vote 1")
    typed(house, cy, "/vote YES", "/vote 0", "/vote 0", "/vote 2 1", "/poll")
    assert lines(bo) == ["tea? Your vote: yes", "tea? Your vote: no", "tea? Your vote: yes", "tea? Your vote: yes"]
    none = "tea? You have no vote"
    assert lines(cy)[1:] == [
        "tea? Your vote: yes", none, none, "tea? Your vote: no",
        f"1. tea? 1) yes 1, 2) no 1{by_guests(2)} (your vote: no)",
    ]  # fmt: skip
    assert len([one for one in house.broker.log if one.kind is Kind.VOTE]) == 6
    house.forget()
    typed(house, bo, "/poll close")
    typed(house, al, "/poll close", "/vote 1", "/poll")
    assert lines(bo) == ["not-yours", f"*** Al ends a poll: tea? yes 1, no 1{by_guests(2)} ***"]
    assert lines(al)[-2:] == ["no-such-message", "No poll is open here"]
    assert not state(house).polls


def test_operators_end_and_delete_the_polls_of_others() -> None:
    house, (al, bo) = ops("Al", "Bo")
    typed(house, bo, "/poll tea? | yes | no", "/poll cake | yes | no")
    house.forget()
    typed(house, al, "/poll delete 1", "/poll close 9", "/poll close 1")
    assert [one.kind for one in house.broker.of("ops")][-4:] == ["gone", "poll", "redact", "poll-end"]
    assert lines(bo)[-1] == "*** Al ends a poll: cake: yes 0, no 0 ***"
    typed(house, bo, "/poll more? | yes | no")
    typed(house, al, "/poll mine? | yes | no")
    house.forget()
    typed(house, bo, "/poll delete", "/poll delete 1")
    assert lines(bo) == ["not-yours", "*** Bo has deleted a message ***"]
    assert len(state(house).polls) == 1


@pytest.mark.parametrize(
    ("typing", "code"),
    [
        ("/poll tea?", "bad-value"),
        ("/poll tea? | yes", "bad-value"),
        ("/poll tea? | yes | yes", "bad-value"),
        ("/poll | yes | no", "bad-value"),
        ("/poll tea? | \u2066 | yes", "bad-value"),
        (f"/poll tea? | {' | '.join('abcdefghijk')}", "bad-value"),
        (f"/poll tea? | {'x' * 150} | {'y' * 150}", "text-too-long"),
        ("/vote 1", "no-such-message"),
        ("/poll close", "no-such-message"),
    ],
)
def test_polls_and_votes_that_are_refused(typing: str, code: str) -> None:
    house, (_, bo) = ops("Al", "Bo")
    typed(house, bo, typing)
    assert lines(bo) == [code]


def test_answers_are_named_by_number_or_words() -> None:
    house, (al, bo) = ops("Al", "Bo")
    typed(house, al, "/poll room? | room 1 | room 2", "/poll tea? | yes | no")
    house.forget()
    typed(house, bo, "/vote 3", "/vote maybe", "/vote", "/vote room 2 1", "/vote yes 9", "/vote 1 1", "/poll")
    assert lines(bo) == [
        "bad-value", "argument-invalid", "argument-missing", "room? Your vote: room 2", "no-such-message",
        "room? Your vote: room 1", f"1. room? 1) room 1 1, 2) room 2 0{by_guests(1)} (your vote: room 1)",
        "2. tea? 1) yes 0, 2) no 0",
    ]  # fmt: skip


def test_people_who_may_not_speak_ask_nothing_and_the_muted_do_not_vote() -> None:
    house, (al, bo, cy) = ops("Al", "Bo", "Cy")
    typed(house, al, "/quiet on", "/mute Cy yes", "/poll tea? | yes | no")
    house.forget()
    typed(house, bo, "/poll cake? | yes | no", "/vote 1")
    typed(house, cy, "/vote 1")
    assert lines(bo) == ["moderated", "tea? Your vote: yes"] and lines(cy) == ["muted"]
    typed(house, al, "/next Bo")
    typed(house, bo, "/poll cake? | yes | no", "too much")
    asked = "*** Bo asks: cake? 1) yes 2) no (type /vote and a number) ***"
    assert lines(bo)[-2:] == [asked, "moderated"], "it was the one message"
    assert not state(house).hands


def test_a_poll_counts_for_slow_mode_and_the_flood_brake() -> None:
    house, (al, bo) = ops("Al", "Bo")
    typed(house, al, "/set slow 10")
    house.forget()
    typed(house, bo, "/poll tea? | yes | no", "hello")
    assert lines(bo)[1:] == ["slow-mode"]
    typed(house, al, "/set slow off", "/set flood 1")
    typed(house, bo, "/poll cake? | yes | no", "/poll pie? | yes | no")
    typed(house, bo, "hello")
    assert lines(bo)[-1] == "moderated"


def test_open_polls_are_few_and_an_old_one_gives_way() -> None:
    house, (al, bo) = ops("Al", "Bo")
    for number in range(MAX_POLLS):
        typed(house, al, f"/poll {number}? | yes | no")
    house.forget()
    typed(house, bo, "/poll tea? | yes | no")
    assert lines(bo) == ["list-full"]
    house.now += polls.STALE + 1
    typed(house, bo, "/poll tea? | yes | no", "/history")
    asked = "*** Bo asks: tea? 1) yes 2) no (type /vote and a number) ***"
    shown = screen(bo)
    assert shown[:2] == ["*** Bo ends a poll: 0? yes 0, no 0 ***", asked] and len(state(house).polls) == MAX_POLLS
    assert shown[2] == "*** Al asks: 0? 1) yes 2) no [yes 0, no 0] (closed) ***" and shown[-1] == asked


def test_a_request_for_a_poll_is_answered_with_that_poll_if_an_old_one_gives_way() -> None:
    house, (al, bo) = ops("Al", "Bo")
    for number in range(MAX_POLLS):
        typed(house, al, f"/poll {number}? | yes | no")
    house.now += polls.STALE + 1
    house.forget()
    bo.session.label = "r"
    polls.open_poll(house.hub, bo.session, house.hub.rooms.loaded["ops"], "tea?", ("yes", "no"))
    assert bo.session.label == "r"
    house.settle()
    (answer,) = [one for one in bo.sees() if isinstance(one, Acknowledged)]
    assert answer.label == "r" and answer.entry.id in state(house).polls


def asked_at_once(house: House, *people: Peer) -> None:
    """Let people ask before any of it is stored, one poll each."""
    house.forget()
    for one in people:
        one.types(f"/poll {one.user.nick}? | yes | no")
    house.settle()


def test_two_who_ask_at_once_end_two_old_polls() -> None:
    house, (al, bo, cy) = ops("Al", "Bo", "Cy")
    for number in range(MAX_POLLS):
        typed(house, al, f"/poll {number}? | yes | no")
    house.now += polls.STALE + 1
    asked_at_once(house, bo, cy)
    assert lines(al) == [
        "*** Bo ends a poll: 0? yes 0, no 0 ***",
        "*** Bo asks: Bo? 1) yes 2) no (type /vote and a number) ***",
        "*** Cy ends a poll: 1? yes 0, no 0 ***",
        "*** Cy asks: Cy? 1) yes 2) no (type /vote and a number) ***",
    ]
    assert [ballots.polled(one).question for one in state(house).polls.values()] == ["2?", "3?", "4?", "Bo?", "Cy?"]


def test_old_poll_that_somebody_ends_at_the_same_time_makes_way_once() -> None:
    house, (al, bo) = ops("Al", "Bo")
    for number in range(MAX_POLLS):
        typed(house, al, f"/poll {number}? | yes | no")
    house.now += polls.STALE + 1
    al.types("/poll close 1")
    asked_at_once(house, bo)
    assert [one.split(" ")[1:3] for one in lines(bo)] == [["Al", "ends"], ["Bo", "asks:"]]
    assert len(state(house).polls) == MAX_POLLS


def test_last_place_is_given_once() -> None:
    house, (al, bo, cy) = ops("Al", "Bo", "Cy")
    for number in range(MAX_POLLS - 1):
        typed(house, al, f"/poll {number}? | yes | no")
    asked_at_once(house, bo, cy)
    assert sorted(lines(cy)) == ["*** Bo asks: Bo? 1) yes 2) no (type /vote and a number) ***", "list-full"]
    assert [ballots.polled(one).question for one in state(house).polls.values()] == ["0?", "1?", "2?", "3?", "Bo?"]


def test_more_people_than_places_who_ask_at_once_are_refused() -> None:
    house, people = ops("Al", *(f"Bo{number}" for number in range(MAX_POLLS + 2)))
    asked_at_once(house, *people[1:])
    assert len(state(house).polls) == MAX_POLLS
    assert [one.code for peer in people for one in peer.sees() if isinstance(one, Refusal)] == ["list-full"] * 2


def test_poll_ends_once_for_two_who_end_it_at_once() -> None:
    house, (al, bo, cy) = ops("Al", "Bo", "Cy")
    typed(house, bo, "/poll tea? | yes | no")
    house.forget()
    al.types("/poll close")
    bo.types("/poll delete")
    cy.types("/vote 1")
    house.settle()
    ended = "*** Al ends a poll: tea? yes 0, no 0 ***"
    assert sorted(lines(bo)) == sorted(lines(cy)) == [ended, "no-such-message"]
    assert not state(house).polls


def test_votes_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model, "MOST_VOTES", 1)
    house, (al, bo) = ops("Al", "Bo")
    typed(house, al, "/poll tea? | yes | no", "/vote 1")
    typed(house, bo, "/vote 1")
    assert lines(bo)[-1] == "list-full"
    typed(house, al, "/vote 2")
    assert lines(al)[-1] == "tea? Your vote: no"


def test_a_person_is_an_account_a_browser_or_a_name() -> None:
    house, (al, bo) = ops("Al", "Bo")
    typed(house, al, "/poll tea? | yes | no")
    (poll,) = state(house).polls.values()
    as_bo = ballots.voters_of(bo.session, poll)[0]
    typed(house, bo, "/nick Bob", "/vote 1")
    assert ballots.voters_of(bo.session, poll)[0] == as_bo and model.is_voter(as_bo)
    bo.leave()
    house.settle()
    again = house.connect()
    again.session.host = bo.session.host
    typed(house, again, "Bo", "/join ops", "/vote 2")
    assert model.counts(state(house).polls[poll.id], ballots.polled(poll)) == [0, 1]
    al.session.browser = again.session.browser = "b1"
    assert ballots.voters_of(al.session, poll)[0] == ballots.voters_of(again.session, poll)[0] != as_bo
    typed(house, al, "/poll more? | yes | no")
    (_, other) = state(house).polls.values()
    assert ballots.voters_of(al.session, poll)[0] != ballots.voters_of(al.session, other)[0]


def test_guest_who_comes_back_under_another_name_is_told_apart_from_owners_and_browsers() -> None:
    house, (al, bo, cy) = ops("Al", "Bo", "Cy")
    cy.session.browser = "b1"
    typed(house, al, "/poll tea? | yes | no")
    typed(house, cy, "/vote 2")
    typed(house, bo, "/vote 1")
    bo.leave()
    house.settle()
    again = house.connect()
    again.session.host = bo.session.host
    typed(house, again, "Bob", "/join ops", "/vote 1")
    house.forget()
    typed(house, al, "/poll close")
    assert lines(al) == [f"*** Al ends a poll: tea? yes 2, no 1{by_guests(2)} ***"]


@pytest.mark.parametrize("browser", ["", "b1"])
@pytest.mark.parametrize("is_here", [False, True], ids=["comes", "joins the user that is there"])
def test_guest_who_logs_in_keeps_the_vote_and_has_no_second_one(browser: str, is_here: bool) -> None:
    town = Town("Ann")
    if is_here:
        town.log_in("Ann")
    al, guest = town.house.connect(), town.house.connect()
    typed(town.house, al, "Al", "/join lobby")
    guest.session.browser = browser
    typed(town.house, guest, "Gus", "/join lobby")
    typed(town.house, al, "/poll tea? | yes | no")
    typed(town.house, guest, "/vote 1")
    town.log_in("Ann", guest)
    room = town.house.hub.rooms.loaded["lobby"]
    (poll,) = ballots.listed(guest.session, room)
    assert (poll.votes, poll.mine) == ([1, 0], 1)
    typed(town.house, guest, "/vote 2", "/vote 2")
    (poll,) = ballots.listed(guest.session, room)
    assert (poll.votes, poll.mine, poll.guests) == ([0, 1], 2, 0)
    other = town.log_in("Ann")
    (poll,) = ballots.listed(other.session, room)
    assert poll.mine == 2
    typed(town.house, guest, "/vote 0")
    assert [(one.votes, one.mine) for one in ballots.listed(guest.session, room)] == [([0, 0], 0)]


def test_guest_who_logs_in_can_take_the_vote_back() -> None:
    town = Town("Ann")
    guest = town.house.connect()
    typed(town.house, guest, "Gus", "/join lobby")
    typed(town.house, guest, "/poll tea? | yes | no", "/vote 1")
    town.log_in("Ann", guest)
    typed(town.house, guest, "/vote 0")
    room = town.house.hub.rooms.loaded["lobby"]
    assert [(one.votes, one.mine) for one in ballots.listed(guest.session, room)] == [([0, 0], 0)]


def test_vote_from_before_guests_were_marked_stays_that_of_its_voter() -> None:
    house, (al, bo) = ops("Al", "Bo")
    typed(house, al, "/poll tea? | yes | no")
    room = house.hub.rooms.loaded["ops"]
    (poll,) = room.state.polls.values()
    house.hub.publish(bo.session, room.state, Voted(poll.id, 1, ballots.token_of(bo.session, poll.id)))
    house.settle()
    typed(house, bo, "/vote 2")
    now = room.state.polls[poll.id]
    assert (model.counts(now, ballots.polled(now)), model.guests(now, ballots.polled(now))) == ([0, 1], 1)


def test_newcomers_are_given_the_open_polls_with_their_own_vote() -> None:
    house, (al, bo) = ops("Al", "Bo")
    typed(house, al, "/poll tea? | yes | no")
    typed(house, bo, "/vote 2", "/leave", "/join ops")
    (entered,) = [one for one in bo.sees() if isinstance(one, RoomEntered)]
    (poll,) = state(house).polls
    assert entered.polls == (OpenPoll(poll, "Al", "tea?", ("yes", "no"), [0, 1], 2, 1),)
    watcher = house.connect()
    assert [one.mine for one in ballots.listed(watcher.session, house.hub.rooms.loaded["ops"])] == [0]


def test_a_class_that_votes_makes_few_lines() -> None:
    house, people = ops("Al", *(f"Bo{number}" for number in range(30)))
    al, pupils = people[0], people[1:]
    later: list[tuple[float, Callable[[], None]]] = []
    house.hub.later = lambda seconds, call: later.append((seconds, call))
    typed(house, al, "/poll tea? | yes | no")
    house.forget()
    for number, pupil in enumerate(pupils):
        typed(house, pupil, f"/vote {1 + number % 2}")
    (poll,) = state(house).polls
    first = PollCounted("ops", poll, [1, 0], 1, f"tea? yes 1, no 0{by_guests(1)}", True)
    assert counted(al, told=True) == [first] and not [one for one in pupils[1].seen if one == first]
    assert sorted(seconds for seconds, _ in later) == [1.0, 5.0]
    house.hub.pause(pupils[0].session)
    for _, end in list(later):
        end()
    (page,) = counted(pupils[1])[1:]
    assert page.votes == [15, 15] and len(counted(pupils[0])) == 1
    assert [one for one in al.sees() if isinstance(one, PollCounted)][-1].text == f"tea? yes 15, no 15{by_guests(30)}"
    typed(house, al, "/poll close")
    for _, end in later[2:]:
        end()
    typed(house, al, "/poll tea? | yes | no", "/vote 1")
    al.leave()
    house.settle()
    assert len(later) == 6


def test_count_of_a_poll_that_has_ended_is_not_sent() -> None:
    house, (al, bo) = ops("Al", "Bo")
    later: list[Callable[[], None]] = []
    house.hub.later = lambda seconds, call: later.append(call)
    typed(house, al, "/poll tea? | yes | no")
    typed(house, bo, "/vote 1", "/vote 2")
    typed(house, al, "/poll close")
    house.forget()
    for end in later:
        end()
    assert not bo.sees() and not al.sees()


def test_a_poll_is_found_by_its_id() -> None:
    house, (al, _) = ops("Al", "Bo")
    typed(house, al, "/poll tea? | yes | no", "/poll cake? | yes | no")
    room = house.hub.rooms.loaded["ops"]
    first, second = room.state.polls.values()
    assert (polls.find(room, id=first.id), polls.find(room), polls.find(room, 1)) == (first, second, first)
    with pytest.raises(Refused):
        polls.find(room, id="x.1")
    with pytest.raises(Refused, match="Type a question"):
        polls.open_poll(house.hub, al.session, room, "tea?", ["a", "a"])
    polls.open_poll(house.hub, al.session, room, "a | b?", ["c|d", "e"])
    house.settle()
    assert list(room.state.polls.values())[-1].body == model.Polled("a / b?", ("c/d", "e"))


def test_votes_in_the_same_batch_as_the_end_are_in_the_result() -> None:
    house, (al, bo) = ops("Al", "Bo")
    typed(house, al, "/poll tea? | yes | no")
    house.forget()
    bo.types("/vote 1")
    al.types("/poll close")
    house.settle()
    assert "tea? Your vote: yes" in lines(bo) and f"*** Al ends a poll: tea? yes 1, no 0{by_guests(1)} ***" in lines(al)
    assert isinstance(house.broker.log[-1].body, PollClosed)


def test_a_poll_is_only_deleted_like_a_message() -> None:
    house, (al, _) = ops("Al", "Bo")
    typed(house, al, "/poll tea? | yes | no")
    (poll,) = state(house).polls.values()
    house.forget()
    typed(house, al, f"/re #{poll.seq} hm", f"/pin #{poll.seq}", f"/+ x #{poll.seq}")
    assert lines(al)[:2] == ["no-such-message", "no-such-message"]
    messages.redact(al.session, house.hub.rooms.loaded["ops"], Which(id=poll.id))
    house.settle()
    assert not state(house).polls and house.broker.of("ops")[-2].kind == Kind.REDACTED


def test_polls_of_ignored_people_are_hidden() -> None:
    house, (al, bo, cy) = ops("Al", "Bo", "Cy")
    typed(house, cy, "/ignore Bo")
    typed(house, bo, "/poll tea? | yes | no")
    typed(house, al, "/poll cake? | yes | no")
    assert lines(cy)[1:] == ["*** Al asks: cake? 1) yes 2) no (type /vote and a number) ***"]
    assert [one.question for one in ballots.listed(cy.session, house.hub.rooms.loaded["ops"])] == ["cake?"]
    typed(house, cy, "/poll", "/vote 1 2")
    assert lines(cy) == ["2. cake? 1) yes 0, 2) no 0", "cake? Your vote: yes"]


def screen(peer: Peer) -> list[str]:
    """Return the lines that a terminal shows, without their times."""
    seen = "".join(f"{one}\n" if isinstance(one, str) else line.render(one, "\n").decode() for one in peer.sees())
    return [one.partition("] ")[2] if one.startswith("[") else one for one in seen.splitlines()]


def test_newcomers_and_readers_of_the_history_see_polls_where_they_stand() -> None:
    house, (al, bo) = ops("Al", "Bo")
    typed(house, al, "one", "/poll tea? | yes | no", "two", "/poll cake? | yes | no", "/poll no? | yes | no")
    typed(house, bo, "/vote 1 1", "/vote 2 2")
    typed(house, al, "/poll close 1", "/poll delete 2")
    seen = [
        "Al: one",
        f"*** Al asks: tea? 1) yes 2) no [yes 1, no 0{by_guests(1)}] (closed) ***",
        "Al: two",
        f"*** Al asks: cake? 1) yes 2) no [yes 0, no 1{by_guests(1)}] (type /vote and a number) ***",
    ]
    cy = house.connect(line.RAW)  # type: ignore[arg-type]
    typed(house, cy, "Cy", "/join ops")
    assert screen(cy)[-5:] == ["*** You are in ops ***", *seen], "an open poll is not shown twice"
    for typing, found in (
        ("/history", seen),
        ("/since 1h", seen),
        ("/history 1", seen[-1:]),
        ("/search tea", seen[1:2]),
    ):
        typed(house, cy, typing)
        assert screen(cy) == found
    typed(house, al, "/poll delete")
    typed(house, cy, "/ignore Al", "/history")
    typed(house, bo, "/history")
    assert not any("asks" in one for one in screen(cy)) and screen(bo)[-3:] == seen[:3]


def test_further_open_polls_are_shown_before_the_history() -> None:
    house, (al,) = ops("Al", history=1)
    typed(house, al, "/poll tea? | yes | no", "/poll cake? | yes | no")
    cy = house.connect(line.RAW)  # type: ignore[arg-type]
    typed(house, cy, "Cy", "/join ops")
    assert screen(cy)[-2:] == [
        "*** Al asks: tea? 1) yes 2) no (type /vote and a number) ***",
        "*** Al asks: cake? 1) yes 2) no (type /vote and a number) ***",
    ]


def test_acts_on_the_last_message_pass_a_poll_over() -> None:
    house, (al, bo) = ops("Al", "Bo")
    typed(house, bo, "one")
    typed(house, bo, "/poll tea? | yes | no")
    house.forget()
    typed(house, al, "/re hm")
    assert lines(bo) == ['Al (re Bo: "one"): hm']


@pytest.mark.untraced
def test_vote_costs_the_same_however_many_are_not_stored_yet() -> None:
    house, people = ops(*(f"P{number}" for number in range(60)))
    typed(house, people[0], "/poll tea? | yes | no")
    costs = [calls(lambda one=one: one.types("/vote 1")) for one in people[1:]]  # type: ignore[misc]
    assert max(costs[40:]) <= max(costs[:10]) + 5
    house.settle()
    assert state(house).polls
