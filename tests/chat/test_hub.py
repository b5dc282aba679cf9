"""Entering, speaking, rooms and names: what each session sees of it, and when."""

import pytest

from doubles import House
from hubbub.chat.private import direct
from hubbub.errors import Refused
from hubbub.model.entries import Kind
from hubbub.model.events import Acknowledged, Goodbye, HistoryShown, Notice, Private, Refusal, RoomEntered
from records import entry_of, text_in

FULL = Refusal("not-stored", "Not sent: the disk is full.")


def texts(past: object) -> list[str]:
    assert isinstance(past, HistoryShown)
    return [text_in(entry) for entry in past.entries]


def refused(code: str) -> "Code":
    return Code(code)


class Code:
    """Equals each refusal with this code."""

    def __init__(self, code: str) -> None:
        self.code = code

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Refusal) and other.code == self.code

    def __repr__(self) -> str:
        return f"<refused: {self.code}>"


# --- entering -------------------------------------------------------------------------------------------------


def test_entering_an_empty_house_shows_nothing() -> None:
    house = House()
    al = house.connect()
    al.types("Al")
    house.settle()
    assert al.sees() == []
    bo = house.connect()
    bo.types("Bo")
    house.settle()
    assert (al.sees(), bo.sees()) == (["+Bo"], [])
    assert [entry.kind for entry in house.broker.log] == [Kind.JOIN, Kind.JOIN]


def test_lines_typed_at_once_wait_until_the_user_has_entered() -> None:
    house = House()
    (bo,) = house.enter("Bo")
    al = house.connect()
    al.types("Al", "one", "two")
    assert al.untaken == 2
    house.settle()
    assert bo.sees() == ["+Al", "Al: one", "Al: two"]
    assert al.sees() == []


def test_newcomer_is_shown_the_newest_messages_and_no_comings_and_goings() -> None:
    house = House(history=3)
    al, bo = house.enter("Al", "Bo")
    al.types("1", "2", "/me 3", "4", "/topic tea")
    bo.leave()
    house.settle()
    cy = house.connect()
    cy.types("Cy")
    house.settle()
    joined, past = cy.sees()
    assert joined == RoomEntered("lobby", joined.seq, "tea", True, room_id="lobby")
    assert texts(past) == ["2", "3", "4"]
    assert (past.now, past.tail) == (house.now, ())


def test_history_of_zero_shows_nothing() -> None:
    house = House(history=0)
    (al,) = house.enter("Al")
    al.types("1")
    house.settle()
    bo = house.connect()
    bo.types("Bo")
    house.settle()
    assert bo.sees() == []


def test_history_from_before_the_start_is_shown() -> None:
    house = House()
    log = [
        entry_of("lobby", 3, 0, 1.0, Kind.MESSAGE, "Old", "hi", "x.1"),
        entry_of("lobby", 6, 3, 2.0, Kind.TOPIC, "Old", "tea", "x.2"),
    ]
    house.broker.log += log
    al = house.connect()
    al.types("Al")
    house.settle()
    assert al.sees() == [RoomEntered("lobby", 9, "tea", True, room_id="lobby"), HistoryShown([log[0]], house.now)]


@pytest.mark.parametrize("name", ["al", "AL", "Ａｌ", "\x1b[1mAl"])
def test_taken_name_is_refused_and_another_may_be_tried(name: str) -> None:
    house = House()
    al, bo = *house.enter("Al"), house.connect()
    bo.types(name)
    assert bo.sees() == [refused("name-taken")]
    bo.types("Bo")
    house.settle()
    assert al.sees() == ["+Bo"]


def test_taken_name_is_said_as_it_was_typed() -> None:
    house = House()
    house.enter("Al")
    with pytest.raises(Refused, match=r"^The name aL is taken\.$"):
        house.hub.naming.enter(house.connect().session, "aL")


def test_invalid_name_is_refused_and_leaves_nothing_behind() -> None:
    house = House()
    al = house.connect()
    al.types("no way")
    assert al.sees() == [refused("name-invalid")]
    assert house.hub.users == {} and al.session.nick == ""


def test_name_is_free_again_once_its_user_left() -> None:
    house = House()
    al, bo = *house.enter("Al"), house.connect()
    al.leave()
    bo.types("Al")
    house.settle()
    assert bo.session.nick == "Al" and house.hub.nicks.find("AL") is bo.user
    assert house.hub.nicks.find("Bo") is None


def test_name_is_held_while_another_session_of_its_user_is_there() -> None:
    house = House()
    al, other = *house.enter("Al"), house.connect()
    house.hub.naming.attach(other.session, al.user)
    al.leave()
    assert house.hub.nicks.find("Al") is other.user


def test_entering_while_nothing_can_be_stored_is_told_and_may_be_repeated() -> None:
    house = House()
    al, bo = *house.enter("Al"), house.connect()
    bo.types("Bo")
    house.fail()
    assert bo.sees() == [Refusal("not-stored", "Not joined: the disk is full; try /join lobby again.")]
    bo.types("hi")
    assert bo.sees() == [refused("not-in-room")]
    bo.types("/join lobby", "hi")
    house.settle()
    assert al.sees() == ["+Bo", "Bo: hi"]


# --- saying ---------------------------------------------------------------------------------------------------


def test_message_is_shown_to_the_others_once_it_is_stored_and_never_to_its_sender() -> None:
    house = House()
    al, bo, cy = house.enter("Al", "Bo", "Cy")
    al.types("hi", "/me waves")
    assert [peer.sees() for peer in (al, bo, cy)] == [[], [], []]
    house.commit()
    assert [peer.sees() for peer in (al, bo, cy)] == [[], ["Al: hi", "* Al waves"], ["Al: hi", "* Al waves"]]


def test_order_is_the_logs_for_everybody() -> None:
    house = House()
    al, bo, cy = house.enter("Al", "Bo", "Cy")
    al.types("1")
    bo.types("2")
    al.types("3")
    house.commit()
    assert al.sees() == ["Bo: 2"]
    assert bo.sees() == ["Al: 1", "Al: 3"]
    assert cy.sees() == ["Al: 1", "Bo: 2", "Al: 3"]


def test_message_is_cleaned_and_an_empty_one_says_nothing() -> None:
    house = House()
    al, bo = house.enter("Al", "Bo")
    al.types("", "   ", "\x1b[31m", "\u202e", "  a\x1b[2Jb\x07 ")
    house.commit()
    assert bo.sees() == ["Al:   ab"]


@pytest.mark.parametrize(
    "text", ["\u200b", "\u3164", "\u2800", "\u00a0\u3000", "\u200d\u200d", "\x02\x0304\x03", "\ufe0f", "\u00ad"]
)
def test_message_that_shows_nothing_is_none(text: str) -> None:
    house = House()
    al, bo = house.enter("Al", "Bo")
    al.types(text, f"/me {text}")
    house.settle()
    assert bo.sees() == []
    with pytest.raises(Refused):
        direct.send_private(house.hub, al.session, "Bo", text)
    with pytest.raises(Refused):
        house.hub.post(al.session, "ci", "lobby", text, "r")


def test_message_that_is_not_stored_is_told_to_its_sender_alone() -> None:
    house = House()
    al, bo, cy = house.enter("Al", "Bo", "Cy")
    al.types("lost", "lost too")
    bo.types("lost as well")
    house.fail()
    assert al.sees() == [FULL, FULL]
    assert bo.sees() == [FULL]
    assert cy.sees() == []
    al.types("kept")
    house.commit()
    assert (al.sees(), bo.sees(), cy.sees()) == ([], ["Al: kept"], ["Al: kept"])


def test_message_may_fail_beside_one_that_is_stored() -> None:
    house = House()
    al, bo = house.enter("Al", "Bo")
    al.types("lost", "kept", "/time")
    lost, kept = house.gather()
    house.hub.pipeline.failed([lost], "no")
    assert al.sees() == [Refusal("not-stored", "Not sent: no.")]
    house.commit(house.broker.store([kept]))
    assert len(al.sees()) == 1 and bo.sees() == ["Al: kept"]


def test_ids_are_unique() -> None:
    house = House()
    al, bo = house.enter("Al", "Bo")
    for _ in range(20):
        al.types("a")
        bo.types("b")
    house.settle()
    ids = [entry.id for entry in house.broker.log]
    assert len(set(ids)) == len(ids) and all(id.startswith("boot-") for id in ids)


def test_broker_is_woken_when_there_is_something_to_publish() -> None:
    house = House()
    (al,) = house.enter("Al")
    house.woken = 0
    al.types("1")
    assert house.woken == 1
    al.types("/time")
    house.settle()
    assert house.woken == 1
    al.types("2")
    assert house.woken == 2


def test_reply_waits_for_what_its_session_said_before() -> None:
    house = House()
    al, bo = house.enter("Al", "Bo")
    al.types("hi", "/topic")
    bo.types("/topic")
    assert bo.sees() == [Notice(("There is no topic",))], "it said nothing, so it waits for nothing"
    assert al.sees() == []
    house.commit()
    assert al.sees() == [Notice(("There is no topic",))]


def test_reply_keeps_its_place_behind_a_refusal() -> None:
    house = House()
    (al,) = house.enter("Al")
    al.types("hi", "/topic", "ho", "/nosuch")
    house.fail()
    assert al.sees() == [FULL, Notice(("There is no topic",)), FULL, refused("no-such-command")]


def test_topic_is_set_and_cleaned() -> None:
    house = House()
    al, bo = house.enter("Al", "Bo")
    house.hub.set_topic(al.session, " tea\x1b[1m ")
    house.commit()
    assert bo.sees() == ["Al # tea"] and house.hub.rooms.loaded["lobby"].topic == "tea"


# --- private messages -----------------------------------------------------------------------------------------


def test_private_message_reaches_one_and_is_not_stored() -> None:
    house = House()
    al, bo, cy = house.enter("Al", "Bo", "Cy")
    before = len(house.broker.log)
    al.types("/msg bo  psst\x07 ")
    house.settle()
    assert [peer.sees() for peer in (al, bo, cy)] == [[], [Private("Al", "psst")], []]
    assert len(house.broker.log) == before


def test_private_message_keeps_its_place_behind_what_was_said_before() -> None:
    house = House()
    al, bo = house.enter("Al", "Bo")
    al.types("hi", "/msg Bo psst")
    assert bo.sees() == []
    house.commit()
    assert bo.sees() == ["Al: hi", Private("Al", "psst")]


@pytest.mark.parametrize(("line", "code"), [("/msg Nobody psst", "no-such-name"), ("/msg Bo", "argument-missing")])
def test_private_message_is_refused(line: str, code: str) -> None:
    house = House()
    al, bo = house.enter("Al", "Bo")
    al.types(line)
    assert al.sees() == [refused(code)] and bo.sees() == []


def test_private_message_without_text_is_refused() -> None:
    house = House()
    al, _ = house.enter("Al", "Bo")
    with pytest.raises(Refused, match="nothing to send"):
        direct.send_private(house.hub, al.session, "Bo", "\x1b[0m ")


def test_private_message_does_not_reach_the_next_holder_of_a_name() -> None:
    house = House()
    al, bo, cy = *house.enter("Al", "Bo"), house.connect()
    al.types("hi", "/msg Bo psst")
    bo.leave()
    cy.types("Bo")
    house.settle()
    assert refused("no-such-name") in al.sees()
    assert not any(isinstance(event, Private) for event in cy.sees())


def test_private_message_to_a_stalled_user_is_refused() -> None:
    house = House()
    al, bo = house.enter("Al", "Bo")
    bo.stall()
    al.types("/msg Bo psst")
    assert al.sees() == [Refusal("not-reading", "Not sent: Bo is not reading messages right now.")]
    bo.read()
    assert bo.sees() == []


# --- departing ------------------------------------------------------------------------------------------------


def test_departing_session_gets_goodbye_last_and_nothing_else() -> None:
    house = House()
    al, bo = house.enter("Al", "Bo")
    al.types("bye", "/quit see\x1b[1m you", "too late")
    bo.types("no")
    assert al.sees() == []
    house.commit()
    assert al.sees() == [Goodbye()] and al.untaken == 1
    assert bo.sees() == ["Al: bye", "-Al see you"]
    al.leave()
    al.read()
    house.settle()
    assert al.sees() == [] and bo.sees() == []


def test_departing_without_a_name_is_goodbye_at_once() -> None:
    house = House()
    peer = house.connect()
    peer.leave()
    assert peer.sees() == [Goodbye()] and not house.hub.pipeline.queued


def test_leave_of_a_departing_session_must_be_stored() -> None:
    house = House()
    al, bo = house.enter("Al", "Bo")
    al.types("lost")
    al.leave()
    house.fail()
    assert house.hub.pipeline.queued
    house.fail()
    house.commit()
    assert bo.sees() == ["-Al"]
    assert FULL in al.sees()


def test_departing_while_leaving_leaves_once() -> None:
    house = House()
    al, bo = house.enter("Al", "Bo")
    al.types("/leave")
    al.leave()
    house.fail()
    house.settle()
    assert bo.sees() == ["-Al"]


def test_departing_while_a_room_opens_is_no_join() -> None:
    house = House()
    al, bo = *house.enter("Al"), house.connect()
    bo.types("Bo")
    al.types("/join ops")
    al.leave()
    house.settle()
    assert not house.broker.of("ops") and "ops" not in house.hub.rooms.loaded and house.broker.followed == ["lobby"]


@pytest.mark.parametrize("stored", [True, False])
def test_departing_while_joining_is_seen_as_both_or_nothing(stored: bool) -> None:
    house = House()
    al, bo = *house.enter("Al"), house.connect()
    bo.types("Bo")
    bo.leave()
    if not stored:
        house.fail()
    house.settle()
    assert al.sees() == (["+Bo", "-Bo"] if stored else [])
    assert bo.sees()[-1] == Goodbye()


def test_departing_after_the_join_was_published_is_nothing_if_that_fails() -> None:
    house = House()
    al, bo = *house.enter("Al"), house.connect()
    bo.types("Bo")
    batch = house.gather()
    bo.leave()
    al.types("hi")
    house.hub.pipeline.failed(batch, "no")
    house.settle()
    assert al.sees() == [] and [text_in(entry) for entry in house.broker.log][-1] == "hi"


def test_departing_while_the_log_is_read_tells_nothing() -> None:
    house = House()
    (al,) = house.enter("Al")
    al.types("/history")
    al.leave()
    house.settle()
    assert al.sees() == [Goodbye()]


def test_when_all_is_closing_nobody_needs_to_be_told_who_leaves() -> None:
    house = House()
    al, bo = house.enter("Al", "Bo")
    house.hub.closing = True
    al.leave()
    assert al.sees() == [Goodbye()] and bo.sees() == [] and not house.hub.pipeline.queued


def test_settled_means_stored_and_delivered() -> None:
    house = House()
    al, bo = house.enter("Al", "Bo")
    assert house.hub.settled
    bo.stall()
    al.types("hi")
    assert not house.hub.settled
    house.commit()
    assert not house.hub.settled
    bo.read()
    assert house.hub.settled


def test_quit_does_not_wait_for_the_disk() -> None:
    house = House()
    al, bo = house.enter("Al", "Bo")
    bo.types("/quit")
    assert bo.sees() == []
    house.fail()
    assert bo.sees() == [Goodbye()]
    house.settle()
    assert al.sees() == ["-Bo"]


@pytest.mark.parametrize("text", ["", "  ", "\u202e\u202c", "\0"])
def test_nothing_with_a_label_is_refused_and_without_one_no_error(text: str) -> None:
    house = House()
    (al,) = house.enter("Al")
    house.hub.say(al.session, text, "lobby")
    with pytest.raises(Refused, match="nothing to send"):
        house.hub.say(al.session, text, "lobby", label="m1")
    house.settle()
    assert al.sees() == [] and house.broker.log[-1].kind is Kind.JOIN


def test_label_comes_back_when_all_were_given_the_entry() -> None:
    house = House()
    al, bo = house.enter("Al", "Bo")
    house.hub.say(al.session, "hi", label="m1")
    house.commit()
    (stored,) = al.sees()
    assert bo.sees() == ["Al: hi"]
    assert stored == Acknowledged("m1", house.broker.of("lobby")[-1]) and stored.entry.id.endswith("-m1")
    house.hub.say(al.session, "hi", label="m2")
    house.fail()
    assert al.sees() == [Refusal("not-stored", FULL.text, "m2")]


@pytest.mark.parametrize("blank", ["\u2800", "\u3164\u2800", "\x02\u2800\x02"])
def test_topic_that_shows_nothing_is_none(blank: str) -> None:
    house = House()
    (al,) = house.enter("Al")
    al.types("/topic tea", f"/topic {blank}", "/topic")
    house.settle()
    assert al.sees()[-1] == Notice(("There is no topic",))
