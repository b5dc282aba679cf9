"""Joining and leaving rooms: without gap or double, whatever is in flight."""

import time

import pytest

from doubles import House, Look, Peer
from hubbub.model.events import HistoryShown, MembersListed, Notice, Refusal, RoomEntered, RoomExited
from records import text_in

FULL = Refusal("not-stored", "Not sent: the disk is full.")
THERE = Notice(("You are in ops",))


def in_ops(*names: str, **limits: int) -> tuple[House, list[Peer]]:
    """Return a house whose peers are all in the lobby and in ops, the latter their current room."""
    house = House(**limits)
    peers = house.enter(*names)
    for peer in peers:
        peer.types("/join ops")
    house.settle()
    house.forget()
    return house, peers


def test_joined_room_is_current_and_others_are_prefixed() -> None:
    house, (al, bo) = in_ops("Al", "Bo")
    al.types("in ops")
    house.hub.say(bo.session, "in lobby", "lobby")
    house.commit()
    assert bo.sees() == ["Al: in ops"] and al.sees() == ["[lobby] Bo: in lobby"]
    al.types("/join lobby")
    assert al.sees() == [Notice(("You are in lobby",))] and al.session.current == "lobby"
    house.hub.say(bo.session, "a", "lobby")
    house.hub.say(bo.session, "b", "ops")
    house.commit()
    assert sorted(al.sees()) == ["Bo: a", "[ops] Bo: b"]


def test_join_shows_where_one_is_with_topic_and_history() -> None:
    house, (al,) = in_ops("Al")
    al.types("hi", "/topic tea")
    (bo,) = house.enter("Bo")
    bo.types("/join #OPS")
    house.settle()
    joined, past = bo.sees()
    assert joined == RoomEntered("ops", joined.seq, "tea", False, room_id="ops") and [
        text_in(entry) for entry in past.entries
    ] == ["hi"]
    assert al.sees()[-1] == "+Bo"


def test_join_has_no_gap_and_no_double_in_one_batch() -> None:
    house, (al, bo, cy) = in_ops("Al", "Bo", "Cy")
    cy.types("/leave")
    house.settle()
    al.types("before")
    house.commit()
    house.forget()
    al.types("with 1")
    cy.types("/join ops")
    al.types("with 2", "/me with 3")
    house.commit()
    al.types("after")
    house.commit()
    _, past, *live = cy.sees()
    assert isinstance(past, HistoryShown) and [text_in(entry) for entry in past.entries] == ["before", "with 1"]
    assert live == ["Al: with 2", "* Al with 3", "Al: after"]
    assert bo.sees() == ["Al: with 1", "+Cy", "Al: with 2", "* Al with 3", "Al: after"]


def test_join_after_something_said_elsewhere_shows_the_past_first() -> None:
    house, (al, bo) = in_ops("Al", "Bo")
    (cy,) = house.enter("Cy")
    cy.types("in lobby", "/join ops")
    al.types("live")
    house.commit()
    joined, *live = cy.sees()
    assert isinstance(joined, RoomEntered) and live == ["Al: live"]
    assert bo.sees() == ["[lobby] Cy: in lobby", "+Cy", "Al: live"]


def test_two_who_join_in_one_batch_see_each_other_once() -> None:
    house, _ = in_ops("Al")
    bo, cy = house.enter("Bo", "Cy")
    bo.types("/join ops")
    cy.types("/join ops")
    house.settle()
    assert bo.sees()[1:] == ["+Cy"] and cy.sees()[1:] == []


@pytest.mark.parametrize("early", [True, False])
def test_room_that_opens_while_entries_are_committed_to_it(early: bool) -> None:
    """Whether the broker looked before or after that commit, each of them is there once."""
    house, (al, bo) = in_ops("Al", "Bo")
    (cy,) = house.enter("Cy")
    al.types("old")
    house.settle()
    al.types("late")
    al.leave()
    bo.leave()
    assert "ops" not in house.hub.rooms.loaded
    cy.types("/join ops")
    if early:
        house.look()
    house.commit()
    house.settle()
    assert "ops" in house.broker.followed
    past = cy.sees()[-1]
    assert isinstance(past, HistoryShown) and [text_in(entry) for entry in past.entries] == ["old", "late"]
    assert house.hub.rooms.loaded["ops"].end.seq == house.broker.of("ops")[-1].seq


def test_room_that_cannot_be_opened_is_told_and_may_be_tried_again() -> None:
    house = House()
    al, bo = house.enter("Al", "Bo")
    house.broker.fault = "the log cannot be read"
    al.types("/join ops", "/topic")
    bo.types("/join ops")
    house.answer()
    assert al.sees() == [Refusal("broker", "Not joined: the log cannot be read."), Notice(("There is no topic",))]
    house.broker.fault = ""
    house.broker.followed.remove("ops")
    al.types("/join ops")
    house.settle()
    assert al.session.current == "ops" and bo.session.current == "lobby"


def test_join_that_is_not_stored_is_told_and_the_room_closed() -> None:
    house = House()
    (al,) = house.enter("Al")
    al.types("/join ops")
    house.answer()
    house.fail()
    assert al.sees() == [Refusal("not-stored", "Not joined: the disk is full; try /join ops again.")]
    assert al.session.current == "lobby"
    assert list(house.hub.rooms.loaded) == house.broker.followed == ["lobby"]
    al.types("/join ops")
    house.settle()
    assert al.session.current == "ops"


def test_join_twice_is_one_join() -> None:
    house = House()
    (al,) = house.enter("Al")
    for _ in range(2):
        house.hub.rooms.join(al.session, "ops")
    house.answer()
    house.hub.rooms.join(al.session, "ops")
    house.settle()
    assert len(house.broker.of("ops")) == 1 and al.session.pending == []


def test_two_wait_for_the_same_room() -> None:
    house = House()
    al, bo = house.enter("Al", "Bo")
    al.types("/join ops")
    bo.types("/join ops")
    assert len(house.broker.questions) == 1
    house.settle()
    assert al.session.rooms.keys() == bo.session.rooms.keys() == {"lobby", "ops"}


def test_too_many_rooms_are_refused() -> None:
    house = House(max_rooms=2)
    (al,) = house.enter("Al")
    al.types("/join ops", "/join dev")
    house.settle()
    assert al.sees()[-1] == Refusal("too-many-rooms", "You are in 2 rooms; /leave one first.")
    al.types("/leave ops", "/join dev")
    house.settle()
    assert set(al.session.rooms) == {"lobby", "dev"}


def test_leave_is_told_and_the_room_before_is_current() -> None:
    house, (al, bo) = in_ops("Al", "Bo")
    al.types("/leave")
    assert al.sees() == []
    bo.types("after")
    house.commit()
    assert al.sees() == [RoomExited("ops", "lobby")]
    assert bo.sees() == ["-Al"]
    bo.types("unheard")
    house.commit()
    assert al.sees() == []
    al.types("/leave", "hi", "/leave ops")
    house.commit()
    assert al.sees() == [
        RoomExited("lobby", ""),
        Refusal("not-in-room", "You are not in a room. Type /join and a room's name first."),
        Refusal("not-in-room", "You are not in ops. Type /join ops first."),
    ]


def test_command_for_a_room_is_refused_where_there_is_none() -> None:
    house = House()
    al, bo = house.enter("Al", "Bo")
    house.hub.rooms.focus(al.session, "")
    for line in ("/kick Bo", "/me waves", "/topic tea", "/who", "hello"):
        al.types(line)
        house.settle()
        (refusal,) = al.sees()
        assert isinstance(refusal, Refusal) and refusal.code == "not-a-room"
    assert bo.sees() == []
    al.types("/who lobby")
    assert isinstance(al.sees()[0], MembersListed)
    house.hub.rooms.focus(al.session, "lobby")
    al.types("hello")
    house.settle()
    assert bo.sees() == ["Al: hello"]


def test_leave_of_another_room_keeps_the_current_one() -> None:
    house, (al, _) = in_ops("Al", "Bo")
    al.types("/leave #Lobby")
    house.commit()
    assert al.sees() == [RoomExited("lobby", "ops")]


def test_leave_that_is_not_stored_changes_nothing() -> None:
    house, (al, bo) = in_ops("Al", "Bo")
    al.types("/leave")
    house.fail()
    assert al.sees() == [FULL]
    al.types("still here")
    bo.types("see you")
    house.commit()
    assert (al.sees(), bo.sees()) == (["Bo: see you"], ["Al: still here"])


def test_member_that_rejoins_sees_the_messages_in_between() -> None:
    house, (al, bo) = in_ops("Al", "Bo")
    al.types("/leave", "/join ops")
    bo.types("meanwhile")
    house.settle()
    bo.types("live")
    house.settle()
    _, _, past, *live = al.sees()
    assert isinstance(past, HistoryShown) and [text_in(entry) for entry in past.entries] == ["meanwhile"]
    assert live == ["Bo: live"]


def test_empty_room_sleeps_and_wakes_with_its_past() -> None:
    house, (al,) = in_ops("Al")
    al.types("old", "/topic tea", "/leave", "/join ops")
    house.settle()
    joined, past = al.sees()[-2:]
    assert isinstance(past, HistoryShown) and joined == RoomEntered(
        "ops", joined.seq, "tea", False, operator=True, room_id="ops"
    )
    assert [text_in(entry) for entry in past.entries] == ["old"]
    al.leave()
    house.settle()
    assert not house.hub.rooms.loaded and not house.broker.followed


def test_room_stays_loaded_for_a_pending_join() -> None:
    house, (al,) = in_ops("Al")
    (bo,) = house.enter("Bo")
    bo.types("/join ops")
    al.leave()
    assert "ops" in house.hub.rooms.loaded
    house.settle()
    bo.types("hi")
    house.settle()
    assert bo.session.current == "ops" and [text_in(entry) for entry in house.broker.of("ops")][-1] == "hi"


@pytest.mark.parametrize("stored", [True, False])
def test_room_sleeps_when_who_was_on_the_way_in_is_gone(stored: bool) -> None:
    house = House()
    (al,) = house.enter("Al")
    al.types("/join ops")
    house.answer()
    al.leave()
    if not stored:
        house.fail()
    house.settle()
    assert not house.hub.rooms.loaded and not house.broker.followed


def test_room_sleeps_when_who_came_in_quits_at_once() -> None:
    house = House()
    (al,) = house.enter("Al")
    al.types("/join ops", "/quit")
    house.settle()
    assert not house.hub.rooms.loaded and not house.broker.followed


def test_form_may_change_in_all_rooms() -> None:
    house, (al, bo) = in_ops("Al", "Bo")
    house.hub.set_encoder(al.session, Look(echo=True))
    al.types("mine")
    bo.types("yours")
    house.hub.say(al.session, "mine", "lobby")
    house.commit()
    assert al.sees() == ["Al: mine", "Bo: yours", "[lobby] Al: mine"]


def seconds_to_leave(count: int) -> float:
    """Return the CPU time that it takes when so many leave twenty rooms each at once."""
    house = House(max_rooms=20)
    leavers = house.enter(*(f"L{number}" for number in range(count)))
    for number, leaver in enumerate(leavers):
        leaver.types(*(f"/join r{number}-{room}" for room in range(19)))
    house.settle()
    before = time.process_time()
    for leaver in leavers:
        leaver.leave()
    left = time.process_time() - before
    entries = house.broker.store(house.gather())
    before = time.process_time()
    house.commit(entries)
    left += time.process_time() - before
    assert not house.hub.rooms.loaded
    return left


@pytest.mark.untraced
def test_many_who_leave_many_rooms_cost_what_they_should_and_not_its_square() -> None:
    few, many = (min(seconds_to_leave(count) for _ in range(3)) for count in (10, 40))
    assert many < 9 * few, "four times as many: about 6 times, and 12 or more if it is the square"
