"""The log of a cluster: one stream of NATS JetStream, in which every room has a subject.

A node follows a room before it publishes to it or reads from it. The entries that a node publishes come back to it as
they come to all other nodes, so entries arrive in only one way (room_feed.py). Each room has at most one entry batch
under way, and the drafts that arrive meanwhile form the next one. So batches grow with the load, and the order of a
room is always kept.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any

from hubbub.cluster.nats import streams
from hubbub.cluster.nats.key_value import NatsKeyValue
from hubbub.cluster.nats.lease import Lease
from hubbub.cluster.nats.link.client import NatsCredentials
from hubbub.cluster.nats.link.connection import NatsConnection
from hubbub.cluster.nats.link.messages import GONE
from hubbub.cluster.nats.log import reading
from hubbub.cluster.nats.log.batches import end_of
from hubbub.cluster.nats.log.log_identity import ANOTHER, LogIdentity
from hubbub.cluster.nats.log.publisher import MISTAKE, Publisher
from hubbub.cluster.nats.log.room_feed import RoomFeed
from hubbub.cluster.nats.log.subscriptions import Subscriptions
from hubbub.cluster.nats.supervisor import Supervisor
from hubbub.errors import BrokerError, Closed
from hubbub.model.entries import Draft, Entry
from hubbub.model.queries import After, AllRooms, Latest, LogPage, LogQuery, OpenedRoom, RoomList
from hubbub.model.room.absent import LOOKED_BACK
from hubbub.model.viewer import SYSTEM
from hubbub.storage.ports import Committed, Failed, readable
from hubbub.storage.retention import Retention

log = logging.getLogger("hubbub")

AUDIT = 2.0  # seconds between two checks that the newest message of every room was delivered
PATIENT = 120.0  # seconds that a request for missed entries waits for unreachable servers


class JetStreamBroker:
    """Stores the log on NATS servers; the other nodes of the cluster (cluster.py) use the same one.

    Args:
        access: the addresses of the servers and the credentials.
        clock: returns epoch seconds.
        replicas: the copies of the log; 0 to keep the number that an existing log has, or else make one.
        keep: the retention of the log.

    """

    def __init__(
        self,
        access: NatsCredentials,
        clock: Callable[[], float],
        replicas: int = 0,
        keep: Retention | None = None,
    ) -> None:
        self.gathers = True
        self.secret = b""
        self.health = ""
        self.broken: Callable[[str], None] = lambda reason: None
        self.node = secrets.token_hex(6)
        self.link = NatsConnection(access, f"hubbub-{self.node}", self._link_changed)
        self.tasks = Supervisor()
        self.where = access.shown
        self._replicas = replicas
        self._bounds = keep or Retention()
        self.lease = Lease(self.link, self.tasks)
        self._loop = asyncio.get_running_loop()
        self.identity = LogIdentity(self.link, self.tasks, lambda fault: self.broken(fault))
        self.following = Subscriptions(self.link, self.tasks, self._hand_on)
        self.publisher = Publisher(clock, self.link, self.lease, self.following, self.identity)
        self.key_values = NatsKeyValue(self.link, self.ask, self.tasks)
        self.link_changed: Callable[[], None] = lambda: None  # called after a loss of the connection and a return
        # Returns a page of entries with their later corrections and reactions.
        self.as_changed: Callable[[LogPage], Awaitable[LogPage]] = _as_stored
        self._committed: Committed = _nobody

    @property
    def log_id(self) -> str:
        """The identity of the log, once connected."""
        return self.identity.id

    # --- beginning and end ----------------------------------------------------------------------------------------

    async def connect(self) -> None:
        """Connect to the servers, make the streams if needed, and take a lease. Raises SettingsError."""
        await self.link.connect()
        await streams.set_up(self.link, self._replicas, self._bounds)
        self.secret = await streams.patiently(lambda: streams.secret(self.link))
        await self.identity.begin()
        await streams.patiently(self.lease.begin)

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

    async def key_of(self, room: str) -> str:
        """Return the key of the room that has a name now; make the room if there is none. Raises BrokerError."""
        feed = await self.following.room(room, make=True)
        assert feed is not None
        return feed.state.key

    async def take_in(self, room: str, entries: Sequence[Entry]) -> None:
        """Store entries of a room that come from another log, with their times and ids.

        An entry that renames the room must be the last one. Raises BrokerError.
        """
        feed = await self.following.room(room, make=True)
        assert feed is not None
        await self.publisher.take_in(feed, entries)

    def start(self, committed: Committed, failed: Failed) -> None:
        """Start the background tasks on the running loop."""
        self._committed = committed
        self.publisher.failed = failed
        self.tasks.insist(self._audit)

    async def stop(self, deadline: float) -> None:
        """Wait up to `deadline` seconds for the published drafts; then report that the others are not confirmed."""
        end = self._loop.time() + deadline
        while self.publisher.outgoing and self._loop.time() < end:  # noqa: ASYNC110 - once
            await asyncio.sleep(0.005)
        await self.publisher.give_up()

    async def detach(self) -> None:
        """End the background tasks, and close the connection that `attach` has made."""
        await self.tasks.stop()
        await self.link.close()

    def _link_changed(self, up: bool) -> None:
        if up:
            self.publisher.back.set()
            self.tasks.spawn(self.following.audit())
            self.key_values.compare_soon()
        else:
            self.publisher.back.clear()
        self.link_changed()

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

        self.ask(state, done)

    async def _older(self, feed: RoomFeed, known: Sequence[Entry], count: int, every: bool = False) -> Sequence[Entry]:
        """Return the entries before the known ones that are needed to make `count` in all. Raises BrokerError."""
        if len(known) >= count or feed.whole:
            return ()
        before = known[0].seq if known else end_of(feed.last) + 1
        return (await reading.answer(feed, Latest(feed.room, count - len(known), before, every, viewer=SYSTEM))).entries

    def close(self, id: str) -> None:
        """Mark a room as unused: it is not followed any more after a while without use."""
        self.following.let_go(id)

    def _hand_on(self, entries: Sequence[Entry]) -> None:
        self.publisher.newest = max(self.publisher.newest, entries[-1].time)
        self._committed(entries)

    # --- publishing -----------------------------------------------------------------------------------------------

    def publish(self, drafts: Sequence[Draft]) -> None:
        """Publish drafts to the log, those of each room in their order."""
        self.publisher.publish(drafts)

    # --- checks of the log ----------------------------------------------------------------------------------------

    async def _audit(self) -> None:
        while True:
            await asyncio.sleep(AUDIT)
            await self.following.tidy(self.publisher.outgoing)
            if self.link.up:
                await self.identity.check(self.following.newest)
                if room := await self.following.audit():
                    self.identity.mistrust(ANOTHER, f"in {room} it has another message")
                await self.following.keep_late()

    # --- reading --------------------------------------------------------------------------------------------------

    def read(self, query: LogQuery | AllRooms, done: Callable[[Any], None]) -> None:
        """Answer a query from the stream; call `done` later with the result."""
        self.ask(partial(self._answer_in_time, query), done)

    def probe(self, done: Callable[[BrokerError | None], None]) -> None:
        """Store a message that is no entry, after the waiting drafts; call `done` with None or a BrokerError."""
        self.ask(partial(self._probe, list(self.publisher.outgoing.values())), done)

    async def _probe(self, waiting: Sequence[deque[Draft]]) -> None:
        end = self._loop.time() + 3
        while any(waiting) and self._loop.time() < end:  # noqa: ASYNC110 - seldom
            await asyncio.sleep(0.005)
        if any(waiting):
            raise BrokerError(GONE)
        if self.identity.fault:
            raise BrokerError(self.identity.fault)
        await self.link.publish(streams.PROBE, b"", {})

    def ask(self, question: Callable[[], Awaitable[Any]], done: Callable[[Any], None]) -> None:
        """Call `done` later with the result of a question, or with the BrokerError that it raises.

        Neither is called if the broker is stopped before it begins.
        """

        async def answer() -> None:
            try:
                result = await question()
            except BrokerError as error:
                result = error
            except Exception:
                log.exception("a query failed")
                result = BrokerError(MISTAKE)
            done(result)

        self.tasks.spawn(answer())

    async def _answer_in_time(self, query: LogQuery | AllRooms) -> LogPage | RoomList:
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
                await self.publisher.wait()

    async def _answer(self, query: LogQuery | AllRooms) -> LogPage | RoomList:
        if isinstance(query, AllRooms):
            return await reading.all_rooms(self.link, query, [feed.state for feed in self.following.feeds.values()])
        if query.room_id:
            feed: RoomFeed | None = await self.following.room_of(query.room_id, query.room)
        else:
            feed = await self.following.room(query.room)
        if feed is None or not (query.viewer.system or readable(query.viewer, feed.state.room)):
            return LogPage(())
        # The room's feed knows its newest entries at once, and the copy all others.
        return feed.as_changed(await self.as_changed(await reading.answer(feed, query)))


async def _as_stored(page: LogPage) -> LogPage:
    """Return a page as the stream has it: the default for a node without a copy of the log."""
    return page


def _nobody(entries: Sequence[Entry]) -> None:
    """Do nothing: the default before `start` sets the receiver of entries."""
