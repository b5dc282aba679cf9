"""The judges of a cluster find what they are there to find: a judge who lets all pass would show nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import crowd
import holders
import pages
import pytest
from crowd import Voice
from holders import Span
from msgspec.structs import asdict
from pages import NOT_STORED, STORED, Page

from hubbub.model.codec import record
from hubbub.model.entries import Entry, Kind
from hubbub.model.ids import leave_for
from records import entry_of


def entry(seq: int, nick: str = "b", label: str = "") -> Entry:
    return entry_of("lobby", seq, seq - 1, 0.0, Kind.MESSAGE, nick, f"text-{seq}", f"tag-{label or seq}")


LOG = [entry(1), entry(2), entry(3, "a", "m1"), entry(4), entry(5)]


def page() -> Page:
    made = Page("a", [])
    made.first = 1
    made.seen = [{**asdict(record(one)), "kind": "message"} for one in LOG[1:]]
    made.fates, made.numbers = {"m1": STORED}, {"m1": 3}
    return made


def test_page_that_saw_all_is_right() -> None:
    pages.judge(LOG, page())


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (lambda it: it.seen.pop(1), "missed 1"),
        (lambda it: it.seen.pop(), "missed 1"),
        (lambda it: it.seen.insert(1, it.seen[1]), "twice, or out of order"),
        (lambda it: it.seen.reverse(), "twice, or out of order"),
        (lambda it: it.seen.append({**it.seen[-1], "seq": 9}), "not in the log"),
        (lambda it: it.fates.update(m1=NOT_STORED), "is not stored, and it is"),
        (lambda it: it.numbers.update(m1=4), "is stored"),
        (lambda it: (it.fates.update(m2=STORED), it.numbers.update(m2=6)), "is stored"),
        (lambda it: it.fates.update(m1="no-name"), "was told no-name"),
    ],
)
def test_page_that_was_wronged_is_found(wrong: Callable[[Page], Any], says: str) -> None:
    made = page()
    wrong(made)
    with pytest.raises(AssertionError, match=says):
        pages.judge(LOG, made)


def test_message_that_is_in_the_log_twice_is_found() -> None:
    made = page()
    log = [*LOG, entry(6, "a", "m1")]
    made.seen.append({**asdict(record(log[-1])), "kind": "message"})
    with pytest.raises(AssertionError, match="twice"):
        pages.judge(log, made)


def test_log_shows_who_is_here() -> None:
    kinds = [
        (Kind.JOIN, "a", "", "p-1.1"), (Kind.JOIN, "b", "", "p-2.1"), (Kind.JOIN, "c", "", "q-1.1"),
        (Kind.MESSAGE, "a", "hi", "p-1.2"), (Kind.LEAVE, "a", "", leave_for("p-1.", 1)),
        (Kind.RENAME, "b", "d", "p-2.2"), (Kind.JOIN, "a", "", "p-1.3"),
        (Kind.KICK, "a", "c", "p-1.4"), (Kind.LEAVE, "b", "", "p-9.1"),
    ]  # fmt: skip
    log = [entry_of("lobby", seq, seq - 1, 0.0, *one) for seq, one in enumerate(kinds, 1)]
    assert crowd.members(log) == ["a", "d"]


SAID = [("b", "1"), ("b", "2"), ("a", "1"), ("b", "3")]


@pytest.mark.parametrize(
    ("log", "seen", "says"),
    [
        (SAID, SAID[:1] + SAID[3:], "missed 1"),
        (SAID, [SAID[1], SAID[0]], "out of order"),
        (SAID, [SAID[0], SAID[0]], "twice"),
        (SAID, [*SAID, ("b", "9")], "not in the log"),
        ([*SAID, SAID[0]], SAID, "in the log twice"),
    ],
)
def test_voice_that_was_wronged_is_found(log: list[Any], seen: list[Any], says: str) -> None:
    voice = Voice("a", [])
    voice.stays = [[SAID[0], SAID[1], SAID[3]]]
    crowd.judge(SAID, [voice])  # his own is not shown to him
    voice.stays.append(seen)
    with pytest.raises(AssertionError, match=says):
        crowd.judge(log, [voice])


@pytest.mark.parametrize(
    ("spans", "says"),
    [
        ([Span(1, 4, 0), Span(3, 5, 1)], "for 1.000 s"),
        ([Span(1, 9, 0), Span(2, 3, 1)], "two have the name"),
        ([Span(1, 9, 0), Span(9, 10, 1), Span(10, 11, 0), Span(10.5, 12, 1)], "two have the name"),
        ([Span(1, 4, 0), Span(5, 6, 0)], "never changed hands"),
    ],
)
def test_two_holders_of_a_name_are_found(spans: list[Span], says: str) -> None:
    holders.judge([Span(5, 6, 1), Span(1, 2, 0), Span(2, 5, 1)])
    with pytest.raises(AssertionError, match=says):
        holders.judge(spans)
