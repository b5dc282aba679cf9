"""The broker of many nodes: one stream of NATS JetStream, in which every room has a subject.

A room is followed before anything is published to it or read of it. What this node publishes comes back to it as it
does to all others, so there is one way in which entries arrive (feed.py). In each room one pack is under way, and
what is said meanwhile is the next: batches grow with the load, and a room's order is never at risk.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
from collections import deque
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hubbub.brokers.base import Committed, Failed, readable
from hubbub.brokers.jetstream import reading, streams
from hubbub.brokers.jetstream.batches import RoomSnapshot, end_of
from hubbub.brokers.jetstream.connection import NatsConnection, NatsCredentials
from hubbub.brokers.jetstream.lease import Lease
from hubbub.brokers.jetstream.messages import GONE
from hubbub.brokers.jetstream.presence import Presence
from hubbub.brokers.jetstream.publisher import MISTAKE, SHORTER, Publisher
from hubbub.brokers.jetstream.room_feed import RoomFeed
from hubbub.brokers.jetstream.search_index import SearchIndex
from hubbub.brokers.jetstream.subscriptions import Subscriptions
from hubbub.brokers.jetstream.supervisor import Supervisor
from hubbub.brokers.retention import Retention
from hubbub.brokers.search_scheduler import SearchScheduler
from hubbub.core.absent import LOOKED_BACK
from hubbub.core.access import Action, may
from hubbub.core.model import After, AllRooms, Draft, Entry, Kind, Latest, LogPage, Query, RoomList, RoomState, Search
from hubbub.core.names import key_of
from hubbub.core.room_modes import RoomModes
from hubbub.core.viewer import SYSTEM
from hubbub.errors import BrokerError, Closed

if TYPE_CHECKING:
    from hubbub.core.hub import Hub

log = logging.getLogger("hubbub")

AUDIT = 2.0  # seconds between two looks whether the newest message of a quiet room is here
SURE = 3  # looks in a row at a log that ends too early: a server that has just become leader may lag behind
CATCH_UP = 2.0  # seconds within which a node that comes back reads what it missed, before its people speak again
PATIENT = 120.0  # seconds that who was behind waits for servers that are gone
PATIENCE = 0.5  # seconds in which another server may be found before people are told
AWAY = "The chat cannot be reached just now; what you type is kept back"
BACK = "The chat is back"
ANOTHER = "the log is not the one that was shown from here; the server must be started again"


class JetStreamBroker:
    """Keeps everything on NATS servers, and knows what other nodes say.

    Args:
        access: how to reach them.
        clock: returns epoch seconds.
        replicas: copies of the log, 0 for as many as there are, or one.
        keep: its bounds.
        folder: where this node keeps what it searches in; None for nowhere.

    """

    def __init__(
        self,
        access: NatsCredentials,
        clock: Callable[[], float],
        replicas: int = 0,
        keep: Retention | None = None,
        folder: Path | None = None,
    ) -> None:
        self.gathers = True
        self.secret = b""
        self.log_id = ""
        self.health = ""
        self.broken: Callable[[str], None] = lambda reason: None
        self.node = secrets.token_hex(6)
        self.link = NatsConnection(access, f"hubbub-{self.node}", self._link_changed)
        self.tasks = Supervisor()
        self._where = access.shown
        self._replicas = replicas
        self._bounds = keep or Retention()
        self.lease = Lease(self.link, self.tasks)
        self.presence: Presence | None = None
        self._hub: Hub | None = None
        self._told = True  # people were told last that the servers can be reached
        self._loop = asyncio.get_running_loop()
        self._sending = Publisher(self, clock)
        self.following = Subscriptions(self.link, self.tasks, self._hand_on)
        self._projection = SearchIndex(self.link, folder) if folder else None
        self._searches = SearchScheduler(lambda query, done: self._ask(self._answer_in_time(query), done), 1)
        self._stopping = False
        self._short = 0  # how often in a row the log ended before what was shown from here
        self._created = ""  # when the log was made
        self.fault = ""  # why nothing can be stored until this node is started again
        self._committed: Committed = _nobody

    # --- beginning and end ----------------------------------------------------------------------------------------

    async def connect(self) -> None:
        """Find the servers and make the streams. Raises SettingsError."""
        if self._projection:
            self._projection.begin()
        await self.link.connect()
        await streams.set_up(self.link, self._replicas, self._bounds)
        self.secret = await streams.patiently(lambda: streams.secret(self.link))
        self._created = (await streams.patiently(lambda: streams.log(self.link))).created
        self.log_id = await streams.patiently(lambda: streams.log_id(self.link, self._created))
        await streams.patiently(self.lease.begin)
        self.lease.changed = self._look

    async def attach(self) -> None:
        """Connect only to read the log and to take entries in: as no node, and without changing bounds that are set.

        Raises SettingsError.
        """
        await self.link.connect()
        try:
            there = await streams.are_there(self.link)
        except BrokerError:
            there = False  # to make them says best what is wrong
        if not there:
            await streams.set_up(self.link, self._replicas, self._bounds)
            self.secret = await streams.patiently(lambda: streams.secret(self.link))  # and so something is stored
        self.tasks.insist(self._audit)

    async def take_in(self, room: str, entries: Sequence[Entry]) -> None:
        """Store entries that were made elsewhere, with their times and ids; what renames the room is the last.

        Raises BrokerError.
        """
        feed = await self.following.room(room, make=True)
        assert feed is not None
        await self._sending.take_in(feed, entries)

    async def meet(self, hub: Hub) -> None:
        """Let the hub know the people of other nodes, and them its own."""
        self._hub = hub
        log.info("The log is on NATS at %s", self._where)
        hub.directory.names = self.lease
        self.lease.lost = hub.naming.lose_name
        self.lease.speaking = lambda: {key_of(draft.nick) for draft in hub.outbox}
        self.lease.returned = self._returned
        hub.remote.may_speak = lambda: self.lease.valid
        self.presence = Presence(self.link, self.lease, hub, self.tasks)
        await self.presence.begin()

    async def _returned(self, lost: Collection[str]) -> None:
        """Learn what others were told of people here while this node had no lease: before they speak again."""
        hub = self._hub
        assert hub is not None
        hub.naming.losing |= set(lost)
        self._sending.forsake(hub.outbox, lost)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(CATCH_UP):
                await self.following.catch_up()
        hub.remote.rejoin()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(CATCH_UP):
                while hub.outbox.queued:  # noqa: ASYNC110 - they come in again, should they have left
                    await asyncio.sleep(0.005)

    def start(self, committed: Committed, failed: Failed) -> None:
        """Begin to work for the running loop."""
        self._committed = committed
        self._sending.failed = failed
        self.tasks.spawn(self._tidy())
        for work in (self._audit, self.lease.run):
            self.tasks.insist(work)
        for part in (self.presence, self._projection):
            if part:
                self.tasks.insist(part.run)

    async def give_up(self) -> None:
        """Tell of what cannot be stored just now that it is not, or not for sure."""
        if not self.reachable:
            await self._sending.give_up()

    async def stop(self, deadline: float) -> None:
        """Finish what was published, and let go of everything."""
        end = self._loop.time() + deadline
        while self._sending.outgoing and self._loop.time() < end:  # noqa: ASYNC110 - once
            await asyncio.sleep(0.005)
        self._stopping = True
        if self.presence and self.link.up:
            await self.presence.end()
        await self._sending.give_up()
        await self.tasks.stop()
        if self.link.up:
            await self.lease.end()
        if self._projection:
            await self._projection.close()
        await self.link.close()

    async def _tidy(self) -> None:
        with contextlib.suppress(BrokerError):
            await self.lease.tidy()

    def _link_changed(self, up: bool) -> None:
        if up:
            self._sending.back.set()
            self.tasks.spawn(self.following.audit())
        else:
            self._sending.back.clear()
        self.look_soon()

    @property
    def reachable(self) -> bool:
        """Whether the servers answer, and this node may speak for its people; a full disk is told at each message."""
        answers = self.lease.answers and self._sending.answers
        return self.link.up and (self.lease.full or (answers and self.lease.valid))

    def look_soon(self) -> None:
        """See whether people are to be told that the servers can be reached no more, or again."""
        self._loop.call_later(PATIENCE, self._look)

    def _look(self) -> None:
        if self._hub and self.reachable is not self._told and not self._stopping:
            self._told = self.reachable
            self._hub.announce(BACK if self._told else AWAY)

    def figures(self) -> Mapping[str, tuple[str, float]]:
        """Return what is known of the cluster."""
        nodes = 1 + (len(self.presence.peers) if self.presence else 0)
        found = {
            "cluster_messages_ignored": (
                "Messages on NATS that hubbub did not write, since the start.",
                float(self.link.ignored),
            ),
            "cluster_reachable": (
                "Whether the NATS servers answer, and this node has its lease.",
                float(self.reachable),
            ),
            "cluster_nodes": ("Nodes that this one knows of, itself too.", float(nodes)),
            "cluster_rooms_followed": ("Rooms whose traffic comes to this node.", float(len(self.following.feeds))),
        }
        if self._projection:
            behind = self._projection.last - self._projection.upto
            found["search_behind"] = ("Messages of the log that cannot be searched for yet.", float(max(behind, 0)))
        return found

    # --- rooms ----------------------------------------------------------------------------------------------------

    def open(self, room: str, latest: int, done: Callable[[RoomState | BrokerError], None]) -> None:
        """Start to follow a room."""

        async def state() -> RoomState:
            feed = await self.following.room(room, make=True)
            assert feed is not None
            wanted, feed.open = feed.open, True
            try:
                older = await self._older(feed, feed.recent, latest)
                every = await self._older(feed, feed.newest, LOOKED_BACK, every=True)
            except BrokerError:
                feed.open = wanted
                raise
            if feed.room != room:  # it was renamed meanwhile
                feed.open = wanted
                return await state()
            said, recent = [*older, *feed.recent], [*every, *feed.newest]
            return feed.state.seen(room, said[max(0, len(said) - latest) :], recent[-LOOKED_BACK:])

        self._ask(state(), done)

    async def _older(self, feed: RoomFeed, known: Sequence[Entry], count: int, every: bool = False) -> Sequence[Entry]:
        """Return entries that are before those that are known, of `count` that are wanted. Raises BrokerError."""
        if len(known) >= count or feed.whole:
            return ()
        before = known[0].seq if known else end_of(feed.last) + 1
        return (await reading.answer(feed, Latest(feed.room, count - len(known), before, every, viewer=SYSTEM))).entries

    def close(self, room: str) -> None:
        """Follow a room no more, unless it is needed again soon."""
        self.following.let_go(room)

    def _hand_on(self, entries: Sequence[Entry]) -> None:
        self._sending.newest = max(self._sending.newest, entries[-1].time)
        for entry in entries:
            self._sending.unseen.discard(entry.id)
            if entry.kind is Kind.ROOM_RENAMED:
                to = entry.text.partition(" ")[0]
                self.following.moved(entry.room, to)
                self._sending.moved(entry.room, to)
        self._committed(entries)

    # --- publishing -----------------------------------------------------------------------------------------------

    def publish(self, drafts: Sequence[Draft]) -> None:
        """Send drafts into the log, each room's in their order."""
        self._sending.publish(drafts)

    # --- looking after it -----------------------------------------------------------------------------------------

    async def _audit(self) -> None:
        while True:
            await asyncio.sleep(AUDIT)
            await self.following.tidy(self._sending.outgoing)
            if self.link.up:
                await self._check_log()
                if room := await self.following.audit():
                    self.mistrust(ANOTHER, f"in {room} it has another message")
                await self.following.keep_late()

    async def _check_log(self) -> None:
        """See that the log is the one that was shown from here, with all of it."""
        newest = max((feed.last for feed in self.following.feeds.values()), default=0)
        with contextlib.suppress(BrokerError):
            now = await streams.log(self.link)
            self._created = self._created or now.created
            if now.created != self._created:
                self.mistrust(ANOTHER, f"it was made at {now.created}, not at {self._created}")
                return
            self._short = self._short + 1 if now.last < newest else 0
            if self._short == SURE:
                self.mistrust(SHORTER, f"it ends with message {now.last}, and {newest} was shown")
            if not self.fault:
                # Another node may have found out that the log has lost its end.
                self.log_id = await streams.log_id(self.link, now.created)

    def mistrust(self, fault: str, why: str) -> None:
        """Store nothing more, and let the server end: the log is not the one that was shown from here.

        Numbers of entries mean something else now, so the log has another identity from here on. A server that is
        started again reads everything anew from what the servers have.
        """
        if not self.fault:
            self.fault = fault
            log.critical("The log on NATS is not what was shown from here: %s; this node must be started again", why)
            self.tasks.spawn(self._renew_log_id())

    async def _renew_log_id(self) -> None:
        with contextlib.suppress(BrokerError):
            await streams.renew_log_id(self.link, self.log_id)
        self.broken(self.fault)

    # --- reading --------------------------------------------------------------------------------------------------

    def read(self, query: Query | AllRooms, done: Callable[[Any], None]) -> None:
        """Answer a query from the stream, or from its copy."""
        if isinstance(query, Search):
            self._searches.ask(query, done)
        else:
            self._ask(self._answer_in_time(query), done)

    def probe(self, done: Callable[[BrokerError | None], None]) -> None:
        """Commit something that is no entry, after what is waiting."""
        self._ask(self._probe(list(self._sending.outgoing.values())), done)

    async def _probe(self, waiting: Sequence[deque[Draft]]) -> None:
        end = self._loop.time() + 3
        while any(waiting) and self._loop.time() < end:  # noqa: ASYNC110 - seldom
            await asyncio.sleep(0.005)
        if any(waiting):
            raise BrokerError(GONE)
        if self.fault:
            raise BrokerError(self.fault)
        await self.link.publish(streams.PROBE, b"", {})

    def _ask(self, question: Awaitable[Any], done: Callable[[Any], None]) -> None:
        async def answer() -> None:
            try:
                result = await question
            except BrokerError as error:
                result = error
            except Exception:
                log.exception("a question could not be answered")
                result = BrokerError(MISTAKE)
            done(result)

        self.tasks.spawn(answer())

    async def _answer_in_time(self, query: Query | AllRooms) -> LogPage | RoomList:
        """Answer; what a reader missed is looked for until the servers are back: else he would go without it."""
        end = self._loop.time() + PATIENT
        while True:
            try:
                return await self._answer(query)
            except Closed:
                raise
            except BrokerError:
                if not isinstance(query, After) or self._loop.time() > end:
                    raise
                await self._sending.wait()

    async def _answer(self, query: Query | AllRooms) -> LogPage | RoomList:
        if isinstance(query, AllRooms):
            return await reading.all_rooms(self.link, query, [feed.state for feed in self.following.feeds.values()])
        if isinstance(query, Search):
            if self._projection is None:
                raise BrokerError("this node keeps no index to search in")
            return await self._search(self._projection, query) if query.words.strip() else LogPage(())
        feed = await self.following.room(query.room)
        if feed is None or not (query.viewer.system or readable(query.viewer, _rules(feed.state))):
            return LogPage(())
        return await reading.answer(feed, query)

    async def _search(self, projection: SearchIndex, query: Search) -> LogPage:
        """Search; which rooms are closed is in their states, also when retention took the messages that say so."""
        states = await reading.states_of(self.link, [feed.state for feed in self.following.feeds.values()])
        rooms = {state.name: state for state in states}

        @cache
        def reads(room: str) -> bool:
            return room in rooms and may(query.viewer, Action.READ, _rules(rooms[room])) is None

        if query.room in rooms and not readable(query.viewer, _rules(rooms[query.room])):
            return LogPage(())
        page = await projection.search(replace(query, viewer=SYSTEM))
        return replace(page, entries=[entry for entry in page.entries if reads(entry.room)])


def _rules(state: RoomSnapshot) -> RoomModes:
    return RoomModes(state.name, state.rules(state.name))


def _nobody(entries: Sequence[Entry]) -> None:
    """Deliver nothing: nobody is here."""
