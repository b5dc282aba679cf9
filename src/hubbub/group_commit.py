"""Group commit: the cycle that gathers the hub's drafts, commits them as a batch and delivers the entries."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence

from hubbub.chat.hub import Hub
from hubbub.model.entries import SAID, Draft, Entry, Kind
from hubbub.storage.ports import Broker

log = logging.getLogger("hubbub")

ENOUGH = 0.05  # seconds until the next batch, for a broker that gathers batches itself
RETRY = 0.25  # seconds until the next batch after the broker failed


class GroupCommit:
    """Run the cycle of gathering, commit and fan-out: one batch is with the broker while the next one is gathered.

    After a fan-out that took d seconds, the next batch is gathered for at least d seconds more. This leaves half of the
    time for new connections, and turns a burst of joins into a few big writes instead of millions of small ones.

    Args:
        loop: the running loop.
        log_messages: whether messages are shown on the console.
        commit: called with the duration of each commit, in seconds.
        fan_out: called with the duration of each fan-out, in seconds.

    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        log_messages: bool,
        commit: Callable[[float], None],
        fan_out: Callable[[float], None],
    ) -> None:
        self._loop = loop
        self._log_messages = log_messages
        self._note_commit = commit
        self._note_fan_out = fan_out
        self._published = 0.0  # time.perf_counter() of the last publication; 0 after its commit
        self.entries = 0  # entries stored since the start
        self.not_stored = 0  # drafts not stored since the start
        self._busy = False  # a batch is with the broker, or being delivered
        self._planned = False  # a call of `_publish` is scheduled
        self._earliest = 0.0  # time.perf_counter() before which no batch is published
        self.hub: Hub
        self.broker: Broker

    def wake(self) -> None:
        """Schedule the publication of the gathered drafts as early as possible, unless a batch is under way."""
        if self._busy or self._planned:
            return
        self._planned = True
        delay = self._earliest - time.perf_counter()
        if delay > 0:
            self._loop.call_later(delay, self._publish)
        else:
            # Not at once: other drafts of this loop iteration belong to the same batch.
            self._loop.call_soon(self._publish)

    def _publish(self) -> None:
        self._planned = False
        batch = self.hub.outbox.gather()
        if batch:
            self._busy = True
            # A broker that gathers batches itself takes the next batch before this one is stored, to shorten the wait.
            if self.broker.gathers:
                self._loop.call_later(ENOUGH, self._next)
            self._published = time.perf_counter()
            self.broker.publish(batch)

    def committed(self, entries: Sequence[Entry]) -> None:
        """Deliver stored entries, and schedule the next batch when the loop has written them."""
        start = time.perf_counter()
        if self._published:
            self._note_commit(start - self._published)
            self._published = 0.0
        self.entries += len(entries)
        if self._log_messages:
            for entry in entries:
                if entry.kind in SAID:
                    encoder = "* %s %s" if entry.kind is Kind.ACTION else "%s: %s"
                    log.info(encoder, entry.nick, entry.text)
        try:
            self.hub.commits.stored(entries)
        finally:
            # The next batch follows even after a bug in the delivery. It starts when the loop has flushed the writes.
            self._loop.call_soon(self._delivered, start)

    def _delivered(self, start: float) -> None:
        now = time.perf_counter()
        self._note_fan_out(now - start)
        self._earliest = now + (now - start)
        self._next()

    def failed(self, drafts: Sequence[Draft], reason: str, sure: bool) -> None:
        """Report the failed drafts to the hub; the next batch follows after RETRY seconds.

        If the failure is not `sure`, the drafts may still be stored.
        """
        self._earliest = time.perf_counter() + RETRY
        self.not_stored += len(drafts)
        try:
            self.hub.commits.failed(drafts, reason, sure)
        finally:
            self._next()

    def _next(self) -> None:
        self._busy = False
        if self.hub.outbox.queued:
            self.wake()
