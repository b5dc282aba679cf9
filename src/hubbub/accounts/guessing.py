"""Limits for guessing: after some wrong attempts, each further one at an account from an address has to wait longer.

The delay belongs to the pair of account and address. So nobody can lock an owner out by giving wrong passwords from
elsewhere, and the others behind the same router can log in. With IPv6 the pair of account and /56 has a delay as well,
after more attempts: somebody with a whole /56 would have 256 addresses to guess from.

The attempts at names that nobody owns have a memory of their own: whoever tries many of them makes the server forget
no attempt at an account.

A code names no account, and has 34 bits. So wrong codes count for the address alone, and all of them together are
limited: CODE_RATE wrong codes a second hit one of a hundred valid codes less than once in a year.
"""

from __future__ import annotations

from collections.abc import Callable

from hubbub.model.rates.budget import scopes
from hubbub.model.rates.throttle import Throttle

FREE = 3  # wrong attempts of an address without a delay; a /56 of IPv6 has WIDER times as many (model/rates/budget.py)
MOST = 60.0  # seconds of the longest delay
FORGET = 600.0  # seconds after the last wrong attempt at which all are forgotten
PAIRS = 10_000  # pairs in each memory; the oldest are dropped
CODE_RATE = 5.0  # wrong codes a second from all addresses together
CODE_BURST = 300.0  # wrong codes at once


class Guesses:
    """The wrong attempts at accounts.

    Args:
        clock: returns the seconds of a monotonic clock.
        owned: returns whether a folded name is that of an account.
        limits: whether there are delays at all.

    """

    def __init__(self, clock: Callable[[], float], owned: Callable[[str], object], limits: bool = True) -> None:
        self._clock = clock
        self._owned = owned
        self._limits = limits
        # By account and address: the number of attempts that were wrong or are being checked, and the time of the last.
        self._at_accounts: dict[tuple[str, str], tuple[int, float]] = {}  # and by codes alone
        self._at_nobody: dict[tuple[str, str], tuple[int, float]] = {}
        self._codes = Throttle(CODE_RATE, CODE_BURST, clock())

    def _wrong(self, account: str) -> dict[tuple[str, str], tuple[int, float]]:
        """Return the memory in which the attempts at a folded name are; "" stands for codes alone."""
        return self._at_accounts if not account or self._owned(account) else self._at_nobody

    def _pairs(self, account: str, address: str) -> list[tuple[tuple[str, str], int]]:
        """Return the pairs in which an attempt counts, each with its number of attempts without a delay."""
        return [((account, scope), FREE * times) for scope, times in scopes(address)]

    def delay(self, account: str, address: str) -> float:
        """Return the seconds for which an address has to wait until its next attempt at an account; 0.0 for none."""
        memory, wait = self._wrong(account), 0.0
        for pair, free in self._pairs(account, address) if self._limits else ():
            wrong, last = memory.get(pair, (0, 0.0))
            if wrong > free:
                wait = max(wait, last + min(MOST, 2.0 ** min(wrong - free - 1, 10)) - self._clock())
        return wait

    def begin(self, account: str, address: str) -> None:
        """Count an attempt as wrong until `right` is called: many at once must not count as one."""
        now = self._clock()
        memory = self._wrong(account)
        for pair, _ in self._pairs(account, address):
            wrong, last = memory.pop(pair, (0, now))
            memory[pair] = (wrong + 1 if now - last < FORGET else 1), now
            if len(memory) > PAIRS:
                del memory[next(iter(memory))]

    def right(self, account: str, address: str) -> None:
        """Forget the wrong attempts of an address at an account, because one was right."""
        for pair, _ in self._pairs(account, address):
            self._wrong(account).pop(pair, None)

    def take_back(self, account: str, address: str) -> None:
        """Do not count an attempt, because it was not checked."""
        memory = self._wrong(account)
        for pair, _ in self._pairs(account, address):
            wrong, last = memory.get(pair, (0, 0.0))
            if wrong > 1:
                memory[pair] = wrong - 1, last
            else:
                memory.pop(pair, None)

    def code_delay(self) -> float:
        """Return the seconds until the next code can be tried, whoever tries it; 0.0 for none."""
        missing = self._codes.missing(self._clock())
        return (missing - CODE_BURST + 1) / CODE_RATE if self._limits and missing > CODE_BURST - 1 else 0.0

    def wrong_code(self) -> None:
        """Count a wrong code for all addresses."""
        self._codes.charge(1.0, self._clock())
