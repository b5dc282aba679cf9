"""What the server counts while it works; listeners/metrics.py shows it."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import dataclass, field

BOUNDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)  # seconds


@dataclass(slots=True)
class Timing:
    """How long something took, each time it was done."""

    counts: list[int] = field(default_factory=lambda: [0] * (len(BOUNDS) + 1))
    sum: float = 0.0

    def note(self, seconds: float) -> None:
        """Count one more."""
        self.counts[bisect_left(BOUNDS, seconds)] += 1
        self.sum += seconds


@dataclass(slots=True)
class Stats:
    """What the server counts. The names of the metrics are in listeners/metrics.py."""

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
    broker: Mapping[str, tuple[str, float]]  # what the broker counts besides: by name, with an explanation
