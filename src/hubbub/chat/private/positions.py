"""How far people were given their private conversations: the port of the store that remembers it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

from hubbub.errors import BrokerError


class Position(NamedTuple):
    """How far the owner of an account was given the conversation with another account.

    Args:
        other: the id of the other account.
        seq: the number of the last entry that was given.
        waiting: whether there may be more.

    """

    other: str
    seq: int
    waiting: bool


class Positions(Protocol):
    """The positions of accounts in their conversations: durable, and the same on all nodes. All ids are of accounts.

    Whoever is about to store a message announces it first, so the next login of its recipient finds it, even if the
    process is killed in between. At worst a message is shown twice.
    """

    def announce(self, owner: str, other: str, done: Callable[[BrokerError | None], None]) -> None:
        """Note that a message of `other` to `owner` is about to be stored, and call `done` when that is durable."""
        ...

    def settled(self, owner: str, other: str) -> None:
        """Note that an announced message has its outcome. Until then `all` of `shown` does not count."""
        ...

    def given(self, owner: str, other: str, seq: int) -> None:
        """Note soon that `owner` was given the message with a number, unless they have missed an earlier one."""
        ...

    def missed(self, owner: str, other: str, seq: int) -> None:
        """Note that `owner` was not given the message with a number: the position stays before it until `shown`."""
        ...

    def shown(self, owner: str, other: str, seq: int, all: bool) -> None:
        """Note soon that `owner` was shown all up to a number from the log; with `all`, that nothing more waits."""
        ...

    def of(self, owner: str, done: Callable[[Sequence[Position] | BrokerError], None]) -> None:
        """Call `done` later with the positions of an account in its conversations, the last one changed at the end."""
        ...
