"""A session that goes on in another connection: with its name and rooms, without gap or double, unseen by others."""

from __future__ import annotations

from doubles import House, Peer
from hubbub.chat.rooms import resuming
from hubbub.model.events import HistoryShown, Refusal, RoomEntered
from records import text_in


def go_on(house: House, old: Peer, seen: dict[str, int | None]) -> Peer:
    """Return a peer in whose connection another one's session goes on."""
    new = house.connect()
    session = old.session
    resuming.replace(house.hub, session, new.session)
    new.session = session
    resuming.go_on(house.hub, session, seen)
    return new


def scene(**limits: int) -> tuple[House, Peer, Peer, int]:
    """Return a house, two people in the lobby and in ops, and the last number that the first saw in the lobby."""
    house = House(**limits)
    al, bo = house.enter("Al", "Bo")
    for peer in (al, bo):
        peer.types("/join ops", "/join lobby")
        house.settle()
    house.forget()
    return house, al, bo, house.broker.of("lobby")[-1].seq


def texts(peer: Peer) -> list[str]:
    return [line for line in peer.sees() if isinstance(line, str)]


def test_others_see_nothing_and_it_misses_nothing() -> None:
    house, al, bo, seq = scene()
    bo.types("missed 1", "missed 2")
    house.settle()
    house.forget()
    again = go_on(house, al, {"lobby": seq})
    joined = [event for event in again.seen if isinstance(event, RoomEntered)]
    assert [(event.room, event.first) for event in joined] == [("lobby", False), ("ops", False)]
    assert texts(again) == ["Bo: missed 1", "Bo: missed 2"]
    bo.types("live")
    house.settle()
    assert texts(again) == ["Bo: live"] and al.sees() == [] and bo.sees() == []
    again.types("still here")
    house.settle()
    assert texts(bo) == ["Al: still here"] and len(house.hub.users) == 2


def test_rights_go_along_and_a_new_address_is_known() -> None:
    house, al, _bo, seq = scene()
    new = house.connect()
    new.session.host, new.session.address = "~web@new.web", "192.0.2.9"
    resuming.replace(house.hub, al.session, new.session)
    resuming.go_on(house.hub, al.session, {"lobby": seq})
    assert (al.session.host, al.session.address) == ("", "192.0.2.9")
    assert house.hub.rooms.loaded["ops"].state.is_operator(al.user)
    assert new.session.closed and not house.hub.session_ready(new.session)


def test_operator_who_continues_elsewhere_stays_one_under_a_new_name() -> None:
    house, al, _bo, seq = scene()
    new = house.connect()
    new.session.host, new.session.address = "~web@new.web", "192.0.2.9"
    resuming.replace(house.hub, al.session, new.session)
    resuming.go_on(house.hub, al.session, {"lobby": seq})
    new.session = al.session
    new.types("/nick Ann")
    house.settle()
    ops = house.hub.rooms.loaded["ops"]
    assert al.user.nick == "Ann" and ops.state.is_operator(al.user)
    assert house.broker.of("ops")[-1].host == house.broker.of("ops")[0].host


def test_reader_that_stood_still_is_brought_up_to_date_in_the_new_connection() -> None:
    house, al, bo, seq = scene()
    al.stall()
    bo.types(*(f"m{number}" for number in range(30)))
    house.settle()
    assert house.hub.has_unsettled(al.session)
    again = go_on(house, al, {"lobby": seq})
    house.settle()
    assert texts(again) == [f"Bo: m{number}" for number in range(30)]
    assert house.hub.settled and al.sees() == []


def test_page_that_was_on_its_way_to_the_old_connection_is_not_given_twice() -> None:
    house, al, bo, seq = scene(recent=1)
    al.stall()
    for number in range(5):
        bo.types(f"m{number}")
        house.settle()
    al.read()  # asks the log
    assert house.broker.questions
    again = go_on(house, al, {"lobby": seq})
    house.settle()
    assert texts(again) == [f"Bo: m{number}" for number in range(5)]


def test_room_without_a_number_is_shown_as_to_a_newcomer() -> None:
    house, al, bo, _ = scene()
    bo.types("said")
    house.settle()
    again = go_on(house, al, {"lobby": None})
    (past,) = [event for event in again.seen if isinstance(event, HistoryShown)]
    assert [text_in(entry) for entry in past.entries] == ["said"] and not texts(again)


def test_other_rooms_that_are_named_are_joined_or_refused() -> None:
    house, al, _bo, seq = scene(max_rooms=3)
    again = go_on(house, al, {"LOBBY": seq, "new": None, "more": None, "a b": 1})
    house.settle()
    refused = [event for event in again.seen if isinstance(event, Refusal)]
    assert [(event.code, event.room) for event in refused] == [("room-invalid", "a b"), ("too-many-rooms", "more")]
    assert set(al.session.rooms) == {"lobby", "ops", "new"}


def test_outcome_of_a_pending_draft_goes_to_the_new_connection() -> None:
    house, al, _bo, seq = scene()
    house.hub.say(al.session, "on its way", "lobby", label="m1")
    al.types("/join third")
    house.answer()
    house.hub.say(al.session, "and this", "lobby", label="m2")
    again = go_on(house, al, {"lobby": seq})
    assert again.sees() == [], "it keeps its place behind what was said before"
    house.settle()
    seen = again.sees()
    assert [event.label for event in seen if hasattr(event, "label")] == ["m1", "m2"]
    assert [event.room for event in seen if isinstance(event, RoomEntered)] == ["lobby", "ops", "third"]
    assert "third" in al.session.rooms and not house.hub.has_unsettled(al.session)


def test_join_that_was_stored_but_not_shown_yet_begins_once() -> None:
    house, al, bo, seq = scene()
    house.hub.say(al.session, "first", "lobby")
    held = house.gather()
    al.types("/join third")
    house.answer()
    house.commit()  # the join is stored before what was said
    bo.types("/join third", "hello")
    house.settle()
    again = go_on(house, al, {"lobby": seq, "third": 0})
    house.commit(house.broker.store(held))
    house.settle()
    assert texts(again).count("[third] Bo: hello") + texts(again).count("Bo: hello") <= 1
