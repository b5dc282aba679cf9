"""A user with several sessions: rooms, rights and the name are the user's, cursors and replies each session's."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from doubles import House, Look, Peer, refusing
from hubbub.chat import messages, moderation
from hubbub.chat.messages import Which
from hubbub.chat.nodes.person import Person
from hubbub.chat.private import direct
from hubbub.chat.rooms import resuming
from hubbub.chat.rooms.opening import RoomsVisited
from hubbub.chat.session import Session
from hubbub.errors import Refused
from hubbub.model.entries import Kind
from hubbub.model.events import (
    Goodbye,
    HistoryShown,
    Invited,
    MembersListed,
    NickAssigned,
    Notice,
    Private,
    Refusal,
    RoomEntered,
    RoomExited,
)
from records import text_in


def second(house: House, of: Peer) -> Peer:
    """Return one more session of a user; its screen is empty."""
    peer = house.connect()
    house.hub.naming.attach(peer.session, of.user)
    peer.seen.clear()
    return peer


def town(*names: str) -> tuple[House, list[Peer]]:
    """Return a house with people in the lobby, the first of them twice."""
    house = House()
    people = house.enter(*names)
    return house, [people[0], second(house, people[0]), *people[1:]]


def test_one_join_for_the_first_and_one_leave_for_the_last() -> None:
    house, (al, too, bo) = town("Al", "Bo")
    assert bo.sees() == [] and [entry.nick for entry in house.broker.log] == ["Al", "Bo"]
    al.leave()
    house.settle()
    assert bo.sees() == [] and al.sees() == [Goodbye()]
    too.types("still here")
    house.settle()
    assert bo.sees() == ["Al: still here"]
    too.leave()
    house.settle()
    assert (
        bo.sees() == ["-Al"]
        and list(house.hub.users) == ["bo"]
        and list(house.hub.rooms.loaded["lobby"].members) == [bo.user]
    )


@pytest.mark.parametrize(
    "ask",
    [
        lambda house, al: al.types("/who ops"),
        lambda house, al: al.types("/join ops"),
        lambda house, al: al.types("/join ops tea"),
        lambda house, al: house.hub.rooms.watch(al.session, "ops"),
        lambda house, al: house.hub.post(al.session, "ci", "ops", "done", "r"),
        lambda house, al: al.session.start(RoomsVisited(("ops", "dev"))),
    ],
    ids=["members", "join", "join with a key", "watch", "message from outside", "visit"],
)
def test_session_that_leaves_while_a_room_is_loaded_for_it_holds_up_no_other(
    ask: Callable[[House, Peer], None],
) -> None:
    house, (al, too, bo) = town("Al", "Bo")
    house.hub.remote.add(Person("Yve", "~nc@1a.nc", "10.0.0.1", id="yve", id_prefix="yve.", rooms=("ops",), joins=(1,)))
    ask(house, al)
    assert al.session.waits and too.session.waits
    user = al.user
    al.leave()
    assert not user.changing and not user.asking
    too.types("on")
    house.settle()
    assert bo.sees() == ["Al: on"] and list(house.hub.rooms.loaded) == ["lobby"]


def test_a_second_session_is_shown_the_rooms_of_its_user() -> None:
    house = House()
    (al,) = house.enter("Al")
    al.types("one", "/join ops", "two")
    house.settle()
    too = house.connect()
    house.hub.naming.attach(too.session, al.user)
    seen = too.sees()
    assert [type(event) for event in seen] == [HistoryShown, RoomEntered, HistoryShown]
    assert [event.elsewhere for event in seen if isinstance(event, HistoryShown)] == [False, True]
    assert seen[1].room == "ops" and seen[1].current == "lobby"
    assert too.session.current == "lobby" and al.session.current == "ops"
    al.types("three")
    house.settle()
    assert too.sees() == ["[ops] Al: three"]


def test_what_one_session_says_the_other_is_shown() -> None:
    house, (al, too, bo) = town("Al", "Bo")
    al.types("hi")
    too.types("ho")
    house.settle()
    assert (al.sees(), too.sees(), bo.sees()) == (["Al: ho"], ["Al: hi"], ["Al: hi", "Al: ho"])
    ids = [entry.id for entry in house.broker.log if text_in(entry) in ("hi", "ho")]
    assert ids[0] != ids[1] and all(id.startswith(al.user.id_prefix) for id in ids)


def test_what_one_session_sends_privately_the_others_are_shown() -> None:
    house, (al, too, bo) = town("Al", "Bo")
    also = second(house, al)
    also.stall()
    al.types("/msg Bo psst")
    house.settle()
    (copy,) = too.sees()
    assert copy == Private("Al", "psst", to="Bo") and isinstance(copy, Private) and copy.user == bo.user.id
    assert (al.sees(), also.sees(), bo.sees()) == ([], [], [Private("Al", "psst")])
    direct.send_private(house.hub, al.session, "Bo", "TAGMSG", Kind.EPHEMERAL)
    al.types("/msg Al me")
    assert too.sees() == [Private("Al", "me")]
    bo.stall()
    al.types("/msg Bo again")
    assert [type(event) for event in al.sees()] == [Private, Refusal] and too.sees() == []


def test_what_one_session_sends_to_some_members_the_others_are_shown() -> None:
    house, (al, too, bo) = town("Al", "Bo")
    for kind in (Kind.NOTICE, Kind.EPHEMERAL):
        direct.message_members_apart(house.hub, al.session, [bo.user], "@@#lobby", "psst", kind, "")
    assert too.sees() == [Private("Al", "psst", to="@#lobby")] and len(bo.sees()) == 2


def test_what_one_session_sends_to_a_user_of_another_node_the_others_are_shown() -> None:
    house, (al, too, _) = town("Al", "Bo")
    house.hub.remote.add(Person("Zoe", id="z1"))
    asked: list[Callable[[bool | None], None]] = []
    house.hub.remote.deliver = lambda user, event, done: asked.append(done)
    al.types("/msg Zoe psst", "/msg Zoe lost")
    asked[0](True)
    asked[1](None)
    assert too.sees() == [Private("Al", "psst", to="Zoe")]


def test_each_session_has_its_own_place_in_the_log() -> None:
    house, (al, too, bo) = town("Al", "Bo")
    too.stall()
    bo.types("one", "two")
    house.settle()
    assert (al.sees(), too.sees()) == (["Bo: one", "Bo: two"], [])
    too.read()
    assert too.sees() == ["Bo: one", "Bo: two"]


def test_replies_go_to_the_session_that_asked() -> None:
    house, (al, too, _) = town("Al", "Bo")
    al.types("/who", "/msg Nobody hi")
    who, refusal = al.sees()
    assert isinstance(who, MembersListed) and list(who.nicks) == ["Al", "Bo"], "the user is listed once"
    assert isinstance(refusal, Refusal) and too.sees() == []
    assert house.hub.rooms.loaded["lobby"].count == 2


def test_what_one_session_joins_and_leaves_all_do() -> None:
    house, (al, too, bo) = town("Al", "Bo")
    al.types("/join ops")
    house.settle()
    assert [event.current for event in al.sees() if isinstance(event, RoomEntered)] == [""]
    assert [event.current for event in too.sees()] == ["lobby"] and too.session.current == "lobby"
    too.types("/leave ops")
    house.settle()
    assert too.sees() == [RoomExited("ops", "lobby")] and al.sees()[-2:] == ["-Al", RoomExited("ops", "lobby")]
    assert list(al.user.rooms) == ["lobby"] and "ops" not in house.hub.rooms.loaded and bo.sees() == []


@pytest.mark.parametrize("echo", [False, True])
def test_nothing_that_follows_the_leave_of_a_room_is_shown_to_any_session_of_the_user(echo: bool) -> None:
    house = House()
    al, bo = house.enter("Al", "Bo", look=Look(echo))
    too = second(house, al)
    for peer in (al, bo):
        peer.types("/join ops")
        house.settle()
    house.forget()
    bo.types("before")
    al.types("/leave ops")
    bo.types("/me after", "/topic after")
    house.settle()
    left = RoomExited("ops", "lobby")
    assert al.sees() == ["Bo: before", "-Al", left][: 3 if echo else 1] + [left] * (not echo)
    assert too.sees() == ["[ops] Bo: before", "[ops] -Al", left]


def test_changes_of_a_user_that_two_sessions_ask_for_come_one_after_the_other() -> None:
    house, (al, too, bo) = town("Al", "Bo")
    al.types("/join ops")
    house.settle()
    house.forget()
    al.types("/nick Max")
    too.types("/nick Max", "/nick Moritz", "hi")
    al.types("/leave ops")
    too.types("/leave ops")
    house.settle()
    assert bo.sees() == ["Al > Max", "Max > Moritz", "Moritz: hi"]
    assert [entry.kind for entry in house.broker.of("ops")].count(Kind.LEAVE) == 1
    assert [event.code for event in too.sees() if isinstance(event, Refusal)] == ["not-in-room"]
    assert set(house.hub.users) == {"moritz", "bo"}


def test_a_room_that_two_sessions_ask_for_becomes_the_current_one_of_both() -> None:
    house, (al, too, bo) = town("Al", "Bo")
    al.types("/join ops")
    too.types("/join ops", "hi")
    house.settle()
    assert al.session.current == too.session.current == "ops"
    assert [entry.kind for entry in house.broker.of("ops")] == [Kind.JOIN, Kind.MESSAGE] and bo.sees() == []


def test_a_session_goes_on_when_another_one_ends_that_waited_for_a_room() -> None:
    house, (al, too, bo) = town("Al", "Bo")
    al.types("/join ops")
    too.types("hi")
    assert house.hub.pipeline.idle
    al.leave()
    house.settle()
    assert bo.sees() == ["Al: hi"] and list(too.user.rooms) == ["lobby"]


def test_a_session_without_a_room_speaks_in_the_one_that_another_joins() -> None:
    house, (al, too) = town("Al")
    al.types("/leave")
    house.settle()
    too.types("/join ops")
    house.settle()
    assert al.session.current == "ops"


def test_a_new_name_and_a_kick_concern_all_sessions() -> None:
    house, (al, too, bo) = town("Al", "Bo")
    bo.types("/join ops", "/invite Al")
    house.settle()
    assert (al.sees(), too.sees()) == ([Invited("Bo", "", "ops", house.now)], [Invited("Bo", "", "ops", house.now)])
    al.types("/nick Max", "/join ops")
    house.settle()
    assert NickAssigned("Max") in too.sees() and too.session.nick == "Max"
    bo.types("/kick Max")
    house.settle()
    assert al.sees()[-1] == RoomExited("ops", "lobby") and too.sees()[-1] == RoomExited("ops", "lobby")


def test_rights_are_the_users() -> None:
    house, (al, too, bo) = town("Al", "Bo")
    al.types("/join ops")
    bo.types("/join ops")
    house.settle()
    house.forget()
    moderation.kick(house.hub, too.session, house.hub.rooms.loaded["ops"], "Bo")
    house.settle()
    assert bo.sees()[-1] == RoomExited("ops", "lobby")


def test_a_message_of_one_session_is_taken_back_by_another() -> None:
    house, (al, too) = town("Al")
    al.types("oops")
    house.settle()
    refused: list[object] = []
    messages.redact(
        too.session, house.hub.rooms.loaded["lobby"], Which(own=True), refused=refusing(too.session, refused.append)
    )
    house.settle()
    assert not refused and [text_in(entry) for entry in house.broker.log if entry.nick == "Al"][1] == ""


def test_private_messages_come_to_every_session_that_reads() -> None:
    house, (al, too, bo) = town("Al", "Bo")
    bo.types("/msg Al psst")
    house.settle()
    assert al.sees() == too.sees() == [Private("Bo", "psst")] and bo.sees() == []
    al.stall()
    direct.send_private(house.hub, bo.session, "Al", "again")
    assert too.sees() == [Private("Bo", "again")] and bo.sees() == []


@pytest.mark.parametrize(("line", "seen", "rooms"), [("/nick Max", ["Al > Max", "-Max"], 2), ("/join ops", ["-Al"], 3)])
def test_what_a_session_published_before_its_end_takes_effect(line: str, seen: list[str], rooms: int) -> None:
    house, (al, too, bo) = town("Al", "Bo")
    al.types(line)
    house.answer()
    al.leave()
    too.leave()
    house.settle()
    assert list(house.hub.users) == ["bo"] and list(house.hub.rooms.loaded["lobby"].members) == [bo.user]
    assert bo.sees() == seen
    assert [entry.kind for entry in house.broker.of("ops")] == [Kind.JOIN, Kind.LEAVE] * (rooms - 2)


def test_a_join_of_a_session_that_ended_is_its_users() -> None:
    house, (al, too) = town("Al")
    al.types("/join ops")
    house.answer()
    al.leave()
    house.settle()
    assert list(too.user.rooms) == ["lobby", "ops"]
    too.types("/join den")
    again = second(house, too)
    too.leave()
    house.settle()
    assert "den" not in again.user.rooms and not again.user.joining, "the room was not read when the session ended"


def test_everybody_who_is_cut_off_is_told() -> None:
    house, (al, too) = town("Al")
    house.hub.expel(al.user, "flood")
    assert al.sees()[0] == too.sees()[0] == Notice(("You are cut off: flood",))
    assert al.session.closed and too.session.closed


def test_a_user_who_lost_the_name_and_gets_no_other_leaves_with_all_sessions() -> None:
    house, (al, too) = town("Al")
    house.enter(*(f"Al{number}" for number in range(2, 100)))
    house.forget()
    house.hub.naming.lose_name("al")
    taken = Notice(("The name Al was taken while the chat could not be reached",))
    assert taken in al.sees() and taken in too.sees() and al.session.closed and too.session.closed


def test_a_session_that_is_gone_is_ended_and_the_others_keep_the_name() -> None:
    house, (al, too) = town("Al")
    asked: list[tuple[Session, Callable[[bool], None]]] = []
    house.hub.probe = lambda session, answer: asked.append((session, answer))
    for peer in (al, too, other := house.connect()):
        peer.session.address = "192.0.2.7"
    outcomes: list[Refused | None] = []
    house.hub.naming.enter(other.session, "Al", outcome=refusing(other.session, outcomes.append))
    assert [session for session, _ in asked] == [al.session, too.session]
    asked[0][1](False)
    assert al.session.closed and not outcomes
    asked[1][1](True)
    (refusal,) = outcomes
    assert refusal and refusal.code == "name-taken" and too.session.nick == "Al"
    assert too.user.address == too.session.address


def test_a_session_elsewhere_is_not_asked_for_its_name() -> None:
    house, (al, too) = town("Al")
    al.session.address, too.session.address = "192.0.2.7", "192.0.2.8"
    other = house.connect()
    other.session.address = "192.0.2.7"
    other.types("Al")
    (refusal,) = other.sees()
    assert isinstance(refusal, Refusal) and refusal.code == "name-taken"


def test_the_connection_of_a_later_session_is_replaced_and_the_user_stays_who_it_is() -> None:
    house = House()
    (al,) = house.enter("Al")
    al.user.host = al.session.host = "~nc@aaaaaaaaaa.nc"
    too, new = second(house, al), house.connect()
    new.session.host, new.session.address = "~web@bbbbbbbbbb.web", "192.0.2.9"
    resuming.replace(house.hub, too.session, new.session)
    assert (too.session.host, too.session.address) == ("~nc@aaaaaaaaaa.nc", "192.0.2.9")
    assert (al.user.host, al.user.address) == ("~nc@aaaaaaaaaa.nc", "")
