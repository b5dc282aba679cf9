"""Publishing to the log: one entry batch at a time in each room, retried until its outcome is known or time is up."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import Callable, Collection, Iterable, Sequence
from itertools import islice

from hubbub.chat.session import Posting
from hubbub.cluster.nats import streams
from hubbub.cluster.nats.lease import Lease
from hubbub.cluster.nats.link.connection import ATTEMPT, RETRY, NatsConnection
from hubbub.cluster.nats.link.outcomes import FULL_DISK, OutcomeUnknown, Rejected, Unsent, is_full
from hubbub.cluster.nats.log import batches
from hubbub.cluster.nats.log.log_identity import SHORTER, LogIdentity
from hubbub.cluster.nats.log.room_feed import RoomFeed
from hubbub.cluster.nats.log.subscriptions import Subscriptions, queue_of
from hubbub.cluster.nats.supervisor import Supervisor
from hubbub.errors import BrokerError
from hubbub.model.entries import Draft, Entry, Joined, Left, NickChanged, RoomRenamed, Said
from hubbub.model.ids import is_shared
from hubbub.storage.ports import Failed, stamp
from hubbub.text.names import key_of

log = logging.getLogger(__name__)

GIVE_UP = 12.0  # seconds after which a message of unknown outcome is reported as not confirmed
INSIST = 60.0  # seconds within which an imported entry batch must be stored; no user waits for it
MISTAKE = "the server has an internal error"
UNSURE = "the chat's servers did not confirm it"
REPEATED = "it is in the log already"
FORSAKEN = "the chat could not be reached"
COMING = (Joined, Left, NickChanged)  # bodies that record the presence or name of a user


class InUse(Rejected):
    """Another room has the new name of a rename."""

    def __init__(self, name: str) -> None:
        super().__init__(f"there is already a room called {name}")
        self.name = name


class QueuedBatch(deque[Draft]):
    """The drafts that wait to be stored in a room, in their order."""

    under_way = 0  # number of drafts at the front that may have been sent


class Publisher:
    """Publishes the drafts of this node.

    Args:
        clock: returns epoch seconds.
        link: the connection to the NATS servers.
        lease: the lease of this node: without it nothing is stored.
        following: the followed rooms.
        identity: says whether the log can be trusted.

    """

    def __init__(
        self,
        clock: Callable[[], float],
        link: NatsConnection,
        lease: Lease,
        following: Subscriptions,
        identity: LogIdentity,
    ) -> None:
        self._clock = clock
        self._link = link
        self._lease = lease
        self._following = following
        self._identity = identity
        self.answers_changed: Callable[[], None] = lambda: None  # called when `answers` changes
        self._loop = asyncio.get_running_loop()
        self._tasks = Supervisor()
        self.failed: Failed
        self.outgoing: dict[str, QueuedBatch] = {}  # waiting drafts by room; one task empties each queue
        self.forsaken: set[str] = set()  # ids of drafts that must not be stored any more
        self.newest = 0.0  # time of the newest entry, in epoch seconds
        self.back = asyncio.Event()  # set while the servers can be reached
        self.answers = True  # False while drafts wait because the servers do not answer

    def _hear(self, answers: bool) -> None:
        if answers is not self.answers:
            self.answers = answers
            self.answers_changed()

    async def give_up(self) -> None:
        """Stop publishing: report unsent drafts as not stored, and drafts under way as not confirmed."""
        await self._tasks.stop()
        given_up, self.outgoing = self.outgoing, {}
        for outgoing in given_up.values():
            if outgoing:
                self.failed(list(outgoing), "the server stops", True)

    def forsake(self, waiting: Iterable[Posting], lost: Collection[str]) -> None:
        """Mark the drafts that must not be stored any more.

        These are drafts that their user may have sent again on another node, and drafts under a lost name.

        Args:
            waiting: all postings without an outcome.
            lost: folded names that other nodes have taken while this node had no lease.

        """
        for posting in waiting:
            draft = posting.draft
            if posting.session and not isinstance(draft.body, COMING):
                # Clients that send labels rely on this: a draft that is not in the log when they return never will be.
                again = posting.label and posting.session.closed and _is_said(draft)
                if again or key_of(draft.nick) in lost:
                    self.forsaken.add(draft.id)

    def _drop(self, outgoing: QueuedBatch) -> None:
        """Remove the forsaken drafts from a queue, and report them as not stored."""
        dropped = [draft for draft in outgoing if draft.id in self.forsaken]
        if dropped:
            kept = [draft for draft in outgoing if draft.id not in self.forsaken]
            outgoing.clear()
            outgoing.extend(kept)
            self.forsaken.difference_update(draft.id for draft in dropped)
            self.failed(dropped, FORSAKEN, True)

    def publish(self, drafts: Sequence[Draft]) -> None:
        """Queue drafts for the log, those of each room in their order; one task for each room publishes them."""
        for draft in drafts:
            key = queue_of(draft.room_id, draft.room)
            outgoing = self.outgoing.get(key)
            if outgoing is None:
                outgoing = self.outgoing[key] = QueuedBatch()
                self._tasks.spawn(self._send(key, outgoing))
            # A user who was reported as gone joins again before the user's waiting messages are stored.
            if isinstance(draft.body, Joined) and draft.must_store:
                outgoing.insert(outgoing.under_way, draft)
            else:
                outgoing.append(draft)

    async def _send(self, key: str, outgoing: QueuedBatch) -> None:
        """Publish the queue of a room until it is empty; report an outcome for every draft, even after a bug."""
        try:
            while outgoing:
                await self._empty(await self._opened(outgoing[0]), outgoing)
        except BrokerError as error:
            self.failed(list(outgoing), str(error), True)
        except Exception:  # a bug must not leave users without an outcome
            log.exception("the messages of a room cannot be sent")
            self.failed(list(outgoing), MISTAKE, False)
        if self.outgoing.get(key) is outgoing:
            del self.outgoing[key]
        self.forsaken.difference_update([draft.id for draft in outgoing])
        if not self.outgoing:
            self._hear(True)

    async def _opened(self, draft: Draft) -> RoomFeed:
        """Return the feed of a draft's room, once it can be followed. Raises BrokerError if a server's disk is full."""
        while True:
            try:
                return await self._following.room_of(draft.room_id, draft.room)
            except BrokerError as error:
                if is_full(error):
                    raise
                await self.wait()

    async def _empty(self, feed: RoomFeed, outgoing: QueuedBatch) -> None:
        """Publish one entry batch after another until the queue is empty, or the next draft is for another room."""
        while outgoing and (outgoing[0].room_id or outgoing[0].room == feed.room):
            feed.used = self._loop.time()
            if self.forsaken:
                self._drop(outgoing)
                if not outgoing:
                    break
            batch = batches.cut(list(islice(outgoing, batches.MAX_ENTRIES)), _sort)
            before, ruling = feed.room, feed.state.ruling
            if not (ended := await self._publish(feed, outgoing, batch)):
                continue
            self._remove(outgoing, len(batch), ended)
            if feed.state.ruling != ruling:
                if feed.room != before:
                    # The old name must not be free for another room before this is stored.
                    await self._following.keep(feed, before)
                else:
                    self._following.keep_soon(feed)

    def _remove(self, outgoing: QueuedBatch, count: int, ended: Sequence[Draft]) -> None:
        """Remove the drafts that have an outcome from the first `count` drafts of a queue."""
        outgoing.under_way = 0
        first = [outgoing.popleft() for _ in range(count)]
        for draft in ended:
            self.forsaken.discard(draft.id)
        if len(ended) < count:
            ids = {draft.id for draft in ended}
            outgoing.extendleft(draft for draft in reversed(first) if draft.id not in ids)

    async def _publish(self, feed: RoomFeed, outgoing: QueuedBatch, batch: Sequence[Draft]) -> Sequence[Draft]:
        """Publish one entry batch, and return its drafts that have an outcome now; none if it is to be cut again.

        The servers recognise a batch by its first draft. If several nodes publish that, it may be stored in the batch
        of another node, without the drafts behind it.
        """
        shared = is_shared(batch[0].id)
        known = {entry.id for entry in feed.newest} if shared else ()
        if repeated := [draft for draft in batch if draft.id in known] if known else ():
            self._fail_repeated(feed, repeated)
            return repeated
        ids = {draft.id for draft in batch} if shared else {batch[0].id}
        feed.unseen |= ids
        try:
            if not await self._store(feed, outgoing, batch):
                return ()
            return [draft for draft in batch if draft.id not in feed.unseen] if shared else batch
        finally:
            feed.unseen -= ids

    def _fail_repeated(self, feed: RoomFeed, repeated: Sequence[Draft]) -> None:
        """Report that drafts are in the log already: they must not be stored again."""
        for draft in repeated:
            draft.must_store = False
        self._fail(feed, repeated, REPEATED, True)

    def _fail(self, feed: RoomFeed, drafts: Sequence[Draft], reason: str, sure: bool) -> None:
        """Report that drafts are not stored, or not confirmed, and wait for their copies no more."""
        feed.unseen.difference_update(draft.id for draft in drafts)
        self.failed(drafts, reason, sure)

    def _pack(self, feed: RoomFeed, batch: Sequence[Draft]) -> bytes:
        now = self.newest = stamp(self._clock(), self.newest)
        return batches.encode(feed.pack([batches.line(draft, now) for draft in batch]))

    async def _store(self, feed: RoomFeed, outgoing: QueuedBatch, batch: Sequence[Draft]) -> bool:
        """Publish one entry batch until its outcome is known; report the outcome.

        A batch of messages is reported as not confirmed GIVE_UP seconds after its first attempt without an answer.
        Return False, without a report, if the batch was not sent and is no longer the next one to store.
        """
        id, data = batch[0].id, b""
        # The time of the first attempt without an answer. From then on the data must not change.
        first = 0.0
        try:
            while self._wanted(feed, outgoing, batch):
                start = self._loop.time()
                # A batch that waited gets the time and the room state of the moment at which it is sent.
                if not first:
                    data = self._pack(feed, batch)
                elif start - first > streams.FORGET_IDS / 2 and await self._came(feed, id):
                    break
                outgoing.under_way = len(batch)
                try:
                    await self._try(feed, batch[0], data, RETRY if first else ATTEMPT)
                    self._hear(True)
                    break
                except Unsent:
                    outgoing.under_way = len(batch) if first else 0
                    self._hear(False)
                except (Rejected, OutcomeUnknown) as outcome:
                    self._hear(isinstance(outcome, Rejected))
                    if isinstance(outcome, Rejected) and (not first or isinstance(outcome, InUse)):
                        self._fail(feed, batch, str(outcome), not first)
                        break
                    first = first or start
                if first and _is_said(batch[0]) and self._loop.time() - first > GIVE_UP:
                    self._fail(feed, batch, UNSURE, False)
                    break
                await self.wait()
            else:
                return self._ended(feed, batch, bool(first))
        except asyncio.CancelledError:
            if under_way := [outgoing.popleft() for _ in range(outgoing.under_way)]:
                self.failed(under_way, UNSURE, False)
            raise
        return True

    async def _try(self, feed: RoomFeed, first: Draft, data: bytes, patience: float) -> None:
        """Store an entry batch, and wait until its copy was delivered. Raises Unsent, Rejected or OutcomeUnknown.

        `patience` is the time to wait for the servers' answer, in seconds.
        """
        lease = self._lease
        if isinstance(first.body, RoomRenamed):
            await self._claim(feed, first.body.to)
        if self._identity.fault:
            raise Rejected(self._identity.fault)
        if not lease.valid:
            raise Rejected(FULL_DISK) if lease.full else Unsent
        await feed.reach(await self._link.publish(feed.subject, data, _header(feed, first), patience))
        if first.id not in feed.unseen:
            return
        # The batch got a number that another message had before.
        if is_shared(first.id):
            self._fail_repeated(feed, [first])
        else:
            self._identity.mistrust(SHORTER, "a number was given that another message had")
            raise OutcomeUnknown

    async def _claim(self, feed: RoomFeed, to: str) -> None:
        """Claim the new name of a room. Raises Rejected or Unsent."""
        try:
            free = to != feed.room and await self._following.claim(feed, to)
        except Rejected:
            raise
        except BrokerError as error:
            raise Unsent from error
        if not free:
            raise InUse(to)

    def _wanted(self, feed: RoomFeed, outgoing: QueuedBatch, batch: Sequence[Draft]) -> bool:
        """Return whether an entry batch is still to be sent or sent again."""
        wanted = not self.forsaken or self.forsaken.isdisjoint(draft.id for draft in batch)
        return wanted and batch[0].id in feed.unseen and outgoing[0] is batch[0]

    def _ended(self, feed: RoomFeed, batch: Sequence[Draft], sent: bool) -> bool:
        """Return whether an entry batch that is no longer wanted has its outcome; report it if it is unknown."""
        if batch[0].id in feed.unseen and sent:
            # It may be stored already. Sending it again would store it for certain.
            self._fail(feed, batch, UNSURE, False)
        return sent or batch[0].id not in feed.unseen

    async def take_in(self, feed: RoomFeed, entries: Sequence[Entry]) -> None:
        """Store entries of one room that come from another log, with their times and ids.

        An entry that renames the room must be the last one.

        Raises:
            BrokerError: some of the last entries are not stored, or their outcome is unknown.

        """
        while entries:
            batch = batches.cut(entries[: batches.MAX_ENTRIES], lambda entry: None)
            before, ruling = feed.room, feed.state.ruling
            lines = [batches.line(entry, entry.time) for entry in batch]
            await self._insist(feed, batch, batches.encode(feed.pack(lines)))
            if feed.state.ruling != ruling:
                await self._following.keep(feed, before)
            entries = entries[len(batch) :]

    async def _insist(self, feed: RoomFeed, batch: Sequence[Entry], data: bytes) -> None:
        end, last = self._loop.time() + INSIST, batch[-1]
        while True:
            try:
                if isinstance(last.body, RoomRenamed) and last.body.to != feed.room:
                    await self._claim(feed, last.body.to)
                await feed.reach(await self._link.publish(feed.subject, data, _header(feed, batch[0])))
                return
            except (OutcomeUnknown, Unsent):
                if self._loop.time() > end:
                    raise
            except InUse as taken:
                text = f"{last.room} was renamed to {taken.name}, but another room has this name here"
                raise BrokerError(text) from None
            await self.wait()

    async def _came(self, feed: RoomFeed, id: str) -> bool:
        """Return whether an entry batch is in the log; wait until that is known.

        The servers forget the ids of messages after FORGET_IDS seconds, so a second copy could then be stored.
        """
        while True:
            try:
                await feed.sync()
                return id not in feed.unseen
            except BrokerError:
                await self.wait()

    async def wait(self) -> None:
        """Wait AGAIN seconds, and up to one second more until the servers can be reached again."""
        # The pause is always needed: other tasks on this loop must run to notice a lost connection.
        await asyncio.sleep(streams.AGAIN)
        if not self._link.up:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(1):
                    await self.back.wait()


def _header(feed: RoomFeed, first: Draft | Entry) -> dict[str, str]:
    """Return the header by which the servers recognise a second copy of an entry batch: ids are unique in a room."""
    return {"Nats-Msg-Id": f"{feed.state.key}/{first.id}"}


def _is_said(draft: Draft) -> bool:
    return isinstance(draft.body, Said)


def _sort(draft: Draft) -> object:
    """Return the property that all drafts of one batch share.

    Messages and other entries are separate because messages are given up earlier, and drafts that several nodes publish
    because each of them may be stored already. A room rename is always alone.
    """
    if isinstance(draft.body, Said):
        return Said
    return draft.id if isinstance(draft.body, RoomRenamed) else is_shared(draft.id)
