"""Passwords: kept as hashes that are slow to try (argon2id, RFC 9106), and who may try them how often."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

WRONG_LIMIT = 5  # wrong passwords in a row, then an address waits
LOCK_SECONDS = 300.0
MAX_PENDING = 3  # attempts of an address that wait for their turn or are being looked at
MAX_ADDRESSES = 10_000  # that are remembered; the oldest are forgotten
# A hash of nothing that anybody knows: a name that no operator has takes as long as one that some operator has.
NOBODY = "$argon2id$v=19$m=65536,t=3,p=4$kyQKAnkjFjHHzhBX9ue3tA$VfDnMaxzgqse2r5LuDrN3S/xUn5G3aupsczkDZFFQVM"


def make(password: str) -> str:
    """Return the hash of a password, for the settings."""
    from argon2 import PasswordHasher

    return PasswordHasher().hash(password)


def is_operator(operators: Sequence[str], name: str, password: str) -> bool:
    """Return whether a name and password are those of one of the operators, each NAME:HASH.

    It takes the same time for a name that nobody has.
    """
    kept = next((one.partition(":")[2] for one in operators if one.partition(":")[0] == name), "")
    return verify(kept or NOBODY, password) and bool(kept)


def verify(kept: str, password: str) -> bool:
    """Return whether a password is the one whose hash is kept."""
    from argon2 import PasswordHasher
    from argon2.exceptions import InvalidHashError, VerificationError

    try:
        return PasswordHasher().verify(kept, password)
    except (VerificationError, InvalidHashError):
        return False


class Attempts:
    """Attempts to log in as an operator: one after the other, an address with fewer wrong ones first.

    An address has MAX_PENDING attempts at a time: an operator may be at the same one as somebody who guesses. After
    WRONG_LIMIT wrong ones in a row it waits LOCK_SECONDS.

    Args:
        clock: returns seconds that never go back.
        check: begins to look whether a password is right, and calls back with that, later and once.
        locks: whether an address ever waits.

    """

    def __init__(
        self, clock: Callable[[], float], check: Callable[[str, str, Callable[[bool], None]], None], locks: bool = True
    ) -> None:
        self._clock = clock
        self._check = check
        self._locks = locks
        self._wrong: dict[str, tuple[int, float]] = {}  # by address: wrong ones in a row, when the last was
        self._waiting: list[tuple[str, str, str, Callable[[bool], None]]] = []  # with their addresses, the oldest first
        self._under_way = ""  # the address whose attempt is being looked at

    def refusal(self, address: str) -> str:
        """Return why an address may not try now, as a sentence; "" if it may."""
        pending = [waiting[0] for waiting in self._waiting].count(address) + (address == self._under_way)
        if pending >= MAX_PENDING:
            return "Other attempts from your address are under way; wait for their answers."
        if left := self._locked(address):
            return f"Too many wrong passwords came from your address; try again in {math.ceil(left / 60)} min."
        return ""

    def add(self, address: str, name: str, password: str, done: Callable[[bool], None]) -> None:
        """Let an address that is not refused try a name and a password; `done` is called with the outcome, later."""
        self._waiting.append((address, name, password, done))
        self._next()

    def _locked(self, address: str) -> float:
        wrong, last = self._wrong.get(address, (0, 0.0))
        return max(0.0, last + LOCK_SECONDS - self._clock()) if self._locks and wrong >= WRONG_LIMIT else 0.0

    def _next(self) -> None:
        if self._under_way or not self._waiting:
            return
        attempt = min(self._waiting, key=lambda waiting: self._wrong.get(waiting[0], (0, 0.0))[0])
        self._waiting.remove(attempt)
        address, name, password, done = attempt
        if self._locked(address):
            done(False)
            self._next()
            return
        self._under_way = address

        def checked(right: bool) -> None:
            self._under_way = ""
            self._note(address, right)
            done(right)
            self._next()

        self._check(name, password, checked)

    def _note(self, address: str, right: bool) -> None:
        wrong, last = self._wrong.pop(address, (0, 0.0))
        if right:
            return
        now = self._clock()
        fresh = now - last >= LOCK_SECONDS  # what was long ago does not count
        self._wrong[address] = (1 if fresh else wrong + 1), now
        while len(self._wrong) > MAX_ADDRESSES:
            del self._wrong[next(iter(self._wrong))]
