"""What a user remembers, and what a session is answered."""

import pytest

from doubles import NOON, House
from hubbub.chat import moderation
from hubbub.chat.commands.moderation import OpeningTold
from hubbub.chat.core import NoIndex
from hubbub.chat.operations.pages import PageAsked
from hubbub.chat.private import direct
from hubbub.chat.rooms import resuming
from hubbub.chat.turns import ClientStep, DeliveryStart, Operation
from hubbub.model.events import Notice, Refusal
from hubbub.model.queries import Latest
from hubbub.model.room.memory import FORMER_ROOMS
from hubbub.model.viewer import ASKER


def test_rooms_of_which_a_user_remembers_something_are_bounded() -> None:
    house = House()
    (al,) = house.enter("Al")
    for number in range(FORMER_ROOMS + 3):
        al.user.remember(f"r{number}", NOON)
        al.user.trust(f"r{number}")
    assert len(al.user.former) <= FORMER_ROOMS and "r0" not in al.user.former
    assert len(al.user.trusted) <= FORMER_ROOMS and "r0" not in al.user.trusted


def test_what_a_user_remembers_of_a_room_stays_when_the_room_is_renamed_and_is_not_another_ones() -> None:
    house = House()
    al, bo = house.enter("Al", "Bo")
    al.types("/join ops")
    house.settle()
    bo.user.remember("ops", NOON)
    bo.user.trust("ops")
    moderation.invite(house.hub, al.session, house.hub.rooms.loaded["ops"], "Bo")
    moderation.move(house.hub, al.session, house.hub.rooms.loaded["ops"], "dev")
    house.settle()
    al.types("/join ops")
    house.settle()
    dev, ops = house.hub.rooms.loaded["dev"], house.hub.rooms.loaded["ops"]
    assert (dev.name, ops.name) == ("dev", "ops") and dev.id == "ops" != ops.id
    for memory in (bo.user.former, bo.user.trusted, bo.user.invited):
        assert dev.id in memory and ops.id not in memory


def test_answer_to_somebody_who_has_left_is_dropped() -> None:
    house = House()
    al, bo = house.enter("Al", "Bo")
    al.types("/history")
    al.leave()
    house.settle()
    assert bo.sees() == ["-Al"] and not [event for event in al.sees() if type(event).__name__ == "HistoryShown"]


def test_log_of_a_closed_room_is_refused_with_the_rooms_own_code() -> None:
    house = House()
    al, bo = house.enter("Al", "Bo")
    al.types("/join ops", "/set invite-only on")
    house.settle()
    bo.session.queue(PageAsked(Latest("ops", 5, viewer=ASKER), ""))
    house.settle()
    (refusal,) = [event for event in bo.sees() if isinstance(event, Refusal)]
    assert refusal.code == "closed" and refusal.text == "Only members of ops can read it."


def test_steps_among_the_replies_are_data_and_are_done_in_their_turn() -> None:
    house = House()
    al, bo = house.enter("Al", "Bo")
    done: list[tuple[object, ...]] = []
    al.session.client_steps = {"note": lambda client, *args: done.append((client, *args))}
    bo.stall()
    direct.signal(house.hub, bo.session, "lobby", "+typing=active", label="s")
    bo.session.queue(OpeningTold("lobby", "open"))
    bo.session.queue(OpeningTold("gone", "open"))
    al.types("hi")
    al.session.replies.append(ClientStep("note", ("x", 1)))
    al.session.flush()
    kinds = [one.kind for one in bo.session.replies if isinstance(one, Operation)]
    assert kinds == ["Signal", "OpeningTold", "OpeningTold"] and not bo.session.pending, "no command waits for them"
    assert not done, "it waits for the message"
    assert not any(callable(item) for peer in (al, bo) for item in peer.session.replies)
    house.settle()
    bo.read()
    assert done == [(al, "x", 1)] and not bo.session.replies
    assert bo.sees().count(Notice(("open",))) == 1


def test_steps_of_a_connection_end_with_it() -> None:
    house = House()
    (al,) = house.enter("Al")
    al.stall()
    al.session.replies += [ClientStep("note"), Notice(("kept",)), DeliveryStart(None, None)]
    fresh = house.connect()
    resuming.replace(house.hub, al.session, fresh.session)
    assert al.session.replies == [Notice(("kept",))]


def test_search_without_an_index_is_refused() -> None:
    house = House()
    (al,) = house.enter("Al")
    house.hub.index = NoIndex(house)
    al.types("/search tea")
    house.settle()
    (refusal,) = [event for event in al.sees() if isinstance(event, Refusal)]
    assert "this node keeps no search index" in refusal.text


def test_label_of_the_command_is_back_also_after_a_refusal() -> None:
    (al,) = House().enter("Al")
    al.session.label = "one"
    with pytest.raises(ZeroDivisionError), al.session.labelled("two"):
        assert al.session.label == "two"
        1 / 0  # noqa: B018
    assert al.session.label == "one"
