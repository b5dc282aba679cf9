"""The broker of a cluster: one stream of NATS JetStream, in which every room has a subject.

A node follows a room before it publishes to it or reads from it. The entries that a node publishes come back to it as
they come to all other nodes, so entries arrive in only one way (room_feed.py). Each room has at most one entry batch
under way, and the drafts that arrive meanwhile form the next one. So batches grow with the load, and the order of a
room is always kept.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
from collections import deque
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from hubbub.cluster.nats import streams
from hubbub.cluster.nats.connection import NatsConnection, NatsCredentials
from hubbub.cluster.nats.key_value import NatsKeyValue
from hubbub.cluster.nats.lease import Lease
from hubbub.cluster.nats.log import reading
from hubbub.cluster.nats.log.batches import end_of
from hubbub.cluster.nats.log.log_identity import ANOTHER, LogIdentity
from hubbub.cluster.nats.log.publisher import MISTAKE, Publisher
from hubbub.cluster.nats.log.room_feed import RoomFeed
from hubbub.cluster.nats.log.search_index import SearchIndex
from hubbub.cluster.nats.log.subscriptions import Subscriptions
from hubbub.cluster.nats.messages import GONE
from hubbub.cluster.nats.presence import Presence
from hubbub.cluster.nats.supervisor import Supervisor
from hubbub.errors import BrokerError, Closed
from hubbub.model.access import Action, may
from hubbub.model.entries import Draft, Entry, RoomRenamed
from hubbub.model.queries import After, AllRooms, Latest, LogPage, OpenedRoom, Query, RoomList, Search
from hubbub.model.room.absent import LOOKED_BACK
from hubbub.model.viewer import SYSTEM
from hubbub.storage.ports import Committed, Failed, readable
from hubbub.storage.retention import Retention
from hubbub.storage.search_scheduler import SearchScheduler
from hubbub.text.names import key_of

if TYPE_CHECKING:
    from hubbub.chat.hub import Hub

log = logging.getLogger("hubbub")

AUDIT = 2.0  # seconds between two checks that the newest message of every room was delivered
CATCH_UP = 2.0  # seconds in which a returning node reads missed entries before its users may speak
PATIENT = 120.0  # seconds that a request for missed entries waits for unreachable servers
PATIENCE = 0.5  # seconds in which another server may be found before users get a notice
AWAY = "The chat cannot be reached right now; what you type is kept back"
BACK = "The chat is back"


class JetStreamBroker:
    """Stores the log on NATS servers, and exchanges users and events with the other nodes.

    Args:
        access: the addresses of the servers and the credentials.
        clock: returns epoch seconds.
        replicas: the copies of the log; 0 to keep the number that an existing log has, or else make one.
        keep: the retention of the log.
        folder: the folder of this node's search index; None for no search.

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
        self._told = True  # whether the last notice to users says that the servers can be reached
        self._loop = asyncio.get_running_loop()
        self.identity = LogIdentity(self.link, self.tasks, lambda fault: self.broken(fault))
        self.following = Subscriptions(self.link, self.tasks, self._hand_on)
        self._sending = Publisher(clock, self.link, self.lease, self.following, self.identity)
        self._sending.answers_changed = self.look_soon
        self._projection = SearchIndex(self.link, folder) if folder else None
        self._searches = SearchScheduler(lambda query, done: self._ask(self._answer_in_time(query), done), 1)
        self.key_values = NatsKeyValue(self.link, self._ask, self.tasks)
        self._stopping = False
        self._committed: Committed = _nobody

    @property
    def log_id(self) -> str:
        """The identity of the log, once connected."""
        return self.identity.id

    # --- beginning and end ----------------------------------------------------------------------------------------

    async def connect(self) -> None:
        """Connect to the servers, make the streams if needed, and take a lease. Raises SettingsError."""
        if self._projection:
            self._projection.begin()
        await self.link.connect()
        await streams.set_up(self.link, self._replicas, self._bounds)
        self.secret = await streams.patiently(lambda: streams.secret(self.link))
        await self.identity.begin()
        await streams.patiently(self.lease.begin)
        self.lease.changed = self._look

    async def attach(self) -> None:
        """Connect only to read the log and to import entries, without a lease and without changing the log's retention.

        Make the streams if they do not exist. Raises SettingsError.
        """
        await self.link.connect()
        try:
            there = await streams.are_there(self.link)
        except BrokerError:
            there = False  # set_up raises the better error message
        if not there:
            await streams.set_up(self.link, self._replicas, self._bounds)
            # Storing the secret also proves that the new streams can store messages.
            self.secret = await streams.patiently(lambda: streams.secret(self.link))
        self.tasks.insist(self._audit)

    async def take_in(self, room: str, entries: Sequence[Entry]) -> None:
        """Store entries of a room that come from another log, with their times and ids.

        An entry that renames the room must be the last one. Raises BrokerError.
        """
        feed = await self.following.room(room, make=True)
        assert feed is not None
        await self._sending.take_in(feed, entries)

    async def meet(self, hub: Hub) -> None:
        """Connect the hub to the cluster: remote users become known here, and the users of this node elsewhere."""
        self._hub = hub
        log.info("The log is on NATS at %s", self._where)
        hub.nicks.names = self.lease
        self.lease.lost = hub.naming.lose_name
        self.lease.speaking = lambda: {key_of(posting.draft.nick) for posting in hub.pipeline}
        self.lease.returned = self._returned
        hub.remote.may_speak = lambda: self.lease.valid
        self.presence = Presence(self.link, self.lease, hub, self.tasks)
        await self.presence.begin()

    async def _returned(self, lost: Collection[str]) -> None:
        """Recover from a time without a lease, before the users of this node may speak again.

        Read the entries that were missed, and let users that other nodes have reported as gone join again. Each of
        the two steps takes at most CATCH_UP seconds. `lost` has the folded names that other nodes have taken.
        """
        hub = self._hub
        assert hub is not None
        hub.nicks.losing |= set(lost)
        self._sending.forsake(hub.pipeline, lost)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(CATCH_UP):
                await self.following.catch_up()
        hub.remote.rejoin()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(CATCH_UP):
                while hub.pipeline.queued:  # noqa: ASYNC110 - their new joins
                    await asyncio.sleep(0.005)

    def start(self, committed: Committed, failed: Failed) -> None:
        """Start the background tasks on the running loop."""
        self._committed = committed
        self._sending.failed = failed
        self.tasks.spawn(self._tidy())
        for work in (self._audit, self.lease.run):
            self.tasks.insist(work)
        for part in (self.presence, self._projection):
            if part:
                self.tasks.insist(part.run)

    async def give_up(self) -> None:
        """Report an outcome for all waiting drafts if the servers cannot be reached: not stored, or not confirmed."""
        if not self.reachable:
            await self._sending.give_up()

    async def stop(self, deadline: float) -> None:
        """Wait up to `deadline` seconds for the published drafts; then give up the lease and close the connection."""
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
            self.key_values.compare_soon()
        else:
            self._sending.back.clear()
        self.look_soon()

    @property
    def reachable(self) -> bool:
        """Whether the servers answer and this node has a lease; also true if the servers' disk is full.

        A full disk is reported for each message instead.
        """
        answers = self.lease.answers and self._sending.answers
        return self.link.up and (self.lease.full or (answers and self.lease.valid))

    def look_soon(self) -> None:
        """Check in PATIENCE seconds whether users need a notice that the servers are unreachable or reachable again."""
        self._loop.call_later(PATIENCE, self._look)

    def _look(self) -> None:
        if self._hub and self.reachable is not self._told and not self._stopping:
            self._told = self.reachable
            self._hub.announce(BACK if self._told else AWAY)

    def figures(self) -> Mapping[str, tuple[str, float]]:
        """Return statistics of the cluster by name, each with an explanation and a value."""
        nodes = 1 + (len(self.presence.peers) if self.presence else 0)
        found = {
            "cluster_messages_ignored": (
                "Messages on NATS that were ignored since the start, because hubbub did not write them.",
                float(self.link.ignored),
            ),
            "cluster_reachable": (
                "1 if the NATS servers answer and this node has its lease, else 0.",
                float(self.reachable),
            ),
            "cluster_nodes": ("Nodes that this one knows, including itself.", float(nodes)),
            "cluster_rooms_followed": ("Rooms whose messages this node receives.", float(len(self.following.feeds))),
        }
        if self._projection:
            behind = self._projection.last - self._projection.upto
            found["search_behind"] = ("Messages of the log that are not in the search copy yet.", float(max(behind, 0)))
        return found

    # --- rooms ----------------------------------------------------------------------------------------------------

    def open(self, room: str, latest: int, done: Callable[[OpenedRoom | BrokerError], None]) -> None:
        """Follow a room, and call `done` with its state and the `latest` newest messages, or with a BrokerError."""

        async def state() -> OpenedRoom:
            feed = await self.following.room(room, make=True)
            assert feed is not None
            wanted, feed.open = feed.open, True
            try:
                older = await self._older(feed, feed.recent, latest)
                every = await self._older(feed, feed.newest, LOOKED_BACK, every=True)
            except BrokerError:
                feed.open = wanted
                raise
            if feed.room != room:  # the room was renamed meanwhile
                feed.open = wanted
                return await state()
            said, recent = [*older, *feed.recent], [*every, *feed.newest]
            return feed.state.opened(room, said[max(0, len(said) - latest) :], recent[-LOOKED_BACK:])

        self._ask(state(), done)

    async def _older(self, feed: RoomFeed, known: Sequence[Entry], count: int, every: bool = False) -> Sequence[Entry]:
        """Return the entries before the known ones that are needed to make `count` in all. Raises BrokerError."""
        if len(known) >= count or feed.whole:
            return ()
        before = known[0].seq if known else end_of(feed.last) + 1
        return (await reading.answer(feed, Latest(feed.room, count - len(known), before, every, viewer=SYSTEM))).entries

    def close(self, room: str) -> None:
        """Mark a room as unused: it is not followed any more after a while without use."""
        self.following.let_go(room)

    def _hand_on(self, entries: Sequence[Entry]) -> None:
        self._sending.newest = max(self._sending.newest, entries[-1].time)
        for entry in entries:
            self._sending.unseen.discard(entry.id)
            if isinstance(entry.body, RoomRenamed):
                self.following.moved(entry.room, entry.body.to)
                self._sending.moved(entry.room, entry.body.to)
        self._committed(entries)

    # --- publishing -----------------------------------------------------------------------------------------------

    def publish(self, drafts: Sequence[Draft]) -> None:
        """Publish drafts to the log, those of each room in their order."""
        self._sending.publish(drafts)

    # --- checks of the log ----------------------------------------------------------------------------------------

    async def _audit(self) -> None:
        while True:
            await asyncio.sleep(AUDIT)
            await self.following.tidy(self._sending.outgoing)
            if self.link.up:
                await self.identity.check(self.following.newest)
                if room := await self.following.audit():
                    self.identity.mistrust(ANOTHER, f"in {room} it has another message")
                await self.following.keep_late()

    # --- reading --------------------------------------------------------------------------------------------------

    def read(self, query: Query | AllRooms, done: Callable[[Any], None]) -> None:
        """Answer a query from the stream, a search from the search index; call `done` later with the result."""
        if isinstance(query, Search):
            self._searches.ask(query, done)
        else:
            self._ask(self._answer_in_time(query), done)

    def probe(self, done: Callable[[BrokerError | None], None]) -> None:
        """Store a message that is no entry, after the waiting drafts; call `done` with None or a BrokerError."""
        self._ask(self._probe(list(self._sending.outgoing.values())), done)

    async def _probe(self, waiting: Sequence[deque[Draft]]) -> None:
        end = self._loop.time() + 3
        while any(waiting) and self._loop.time() < end:  # noqa: ASYNC110 - seldom
            await asyncio.sleep(0.005)
        if any(waiting):
            raise BrokerError(GONE)
        if self.identity.fault:
            raise BrokerError(self.identity.fault)
        await self.link.publish(streams.PROBE, b"", {})

    def _ask(self, question: Awaitable[Any], done: Callable[[Any], None]) -> None:
        async def answer() -> None:
            try:
                result = await question
            except BrokerError as error:
                result = error
            except Exception:
                log.exception("a query failed")
                result = BrokerError(MISTAKE)
            done(result)

        self.tasks.spawn(answer())

    async def _answer_in_time(self, query: Query | AllRooms) -> LogPage | RoomList:
        """Answer a query. Retry a query for missed entries (After) for up to PATIENT seconds.

        The client would never get those entries otherwise.
        """
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
                raise BrokerError("this node keeps no search index")
            return await self._search(self._projection, query) if query.words.strip() else LogPage(())
        feed = await self.following.room(query.room)
        if feed is None or not (query.viewer.system or readable(query.viewer, feed.state.room)):
            return LogPage(())
        return await reading.answer(feed, query)

    async def _search(self, projection: SearchIndex, query: Search) -> LogPage:
        """Search in the index, and keep the entries of rooms that the viewer may read.

        The rooms' states say which rooms are closed, even after retention has deleted the entries that closed them.
        """
        states = await reading.states_of(self.link, [feed.state for feed in self.following.feeds.values()])
        rooms = {state.name: state for state in states}

        @cache
        def reads(room: str) -> bool:
            return room in rooms and may(query.viewer, Action.READ, rooms[room].room) is None

        if query.room in rooms and not readable(query.viewer, rooms[query.room].room):
            return LogPage(())
        page = await projection.search(replace(query, viewer=SYSTEM))
        return replace(page, entries=[entry for entry in page.entries if reads(entry.room)])


def _nobody(entries: Sequence[Entry]) -> None:
    """Do nothing: the default before `start` sets the receiver of entries."""
