"""Questions in the key-value store: after a restart, and changed by several nodes at once."""

from __future__ import annotations

from typing import Any

import pytest

from called_later import Loop
from doubles import House
from hubbub.chat.classroom.join_codes import JoinCode, JoinCodes
from hubbub.chat.classroom.questions import Question, Questions
from hubbub.errors import BrokerError, Refused
from hubbub.storage.memory_key_value import MemoryKeyValue
from hubbub.storage.stored_lists import JOIN_CODES, QUESTIONS, stored_join_codes, stored_questions
from hubbub.text import refusals

TEA = Question(1, "Bo", "~nc@bo.nc", "tea?", 5.0)


def node(loop: Loop, store: MemoryKeyValue) -> Questions:
    questions = House().hub.questions
    loaded: list[BrokerError | None] = []
    stored_questions(store, questions).load(loaded.append)
    loop.run()
    assert loaded == [None]
    return questions


def test_questions_outlive_a_restart_and_reach_other_nodes_once() -> None:
    loop = Loop()
    store = MemoryKeyValue(loop.later)
    one, two = node(loop, store), node(loop, store)
    outcomes: list[object] = []
    for questions in (one, two):
        questions.store.change("ops", lambda known: [*known, TEA._replace(number=len(known) + 1)], outcomes.append)
    loop.run()
    assert [len(outcome) for outcome in outcomes] == [1, 2]  # type: ignore[arg-type]
    for questions in (one, two, node(loop, store)):
        assert questions.of("ops") == (TEA, TEA._replace(number=2))
    one.store.change("ops", lambda known: [], outcomes.append)
    loop.run()
    assert outcomes[-1] == [] and not one.of("ops") and not two.of("ops") and not node(loop, store).of("ops")


def test_refused_change_changes_nothing() -> None:
    loop = Loop()
    store = MemoryKeyValue(loop.later)
    one = node(loop, store)
    outcomes: list[object] = []

    def refuse(known: object) -> list[Question]:
        raise refusals.NO_SUCH_QUESTION()

    one.store.change("ops", refuse, outcomes.append)
    loop.run()
    assert isinstance(outcomes[0], Refused) and not one.of("ops")


@pytest.mark.parametrize("fails", ["get", "put"])
def test_store_that_is_away_is_reported(fails: str, monkeypatch: pytest.MonkeyPatch) -> None:
    loop = Loop()
    store = MemoryKeyValue(loop.later)
    one = node(loop, store)
    monkeypatch.setattr(store, fails, lambda *args: args[-1](BrokerError("it is away")))
    outcomes: list[Any] = []
    one.store.change("ops", lambda known: [TEA], outcomes.append)
    loop.run()
    assert outcomes[0].code == "busy" and not one.of("ops")


def test_damaged_item_is_void() -> None:
    loop = Loop()
    store = MemoryKeyValue(loop.later)
    store.put(QUESTIONS + "ops", b"\xff{", 0, lambda revision: None)
    loop.run()
    assert not node(loop, store).of("ops")


def test_join_codes_outlive_a_restart_and_damaged_ones_are_void() -> None:
    loop = Loop()
    store = MemoryKeyValue(loop.later)

    def codes() -> JoinCodes:
        made = House().hub.rooms.codes
        stored_join_codes(store, made).load(lambda error: None)
        loop.run()
        return made

    one = JoinCode("ops", "ops", "Al", 1.0, 2e9, 3, ("abcdefghij",))
    codes().store.change("BCDFGHJK", lambda known: (one,), lambda outcome: None)
    loop.run()
    assert codes().of("BCDFGHJK") == (one,)
    store.put(f"{JOIN_CODES}BBBBBBBB", b"[[7]]", 0, lambda outcome: None)
    loop.run()
    assert not codes().of("BBBBBBBB") and [letters for letters, _ in codes().of_room("ops")] == ["BCDFGHJK"]
