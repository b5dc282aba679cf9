"""How long and how much of a log is kept, whoever keeps it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Retention:
    """Bounds of a log: seconds, entries (on NATS: messages) and bytes; 0 for no bound."""

    age: float = 0
    count: int = 0
    size: int = 0

    def __bool__(self) -> bool:
        return bool(self.age or self.count or self.size)
