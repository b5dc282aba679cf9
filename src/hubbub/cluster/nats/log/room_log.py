"""Reads of a room's log: the entries from a number on, forwards and backwards."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Iterable, Iterator
from contextlib import aclosing

from hubbub.cluster.nats import streams
from hubbub.cluster.nats.link.connection import NatsConnection
from hubbub.cluster.nats.link.messages import GONE, NatsMessage
from hubbub.cluster.nats.log.batches import WINDOW, EntryBatch, decode, end_of, entries, message_of
from hubbub.cluster.nats.log.stream_state import StreamState
from hubbub.errors import BrokerError
from hubbub.model.entries import Entry
from hubbub.model.messages.overlays import erased, quoted_by

MOST = 16 * WINDOW  # maximum entry batches of a window; hubbub writes no larger one


class RoomLog:
    """The stored entries of a room.

    Args:
        link: the connection to the NATS servers.
        state: the known state of the room, up to some message; it changes with the room.

    """

    def __init__(self, link: NatsConnection, state: StreamState) -> None:
        self.link = link
        self.state = state
        self.subject = f"{streams.ROOM}{state.key}"
        self.sealed: set[str] = set()  # ids of redacted entries that are not in the state

    @property
    def room(self) -> str:
        """The current name of the room."""
        return self.state.name

    @property
    def last(self) -> int:
        """The number of the room's last message that was delivered, with all messages before it."""
        return self.state.upto

    def _pages(self, start: int, known: int) -> AsyncGenerator[list[NatsMessage], None]:
        return streams.forward(self.link, streams.LOG, self.subject, start, known)

    def _entries(self, number: int, previous: int, pack: EntryBatch) -> Iterator[Entry]:
        return entries(self.room, number, previous, pack, self.state.key)

    def shown(self, found: Iterable[Entry]) -> Iterator[Entry]:
        """Yield entries, each redacted one without its text and tags."""
        for one in found:
            yield erased(one) if self._is_gone(one.id) or self._is_gone(quoted_by(one)) else one

    def _is_gone(self, id: str) -> bool:
        return id in self.state.gone or id in self.sealed

    async def after(self, number: int) -> AsyncGenerator[Entry, None]:
        """Yield the entries that follow a number, oldest first. Raises BrokerError."""
        start = message_of(number)
        previous = 0
        async with aclosing(self._pages(max(start, 1), self.last)) as pages:
            async for page in pages:
                for one in page:
                    pack = decode(*one.parts)
                    if previous < one.number <= self.last:
                        for entry in self.shown(self._entries(one.number, previous or pack.after, pack)):
                            if entry.seq > number:
                                yield entry
                        previous = one.number
                if page[-1].number >= self.last:
                    return

    async def before(self, number: int) -> AsyncGenerator[Entry, None]:
        """Yield the entries before a number, newest first. Raises BrokerError."""
        upto = min(message_of(number), self.last)
        anchor = await self._first_from(upto) if upto else None
        if anchor is None:
            return
        end, pack = anchor.number, decode(*anchor.parts)
        while pack.back <= end:
            packs = await self._window(pack.back or 1, end)
            for index in range(len(packs) - 1, -1, -1):
                at, one = packs[index]
                if at <= upto:
                    previous = packs[index - 1][0] if index else one.after
                    found = list(self.shown(self._entries(at, previous, one)))
                    for entry in reversed(found):
                        if entry.seq < number:
                            yield entry
            if not packs or not pack.back:
                return
            end, pack = packs[0][0] - 1, packs[0][1]

    async def _packs(self, start: int, end: int) -> AsyncGenerator[tuple[int, EntryBatch], None]:
        async with aclosing(self._pages(start, end)) as pages:
            async for page in pages:
                for one in page:
                    if one.number <= end:
                        yield one.number, decode(*one.parts)
                if page[-1].number >= end:
                    return

    async def _window(self, start: int, end: int) -> list[tuple[int, EntryBatch]]:
        """Return the entry batches between two messages, with their numbers: at most the newest MOST.

        There are more only if a hint in the log is wrong.
        """
        found: deque[tuple[int, EntryBatch]] = deque(maxlen=MOST)
        async with aclosing(self._packs(start, end)) as packs:
            async for pair in packs:
                found.append(pair)
        return list(found)

    async def _first_from(self, start: int) -> NatsMessage | None:
        """Return the room's first message from a number on; None if there is none. Raises BrokerError."""
        question = {"seq": max(start, 1), "next_by_subj": self.subject, "batch": 1}
        for tries in range(streams.TRIES):
            if page := await self.link.batch(streams.LOG, question):
                return page[0]
            if start > self.last or (tries and await streams.is_empty(self.link, streams.LOG, self.subject, start)):
                return None
            await asyncio.sleep(streams.LAG)
        raise BrokerError(GONE)

    async def first_at(self, milliseconds: int) -> int:
        """Return the number of the first entry with a time of `milliseconds` or later, in epoch milliseconds.

        Entries after it may have earlier times. Return the number after the last entry if there is none.
        Raises BrokerError.
        """
        low, high = 1, self.last + 1
        while low < high:
            middle = (low + high) // 2
            found = await self._first_from(middle) if middle <= self.last else None
            if found is None or found.number > self.last:
                high = middle
                continue
            pack = decode(*found.parts)
            if pack.entries and int(pack.reached * 1000) >= milliseconds:
                high = middle
            else:
                low = found.number + 1
        found = await self._first_from(low) if low <= self.last else None
        if found is None:
            return end_of(self.last) + 1
        pack = decode(*found.parts)
        early = next((at for at, one in enumerate(pack.entries) if int(one.time * 1000) >= milliseconds), 0)
        return end_of(found.number) - len(pack.entries) + early + 1
