"""Raised hands and turns to speak, as the people in a room see them."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from doubles import House, Peer
from hubbub.chat.classroom import classroom, hands, questions
from hubbub.chat.classroom.flood import WINDOW
from hubbub.errors import Refused
from hubbub.model.entries import HandMoved, Kind, Said
from hubbub.model.events import ForOperators, HistoryShown, Notice, Refusal, RoomEntered
from hubbub.model.room.state import MAX_HANDS, RoomState
from ops_room import ops, typed
from records import entry_of, text_in


def told(peer: Peer) -> list[str]:
    """Return the lines that a peer is shown, with the codes of refusals."""
    lines = []
    for one in peer.sees():
        if isinstance(one, Notice):
            lines += one.lines
        else:
            lines.append(one.code if isinstance(one, Refusal) else one.text if isinstance(one, ForOperators) else one)
    return lines


def state(house: House) -> RoomState:
    made: RoomState = house.hub.rooms.loaded["ops"].state
    again = RoomState("ops", made.snapshot())
    assert again.hands == made.hands and again.rights == made.rights
    return made


def test_hands_are_queued_and_only_operators_are_told() -> None:
    house, (al, bo, cy) = ops("Al", "Bo", "Cy")
    typed(house, bo, "/hand")
    typed(house, cy, "/hand", "/hand", "/hands")
    assert told(al) == [
        "Bo raises a hand (1 waiting). To let Bo speak, type /next Bo",
        "Cy raises a hand (2 waiting). To let Cy speak, type /next Cy",
    ]
    assert told(bo) == ["Your hand is up; you are next. /hand down lowers it"]
    mine = "Your hand is up; 1 before you. /hand down lowers it"
    assert told(cy) == [mine, mine, "1. Bo", "2. Cy"]
    house.forget()
    typed(house, bo, "/hand down", "/hand down", "/hand up", "/hands")
    assert told(bo) == ["Your hand is down", "Your hand is not up", "argument-invalid", "1. Cy"]
    assert told(al) == told(cy) == [] and list(state(house).hands) == [("cy", "~nc@cy.nc")]


def test_next_hand_has_a_voice_for_one_message() -> None:
    house, (al, bo, cy) = ops("Al", "Bo", "Cy")
    typed(house, al, "/quiet on")
    typed(house, bo, "not yet", "/hand")
    typed(house, cy, "/hand")
    house.forget()
    typed(house, al, "/next")
    assert told(cy) == told(al) == ["*** Al lets Bo speak ***"]
    assert state(house).prefixes(bo.user) == "+"
    typed(house, bo, "tea?", "and cake?")
    assert told(bo)[-1] == "moderated" and told(cy) == ["Bo: tea?"]
    assert state(house).prefixes(bo.user) == "" and list(state(house).hands) == [("cy", "~nc@cy.nc")]
    house.forget()
    typed(house, al, "/next Bo", "/next cy", "/next", "/next Zoe")
    assert told(al)[2:] == ["nobody-waits", "no-such-name"]
    typed(house, bo, "/hand down")
    typed(house, bo, "no turn any more")
    assert told(bo)[-2:] == ["Your hand is down", "moderated"]
    typed(house, al, "/quiet off", "/quiet maybe")
    typed(house, cy, "one", "two")
    assert told(bo)[-3:] == ["*** Al lets everybody here speak ***", "Cy: one", "Cy: two"]
    assert not state(house).hands


def test_two_sessions_of_a_user_share_one_turn() -> None:
    house, (al, bo) = ops("Al", "Bo")
    typed(house, al, "/quiet on", "/next Bo")
    bo.types("one")
    assert bo.user and not state(house).status.get(bo.user)
    house.settle()
    assert told(al)[-1] == "Bo: one" and not state(house).hands


def test_a_program_that_acts_for_an_account_uses_the_turn_of_its_owner() -> None:
    house, (al, bo) = ops("Al", "Bo")
    typed(house, al, "/quiet on", "/next Bo")
    room = house.hub.rooms.loaded["ops"]
    hands.use_turn(house.hub, bo.session, room, bo.user)
    hands.use_turn(house.hub, bo.session, room, al.user)
    house.settle()
    typed(house, bo, "no")
    assert told(bo)[-1] == "moderated"


def test_end_of_the_turn_of_a_program_has_the_name_of_its_owner() -> None:
    house, (al, bo) = ops("Al", "Bo")
    typed(house, al, "/quiet on", "/next Bo")
    program = house.connect().session  # without a user of its own
    hands.use_turn(house.hub, program, house.hub.rooms.loaded["ops"], bo.user)
    house.settle()
    ended = house.broker.log[-1]
    assert (ended.nick, ended.body) == ("Bo", HandMoved("spoken", "Bo!~nc@bo.nc"))


@pytest.mark.parametrize("turn", [False, True])
def test_hand_or_turn_of_somebody_who_was_kicked_ends(turn: bool) -> None:
    house, (al, bo, cy) = ops("Al", "Bo", "Cy")
    typed(house, cy, "/hand")
    typed(house, bo, "/hand")
    typed(house, al, *(["/next Bo"] if turn else []), "/kick Bo")
    assert list(state(house).hands) == [("cy", "~nc@cy.nc")]
    typed(house, bo, "/join ops")
    assert state(house).prefixes(bo.user) == ""
    typed(house, al, "/kick Bo")


def test_end_of_the_quiet_lowers_all_hands() -> None:
    house, (al, bo, cy) = ops("Al", "Bo", "Cy")
    typed(house, al, "/quiet on")
    typed(house, bo, "/hand")
    typed(house, cy, "/hand")
    typed(house, al, "/next", "/quiet off", "/hands")
    assert told(al)[-1] == "No hand is raised here"
    assert list(state(house).hands.values()) == [True], "a turn stays until it is used"
    typed(house, bo, "tea")
    assert not state(house).hands


def test_turn_of_somebody_who_has_gone_ends_when_another_one_takes_the_name() -> None:
    made = RoomState("ops")
    for number, (nick, kind, text) in enumerate(
        [("Al", Kind.HAND, "up Al!~nc@a.nc"), ("Al", Kind.TURN, "Bo!~nc@a.nc"), ("Al", Kind.RENAME, "Bo")], 1
    ):
        made.apply(entry_of("ops", number, 0, 1.0, kind, nick, text, f"x.{number}", "~nc@a.nc"))
    assert made.hands == {("bo", "~nc@a.nc"): False} and not made.rights


@pytest.mark.parametrize("turn", [False, True])
def test_hands_follow_a_new_name_and_end_with_a_leave(turn: bool) -> None:
    house, (al, bo) = ops("Al", "Bo")
    typed(house, bo, "/hand")
    typed(house, al, *(["/next"] if turn else []))
    typed(house, bo, "/nick Bob", "/nick BOB")
    assert state(house).hands == {("bob", "~nc@bo.nc"): turn}
    assert state(house).prefixes(bo.user) == ("+" if turn else "")
    typed(house, bo, "/leave")
    assert not state(house).hands and not state(house).rights.get(("bob", "~nc@bo.nc"))


def test_a_voice_for_good_takes_the_place_of_a_turn() -> None:
    house, (al, bo, cy) = ops("Al", "Bo", "Cy")
    typed(house, al, "/quiet on", "/next Bo", "/voice Bo", "/devoice Bo", "/voice Bo")
    typed(house, bo, "one", "two")
    assert told(cy)[-2:] == ["Bo: one", "Bo: two"] and not state(house).hands
    typed(house, al, "/next Bo", "/next Cy")
    assert list(state(house).hands) == [("cy", "~nc@cy.nc")] and state(house).prefixes(bo.user) == "+"
    typed(house, al, "/devoice Cy")
    assert not state(house).hands and not state(house).prefixes(cy.user)


def test_muted_people_and_guests_of_other_rooms_raise_no_hand() -> None:
    house, (al, bo) = ops("Al", "Bo")
    typed(house, al, "/mute Bo yes")
    house.forget()
    typed(house, bo, "/hand", "/next", "/quiet on")
    assert told(bo) == ["muted", "not-operator", "not-operator"] and told(al) == []


def test_hands_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    assert MAX_HANDS >= 100
    for module in ("hubbub.chat.classroom.classroom", "hubbub.model.room.state"):
        monkeypatch.setattr(f"{module}.MAX_HANDS", 1)
    house, (al, bo, cy) = ops("Al", "Bo", "Cy")
    typed(house, bo, "/hand")
    typed(house, cy, "/hand")
    assert told(cy) == ["list-full"]
    typed(house, al, "/next Cy")
    assert list(state(house).hands) == [("bo", "~nc@bo.nc")]


def test_newcomers_are_given_the_queue() -> None:
    house, (_al, bo) = ops("Al", "Bo")
    typed(house, bo, "/hand")
    cy = house.connect()
    typed(house, cy, "Cy", "/join ops")
    entered = [one for one in cy.sees() if isinstance(one, RoomEntered) and one.room == "ops"]
    assert [list(one.hands) for one in entered] == [["Bo"]]


def test_no_operator_who_does_not_read_is_told_of_hands() -> None:
    house, (al, bo) = ops("Al", "Bo")
    house.hub.pause(al.session)
    typed(house, bo, "/hand")
    assert told(al) == []
    typed(house, bo, "/hand down")
    house.hub.resume(al.session)
    house.settle()
    typed(house, al, "/hand")
    assert told(al) == ["Your hand is up; you are next. /hand down lowers it"]


# --- questions --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("also", ["", "/leave"])
def test_question_of_somebody_who_is_kicked_meanwhile_is_not_kept(also: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without its last member the room is not loaded any more."""
    house, (al, bo) = ops("Al", "Bo")
    store, held = house.hub.questions.store, []
    change = store.change
    monkeypatch.setattr(store, "change", lambda *given: held.append(given))
    typed(house, bo, "/ask why?")
    typed(house, al, "/kick Bo", *([also] if also else []))
    house.forget()
    change(*held.pop())
    house.settle()
    assert told(bo)[-1:] == ["not-in-room"] and not house.hub.questions.of("ops")


def test_only_operators_and_the_author_see_a_question_until_it_is_let_through() -> None:
    house, (al, bo, cy) = ops("Al", "Bo", "Cy")
    typed(house, al, "/quiet on")
    house.forget()
    typed(house, bo, "/ask when is tea?", "/ask  why?", "/asked")
    assert told(bo) == [
        "Your question is number 1; only the operators see it",
        "Your question is number 2; only the operators see it",
        "1. Bo: when is tea?",
        "2. Bo: why?",
    ]
    assert told(al)[0] == "Bo asks (1): when is tea? (/ok 1 lets it through)"
    typed(house, cy, "/asked", "/ok 1")
    assert told(cy) == ["No question is open here", "not-operator"]
    house.forget()
    typed(house, al, "/no 1", "/no 1", "/ok x", "/ok 2", "/asked")
    seen = told(al)
    assert seen == [
        "Question 1 is dropped", "no-such-message", "argument-invalid", "Bo: why?", "No question is open here"
    ]  # fmt: skip
    assert told(bo) == told(cy) == ["Bo: why?"]
    entry = house.broker.of("ops")[-1]
    assert (entry.nick, entry.host, entry.body) == ("Bo", bo.session.host, Said("why?"))
    typed(house, bo, "/ask a third?")
    house.forget()
    typed(house, bo, "/leave")
    typed(house, al, "/ok 1")
    assert told(cy)[-1] == "Bo: a third?", "the author has left"


def test_author_may_delete_and_correct_a_question_that_is_let_through() -> None:
    house, (al, bo) = ops("Al", "Bo")
    typed(house, bo, "hello", "/ask when?", "/ask why?")
    typed(house, al, "/ok 1", "/ok 2")
    house.forget()
    typed(house, bo, "s/why/where/", "/delete 2")
    assert told(al) == ["Bo corrects: where?", "*** Bo has deleted a message ***"]
    typed(house, bo, "/history")
    (page,) = [one for one in bo.sees() if isinstance(one, HistoryShown)]
    assert [text_in(one) for one in page.entries if one.kind == Kind.MESSAGE] == ["hello", "where?"]


def test_question_of_a_user_on_another_node_has_an_id_of_this_node() -> None:
    house, _ = ops("Al")
    elsewhere = questions.Question(1, "Bo", "~nc@bo.nc", "why?", 0.0, "other-1.")
    house.hub.questions.publish(house.hub.rooms.loaded["ops"], elsewhere)
    house.settle()
    entry = house.broker.of("ops")[-1]
    assert entry.body == Said("why?") and entry.id.startswith("boot-q.")


def test_questions_are_bounded_and_need_a_text() -> None:
    house, (al, bo, cy) = ops("Al", "Bo", "Cy")
    typed(house, bo, *(f"/ask why {number}?" for number in range(questions.OF_PERSON + 1)), f"/ask {'x' * 1001}")
    assert told(bo)[-2:] == ["list-full", "text-too-long"]
    with pytest.raises(Refused, match="nothing to send"):
        classroom.ask(house.hub, bo.session, house.hub.rooms.loaded["ops"], "\u2066")
    typed(house, al, "/mute Cy yes")
    house.forget()
    typed(house, cy, "/ask why?")
    assert told(cy) == ["muted"]
    room = house.hub.rooms.loaded["ops"]
    for number in range(questions.IN_ROOM):
        bo.session.host = f"~nc@{number}.nc"
        typed(house, bo, "/ask why?")
    assert len(house.hub.questions.of(room.id)) == questions.IN_ROOM and told(bo)[-1] == "list-full"
    house.hub.questions.note("elsewhere", [questions.Question(1, "Bo", "", "why?", 0.0)])
    assert house.hub.questions.of("elsewhere")


# --- locked rooms, announcements, floods ------------------------------------------------------------------------------


def test_questions_of_a_host_are_bounded_in_all_rooms(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(classroom, "OF_HOST", 2)
    house, (al, bo) = ops("Al", "Bo")
    typed(house, bo, "/ask one", "/join art", "/ask two", "/join tea", "/ask three")
    assert told(bo)[-1] == "list-full"
    typed(house, al, "/no 1", "/ask mine")
    house.forget()
    typed(house, bo, "/ask three", "/asked")
    assert told(bo)[-1] == "1. Bo: three"


def test_only_operators_speak_in_a_locked_room() -> None:
    house, (al, bo, cy) = ops("Al", "Bo", "Cy")
    typed(house, al, "tea", "/voice Bo", "/lock", "/lock")
    assert told(al)[-1] == "Nothing has changed: that is already so"
    house.forget()
    typed(house, bo, "no", "/+", "/topic tea")
    typed(house, al, "yes", "/unlock")
    typed(house, cy, "thanks")
    assert told(bo) == ["locked"] * 3 + ["Al: yes", "*** Al has unlocked the room ***", "Cy: thanks"]


def test_everybody_reacts_to_announcements_and_only_operators_write_them() -> None:
    house, (al, bo, cy) = ops("Al", "Bo", "Cy")
    typed(house, al, "tea at 4", "/set announcements on", "/mute Cy yes")
    house.forget()
    typed(house, bo, "when?", "/+", "/ask when?", "/hand")
    typed(house, cy, "/+")
    assert told(bo)[0] == "locked" and house.broker.of("ops")[-2].kind == "react"
    assert told(cy) == ["muted"]
    typed(house, al, "/lock")
    typed(house, bo, "/-")
    assert told(bo)[-1] == "locked"


def test_room_rests_for_a_minute_after_too_many_messages() -> None:
    house, (al, bo, cy) = ops("Al", "Bo", "Cy")
    later: list[tuple[float, Callable[[], None]]] = []
    house.hub.later = lambda seconds, call: later.append((seconds, call))
    typed(house, al, "/set flood 3", "/set")
    assert "flood: 3" in told(al)
    typed(house, al, "1", "2", "3", "4", "5")
    typed(house, bo, "1", "2")
    house.now += 11
    house.forget()
    typed(house, bo, "3", "4", "5")
    assert not later
    typed(house, cy, "6", "7")
    rests = "*** Too many messages came at once: for 60 s, only people chosen by the operators can speak here ***"
    assert told(bo) == ["Cy: 6", rests] and told(cy)[-2:] == [rests, "moderated"]
    typed(house, al, "8")
    ((seconds, end),) = later
    assert seconds == 60 and state(house).brake_ends == house.now + 60
    house.now += 60
    typed(house, bo, "9")
    end()
    house.settle()
    assert told(cy) == ["Al: 8", "Bo: 9", "*** Everybody can speak here again ***"] and not state(house).brake_ends
    end()
    typed(house, al, "/set flood off", "/set flood many")
    assert told(al)[-1] == "bad-value"
    for number in range(9):
        typed(house, bo, f"{number}")
    assert told(bo)[-1:] != ["moderated"] and len(later) == 1


def test_corrections_count_as_messages_for_the_brake() -> None:
    house, (al, bo) = ops("Al", "Bo")
    typed(house, al, "/set flood 3")
    typed(house, bo, "1", "/fix 2", "/fix 3", "/fix 4", "/fix 5")
    assert told(bo)[-1] == "moderated"


def test_brake_forgets_rooms_in_which_nobody_speaks_any_more() -> None:
    house, (al, bo) = ops("Al", "Bo")
    typed(house, al, "/set flood 3")
    typed(house, bo, "1", "/join art", "/set flood 3", "/op Al")
    typed(house, al, "/join art")
    house.now += WINDOW + 1
    typed(house, al, "1")
    assert list(house.hub.effects._brakes._times) == [house.broker.id("art")]


def test_brake_that_an_operator_has_ended_ends_once() -> None:
    house, (al, bo) = ops("Al", "Bo")
    later: list[Callable[[], None]] = []
    house.hub.later = lambda seconds, call: later.append(call)
    typed(house, al, "/set flood 1")
    typed(house, bo, "1", "2", "3")
    assert told(bo)[-1] == "moderated"
    typed(house, al, "/set flood off")
    house.forget()
    typed(house, bo, "4")
    assert told(al) == ["Bo: 4"] and told(bo) == [] and not state(house).brake_ends
    house.now += 30
    typed(house, al, "/set flood 1")
    typed(house, bo, "5", "6")
    stored = len(house.broker.log)
    later[0]()
    house.settle()
    assert len(house.broker.log) == stored and state(house).brake_ends == house.now + 60
    later[1]()
    house.settle()
    assert len(house.broker.log) == stored + 1 and not state(house).brake_ends


def test_brake_is_published_by_the_node_of_the_message_alone() -> None:
    house, (al, bo) = ops("Al", "Bo")
    typed(house, al, "/set flood 1")
    typed(house, bo, "1")
    room = house.hub.rooms.loaded["ops"]
    stored = len(house.broker.log)
    house.hub.effects._brakes.note(room, [house.broker.log[-1]], [None])
    house.settle()
    assert len(house.broker.log) == stored


def test_two_operators_let_two_people_speak_at_once() -> None:
    house, (al, bo, cy, dee) = ops("Al", "Bo", "Cy", "Dee")
    typed(house, al, "/op Bo", "/quiet on")
    for one in (cy, dee):
        typed(house, one, "/hand")
    house.forget()
    for operator in (al, bo):
        operator.types("/next")
    house.settle()
    assert told(cy) == ["*** Al lets Cy speak ***", "*** Bo lets Dee speak ***"]
