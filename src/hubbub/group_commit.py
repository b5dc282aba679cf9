"""Gather, commit, fan out: what turns the hub's wheel."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence

from hubbub.brokers.base import Broker
from hubbub.core.hub import Hub
from hubbub.core.model import SAID, Draft, Entry, Kind

log = logging.getLogger("hubbub")

ENOUGH = 0.05  # seconds after which a broker that makes batches itself is given more
RETRY = 0.25  # seconds before something is published again after the broker failed


class GroupCommit:
    """Gather, commit, fan out: one batch with the broker, the next one gathering meanwhile.

    After a fan-out that took d seconds, what the next one will deliver is gathered for d seconds more: so half
    of the time is left for those who come in, and a storm of joins is a few big writes instead of millions.

    Args:
        loop: the running loop.
        log_messages: whether what is said is shown on the console.
        commit, fan_out: are told how long each took, in seconds.

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
        self._published = 0.0  # when the batch went to the broker; 0 if that is settled
        self.entries = 0  # stored since the start
        self.not_stored = 0
        self._busy = False  # a batch is with the broker, or being delivered
        self._planned = False  # the next batch will be gathered by a call that is under way
        self._earliest = 0.0
        self.hub: Hub
        self.broker: Broker

    def wake(self) -> None:
        """Publish what was gathered, as soon as may be."""
        if self._busy or self._planned:
            return
        self._planned = True
        delay = self._earliest - time.perf_counter()
        if delay > 0:
            self._loop.call_later(delay, self._publish)
        else:  # not at once: what came in with it belongs to the same batch
            self._loop.call_soon(self._publish)

    def _publish(self) -> None:
        self._planned = False
        batch = self.hub.outbox.gather()
        if batch:
            self._busy = True
            if self.broker.gathers:  # it need not be done with this batch: nobody waits longer for that
                self._loop.call_later(ENOUGH, self._next)
            self._published = time.perf_counter()
            self.broker.publish(batch)

    def committed(self, entries: Sequence[Entry]) -> None:
        """Deliver what is stored."""
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
        finally:  # even a bug there must not stand in the way of the next batch
            self._loop.call_soon(self._delivered, start)  # after the loop has flushed what was written

    def _delivered(self, start: float) -> None:
        now = time.perf_counter()
        self._note_fan_out(now - start)
        self._earliest = now + (now - start)
        self._next()

    def failed(self, drafts: Sequence[Draft], reason: str, sure: bool) -> None:
        """Tell the senders, and try again a little later; unless it is sure, they may be stored still."""
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
