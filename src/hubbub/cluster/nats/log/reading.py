"""Answers to queries about rooms and their entries, read from the streams."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Collection, Iterable
from contextlib import aclosing
from operator import attrgetter

from hubbub.cluster.nats import streams
from hubbub.cluster.nats.link.connection import NatsConnection
from hubbub.cluster.nats.log.batches import end_of
from hubbub.cluster.nats.log.room_feed import RoomFeed
from hubbub.cluster.nats.log.stream_state import StreamState, read_state
from hubbub.model.access import Action, sees
from hubbub.model.codec import text_of
from hubbub.model.entries import HISTORY_KINDS, Entry, Kind
from hubbub.model.queries import After, AllRooms, Around, Latest, LogPage, RoomList, Since
from hubbub.storage.ports import END, MAX_PAGE, Span, page, windows

FIND = 20_000  # maximum entries that are read backwards to find one by its id
ALL = frozenset(Kind)


async def answer(feed: RoomFeed, query: Latest | After | Since | Around) -> LogPage:
    """Return the entries of a room that a query asks for. Raises BrokerError."""
    match query:
        case Latest():
            kinds = frozenset(query.kinds) or (ALL if query.every else HISTORY_KINDS)
            entries = feed.before(query.before or end_of(feed.last) + 1)
            return await _gather(entries, query.limit, lambda e: e.kind in kinds, newest_first=True)
        case After():
            kinds = HISTORY_KINDS if query.history else ALL
            entries = feed.after(query.seq)
            return await _gather(entries, query.limit, lambda e: e.kind in kinds, lambda e: e.seq > query.upto)
        case Since():
            entries = feed.after(await feed.first_at(int(query.time * 1000)) - 1)
            return await _gather(
                entries, query.limit, lambda e: e.kind in HISTORY_KINDS and query.time <= e.time <= query.until
            )
        case Around():
            return await _around(feed, query)


async def _around(feed: RoomFeed, query: Around) -> LogPage:
    spans = {bound: await _find(feed, bound) for bound in query.bounds}
    found: list[Entry] = []
    for (low, high), newest, limit in windows(query, spans.__getitem__, 0, END):
        entries = feed.before(min(high, end_of(feed.last) + 1)) if newest else feed.after(max(low - 1, 0))
        part = await _gather(entries, limit, lambda e: query.asks_for(e.kind), _outside(low, high), newest)
        found += part.entries
    return LogPage(found)


def _outside(low: int, high: int) -> Callable[[Entry], bool]:
    return lambda entry: not low <= entry.seq < high


async def _find(feed: RoomFeed, bound: float | str) -> Span[int] | None:
    if not isinstance(bound, str):
        at = round(bound * 1000)
        return await feed.first_at(at), await feed.first_at(at + 1)
    looked = 0
    async with aclosing(feed.before(end_of(feed.last) + 1)) as entries:
        async for entry in entries:
            if entry.id == bound:
                return entry.seq, entry.seq + 1
            looked += 1
            if looked > FIND:
                break
    return None


async def all_rooms(link: NatsConnection, query: AllRooms, followed: Iterable[StreamState]) -> RoomList:
    """Return the rooms that have a log and that the query's viewer may list, with their topics. Raises BrokerError.

    Args:
        link: the connection.
        query: the query.
        followed: the states of the followed rooms, which are newer than the stored ones.

    """
    states = await states_of(link, followed)
    who = query.viewer
    listed = (
        one for one in states if one.name > query.after and not sees(who, Action.LIST, one.name, one.letters, one.key)
    )
    known = sorted(listed, key=attrgetter("name"))
    shown = known[: query.limit]
    topics = ("" if sees(who, Action.SEE_TOPIC, one.name, one.letters, one.key) else one.topic for one in shown)
    return RoomList([(one.name, topic) for one, topic in zip(shown, topics, strict=True)], len(known))


async def states_of(link: NatsConnection, followed: Iterable[StreamState]) -> Collection[StreamState]:
    """Return the states of all rooms that have a log: of the `followed` ones as given, of all others as stored.

    Raises BrokerError.
    """
    fresh = {state.key: state for state in followed}
    info = await link.ask(f"STREAM.INFO.{streams.LOG}", {"subjects_filter": f"{streams.ROOM}*"})
    logs = info["state"].get("subjects") or {}
    newest = await link.last(streams.NOW, f"{streams.STATE}*")
    last = newest.number if newest else 0
    # By key: a room that is being renamed has a stored state under each of its two names.
    rooms: dict[str, StreamState] = {}
    async with aclosing(streams.forward(link, streams.NOW, f"{streams.STATE}*", 1, last)) as pages:
        async for found in pages:
            for one in found:
                if not (noted := read_state(one.data)):
                    continue
                state = fresh.get(noted.key, noted)
                if f"{streams.ROOM}{state.key}" in logs and state.ruling >= rooms.get(state.key, state).ruling:
                    rooms[state.key] = state
            if found[-1].number >= last:
                break
    return rooms.values()


async def _gather(
    entries: AsyncGenerator[Entry, None],
    limit: int,
    wanted: Callable[[Entry], bool],
    over: Callable[[Entry], bool] = lambda entry: False,
    newest_first: bool = False,
) -> LogPage:
    """Return a page of the wanted entries; stop at the first entry for which `over` is true."""
    found: list[Entry] = []
    size = 0
    async with aclosing(entries):
        async for entry in entries:
            if over(entry):
                break
            if wanted(entry):
                found.append(entry)
                size += len(text_of(entry.body))
                if len(found) > limit or (len(found) > 1 and size > MAX_PAGE):
                    break
    return page(newest_first, found, limit)
