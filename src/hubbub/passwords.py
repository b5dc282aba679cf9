"""Passwords of operators: their hashes, which are slow to try (argon2id, RFC 9106), and limits for login attempts."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from hubbub.errors import Refused
from hubbub.text import refusals

# Called with whether a password is right; with None if it could not be checked.
Verified = Callable[[bool | None], None]

WRONG_LIMIT = 5  # consecutive wrong passwords after which an address is locked
LOCK_SECONDS = 300.0  # duration of the lock
MAX_PENDING = 3  # attempts of an address that wait or are being checked
MAX_ADDRESSES = 10_000  # remembered addresses with wrong passwords; the oldest are dropped
# The hash of an unknown password. It makes the check of an unknown name take as long as that of an operator's name.
NOBODY = "$argon2id$v=19$m=65536,t=3,p=4$kyQKAnkjFjHHzhBX9ue3tA$VfDnMaxzgqse2r5LuDrN3S/xUn5G3aupsczkDZFFQVM"


def make(password: str) -> str:
    """Return the argon2id hash of a password, for the settings."""
    from argon2 import PasswordHasher

    return PasswordHasher().hash(password)


def is_operator(operators: Sequence[str], name: str, password: str) -> bool:
    """Return whether a name and a password belong to one of the operators, which are given as NAME:HASH.

    The check of an unknown name takes the same time as that of a known one.

    Raises:
        MemoryError, argon2.exceptions.VerificationError: see `verify`.

    """
    kept = next((one.partition(":")[2] for one in operators if one.partition(":")[0] == name), "")
    return verify(kept or NOBODY, password) and bool(kept)


def verify(kept: str, password: str) -> bool:
    """Return whether a password matches a stored hash; False if the hash is invalid.

    Raises:
        MemoryError, argon2.exceptions.VerificationError: the password could not be checked, for example because the
            system gives no more memory.

    """
    from argon2 import PasswordHasher
    from argon2.exceptions import InvalidHashError, VerifyMismatchError

    try:
        return PasswordHasher().verify(kept, password)
    except (VerifyMismatchError, InvalidHashError):
        return False


class Attempts:
    """Attempts to log in as an operator, checked one at a time; the address with the fewest wrong attempts is next.

    An address may have MAX_PENDING attempts at a time, because an operator may share it with a user who guesses
    passwords. After WRONG_LIMIT consecutive wrong attempts the address is locked for LOCK_SECONDS.

    Args:
        clock: returns the seconds of a monotonic clock.
        check: starts the check of a name and a password, and calls back with the result, later and once; with None if
            they could not be checked.
        locks: whether addresses are ever locked.

    """

    def __init__(
        self, clock: Callable[[], float], check: Callable[[str, str, Verified], None], locks: bool = True
    ) -> None:
        self._clock = clock
        self._check = check
        self._locks = locks
        # By address: the number of consecutive wrong attempts, and the time of the last one.
        self._wrong: dict[str, tuple[int, float]] = {}
        # Waiting attempts, the oldest first: address, name, password, and the callback for the outcome.
        self._waiting: list[tuple[str, str, str, Verified]] = []
        self._under_way = ""  # address of the attempt that is being checked

    def refusal(self, address: str) -> Refused | None:
        """Return the refusal of an attempt from an address; None if it may try now."""
        pending = [waiting[0] for waiting in self._waiting].count(address) + (address == self._under_way)
        if pending >= MAX_PENDING:
            return refusals.ATTEMPT_PENDING()
        if left := self._locked(address):
            return refusals.LOCKED(minutes=math.ceil(left / 60))
        return None

    def add(self, address: str, name: str, password: str, done: Verified) -> None:
        """Queue the attempt of an address without a refusal; `done` is called with the result of its check."""
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

        def checked(right: bool | None) -> None:
            self._under_way = ""
            if right is not None:
                self._note(address, right)
            done(right)
            self._next()

        self._check(name, password, checked)

    def _note(self, address: str, right: bool) -> None:
        wrong, last = self._wrong.pop(address, (0, 0.0))
        if right:
            return
        now = self._clock()
        fresh = now - last >= LOCK_SECONDS  # older attempts do not count
        self._wrong[address] = (1 if fresh else wrong + 1), now
        while len(self._wrong) > MAX_ADDRESSES:
            del self._wrong[next(iter(self._wrong))]
