"""How old a log is, by a clock that may be wrong: what decides which entries have become too old to be kept.

A clock that jumps ahead must not erase a history. So the log has a time of its own, which follows the system's clock,
but not faster than PACE seconds for each second that the server runs, and at most SLACK seconds behind it are believed
at once. It is kept with the log's mark (watermark.py), so that it holds over a restart, too:

- The clock goes as it should: both are the same.
- The clock is a year ahead for some hours: a few days, at most, are forgotten too early.
- The server was down for a month: what has become too old meanwhile is forgotten within ten days.
- The clock goes back: nothing is forgotten until it is right again.
"""

from __future__ import annotations

import logging
from datetime import datetime

from hubbub.brokers.retention import Retention

log = logging.getLogger("hubbub")

PACE = 4.0  # seconds that the log may age for each second that the server runs
SLACK = 60 * 60.0  # seconds that the clock may be ahead, and is believed: summer time, a machine that slept


DAY = 24 * 60 * 60.0
PATIENCE = DAY  # seconds that the clock may be ahead before that is worth a word
SOON = 60.0  # seconds until what is forgotten is told though more of it is being forgotten
EVERY = 60 * 60.0  # seconds between two words about what was forgotten


class Ageing:
    """The time of a log.

    Args:
        time: where it stood, in epoch seconds; 0 if that is not known.
        clock: what the system's clock shows, in epoch seconds.
        uptime: a clock that is never set, in seconds.

    """

    def __init__(self, time: float, clock: float, uptime: float) -> None:
        self.time = time or clock
        self._uptime = uptime

    def advance(self, clock: float, uptime: float) -> float:
        """Return the time by which entries are too old, when the clocks show this."""
        most = PACE * max(0.0, uptime - self._uptime)
        self._uptime = uptime
        self.time = min(clock, self.time + most) if clock > self.time else max(clock, self.time - most)
        return min(clock, self.time + SLACK)


class Forgetting:
    """Says on the console what is forgotten, and what is not though the clock says that it is old."""

    def __init__(self, keep: Retention) -> None:
        self._age = keep.age
        self._told = 0  # entries of which was told that they are forgotten
        self._when = float("-inf")  # that was told
        self._since: float | None = None  # something is forgotten that was not told yet
        self._doubted = False

    def tell(self, forgotten: int, more: bool, clock: float, time: float) -> None:
        """Say what is new.

        Args:
            forgotten: entries since the start.
            more: whether there are more to be forgotten just now.
            clock: what the system's clock shows, in epoch seconds.
            time: the time of the log.

        """
        doubted = bool(self._age) and clock - time > PATIENCE
        if doubted and not self._doubted:
            log.warning(
                "The clock is %.0f days ahead of what this log has seen. If it is right, entries that have become too "
                "old are forgotten little by little; if it is wrong, set it.",
                (clock - time) / DAY,
            )
        self._doubted = doubted
        if forgotten == self._told:
            self._since = None
            return
        self._since = self._since or clock
        if (not more or abs(clock - self._since) > SOON) and abs(clock - self._when) >= EVERY:
            what = (
                f" that were older than {datetime.fromtimestamp(time - self._age):%Y-%m-%d %H:%M}" if self._age else ""
            )
            log.info("%s entries%s are forgotten, as the settings keep_… ask", f"{forgotten - self._told:,}", what)
            self._told, self._when = forgotten, clock
