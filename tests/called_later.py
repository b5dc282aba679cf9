"""A loop whose calls wait until the test makes them, for stores that answer later."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any


class Loop:
    """Calls that wait; `run` makes them."""

    def __init__(self) -> None:
        self._calls: deque[tuple[Callable[..., object], tuple[Any, ...]]] = deque()

    def later(self, call: Callable[..., object], *values: Any) -> None:
        self._calls.append((call, values))

    def run(self) -> None:
        while self._calls:
            call, values = self._calls.popleft()
            call(*values)
