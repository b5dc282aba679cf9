"""Who may try operators' passwords, how often, and in which order."""

from __future__ import annotations

import time

import pytest
from argon2 import PasswordHasher
from argon2.exceptions import VerificationError

from hubbub.passwords import (
    LOCK_SECONDS,
    MAX_ADDRESSES,
    MAX_PENDING,
    WRONG_LIMIT,
    Attempts,
    Verified,
    is_operator,
    make,
    verify,
)


class Desk:
    """Attempts at a desk where the test says which of them is right."""

    def __init__(self, locks: bool = True) -> None:
        self.now = 1000.0
        self.asked: list[tuple[str, Verified]] = []
        self.told: list[tuple[str, bool | None]] = []
        self.attempts = Attempts(lambda: self.now, lambda name, _, done: self.asked.append((name, done)), locks)

    def tries(self, address: str) -> None:
        assert self.attempts.refusal(address) is None
        self.attempts.add(address, address, "x", lambda right: self.told.append((address, right)))

    def answers(self, right: bool | None) -> str:
        name, done = self.asked.pop()
        done(right)
        return name

    def is_wrong(self, address: str, times: int) -> None:
        for _ in range(times):
            self.tries(address)
            self.answers(False)


def sentence(desk: Desk, address: str) -> str:
    refused = desk.attempts.refusal(address)
    return refused.text if refused else ""


def test_outcome_is_told() -> None:
    desk = Desk()
    desk.tries("a")
    desk.answers(True)
    desk.tries("a")
    desk.answers(False)
    assert desk.told == [("a", True), ("a", False)]


def test_attempt_that_could_not_be_checked_counts_as_none() -> None:
    desk = Desk()
    for _ in range(2 * WRONG_LIMIT):
        desk.tries("a")
        desk.answers(None)
    assert desk.told[-1] == ("a", None) and desk.attempts.refusal("a") is None


@pytest.mark.parametrize("fault", [MemoryError(), VerificationError("Memory allocation error")])
def test_password_that_cannot_be_checked_is_not_wrong(fault: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = make("sesame")
    assert verify(kept, "sesame") and not verify(kept, "wrong") and not verify("no hash", "sesame")

    def without_memory(self: PasswordHasher, kept: str, password: str) -> bool:
        raise fault

    monkeypatch.setattr(PasswordHasher, "verify", without_memory)
    with pytest.raises(type(fault)):
        is_operator([f"root:{kept}"], "root", "sesame")


def test_one_attempt_is_looked_at_at_a_time_and_an_address_has_few() -> None:
    desk = Desk()
    for _ in range(MAX_PENDING):
        desk.tries("a")
    desk.tries("b")
    assert len(desk.asked) == 1 and "being checked" in sentence(desk, "a") and desk.attempts.refusal("b") is None
    assert [desk.answers(False) for _ in range(MAX_PENDING + 1)] == ["a", "b", "a", "a"]
    assert desk.attempts.refusal("a") is None


def test_attempt_that_waits_while_its_address_is_locked_is_wrong_at_once() -> None:
    desk = Desk()
    desk.is_wrong("a", WRONG_LIMIT - 1)
    for _ in range(3):
        desk.tries("a")
    desk.answers(False)
    assert not desk.asked and desk.told[-3:] == [("a", False)] * 3


def test_address_that_guesses_waits() -> None:
    desk = Desk()
    desk.is_wrong("a", WRONG_LIMIT)
    assert sentence(desk, "a") == "Too many wrong passwords came from your address; try again in 5 min."
    desk.now += LOCK_SECONDS - 1
    assert "in 1 min" in sentence(desk, "a")
    desk.tries("b")  # nobody else waits
    desk.answers(True)
    desk.now += 1
    desk.is_wrong("a", WRONG_LIMIT - 1)
    assert desk.attempts.refusal("a") is None, "what was long ago does not count"


def test_right_password_forgets_the_wrong_ones() -> None:
    desk = Desk()
    for _ in range(3):
        desk.is_wrong("a", WRONG_LIMIT - 1)
        desk.tries("a")
        desk.answers(True)
    assert desk.attempts.refusal("a") is None


def test_operator_goes_before_those_who_guess() -> None:
    desk = Desk()
    for guesser in ("x", "y", "z"):
        desk.is_wrong(guesser, 1)
    for one in ("x", "y", "z", "operator"):
        desk.tries(one)
    assert [desk.answers(False) for _ in range(4)] == ["x", "operator", "y", "z"]


def test_nobody_waits_where_there_are_no_limits() -> None:
    desk = Desk(locks=False)
    desk.is_wrong("a", 3 * WRONG_LIMIT)
    assert desk.attempts.refusal("a") is None


def test_addresses_that_are_remembered_are_bounded() -> None:
    desk = Desk()
    for number in range(MAX_ADDRESSES + 10):
        desk.is_wrong(str(number), 1)
    assert len(desk.attempts._wrong) == MAX_ADDRESSES


def test_name_that_nobody_has_takes_as_long() -> None:
    operators = [f"root:{make('sesame')}"]

    def seconds(name: str) -> float:
        start = time.process_time()
        assert not is_operator(operators, name, "wrong")
        return time.process_time() - start

    known, unknown = min(seconds("root") for _ in range(5)), min(seconds("boot") for _ in range(5))
    assert unknown > known / 2
    assert is_operator(operators, "root", "sesame") and not is_operator([], "root", "")
