"""Searches: one of each address at a time, in their order, and none for somebody who has gone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from hubbub.core.searches import WAITING, Searches
from hubbub.errors import Busy
from queries import Search


class Log:
    """Is asked, and answers when it is told to."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, Callable[[Any], None]]] = []

    def read(self, query: Search, done: Callable[[Any], None]) -> None:
        self.asked.append((query.words, done))

    @property
    def words(self) -> list[str]:
        return [words for words, _ in self.asked]

    def answer(self) -> None:
        words, done = self.asked.pop(0)
        done(f"{words}!")


def scene() -> tuple[Log, Searches, list[str]]:
    log = Log()
    return log, Searches(log.read), []


def test_one_of_each_address_is_asked_at_a_time() -> None:
    log, searches, found = scene()
    for address, words in (("a", "1"), ("a", "2"), ("b", "3"), ("a", "4")):
        searches.ask(address, Search(words, 20), found.append)
    assert log.words == ["1", "3"]
    log.answer()
    assert (found, log.words) == (["1!"], ["3", "2"])
    for _ in range(3):
        log.answer()
    assert found == ["1!", "3!", "2!", "4!"] and not log.asked
    searches.ask("a", Search("5", 20), found.append)
    assert log.words == ["5"]


def test_without_an_address_nothing_waits() -> None:
    log, searches, found = scene()
    for words in "123":
        searches.ask("", Search(words, 20), found.append)
    assert log.words == ["1", "2", "3"]


def test_nobody_is_searched_for_who_has_gone() -> None:
    log, searches, found = scene()
    gone: set[str] = set()
    for words in "1234":
        searches.ask("a", Search(words, 20), found.append, lambda words=words: words not in gone)
    gone |= {"1", "2", "3"}
    log.answer()
    assert (found, log.words) == (["1!"], ["4"])
    gone.add("4")
    log.answer()
    assert found == ["1!", "4!"], "it was under way"
    gone.add("5")
    searches.ask("a", Search("5", 20), found.append, lambda: False)
    assert not log.asked
    searches.ask("a", Search("6", 20), found.append)
    assert log.words == ["6"]


def test_too_many_are_refused_and_others_are_not() -> None:
    log, searches, found = scene()
    for number in range(WAITING + 3):
        searches.ask("a", Search(str(number), 20), found.append)
    assert len(found) == 2 and all(isinstance(one, Busy) for one in found)
    searches.ask("b", Search("b", 20), found.append)
    assert log.words == ["0", "b"]
    while log.asked:
        log.answer()
    assert len(found) == WAITING + 4


@pytest.mark.parametrize("count", [1, 5])
def test_question_that_is_asked_in_an_answer_waits_its_turn(count: int) -> None:
    log, searches, found = scene()

    def again(answer: str) -> None:
        found.append(answer)
        if len(found) < 3:
            searches.ask("a", Search(f"{answer}?", 20), again)

    for _ in range(count):
        searches.ask("a", Search("1", 20), again)
    while log.asked:
        assert len(log.asked) == 1
        log.answer()
    assert len(found) == count + 2
