"""The logins under way over ssh: how many there are at once, and how much of the event loop they may take.

A key exchange takes milliseconds of CPU, a thousand times as much as a line. So the input of peers that are not logged
in is processed one read at a time, and between two of them the loop is left to the chat for as long as the last one
took. A peer beyond the limits waits until another one is logged in or gone; it costs no more than a line client then.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Protocol

from hubbub.model.rates.budget import scopes

PER_ADDRESS = 10  # logins under way from an address
MOST = 2000  # logins under way in all; each takes about 30 KB


class Newcomer(Protocol):
    """A peer that is not logged in."""

    @property
    def origin(self) -> str:
        """The address under which it is counted."""
        ...

    def start(self) -> None:
        """Send the version of the server: the peer has a place in the queue."""
        ...

    def take_turn(self) -> None:
        """Process one read of input."""
        ...


class LoginQueue:
    """Lets peers begin to log in, and gives them turns.

    Args:
        call_soon: calls a function in the next iteration of the event loop.
        call_later: calls a function after a number of seconds.
        clock: returns monotonic seconds.
        limits: whether there are limits on the logins at once.

    """

    def __init__(
        self,
        call_soon: Callable[[Callable[[], None]], object],
        call_later: Callable[[float, Callable[[], None]], object],
        clock: Callable[[], float],
        limits: bool = True,
    ) -> None:
        self._call_soon = call_soon
        self._call_later = call_later
        self._clock = clock
        self._limits = limits
        self._started: dict[Newcomer, str] = {}  # with the addresses under which they are counted
        self._by_scope: Counter[str] = Counter()
        self._waiting: dict[str, dict[Newcomer, None]] = {}  # by address, in the order in which they came
        self._turns: dict[Newcomer, None] = {}  # that have input
        self._busy = False  # a turn is under way, or the pause after it
        self._began = 0.0  # time at which the last turn began

    def __len__(self) -> int:
        return len(self._started)

    def enter(self, peer: Newcomer) -> None:
        """Let a peer begin to log in, now or later."""
        self._waiting.setdefault(peer.origin, {})[peer] = None
        self._let_in([peer.origin])

    def leave(self, peer: Newcomer) -> None:
        """Note that a peer is logged in or gone; a second call does nothing."""
        self._turns.pop(peer, None)
        was_full = len(self._started) >= MOST
        if (where := self._started.pop(peer, None)) is not None:
            self._by_scope.subtract(scope for scope, _ in scopes(where))
            self._by_scope += Counter()  # removes the addresses whose count is 0
            self._let_in(list(self._waiting) if was_full or ":" in where else [where])
        elif peer in self._waiting.get(peer.origin, ()):
            self._remove(peer.origin, peer)

    def _remove(self, where: str, peer: Newcomer) -> None:
        del self._waiting[where][peer]
        if not self._waiting[where]:
            del self._waiting[where]

    def _let_in(self, addresses: list[str]) -> None:
        for where in addresses:
            for peer in list(self._waiting.get(where, ())):
                if not self._has_room(where):
                    break
                self._remove(where, peer)
                self._started[peer] = where
                self._by_scope.update(scope for scope, _ in scopes(where))
                peer.start()

    def _has_room(self, where: str) -> bool:
        if not self._limits:
            return True
        crowded = any(self._by_scope[scope] >= times * PER_ADDRESS for scope, times in scopes(where))
        return not crowded and len(self._started) < MOST

    def ask(self, peer: Newcomer) -> None:
        """Let a peer take a turn when the others who asked before have had theirs."""
        self._turns[peer] = None
        if not self._busy:
            self._busy = True
            self._call_soon(self._next)

    def _next(self) -> None:
        self._busy = bool(self._turns)
        if self._turns:
            peer = next(iter(self._turns))
            del self._turns[peer]
            self._began = self._clock()
            peer.take_turn()
            # Behind the tasks in which asyncssh processes what it has just received.
            self._call_soon(self._rest)

    def _rest(self) -> None:
        self._call_later(self._clock() - self._began, self._next)
