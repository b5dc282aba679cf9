"""Lists, page by page: of bounded bytes, with true numbers, and all of them however they are cut."""

from __future__ import annotations

import pytest

from doubles import House
from hubbub.chat.commands import slash
from hubbub.model.entries import Kind
from hubbub.model.queries import AllRooms, RoomList
from hubbub.model.viewer import Viewer
from hubbub.text.list_pages import MAX_LISTED, PAGE_BYTES, ListPart, page
from records import entry_of


def test_page_is_bounded_by_number_and_bytes() -> None:
    items = ["x" * 1000] * 100
    assert len(page(items, 10, len)) == 10
    assert len(page(items, 100, len)) == PAGE_BYTES // 1000
    assert len(page(["x" * 2 * PAGE_BYTES, "y"], 10, len)) == 1
    assert page([], 10, len) == []


@pytest.mark.parametrize("limit", [1, 2, 7, 100])
def test_all_people_are_read_page_by_page(limit: int) -> None:
    house = House()
    names = ["Zoë", "al", "Bo", "Łukasz", "ßen", "日本", "Al-2", "cy"]
    house.enter(*names)
    seen: list[str] = []
    after = None
    while True:
        listed = slash.members_of(house.hub, "lobby", ListPart(after, limit))
        assert len(listed.nicks) + listed.more == len(names) - len(seen)
        seen += listed.nicks
        if not listed.more:
            break
        after = listed.nicks[-1]
    assert seen == sorted(names, key=str.casefold)
    assert slash.members_of(house.hub, "lobby", ListPart("AL-2", 1)).nicks == ["Bo"]


def test_long_list_of_people_is_cut_by_bytes_and_tells_how_many_there_are() -> None:
    house = House()
    names = [f"{'日' * 28}{number}" for number in range(MAX_LISTED - 50)]
    house.enter(*names)
    listed = slash.members_of(house.hub, "lobby")
    assert 100 < len(listed.nicks) < len(names) and len(listed.nicks) + listed.more == len(names)


def rooms(house: House, part: ListPart, limit: int) -> tuple[list[str], int]:
    """Return a part of the rooms by what the log says, and how many there are besides."""
    stored: RoomList = house.broker._answer(AllRooms(part.limit, part.after or "", viewer=Viewer()))
    listed = slash.rooms_of(house.hub, stored, Viewer(), part=part)
    return [room.name for room in listed.rooms], listed.more


@pytest.mark.parametrize("limit", [1, 3, 100])
def test_all_rooms_are_read_page_by_page_also_those_that_nobody_has_stored(limit: int) -> None:
    house = House()
    for number, name in enumerate("hgfedcba"):
        house.broker.log.append(entry_of(name, number + 1, 0, 1.0, Kind.MESSAGE, "Old", "hi", f"x.{number}"))
    (al,) = house.enter("Al")
    for name in ("bb", "zz"):
        al.types(f"/join {name}")
    house.settle()
    seen: list[str] = []
    after = ""
    while True:
        names, more = rooms(house, ListPart(after, limit), limit)
        seen += names
        if not more:
            break
        after = names[-1]
    assert seen == ["a", "b", "bb", "c", "d", "e", "f", "g", "h", "lobby", "zz"]


def test_liveliest_rooms_come_first_and_the_number_of_all_is_told() -> None:
    house = House()
    al, bo = house.enter("Al", "Bo")
    for peer in (al, bo):
        peer.types("/join zz")
    al.types("/join aa")
    house.settle()
    assert rooms(house, ListPart(), 3) == (["lobby", "zz", "aa"], 0)
    assert rooms(house, ListPart(None, 2), 2) == (["lobby", "zz"], 1)


def test_long_topics_make_a_list_shorter() -> None:
    house = House()
    stored = RoomList([(f"r{number}", "T" * 16_000) for number in range(200)], 200)
    listed = slash.rooms_of(house.hub, stored, Viewer())
    assert len(listed.rooms) == 2 and listed.more == 198
