"""A room that a node follows: its live entries in order, the repair of gaps, the room's state, and reads of its log.

Every stored entry batch comes back as a copy with its message number and the number of the room's message before it,
so the copies form a chain. A missing link is read from the stream before any later entry is delivered.

There is no order between rooms, with one exception: a rename waits until every followed room has been delivered up to
the same message. Otherwise a room name would not mean here what it meant when the entries were published.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from contextlib import aclosing

from msgspec import structs
from nats.aio.msg import Msg

from hubbub.cluster.nats import streams
from hubbub.cluster.nats.link.connection import NatsConnection
from hubbub.cluster.nats.link.messages import NatsMessage, copied
from hubbub.cluster.nats.log.batches import (
    WINDOW,
    EntryBatch,
    checksum,
    decode,
)
from hubbub.cluster.nats.log.packed_entries import UNKNOWN, PackedEntry
from hubbub.cluster.nats.log.room_log import RoomLog
from hubbub.cluster.nats.log.stream_state import StreamState, decode_part
from hubbub.cluster.nats.supervisor import Supervisor
from hubbub.errors import BrokerError
from hubbub.model.entries import HISTORY, Entry, Kind
from hubbub.model.messages.overlays import overlaid, target_of
from hubbub.model.queries import LogPage
from hubbub.model.room.absent import LOOKED_BACK

log = logging.getLogger("hubbub")

RECENT = 200  # entries of the history that are kept for new members: the maximum of --history
SOON = 0.15  # seconds to wait for the copy of a stored message before it is read from the stream
HELD = 10_000  # entry batches that are held while an earlier one is missing; more are read again

FAR = 10_000  # messages that a copy may be ahead of the room; a copy beyond that is read from the stream
DOUBTS = 100  # messages that wait for a check whether the stream has them as they were delivered

Told = Callable[[Sequence[Entry]], None]


class RoomFeed(RoomLog):
    """A room that this node follows.

    Args:
        link: the connection to the NATS servers.
        state: the known state of the room, up to some message.
        told: receives the room's entries, each once and in order.
        tasks: owns the background tasks of the feed.
        reach_all: waits until every followed room was delivered up to a message of a subject.

    """

    def __init__(
        self,
        link: NatsConnection,
        state: StreamState,
        told: Told,
        tasks: Supervisor,
        reach_all: Callable[[str, int], Awaitable[None]],
    ) -> None:
        super().__init__(link, state)
        self._tasks = tasks
        self._reach_all = reach_all
        self.open = False  # whether the hub has the room loaded
        # The last message that changed the room's state and is known to be part of the stored state.
        self.noted = 0
        self.used = 0.0  # time of the last use, on the loop's clock
        self.unseen: set[str] = set()  # first ids of the entry batches that this node publishes, until they come back
        self.recent: deque[Entry] = deque(maxlen=RECENT)
        self.newest: deque[Entry] = deque(maxlen=LOOKED_BACK)  # entries of every kind
        self.whole = False  # whether both begin with the room's first entry
        self._told = told
        self._ready = False
        self._held: dict[int, tuple[int, NatsMessage]] = {}
        self._repairing: asyncio.Task[None] | None = None
        self._waiting: asyncio.Task[None] | None = None
        # Messages that rename the room: the one that waits for other rooms, and the last one that need not wait.
        self._waits = self._passes = 0
        # The newest messages with their entry counts: as many as hold at least WINDOW entries.
        self._marks: deque[tuple[int, int]] = deque()
        self._marked = 0  # number of entries in _marks
        self._high = 0.0  # the latest known time of an entry
        # By number, the checksums of delivered messages that may differ from those in the stream.
        self.doubts: dict[int, int] = {}
        self._news: list[tuple[int, asyncio.Future[None]]] = []

    # --- beginning ------------------------------------------------------------------------------------------------

    async def begin(self) -> None:
        """Subscribe and hold the new copies; read the stored messages that `state` does not cover yet.

        Raises BrokerError. The subscription has then been ended.
        """
        self._subscription = await self.link.subscribe(f"{streams.LIVE}{self.state.key}", self._on_live)
        try:
            await self.link.flush()
            last = await self.link.last(streams.LOG, self.subject)
            await self._check(last.number if last else 0)
            await self._unseal()
            if last is None:
                self.whole = True
            else:
                await self._look_back(last)
        except BrokerError:
            await self.end()
            raise

    async def _check(self, last: int) -> None:
        """Check the stored state against the log, and cut the state if the log has lost its end or is another log.

        An unsynced log loses its end in a power cut. `last` is the number of the room's newest message, or 0.
        """
        state = self.state
        if last < state.upto:
            lost = bool(last) or state.upto > (await streams.log(self.link)).last
        else:
            lost = bool(state.upto) and await self.differs(state.upto, state.sum)
            first = await self._first_from(1) if lost else None
            # It is unknown where the two logs begin to differ, so everything is read again.
            last = first.number - 1 if first else 0
        if lost:
            log.warning("the log has lost the newest entries of %s, or it is a different log", self.room)
            state.cut(last)

    async def differs(self, number: int, sum: int | None) -> bool:
        """Return whether the stream has a message with another checksum at a number. Raises BrokerError.

        Return False if the stream has no message there, or if the checksum is None.
        """
        found = await self.link.at(streams.LOG, number) if sum is not None else None
        return found is not None and (found.subject != self.subject or checksum(found.data) != sum)

    async def _unseal(self) -> None:
        """Read the ids of redacted entries that are stored apart from the state. Raises BrokerError."""
        if not self.state.sealed:
            return
        subject = f"{streams.GONE_IDS}{self.state.key}.*"
        newest = await self.link.last(streams.NOW, subject)
        first = (await streams.log(self.link)).first
        last = newest.number if newest else 0
        async with aclosing(streams.forward(self.link, streams.NOW, subject, 1, last)) as pages:
            async for page in pages:
                for one in page:
                    part = decode_part(one.data)
                    if part.upto < first:  # retention has deleted all those entries
                        await self.link.delete(streams.NOW, one.number)
                    else:
                        self.sealed.update(part.ids)
                if page[-1].number >= last:
                    return

    def go_on(self) -> None:
        """Deliver the held entry batches, and from now on each new one when it arrives."""
        self._ready = True
        self._let_go()

    async def look(self) -> None:
        """Read the newest entries and the state of the room without following it. Raises BrokerError."""
        await self._unseal()
        if last := await self.link.last(streams.LOG, self.subject):
            await self._look_back(last)

    async def end(self) -> None:
        """Stop following the room: end the subscription and the background tasks."""
        self._ready = False
        await self.link.unsubscribe(self._subscription)
        for task in (self._repairing, self._waiting):
            if task:
                task.cancel()

    async def _look_back(self, last: NatsMessage) -> None:
        """Read the newest window of the room, and all messages that changed its state since the stored state."""
        newest = decode(*last.parts)
        before = newest.back
        packs = await self._window(before or 1, last.number)
        self.whole = not before
        known = self.state.upto
        if packs and known < packs[0][0]:
            first = packs[0][1]
            start = (known if first.ruling > known else max(known, first.after)) + 1
            async with aclosing(self._packs(start, packs[0][0] - 1)) as missing:
                async for number, pack in missing:
                    self._fold(number, pack, 0, known)
        previous = 0
        for number, pack in packs:
            self._fold(number, pack, previous, known)
            self._mark(number, len(pack.entries))
            previous = number
        self._see(last)

    def _see(self, newest: NatsMessage) -> None:
        """Record that everything up to a message was delivered or is known."""
        self.state.upto, self.state.sum = newest.number, checksum(newest.data)

    def _fold(self, number: int, pack: EntryBatch, previous: int, known: int) -> None:
        self._high = max(self._high, pack.reached)
        for entry in self._entries(number, previous or pack.after, pack):
            if number > known:
                self.state.fold(entry)
            self._remember(entry)

    # --- live -----------------------------------------------------------------------------------------------------

    async def _on_live(self, message: Msg) -> None:
        copy, before = copied(message)
        if copy.subject != self.subject:
            raise ValueError("it is no copy of a message of this room")
        number = copy.number
        if number <= self.last:
            return
        if self._ready and before < self.last:
            self.doubt()  # the stream lacks the last delivered message
        if self._ready and not self._held and self._follows(number, before) and self._hand_on(copy):
            return
        if len(self._held) < HELD:
            self._held[number] = before, copy
            if self._ready:
                self._let_go()

    def _follows(self, number: int, before: int) -> bool:
        """Return whether a copy claims to be the room's next message, at most FAR numbers ahead.

        Any other copy is confirmed by a read of the stream.
        """
        return before == self.last and number - self.last <= FAR

    def _hand_on(self, message: NatsMessage) -> bool:
        """Deliver an entry batch and return True.

        Return False, and deliver nothing, if the batch renames the room and other rooms are not up to it yet.
        """
        number = message.number
        pack = decode(*message.parts)
        if number > self._passes and pack.entries and pack.entries[-1].kind == Kind.ROOM_RENAMED:
            if number != self._waits:
                self._waits = number
                self._waiting = self._tasks.spawn(self._wait_for_all(number))
            return False
        previous = self.last
        if pack.after == previous and pack.sum not in (None, self.state.sum):
            self.doubt()  # the publishing node saw another message there
        self._see(message)
        self._mark(number, len(pack.entries))
        self._high = max(self._high, pack.reached)
        if not pack.entries or any(one.kind == Kind.REDACTED and one.nick == UNKNOWN for one in pack.entries):
            self.link.distrust(self.subject, "it has entries that cannot be shown")
        found = []
        for entry in self._entries(number, previous, pack):
            found.append(entry if entry.room == self.room else structs.replace(entry, room=self.room))
            # A room rename takes effect here: the entries after it belong to the new name.
            self.state.fold(entry)
            self.unseen.discard(entry.id)
            self._remember(found[-1])
        if found:
            self._told(found)
        for wanted, future in self._news:
            if wanted <= number and not future.done():
                future.set_result(None)
        return True

    async def _wait_for_all(self, number: int) -> None:
        await self._reach_all(self.subject, number)
        self._passes = number
        self._let_go()

    def _let_go(self) -> None:
        """Deliver the held entry batches as far as the chain is complete; start a repair at the first gap."""
        for number in sorted(self._held):
            before, message = self._held[number]
            if number > self.last:
                if not self._follows(number, before):
                    break
                if not self._hand_on(message):
                    return
            del self._held[number]
        if self._held:
            self.repair(min(self._held))

    def repair(self, upto: int) -> None:
        """Read the missing messages up to a number from the stream and deliver them, unless a repair is running."""
        if self._repairing is None or self._repairing.done():
            self._repairing = self._tasks.spawn(self._repair(upto))

    async def _repair(self, upto: int) -> None:
        try:
            async with aclosing(self._pages(self.last + 1, upto)) as pages:
                async for page in pages:
                    for one in page:
                        if one.number > self.last:
                            self._held.pop(one.number, None)
                            if not self._hand_on(one):
                                self._held[one.number] = self.last, one
                                return
                    if page[-1].number >= upto:
                        break
            if self._held and min(self._held) <= upto and self.last < upto:
                await self._take_held(min(self._held))
        except BrokerError:
            return  # the next audit tries it again
        self._repairing = None
        self._let_go()

    async def _take_held(self, number: int) -> None:
        """Deliver a copy whose message is no longer in the stream: retention deleted it and all messages before it.

        Drop a copy whose number belongs to no message of this room.
        """
        found = await self.link.at(streams.LOG, number)
        if found and found.subject == self.subject:  # the replica that answered before lags behind
            message = found
        elif found or number > (await streams.log(self.link)).last:
            del self._held[number]
            self.link.distrust(self.subject, "it has the number of no message")
            return
        else:
            _, message = self._held[number]
        if self._hand_on(message):
            del self._held[number]

    async def sync(self) -> None:
        """Wait until every message of the room that is stored now was delivered. Raises BrokerError."""
        if last := await self.link.last(streams.LOG, self.subject):
            await self.reach(last.number)

    async def reach(self, number: int) -> None:
        """Wait until everything up to a stored message was delivered; start a repair every SOON seconds."""
        while number > self.last:
            future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._news.append((number, future))
            try:
                async with asyncio.timeout(SOON):
                    await future
            except TimeoutError:
                self.repair(number)
            finally:
                self._news = [pair for pair in self._news if pair[1] is not future]

    # --- the newest entries ---------------------------------------------------------------------------------------

    def _remember(self, entry: Entry) -> None:
        self.newest.append(entry)
        if len(self.newest) == LOOKED_BACK:
            self.whole = False
        if isinstance(entry.body, HISTORY):
            self.recent.append(entry)
            if len(self.recent) == RECENT:
                self.whole = False
        elif target_of(entry.body):
            shown = (overlaid(one, entry) for one in self.recent)
            self.recent = deque((one for one in shown if isinstance(one.body, HISTORY)), RECENT)

    def as_changed(self, page: LogPage) -> LogPage:
        """Return a page of the room's log, the newest messages and polls on it as later entries have changed them."""
        now = {(one.seq, one.id): one for one in self.recent}
        known = ((entry, now.get((entry.seq, entry.id))) for entry in page.entries)
        changed = [structs.replace(one, body=new.body, tags=new.tags) if new else one for one, new in known]
        return structs.replace(page, entries=changed)

    def doubt(self) -> None:
        """Request a check whether the stream has the newest message as it was delivered."""
        if self.state.sum is not None and len(self.doubts) < DOUBTS:
            self.doubts[self.last] = self.state.sum

    def _mark(self, number: int, count: int) -> None:
        self._marks.append((number, count))
        self._marked += count
        while self._marked - self._marks[0][1] >= WINDOW:
            self._marked -= self._marks.popleft()[1]

    @property
    def back(self) -> int:
        """The message that begins the newest WINDOW entries: a hint for backward reads."""
        return self._marks[0][0] if self._marks else self.last

    def pack(self, lines: list[PackedEntry]) -> EntryBatch:
        """Return entries as the room's next entry batch."""
        high = max([self._high, *(line.time for line in lines)])
        return EntryBatch(lines, self.last, self.back, self.state.ruling, high, self.state.sum)
