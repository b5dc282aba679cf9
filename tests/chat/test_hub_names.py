"""Names that change while things are in flight."""

import pytest

from doubles import House
from hubbub.errors import Refused
from hubbub.model.entries import Kind
from hubbub.model.events import Acknowledged, NickAssigned, Refusal

FULL = Refusal("not-stored", "Not sent: the disk is full.")


def test_new_name_is_shown_in_every_room_and_told_once() -> None:
    house = House()
    al, bo, cy = house.enter("Al", "Bo", "Cy")
    for peer in (al, bo):
        peer.types("/join ops")
    house.settle()
    house.forget()
    al.types("/nick Max", "hi")
    house.settle()
    assert al.sees() == [NickAssigned("Max")]
    assert bo.sees() == ["[lobby] Al > Max", "Al > Max", "Max: hi"]
    assert cy.sees() == ["Al > Max"]
    assert house.hub.nicks.find("max") is al.user and house.hub.nicks.find("Al") is None


def test_new_name_may_differ_by_case_alone() -> None:
    house = House()
    (al,) = house.enter("Al")
    al.types("/nick AL")
    house.settle()
    assert al.session.nick == "AL" and list(house.hub.users) == ["al"]
    al.types("/nick AL")
    assert not house.hub.pipeline.queued


def test_new_name_in_no_room_needs_no_entry() -> None:
    house = House()
    (al,) = house.enter("Al")
    al.types("/leave")
    house.settle()
    house.forget()
    al.types("/nick Max")
    assert al.sees() == [NickAssigned("Max")] and list(house.hub.users) == ["max"]


def test_both_names_are_held_until_the_new_one_is_stored() -> None:
    house = House()
    al, bo = *house.enter("Al"), house.connect()
    al.types("/nick Max")
    bo.types("Max", "Al")
    assert [event.code for event in bo.sees()] == ["name-taken"] * 2
    house.commit()
    bo.types("Max", "Al")
    house.settle()
    assert bo.session.nick == "Al"


def test_new_name_that_is_not_stored_is_free_again() -> None:
    house = House()
    al, bo = *house.enter("Al"), house.connect()
    al.types("/nick Max", "hi")
    house.fail()
    assert al.sees() == [FULL] and al.session.nick == "Al"
    bo.types("Al", "Max")
    house.settle()
    assert bo.session.nick == "Max"


def test_new_name_that_is_stored_in_one_room_alone_is_held() -> None:
    house = House()
    (al,) = house.enter("Al")
    al.types("/join ops")
    house.settle()
    al.types("/nick Max")
    first, second = house.gather()
    house.hub.pipeline.failed([first], "no")
    house.commit(house.broker.store([second]))
    assert al.session.nick == "Max" and list(house.hub.users) == ["max"]


def test_departing_while_a_new_name_is_not_stored_harms_nobody() -> None:
    house = House()
    al, bo, cy = *house.enter("Al", "Bo"), house.connect()
    bo.types("/nick Max")
    al.types("lost")
    bo.leave()
    cy.types("Max")
    house.fail()
    assert al.sees() == [FULL]
    assert house.hub.nicks.find("Max") is cy.user
    house.settle()
    assert al.sees() == ["-Bo"]


def test_departing_while_renaming_leaves_under_the_new_name() -> None:
    """The others last saw who leaves under that name."""
    house = House()
    al, bo = house.enter("Al", "Bo")
    bo.types("/nick Max")
    bo.leave()
    house.settle()
    assert al.sees() == ["Bo > Max", "-Max"]
    assert list(house.hub.users) == ["al"]


def test_a_name_that_is_free_here_may_still_be_held_elsewhere() -> None:
    house = House()
    house.enter("Al")
    directory = house.hub.nicks
    assert directory.check_free("Bo") == "Bo"
    with pytest.raises(Refused, match="taken"):
        directory.check_free("al")
    user, _ = directory.claim("Cy")
    user.is_remote = True
    assert directory.check_free("Cy") == "Cy"


def test_change_of_nick_and_the_end_of_a_user_have_one_id_in_all_rooms() -> None:
    house = House()
    al, bo = house.enter("Al", "Bo")
    for peer in (al, bo):
        peer.types("/join tea")
        house.settle()
    house.forget()
    al.session.label = "m1"
    al.types("/nick Cy")
    al.session.label = ""
    house.settle()
    renames = [(entry.room, entry.id) for entry in house.broker.log if entry.kind is Kind.RENAME]
    assert [room for room, _ in renames] == ["lobby", "tea"] and len({id for _, id in renames}) == 1
    acknowledged = [event for event in al.sees() if isinstance(event, Acknowledged)]
    assert [(event.label, event.entry.room) for event in acknowledged] == [("m1", "lobby")]
    al.leave("bye")
    house.settle()
    leaves = [(entry.room, entry.id) for entry in house.broker.log if entry.kind is Kind.LEAVE]
    assert [room for room, _ in leaves] == ["lobby", "tea"] and len({id for _, id in leaves}) == 1
    assert bo.sees() == ["[lobby] Al > Cy", "Al > Cy", "[lobby] -Cy bye", "-Cy bye"], "this wire shows it in each room"
    assert house.hub.pipeline.idle and not house.hub.users.get("al") and not house.hub.users.get("cy")


def test_entry_of_an_event_may_come_in_one_room_alone_first() -> None:
    house = House()
    (al,) = house.enter("Al")
    al.types("/join tea")
    house.settle()
    al.types("/nick Cy")
    first, second = house.broker.store(house.gather())
    house.commit([second])
    assert al.session.nick == "Cy" and len(house.hub.pipeline) == 1
    house.commit([first])
    assert house.hub.pipeline.idle
