"""This node in a cluster on NATS: its lease, the users of the other nodes, and whether the servers can be reached."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Collection, Mapping

from hubbub.chat.hub import Hub
from hubbub.cluster.nats.broker import JetStreamBroker
from hubbub.cluster.nats.log.searching import StreamSearch
from hubbub.cluster.nats.presence import Presence
from hubbub.errors import BrokerError
from hubbub.text.names import key_of

log = logging.getLogger("hubbub")

CATCH_UP = 2.0  # seconds in which a returning node reads missed entries before its users may speak
PATIENCE = 0.5  # seconds in which another server may be found before users get a notice
AWAY = "The chat cannot be reached right now; what you type is kept back"
BACK = "The chat is back"


class NatsCluster:
    """A node of the nodes whose log is one stream.

    Args:
        stream: the log; its connection and its background tasks are used.
        search: the search index of this node, None for no search.

    """

    def __init__(self, stream: JetStreamBroker, search: StreamSearch | None = None) -> None:
        self.presence: Presence | None = None
        self._stream = stream
        self._link = stream.link
        self._lease = stream.lease
        self._tasks = stream.tasks
        self._search = search
        self._hub: Hub | None = None
        self._told = True  # whether the last notice to users says that the servers can be reached
        self._stopping = False
        self._loop = asyncio.get_running_loop()
        stream.link_changed = stream.publisher.answers_changed = self.look_soon

    @property
    def secret(self) -> bytes:
        """The secret that is stored in the cluster's streams."""
        return self._stream.secret

    # --- beginning and end ----------------------------------------------------------------------------------------

    async def connect(self) -> None:
        """Connect to the servers, make the streams if needed, and take a lease. Raises SettingsError."""
        if self._search:
            self._search.begin()
        await self._stream.connect()
        self._lease.changed = self._look

    async def meet(self, hub: Hub) -> None:
        """Connect the hub to the cluster: remote users become known here, and the users of this node elsewhere."""
        self._hub = hub
        log.info("The log is on NATS at %s", self._stream.where)
        hub.nicks.names = self._lease
        self._lease.lost = hub.naming.lose_name
        self._lease.speaking = lambda: {key_of(posting.draft.nick) for posting in hub.pipeline}
        self._lease.returned = self._returned
        hub.remote.members.may_speak = lambda: self._lease.valid
        self.presence = Presence(self._link, self._lease, hub, self._tasks)
        await self.presence.begin()

    async def _returned(self, lost: Collection[str]) -> None:
        """Recover from a time without a lease, before the users of this node may speak again.

        Read the entries that were missed, and let users that other nodes have reported as gone join again. Each of
        the two steps takes at most CATCH_UP seconds. `lost` has the folded names that other nodes have taken.
        """
        hub = self._hub
        assert hub is not None
        hub.nicks.losing |= set(lost)
        self._stream.publisher.forsake(hub.pipeline, lost)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(CATCH_UP):
                await self._stream.following.catch_up()
        hub.remote.members.rejoin()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(CATCH_UP):
                while hub.pipeline.queued:  # noqa: ASYNC110 - their new joins
                    await asyncio.sleep(0.005)

    def start(self) -> None:
        """Renew the lease, send heartbeats, and keep the search index up to date."""
        self._tasks.spawn(self._tidy())
        for work in (self._lease, self.presence, self._search):
            if work:
                self._tasks.insist(work.run)

    async def _tidy(self) -> None:
        with contextlib.suppress(BrokerError):
            await self._lease.tidy()

    async def give_up(self) -> None:
        """Report an outcome for all waiting drafts if the servers cannot be reached: not stored, or not confirmed."""
        if not self.reachable:
            await self._stream.publisher.give_up()

    async def leave(self) -> None:
        """Say goodbye to the other nodes, give up the lease, and close the connection."""
        self._stopping = True
        if self.presence and self._link.up:
            await self.presence.end()
        await self._tasks.stop()
        if self._link.up:
            await self._lease.end()
        if self._search:
            await self._search.close()
        await self._link.close()

    # --- whether the servers answer -------------------------------------------------------------------------------

    @property
    def reachable(self) -> bool:
        """Whether the servers answer and this node has a lease; also true if the servers' disk is full.

        A full disk is reported for each message instead.
        """
        answers = self._lease.answers and self._stream.publisher.answers
        return self._link.up and (self._lease.full or (answers and self._lease.valid))

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
                float(self._link.ignored),
            ),
            "cluster_reachable": (
                "1 if the NATS servers answer and this node has its lease, else 0.",
                float(self.reachable),
            ),
            "cluster_nodes": ("Nodes that this one knows, including itself.", float(nodes)),
            "cluster_rooms_followed": (
                "Rooms whose messages this node receives.",
                float(len(self._stream.following.feeds)),
            ),
        }
        if self._search:
            found["search_behind"] = (
                "Messages of the log that are not in the search copy yet.",
                float(max(self._search.behind, 0)),
            )
        return found
