"""The time of a log, from which the age of its entries is counted although the system's clock may be wrong.

A clock that jumps ahead must not erase a history. So the log has a time of its own. It follows the system's clock, but
moves at most PACE seconds for each second that the server runs. A clock that is up to SLACK seconds ahead of it counts
at once. The time is stored in the log's mark file (watermark.py), so that it continues after a restart:

- The clock is right: both times are the same.
- The clock is a year ahead for some hours: entries are deleted a few days too early at most.
- The server was down for a month: the entries that have become too old meanwhile are deleted within ten days.
- The clock goes back: nothing is deleted until it is right again.
"""

from __future__ import annotations

import logging
from datetime import datetime

from hubbub.storage.retention import Retention

log = logging.getLogger("hubbub")

PACE = 4.0  # maximum seconds of the log's time for each second that the server runs
SLACK = 60 * 60.0  # seconds by which the clock may be ahead and still counts: summer time, a machine that slept


DAY = 24 * 60 * 60.0
PATIENCE = DAY  # seconds that the clock may be ahead without a warning
SOON = 60.0  # seconds after which deleted entries are reported although the deletion goes on
EVERY = 60 * 60.0  # minimum seconds between two reports of deleted entries


class Ageing:
    """The time of a log.

    Args:
        time: the last stored time of the log, in epoch seconds; 0 if unknown.
        clock: the time of the system's clock, in epoch seconds.
        uptime: the time of a monotonic clock, in seconds.

    """

    def __init__(self, time: float, clock: float, uptime: float) -> None:
        self.time = time or clock
        self._uptime = uptime

    def advance(self, clock: float, uptime: float) -> float:
        """Advance the log's time to new readings of both clocks; return the time from which ages are counted.

        All times are in seconds. The result is at most SLACK seconds after the log's time, and never after the clock.
        """
        most = PACE * max(0.0, uptime - self._uptime)
        self._uptime = uptime
        self.time = min(clock, self.time + most) if clock > self.time else max(clock, self.time - most)
        return min(clock, self.time + SLACK)


class Forgetting:
    """Reports on the console the entries that retention deletes, and a clock that is far ahead of the log's time.

    Args:
        keep: the retention of the log.

    """

    def __init__(self, keep: Retention) -> None:
        self._age = keep.age
        self._told = 0  # deleted entries that were reported
        self._when = float("-inf")  # time of the last report
        self._since: float | None = None  # time of the first deletion that is not reported yet
        self._doubted = False  # whether the clock was far ahead at the last call

    def tell(self, forgotten: int, more: bool, clock: float, time: float) -> None:
        """Report newly deleted entries, at most every EVERY seconds, and a clock that has become far ahead.

        Args:
            forgotten: the entries deleted since the start.
            more: whether more entries are about to be deleted.
            clock: the time of the system's clock, in epoch seconds.
            time: the time of the log, in epoch seconds.

        """
        doubted = bool(self._age) and clock - time > PATIENCE
        if doubted and not self._doubted:
            log.warning(
                "The clock is %.0f days ahead of the newest entry of this log. If it is right, entries that are "
                "now too old will be deleted little by little. If it is wrong, set it.",
                (clock - time) / DAY,
            )
        self._doubted = doubted
        if forgotten == self._told:
            self._since = None
            return
        self._since = self._since or clock
        if (not more or abs(clock - self._since) > SOON) and abs(clock - self._when) >= EVERY:
            older = (
                f" that were older than {datetime.fromtimestamp(time - self._age):%Y-%m-%d %H:%M}" if self._age else ""
            )
            log.info("%s entries%s were deleted because of the settings keep_…", f"{forgotten - self._told:,}", older)
            self._told, self._when = forgotten, clock
