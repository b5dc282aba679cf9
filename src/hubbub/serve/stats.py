"""The server's counts and timings, which serve/web/metrics.py exports."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping

from msgspec import Struct, field

BOUNDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)  # seconds


class Timing(Struct):
    """A histogram of durations, with the bounds in BOUNDS."""

    counts: list[int] = field(default_factory=lambda: [0] * (len(BOUNDS) + 1))
    sum: float = 0.0

    def note(self, seconds: float) -> None:
        """Add one duration, in seconds."""
        self.counts[bisect_left(BOUNDS, seconds)] += 1
        self.sum += seconds


class Stats(Struct):
    """A snapshot of the server's counts and timings. serve/web/metrics.py names and explains them."""

    connections: dict[str, int]
    users: int
    rooms: int
    behind: int
    waiting: int
    entries: int
    deliveries: int
    not_stored: int
    turned_away: int
    commit: Timing
    fan_out: Timing
    lag: Timing  # of the event loop
    cluster: Mapping[str, tuple[str, float]]  # the cluster's metrics by name: help text, value
