"""One room as one node follows it: what is live in order, gaps repaired, the room's state, and the way into the log.

Every pack that is stored comes back as a copy with its number and the number before it in the room, so the copies
are a chain. What is missing in it is read from the stream before anything later is handed on.

Between rooms there is no order, but one: a rename waits until all rooms have come as far, or names of rooms would not
mean here what they meant when it was said.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from contextlib import aclosing

from nats.aio.msg import Msg

from hubbub.brokers.jetstream import streams
from hubbub.brokers.jetstream.batches import (
    WINDOW,
    EntryBatch,
    RoomSnapshot,
    checksum,
    decode,
    decode_part,
    entries,
)
from hubbub.brokers.jetstream.connection import NatsConnection
from hubbub.brokers.jetstream.messages import NatsMessage, copied
from hubbub.brokers.jetstream.packed_entries import UNKNOWN, PackedEntry
from hubbub.brokers.jetstream.room_log import RoomLog
from hubbub.brokers.jetstream.supervisor import Supervisor
from hubbub.core.absent import LOOKED_BACK
from hubbub.core.model import SAID, Entry, Kind
from hubbub.errors import BrokerError

log = logging.getLogger("hubbub")

RECENT = 200  # messages that are kept for who comes in: the most that --history allows
SOON = 0.15  # seconds in which a copy of what was stored must be here before it is looked for
HELD = 10_000  # packs that are kept while what is before them is missing; beyond it they are read again

FAR = 10_000  # messages that a copy may be ahead of the room: what is further is read from the stream
DOUBTS = 100  # messages of which it is to be seen whether the stream has them as they were handed on

Told = Callable[[Sequence[Entry]], None]


class RoomFeed(RoomLog):
    """A room that this node follows.

    Args:
        link: the connection.
        state: what is known of it, up to some message.
        told: is given its entries, once and in order.
        tasks: owns what it does in the background.
        reach_all: waits until every room that is followed was handed on up to the message of a subject.

    """

    def __init__(
        self,
        link: NatsConnection,
        state: RoomSnapshot,
        told: Told,
        tasks: Supervisor,
        reach_all: Callable[[str, int], Awaitable[None]],
    ) -> None:
        super().__init__(link, state)
        self._tasks = tasks
        self._reach_all = reach_all
        self.open = False  # the hub wants all of it
        self.noted = 0  # the last message that changed its state, of those whose outcome is noted as far as is known
        self.used = 0.0  # when it was last needed, on the loop's clock
        self.recent: deque[Entry] = deque(maxlen=RECENT)
        self.newest: deque[Entry] = deque(maxlen=LOOKED_BACK)  # likewise, entries of every kind
        self.whole = False  # both begin with the room
        self._told = told
        self._ready = False
        self._held: dict[int, tuple[int, NatsMessage]] = {}
        self._repairing: asyncio.Task[None] | None = None
        self._waiting: asyncio.Task[None] | None = None
        self._waits = self._passes = 0  # messages that rename it: the one that waits, and the last one that need not
        self._marks: deque[tuple[int, int]] = deque()  # messages and how many entries they have: the newest WINDOW
        self._marked = 0
        self._high = 0.0  # the latest time of an entry, as far as is known
        # By number, the checksums of messages that the stream may have otherwise than they were handed on.
        self.doubts: dict[int, int] = {}
        self._news: list[tuple[int, asyncio.Future[None]]] = []

    # --- beginning ------------------------------------------------------------------------------------------------

    async def begin(self) -> None:
        """Hold what is said from now on; find out what is behind `state`. Raises BrokerError."""
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
        """See that what is noted of it is of this log: in a power cut one that is not synced always loses its end."""
        state = self.state
        if last < state.upto:
            lost = bool(last) or state.upto > (await streams.log(self.link)).last
        else:
            lost = bool(state.upto) and await self.differs(state.upto, state.sum)
            first = await self._first_from(1) if lost else None
            last = first.number - 1 if first else 0  # from where on they differ is not known: all of it is read again
        if lost:
            log.warning("the log has lost what came last in %s, or is another one", self.room)
            state.cut(last)

    async def differs(self, number: int, sum: int | None) -> bool:
        """Return whether the stream has another message at a number than that with a checksum. Raises BrokerError."""
        found = await self.link.at(streams.LOG, number) if sum is not None else None
        return found is not None and (found.subject != self.subject or checksum(found.data) != sum)

    async def _unseal(self) -> None:
        """Read the ids of what was taken back that are not in the state. Raises BrokerError."""
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
                    if part.upto < first:  # all of that has fallen to the bounds of the stream
                        await self.link.delete(streams.NOW, one.number)
                    else:
                        self.sealed.update(part.ids)
                if page[-1].number >= last:
                    return

    def go_on(self) -> None:
        """Hand on what was held, and what comes."""
        self._ready = True
        self._let_go()

    async def look(self) -> None:
        """Find out what has become of it, without following it. Raises BrokerError."""
        await self._unseal()
        if last := await self.link.last(streams.LOG, self.subject):
            await self._look_back(last)

    async def end(self) -> None:
        """Follow it no more."""
        self._ready = False
        await self.link.unsubscribe(self._subscription)
        for task in (self._repairing, self._waiting):
            if task:
                task.cancel()

    async def _look_back(self, last: NatsMessage) -> None:
        """Read the newest of the room, and all that changed its state since that was noted."""
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
        """Note that all up to a message was handed on, or is known."""
        self.state.upto, self.state.sum = newest.number, checksum(newest.data)

    def _fold(self, number: int, pack: EntryBatch, previous: int, known: int) -> None:
        self._high = max(self._high, pack.reached)
        for entry in entries(self.room, number, previous or pack.after, pack):
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
            self.doubt()  # the stream does not have what was handed on last
        if self._ready and not self._held and self._follows(number, before) and self._hand_on(copy):
            return
        if len(self._held) < HELD:
            self._held[number] = before, copy
            if self._ready:
                self._let_go()

    def _follows(self, number: int, before: int) -> bool:
        """Return whether a copy is the next of the room, as it says: only then it is believed without another look."""
        return before == self.last and number - self.last <= FAR

    def _hand_on(self, message: NatsMessage) -> bool:
        """Hand a pack on, unless it renames the room and other rooms have not come as far."""
        number = message.number
        pack = decode(*message.parts)
        if number > self._passes and pack.entries and pack.entries[-1].kind is Kind.ROOM_RENAMED:
            if number != self._waits:
                self._waits = number
                self._waiting = self._tasks.spawn(self._wait_for_all(number))
            return False
        previous = self.last
        if pack.after == previous and pack.sum not in (None, self.state.sum):
            self.doubt()  # its node has seen another message there
        self._see(message)
        self._mark(number, len(pack.entries))
        self._high = max(self._high, pack.reached)
        if not pack.entries or any(one.kind is Kind.REDACTED and one.nick == UNKNOWN for one in pack.entries):
            self.link.distrust(self.subject, "it has entries that cannot be shown")
        found = []
        for entry in entries(self.room, number, previous, pack):
            found.append(entry if entry.room == self.room else entry._replace(room=self.room))
            self.state.fold(entry)  # a move: what is behind it is in the room of the new name
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
        """Hand on what was held as far as the chain goes; repair it where it is broken."""
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
        """Read what is missing up to a message from the stream, and hand it on; unless that is being done."""
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
            return  # the next audit tries again
        self._repairing = None
        self._let_go()

    async def _take_held(self, number: int) -> None:
        """Hand on a copy whose message is not in the stream any more: it fell to its bounds, and all before it."""
        found = await self.link.at(streams.LOG, number)
        if found and found.subject == self.subject:  # who was asked before lags behind
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
        """Wait until everything that is stored now was handed on. Raises BrokerError."""
        if last := await self.link.last(streams.LOG, self.subject):
            await self.reach(last.number)

    async def reach(self, number: int) -> None:
        """Wait until everything up to a message that is stored was handed on."""
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

    # --- what is remembered ---------------------------------------------------------------------------------------

    def _remember(self, entry: Entry) -> None:
        self.newest.append(entry)
        if len(self.newest) == LOOKED_BACK:
            self.whole = False
        if entry.kind in SAID:
            self.recent.append(entry)
            if len(self.recent) == RECENT:
                self.whole = False
        elif entry.kind is Kind.REDACT:
            gone = entry.text.partition(" ")[0]
            self.recent = deque((one for one in self.recent if one.id != gone), RECENT)

    def doubt(self) -> None:
        """Let it be seen whether the stream has the newest message as it was handed on."""
        if self.state.sum is not None and len(self.doubts) < DOUBTS:
            self.doubts[self.last] = self.state.sum

    def _mark(self, number: int, count: int) -> None:
        self._marks.append((number, count))
        self._marked += count
        while self._marked - self._marks[0][1] >= WINDOW:
            self._marked -= self._marks.popleft()[1]

    @property
    def back(self) -> int:
        """The message with which the newest entries begin, as a hint for who reads backwards."""
        return self._marks[0][0] if self._marks else self.last

    def pack(self, lines: list[PackedEntry]) -> EntryBatch:
        """Return lines as the room's next pack."""
        high = max([self._high, *(line.time for line in lines)])
        return EntryBatch(lines, self.last, self.back, self.state.ruling, high, self.state.sum)
