"""Who left a room when, and what somebody who comes back is shown."""

from __future__ import annotations

import math

import pytest

from doubles import NOON, House, Peer
from hubbub.chat.rooms.replay import RETURNING
from hubbub.model.accounts.account import host_of
from hubbub.model.codec import stored
from hubbub.model.entries import Entry, Joined, Kind, Left
from hubbub.model.events import HistoryShown
from hubbub.model.ids import leave_for
from hubbub.model.queries import Latest
from hubbub.model.room.absent import DAY, Absence, absences, open_joins
from records import entry_of, text_in

AL, BO, CY = ("al", "~al@x"), ("bo", "~bo@y"), ("cy", "~al@x")


def entries(*rows: tuple[str, Kind, str, str]) -> list[Entry]:
    """Return a log of (process, kind, nick, text); its numbers are 1, 2, ... and its times 101, 102, ..."""
    hosts = {"Al": "~al@x", "Bo": "~bo@y", "Cy": "~al@x"}
    return [
        entry_of("ops", seq, seq - 1, 100.0 + seq, kind, nick, text, f"{process}-1.{seq}", hosts[nick])
        for seq, (process, kind, nick, text) in enumerate(rows, 1)
    ]


JOINED = ("a", Kind.JOIN, "Al", "")
SAID, LEFT = ("a", Kind.MESSAGE, "Bo", "hi"), ("a", Kind.LEAVE, "Al", "")


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([], {}),
        ([JOINED, LEFT], {AL: Absence(2, 102.0)}),
        ([JOINED, LEFT, JOINED, SAID, LEFT], {AL: Absence(5, 105.0), BO: Absence(5, math.inf)}),
        ([JOINED, SAID], {AL: Absence(2, math.inf), BO: Absence(2, math.inf)}),  # the process ended, and nothing since
        ([JOINED, SAID, ("b", Kind.JOIN, "Bo", "")], {AL: Absence(2, 103.0), BO: Absence(3, math.inf)}),
        ([JOINED, ("a", Kind.RENAME, "Al", "Cy"), SAID], {CY: Absence(3, math.inf), BO: Absence(3, math.inf)}),
    ],
)
def test_absent_members_are_read_from_the_log(rows: list[tuple[str, Kind, str, str]], expected: object) -> None:
    assert absences(entries(*rows)) == expected


def keeping(house: House, name: str) -> Peer:
    """Return somebody in the lobby whose client keeps what it is shown."""
    peer = house.connect()
    peer.session.keeps_history, peer.session.host = True, f"~{name}@x"
    peer.types(name)
    house.settle()
    return peer


def past(peer: Peer) -> list[str]:
    return [text_in(entry) for event in peer.sees() if isinstance(event, HistoryShown) for entry in event.entries]


def test_returning_member_sees_the_missed_messages() -> None:
    house = House()
    (al,) = house.enter("Al")
    al.types("one")
    house.settle()
    bo = keeping(house, "Bo")
    assert past(bo) == ["one"]
    for said in ([], ["two"], ["three", "four"]):
        bo.types("/leave")
        house.settle()
        al.types(*said)
        house.settle()
        bo.types("/join lobby")
        house.settle()
        assert past(bo) == said


def test_member_returning_after_a_day_is_a_newcomer() -> None:
    house = House()
    (al,) = house.enter("Al")
    al.types("one")
    house.settle()
    bo = keeping(house, "Bo")
    bo.types("/leave")
    house.settle()
    house.now = NOON + DAY
    bo.types("/join lobby")
    house.settle()
    assert past(bo) == ["one", "one"]


def test_many_missed_messages_come_from_the_log() -> None:
    house = House(history=2)
    (al,) = house.enter("Al")
    bo = keeping(house, "Bo")
    bo.types("/leave")
    house.settle()
    al.types(*"abcde")
    house.settle()
    bo.types("/join lobby")
    house.settle()
    query = house.broker.queries[-1]
    assert isinstance(query, Latest) and query.limit == RETURNING and past(bo) == [*"abcde"]


def test_many_missed_messages_without_a_readable_log_are_the_newest() -> None:
    house = House(history=2)
    (al,) = house.enter("Al")
    bo = keeping(house, "Bo")
    bo.types("/leave")
    house.settle()
    al.types(*"abcde")
    house.settle()
    bo.types("/join lobby")
    house.commit()
    house.broker.fault = "no"
    house.settle()
    assert past(bo) == ["d", "e"]


def test_member_who_left_while_behind_continues_from_there() -> None:
    house = House()
    (al,) = house.enter("Al")
    bo = keeping(house, "Bo")
    bo.stall()
    al.types("unread")
    house.settle()
    bo.leave()
    house.settle()
    assert past(keeping(house, "Bo")) == ["unread"]


def test_possibly_lost_messages_are_shown_again() -> None:
    house = House()
    (al,) = house.enter("Al")
    bo = keeping(house, "Bo")
    al.types("heard")
    house.settle()
    house.now += 100
    al.types("unsure")
    house.settle()
    house.now += 50
    bo.session.unheard = 60.0
    bo.leave()
    house.settle()
    assert past(keeping(house, "Bo")) == ["unsure"]


def test_only_so_many_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hubbub.chat.rooms.loaded_room.ABSENT", 1)
    house = House()
    (al,) = house.enter("Al")
    al.types("one")
    house.settle()
    for name in ("Bo", "Cy"):
        keeping(house, name).leave()
        house.settle()
    assert past(keeping(house, "Cy")) == []
    assert past(keeping(house, "Bo")) == ["one"]


def test_a_leave_is_marked_unless_it_was_asked_for() -> None:
    house = House()
    al, bo = house.enter("Al", "Bo")
    al.types("/quit bye")
    bo.leave("gone")
    house.settle()
    assert [(entry.nick, stored(entry.body, "")) for entry in house.broker.log if entry.kind is Kind.LEAVE] == [
        ("Al", ("leave", "bye", "quit")),
        ("Bo", ("leave", "gone", "quit;lost")),
    ]


def test_all_that_a_bot_does_is_marked() -> None:
    house = House()
    al, bo = house.enter("Al", "Bo")
    assert al.session.user
    al.session.user.modes = frozenset("B")
    al.types("hi", "/me waves", "/topic tea", "/nick Cy", "/leave")
    bo.types("hi")
    house.settle()
    tags = {(entry.kind, entry.nick): entry.tags for entry in house.broker.log[2:]}
    assert tags.pop((Kind.MESSAGE, "Bo")) == "" and len(tags) == 5 and set(tags.values()) == {"bot"}


def joins(*lines: tuple[str, Kind, str, str]) -> list[str]:
    """Return the nicks of those who have joined and not left, from entries (id, kind, nick, text)."""
    log = [entry_of("lobby", seq, 0, 1.0, kind, nick, text, id) for seq, (id, kind, nick, text) in enumerate(lines)]
    return [one.nick for one in open_joins(log).values()]


def test_joins_that_have_no_leave() -> None:
    zoe, yan = ("z-1.1", Kind.JOIN, "Zoe", ""), ("z-2.1", Kind.JOIN, "Yan", "")
    assert joins(zoe, yan, ("z-1.2", Kind.MESSAGE, "Zoe", "hi")) == ["Zoe", "Yan"]
    assert joins(zoe, yan, ("z-1.2", Kind.LEAVE, "Zoe", "")) == ["Yan"]
    assert joins(zoe, yan, (leave_for("z-1.", 0), Kind.LEAVE, "Zoe", "")) == ["Yan"]
    assert joins(zoe, yan, ("z-2.2", Kind.KICK, "Yan", "Zoe rude")) == ["Yan"]
    assert joins(zoe, yan, ("z-1.2", Kind.RENAME, "Zoe", "Kim"), ("z-2.2", Kind.KICK, "Yan", "Kim")) == ["Yan"]
    assert joins(("z-9.1", Kind.RENAME, "Zoe", "Kim"), ("", Kind.JOIN, "Old", "")) == []


def test_leave_of_the_owner_of_an_account_ends_all_joins_of_theirs() -> None:
    host = host_of("idann")
    log = [
        Entry("lobby", 1, 0, 1.0, "Ann", "a-1.1", Joined(), host),
        Entry("lobby", 2, 1, 1.0, "Bo", "b-1.1", Joined(), "~nc@bo.nc"),
        Entry("lobby", 3, 2, 1.0, "Ann", "b-2.1", Joined(), host),
        Entry("lobby", 4, 3, 1.0, "Ann", "idann.x1.0", Left(quit=True), host),
    ]
    assert [one.nick for one in open_joins(log).values()] == ["Bo"]
