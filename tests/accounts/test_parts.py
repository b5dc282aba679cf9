"""The threads, the limits for guessing and the hashes of passwords."""

from __future__ import annotations

import queue
import subprocess
import sys
import threading
from collections.abc import Callable
from typing import Any

import pytest
from argon2 import PasswordHasher
from argon2.exceptions import VerificationError

from hubbub.accounts import hashing
from hubbub.accounts.guessing import FORGET, FREE, PAIRS, Guesses
from hubbub.accounts.records.codes import read_code
from hubbub.accounts.workers import Workers


class Delivered:
    """What threads have handed over to the loop's thread, which is the test's."""

    def __init__(self) -> None:
        self._calls: queue.SimpleQueue[tuple[Callable[..., object], tuple[Any, ...]]] = queue.SimpleQueue()

    def __call__(self, call: Callable[..., object], *values: Any) -> None:
        self._calls.put((call, values))

    def take(self, count: int) -> None:
        for _ in range(count):
            call, values = self._calls.get(timeout=60)
            call(*values)


def test_a_job_keeps_its_thread_until_it_ends_and_the_queue_is_bounded() -> None:
    delivered, go, started = Delivered(), threading.Event(), queue.SimpleQueue[str]()
    workers = Workers(2, 3, delivered, "test")
    done: list[str] = []

    def job() -> str:
        started.put(threading.current_thread().name)
        go.wait(60)
        return "done"

    assert [workers.do(job, done.append) for _ in range(6)] == [True] * 5 + [False]
    assert [started.get(timeout=60) for _ in range(2)] == ["test", "test"]
    assert started.empty()
    go.set()
    delivered.take(5)
    assert done == ["done"] * 5
    assert workers.do(job, done.append)
    delivered.take(1)
    workers.stop()


def test_addresses_take_turns_and_none_of_them_fills_the_queue() -> None:
    delivered, go = Delivered(), threading.Event()
    workers = Workers(1, 4, delivered, "test")
    done: list[tuple[str, object]] = []

    def give(address: str, name: str) -> bool:
        return workers.do(lambda: go.wait(60), lambda result: done.append((name, result)), address)

    assert [give("many", f"many {number}") for number in range(6)] == [True] * 5 + [False]
    assert give("one", "one 0"), "the newest job of the others makes room"
    delivered.take(1)
    assert done == [("many 4", None)]
    assert not give("many", "many 6")
    assert give("one", "one 1")
    assert not give("one", "one 2"), "now both have as many"
    go.set()
    delivered.take(6)
    workers.stop()
    assert done[1:] == [
        ("many 3", None),
        *((name, True) for name in ("many 0", "many 1", "one 0", "many 2", "one 1")),
    ]


def test_a_job_that_fails_gives_nothing_and_ends_no_thread(caplog: pytest.LogCaptureFixture) -> None:
    delivered, done = Delivered(), list[Any]()
    workers = Workers(1, 1, delivered, "test")

    def broken() -> None:
        raise ZeroDivisionError

    workers.do(broken, done.append)
    delivered.take(1)
    workers.do(lambda: 1, done.append)
    delivered.take(1)
    assert done == [None, 1] and "a job of test failed" in caplog.text
    workers.stop()


def test_guesses_are_forgotten_after_a_while_and_their_number_is_bounded() -> None:
    now = [0.0]
    guesses = Guesses(lambda: now[0], lambda name: name == "ann")
    for _ in range(5):
        guesses.begin("ann", "here")
    assert guesses.delay("ann", "here") == 2
    guesses.take_back("ann", "here")
    assert guesses.delay("ann", "here") == 1
    now[0] += FORGET
    guesses.begin("ann", "here")
    assert guesses.delay("ann", "here") == 0
    guesses.take_back("ann", "here")
    assert not guesses._at_accounts
    for _ in range(2):
        guesses.begin("ann", "here")
    guesses.take_back("ann", "here")
    for _ in range(3):
        guesses.begin("ann", "here")
    assert guesses.delay("ann", "here") == 1
    for number in range(PAIRS + 5):
        guesses.begin(str(number), "here")
        guesses.begin("ann", str(number))
    assert len(guesses._at_nobody) == len(guesses._at_accounts) == PAIRS
    free = Guesses(lambda: 0.0, bool, limits=False)
    for _ in range(400):
        free.begin("ann", "here")
        free.wrong_code()
    assert free.delay("ann", "here") == free.code_delay() == 0


def test_the_addresses_of_a_household_are_slowed_together() -> None:
    now = [0.0]
    guesses = Guesses(lambda: now[0], lambda name: True)
    networks = [f"2001:db8:0:{number:x}::/64" for number in range(0x100)]
    tried = 0
    for network in networks:
        while not guesses.delay("ann", network):
            guesses.begin("ann", network)
            tried += 1
    assert tried == 4 * FREE + 1
    assert not guesses.delay("ann", "2001:db8:0:100::/64"), "another household"
    guesses.right("ann", networks[0])
    assert not guesses.delay("ann", networks[9])


def test_attempts_that_go_on_are_not_those_that_are_forgotten() -> None:
    guesses = Guesses(lambda: 0.0, lambda name: name == "ann")
    for _ in range(5):
        guesses.begin("ann", "here")
    for number in range(PAIRS - 1):
        guesses.begin("ann", str(number))
    guesses.begin("ann", "here")
    guesses.begin("ann", "one more")
    assert guesses.delay("ann", "here") == 4


def test_tries_at_many_unknown_names_make_nobody_forget_those_at_an_account() -> None:
    guesses = Guesses(lambda: 0.0, lambda name: name == "ann")
    for account in ("ann", "", "nobody"):
        for _ in range(5):
            guesses.begin(account, "here")
    for number in range(PAIRS):
        guesses.begin(str(number), "here")
    assert [guesses.delay(account, "here") for account in ("ann", "", "nobody")] == [2, 2, 0]


def test_codes_are_read_in_any_spelling() -> None:
    assert read_code("bcdf-ghjk") == read_code(" BCDF GHJK ") == read_code("bcdfghjk") == "BCDFGHJK"
    for text in ("", "BCDFGHJ", "BCDFGHJA", "BCDFGHJKL", "BCDF\nGHJK", "-" * 1000):
        assert read_code(text) == ""


def test_stored_verifiers_are_read_back() -> None:
    made = hashing.make("correct horse")
    assert hashing.verify(made.password, "correct horse") and not hashing.verify(made.password, "correct")
    assert not hashing.verify("", "nobody's") and not hashing.verify("damaged", "x")
    verifier = hashing.read_scram(made.scram)
    assert len(verifier.salt) == 16 and verifier.rounds == hashing.ROUNDS
    assert "argon2" not in repr(made) and "x" not in repr(verifier)
    for damaged in ("", "SCRAM-SHA-1$4096:YQ==$YQ==:YQ==", "a$b$c"):
        with pytest.raises(ValueError, match=r"unpack|unknown|values"):
            hashing.read_scram(damaged)
    surrogate = hashing.make("lone \ud800 surrogate")
    assert hashing.verify(surrogate.password, "lone \ud800 surrogate")


def test_a_server_loads_the_libraries_for_passwords_only_when_it_needs_them() -> None:
    script = "import hubbub.server, sys; print({'argon2', 'scramp'} & sys.modules.keys())"
    output = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    assert output == "set()\n"


@pytest.mark.parametrize("fault", [MemoryError(), VerificationError("Memory allocation error")])
def test_a_password_that_cannot_be_checked_is_not_wrong(fault: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    def without_memory(self: PasswordHasher, kept: str, password: bytes) -> bool:
        raise fault

    monkeypatch.setattr(PasswordHasher, "verify", without_memory)
    with pytest.raises(type(fault)):
        hashing.verify(hashing.NOBODY, "open sesame")
