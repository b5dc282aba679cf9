"""The way into the log: in each room one pack at a time, tried until its outcome is known or can wait no longer."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import Callable, Collection, Iterable, Sequence
from itertools import islice
from typing import TYPE_CHECKING

from hubbub.brokers.base import Failed, stamp
from hubbub.brokers.jetstream import batches, streams
from hubbub.brokers.jetstream.connection import FULL_DISK, Rejected, Unknown, Unsent, is_full
from hubbub.brokers.jetstream.room_feed import RoomFeed
from hubbub.brokers.jetstream.supervisor import Supervisor
from hubbub.core.model import SAID, Draft, Entry, Kind
from hubbub.core.names import key_of
from hubbub.errors import BrokerError

if TYPE_CHECKING:
    from hubbub.brokers.jetstream.broker import JetStreamBroker

log = logging.getLogger(__name__)

GIVE_UP = 12.0  # seconds after which a message that may be stored or not is told to be not confirmed
INSIST = 60.0  # seconds in which a pack that is taken in must be stored: people do not wait for it
MISTAKE = "the server made a mistake"
SHORTER = "the log has lost its end; the server must be started again"
UNSURE = "the chat's servers did not confirm it"
FORSAKEN = "the chat could not be reached"
COMING = frozenset({Kind.JOIN, Kind.LEAVE, Kind.RENAME})  # kinds that say who somebody is, and where


class InUse(Rejected):
    """A room has the name that another one was to be given."""

    def __init__(self, name: str) -> None:
        super().__init__(f"there is a room {name} already")


class QueuedBatch(deque[Draft]):
    """What is to be stored in a room, in its order."""

    under_way = 0  # how many of the first may have been sent


class Publisher:
    """What this node has to publish.

    Args:
        broker: follows rooms, and has the connection and the lease.
        clock: returns epoch seconds.

    """

    def __init__(self, broker: JetStreamBroker, clock: Callable[[], float]) -> None:
        self._broker = broker
        self._clock = clock
        self._loop = asyncio.get_running_loop()
        self._tasks = Supervisor()
        self.failed: Failed
        self.outgoing: dict[str, QueuedBatch] = {}  # what is to be stored, by room; a task empties each
        self.unseen: set[str] = set()  # first ids of the packs that are under way
        self.forsaken: set[str] = set()  # ids of what is not to be stored any more
        self.newest = 0.0  # time of an entry
        self.back = asyncio.Event()  # the servers can be reached again
        self.answers = True  # nothing waits because the servers do not answer

    def _hear(self, answers: bool) -> None:
        if answers is not self.answers:
            self.answers = answers
            self._broker.look_soon()

    def moved(self, before: str, to: str) -> None:
        """Go on with a room under its new name."""
        if outgoing := self.outgoing.pop(before, None):
            self.outgoing[to] = outgoing

    async def give_up(self) -> None:
        """Say of all that was not sent that it is not stored, and of what is under way that it may be."""
        await self._tasks.stop()
        given_up, self.outgoing = self.outgoing, {}
        for outgoing in given_up.values():
            if outgoing:
                self.failed(list(outgoing), "the server stops", True)

    def forsake(self, waiting: Iterable[Draft], lost: Collection[str]) -> None:
        """Store nothing more of what its sender may have said again at another node, or in a name that is not his now.

        Args:
            waiting: all that has no outcome yet.
            lost: folded names that others have taken while this node had no lease.

        """
        for draft in waiting:
            if draft.session and draft.kind not in COMING:
                # Who gives labels is promised that what is not in the log when he is back never will be.
                again = draft.label and draft.session.closed and draft.kind in SAID
                if again or key_of(draft.nick) in lost:
                    self.forsaken.add(draft.id)

    def _drop(self, outgoing: QueuedBatch) -> None:
        """Say of what is not to be stored any more, and was not sent yet, that it is not."""
        dropped = [draft for draft in outgoing if draft.id in self.forsaken]
        if dropped:
            kept = [draft for draft in outgoing if draft.id not in self.forsaken]
            outgoing.clear()
            outgoing.extend(kept)
            self.forsaken.difference_update(draft.id for draft in dropped)
            self.failed(dropped, FORSAKEN, True)

    def publish(self, drafts: Sequence[Draft]) -> None:
        """Send drafts into the log, each room's in their order."""
        for draft in drafts:
            outgoing = self.outgoing.get(draft.room)
            if outgoing is None:
                outgoing = self.outgoing[draft.room] = QueuedBatch()
                self._tasks.spawn(self._send(draft.room, outgoing))
            if draft.kind is Kind.JOIN and draft.must_store:  # who was told to have left comes in, and then speaks
                outgoing.insert(outgoing.under_way, draft)
            else:
                outgoing.append(draft)

    async def _send(self, room: str, outgoing: QueuedBatch) -> None:
        """Publish what is said in a room until nothing is left; tell what becomes of it, whatever happens."""
        try:
            await self._empty(await self._opened(room), outgoing)
        except BrokerError as error:
            self.failed(list(outgoing), str(error), True)
        except Exception:  # a bug: people would wait for ever
            log.exception("what is said in a room cannot be sent")
            self.failed(list(outgoing), MISTAKE, False)
        for name in [name for name, one in self.outgoing.items() if one is outgoing]:
            del self.outgoing[name]
        self.forsaken.difference_update([draft.id for draft in outgoing])
        if not self.outgoing:
            self._hear(True)

    async def _opened(self, room: str) -> RoomFeed:
        """Return a room when it can be followed. Raises BrokerError if there is no space for a new one."""
        while True:
            try:
                feed = await self._broker.following.room(room, make=True)
            except BrokerError as error:
                if is_full(error):
                    raise
                await self.wait()
            else:
                assert feed is not None
                return feed

    async def _empty(self, feed: RoomFeed, outgoing: QueuedBatch) -> None:
        """Publish a pack at a time until nothing is left."""
        while outgoing:
            feed.used = self._loop.time()
            if self.forsaken:
                self._drop(outgoing)
                if not outgoing:
                    break
            batch = batches.cut(list(islice(outgoing, batches.MAX_ENTRIES)), _sort)
            before, ruling = feed.room, feed.state.ruling
            if not await self._store(feed, outgoing, batch):
                continue
            outgoing.under_way = 0
            for _ in batch:
                self.forsaken.discard(outgoing.popleft().id)
            if feed.state.ruling != ruling:
                keeping = self._broker.following.keep(feed, before)
                if feed.room != before:
                    await keeping  # before anybody may open another room under the old name
                else:
                    self._broker.tasks.spawn(keeping)

    def _pack(self, feed: RoomFeed, batch: Sequence[Draft]) -> bytes:
        now = self.newest = stamp(self._clock(), self.newest)
        return batches.encode(feed.pack([batches.line(draft, now) for draft in batch]))

    async def _store(self, feed: RoomFeed, outgoing: QueuedBatch, batch: Sequence[Draft]) -> bool:
        """Publish one pack until its outcome is known, or as long as it may last; tell what became of it.

        Returns False, and has told nothing, if it was not sent and is not what is to be stored next any more.
        """
        id, data = batch[0].id, b""
        first = 0.0  # when it was sent first without an answer: from then on it must stay as it is
        self.unseen.add(id)
        try:
            while self._wanted(outgoing, batch):
                start = self._loop.time()
                if not first:  # what is kept back is said when it is sent
                    data = self._pack(feed, batch)
                elif start - first > streams.FORGET_IDS / 2 and await self._came(feed, id):
                    break
                outgoing.under_way = len(batch)
                try:
                    await self._try(feed, batch[0], data)
                    self._hear(True)
                    break
                except Unsent:
                    outgoing.under_way = len(batch) if first else 0
                    self._hear(False)
                except (Rejected, Unknown) as outcome:
                    self._hear(isinstance(outcome, Rejected))
                    if isinstance(outcome, Rejected) and (not first or isinstance(outcome, InUse)):
                        self.failed(batch, str(outcome), not first)
                        break
                    first = first or start
                if first and _is_said(batch[0]) and self._loop.time() - first > GIVE_UP:
                    self.failed(batch, UNSURE, False)
                    break
                await self.wait()
            else:
                return self._ended(batch, bool(first))
        except asyncio.CancelledError:
            if under_way := [outgoing.popleft() for _ in range(outgoing.under_way)]:
                self.failed(under_way, UNSURE, False)
            raise
        finally:
            self.unseen.discard(id)
        return True

    async def _try(self, feed: RoomFeed, first: Draft, data: bytes) -> None:
        """Store a pack, and wait until it came back. Raises Unsent, Rejected or Unknown."""
        lease = self._broker.lease
        if first.kind is Kind.ROOM_RENAMED:
            await self._claim(feed, first)
        if self._broker.fault:
            raise Rejected(self._broker.fault)
        if not lease.valid:
            raise Rejected(FULL_DISK) if lease.full else Unsent
        await feed.reach(await self._broker.link.publish(feed.subject, data, {"Nats-Msg-Id": first.id}))
        if first.id in self.unseen and not first.entry:  # it has a number that another message had before
            self._broker.mistrust(SHORTER, "a number was given that another message had")
            raise Unknown

    async def _claim(self, feed: RoomFeed, move: Draft | Entry) -> None:
        """Claim the name that a room is to be given. Raises Rejected or Unsent."""
        to = move.text.partition(" ")[0]
        try:
            free = to != feed.room and await self._broker.following.claim(feed, to)
        except Rejected:
            raise
        except BrokerError as error:
            raise Unsent from error
        if not free:
            raise InUse(to)

    def _wanted(self, outgoing: QueuedBatch, batch: Sequence[Draft]) -> bool:
        """Return whether a pack is to be sent, once more if need be."""
        wanted = not self.forsaken or self.forsaken.isdisjoint(draft.id for draft in batch)
        return wanted and batch[0].id in self.unseen and outgoing[0] is batch[0]

    def _ended(self, batch: Sequence[Draft], sent: bool) -> bool:
        """Return whether a pack that is not wanted any more has its outcome."""
        if batch[0].id in self.unseen and sent:
            self.failed(batch, UNSURE, False)  # it may be there; to send it again would make that sure
        return sent or batch[0].id not in self.unseen

    async def take_in(self, feed: RoomFeed, entries: Sequence[Entry]) -> None:
        """Store entries of one room that were made elsewhere, with their times and ids; what renames it is the last.

        Raises:
            BrokerError: from some entry on they are not stored, or that is not known.

        """
        while entries:
            batch = batches.cut(entries[: batches.MAX_ENTRIES], lambda entry: None)
            before, ruling = feed.room, feed.state.ruling
            lines = [batches.line(entry, entry.time) for entry in batch]
            await self._insist(feed, batch, batches.encode(feed.pack(lines)))
            if feed.state.ruling != ruling:
                await self._broker.following.keep(feed, before)
            entries = entries[len(batch) :]

    async def _insist(self, feed: RoomFeed, batch: Sequence[Entry], data: bytes) -> None:
        end = self._loop.time() + INSIST
        while True:
            try:
                if batch[-1].kind is Kind.ROOM_RENAMED and batch[-1].text.partition(" ")[0] != feed.room:
                    await self._claim(feed, batch[-1])
                await feed.reach(await self._broker.link.publish(feed.subject, data, {"Nats-Msg-Id": batch[0].id}))
                return
            except (Unknown, Unsent):
                if self._loop.time() > end:
                    raise
            except InUse:
                was, to = batch[-1].room, batch[-1].text.partition(" ")[0]
                raise BrokerError(f"{was} was renamed to {to}, but there is another room of this name here") from None
            await self.wait()

    async def _came(self, feed: RoomFeed, id: str) -> bool:
        """Return whether a pack is in the log that the servers may have forgotten to have seen, once that is known."""
        while True:
            try:
                await feed.sync()
                return id not in self.unseen
            except BrokerError:
                await self.wait()

    async def wait(self) -> None:
        """Wait until it is worth another try."""
        await asyncio.sleep(streams.AGAIN)  # in any case: that the connection is lost is noticed by others on this loop
        if not self._broker.link.up:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(1):
                    await self.back.wait()


def _is_said(draft: Draft) -> bool:
    return draft.kind in SAID


def _sort(draft: Draft) -> object:
    """Return what the drafts of one pack have in common: what is said waits for less long, a new name is alone."""
    return draft.id if draft.kind is Kind.ROOM_RENAMED else _is_said(draft)
