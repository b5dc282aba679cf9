"""The retention of a log: how long entries are kept and how many, on every broker."""

from __future__ import annotations

from msgspec import Struct


class Retention(Struct, frozen=True):
    """The bounds of a log: its age in seconds, its entries (on NATS: messages) and its bytes; 0 for no bound."""

    age: float = 0
    count: int = 0
    size: int = 0

    def __bool__(self) -> bool:
        return bool(self.age or self.count or self.size)
