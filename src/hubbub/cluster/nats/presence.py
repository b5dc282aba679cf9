"""The users of every node: each node publishes the changes of its users, and keeps a copy of the other nodes' users.

None of this is stored. A node numbers its news; a node that misses a number asks for the full list. The users of a
node whose lease has ended are removed. Events for a remote user go to the user's node over the same connection.

All incoming messages are checked (inbound.py), because other programs may write to these subjects.
"""

from __future__ import annotations

import asyncio
import logging
import random
import secrets
from collections.abc import Callable, Collection, Iterable, Iterator
from itertools import count

import msgspec
from nats.aio.msg import Msg

from hubbub.chat.hub import Hub
from hubbub.chat.nodes.person import Person, person
from hubbub.chat.private.direct import deliver
from hubbub.chat.session import User
from hubbub.cluster.nats import inbound
from hubbub.cluster.nats.forwarded import END, EXPEL, INVITED, KNOCK, TO, ForwardedEvent, forwarded
from hubbub.cluster.nats.inbound import NewsMessage, SignalMessage
from hubbub.cluster.nats.lease import LATE, LEASE, Lease
from hubbub.cluster.nats.link.connection import NatsConnection
from hubbub.cluster.nats.log.batches import entry, line
from hubbub.cluster.nats.supervisor import Supervisor
from hubbub.errors import BrokerError
from hubbub.model.entries import Entry
from hubbub.model.events import Event, Invited, Knocked, Private
from hubbub.model.ids import leave_for, make_id

log = logging.getLogger(__name__)

NEWS = "hubbub.who.news"
ASK = "hubbub.who.ask"
ALL = "hubbub.who.all."  # + the node that asked
SIGNAL = "hubbub.who.signal"
TOLD, NOT_TOLD = b"+", b"-"
_encode = msgspec.json.Encoder().encode
WITHIN = 3.0  # seconds within which another node must confirm a forwarded event
SOON = 0.002  # seconds in which changes are collected: many joins become a few messages
TOGETHER = 500  # maximum users in a message
BYTES = 256 * 1024  # maximum bytes of users in a message; the servers' own bound is 1 MiB
BEAT = 1.0  # seconds between two heartbeats
PEERS = 256  # maximum number of other nodes
PEOPLE = 50_000  # maximum users of one other node
ORPHANED = LEASE + 2 * LATE  # seconds without a node after which a user whose join is in the log is given up
SPREAD = 5.0  # seconds by which the nodes differ in that, so that one of them publishes the leave
SILENT = 3.0  # seconds without a heartbeat after which the node's lease is checked


class Peer:
    """The state of another node, as this node knows it.

    Args:
        news: the first news of that node.
        now: the time on the loop's clock.

    """

    def __init__(self, news: NewsMessage, now: float) -> None:
        self.lease = news.lease
        self.number = -1  # number of its last news; -1 if unknown
        self.people: dict[int, User] = {}
        self.named: set[int] = set()  # users in the answer that is being received
        self.heard = now
        self.asked = 0.0


class Presence:
    """The users of all nodes that this node knows.

    Args:
        link: the connection to the NATS servers.
        lease: the lease of this node.
        hub: receives the remote users.
        tasks: owns the background tasks.

    """

    def __init__(self, link: NatsConnection, lease: Lease, hub: Hub, tasks: Supervisor) -> None:
        self._link = link
        self._lease = lease
        self._hub = hub
        self._tasks = tasks
        self.node = secrets.token_hex(6)  # id of this process
        self._numbers: dict[User, int] = {}
        self._people: dict[int, User] = {}
        self._next = count(1)
        self._changed: dict[User, None] = {}
        self._told = 0
        self.peers: dict[str, Peer] = {}
        self._addresses: dict[User, tuple[str, int]] = {}  # by home of a remote user: the node, and the number there
        self._planned = False
        self._patience = ORPHANED + random.uniform(0, SPREAD)
        self._loop = asyncio.get_running_loop()
        hub.user_changes.append(self._touch)
        lease.buried = self._bury
        hub.remote.members.orphans.has_nodes = True
        hub.remote.signal = self._signal
        hub.remote.deliver = self._deliver
        hub.remote.send = self._send_to
        hub.remote.expel = self._expel
        hub.remote.end = self._end_sessions

    async def begin(self) -> None:
        """Subscribe to the news of the other nodes, and ask them for their users."""
        for subject, hear in (
            (NEWS, self._on_news),
            (f"{ALL}{self.node}", self._on_news),
            (ASK, self._on_ask),
            (f"{ASK}.{self.node}", self._on_ask),
            (f"{TO}{self.node}", self._on_told),
            (SIGNAL, self._on_signal),
        ):
            await self._link.subscribe(subject, hear)
        await self._link.tell(ASK, self.node.encode())

    async def run(self) -> None:
        """Send a heartbeat every BEAT seconds, and check the lease of each node that has been silent for too long."""
        while True:
            await asyncio.sleep(BEAT)
            if self._lease.valid:
                self._hub.remote.members.rejoin()
                self._hub.remote.members.orphans.end(self._patience)
            if self._link.up:
                await self._link.tell(NEWS, _encode(NewsMessage(self.node, self._lease.node, self._told)))
                now = self._loop.time()
                for node, peer in list(self.peers.items()):
                    if now - peer.heard > SILENT:
                        await self._look_at(node, peer)

    async def end(self) -> None:
        """Announce the end of this node: the other nodes then need not wait for its lease to expire."""
        await self._link.tell(NEWS, _encode(NewsMessage(self.node, self._lease.node, self._told, bye=True)))

    # --- what happens here ----------------------------------------------------------------------------------------

    def _touch(self, user: User) -> None:
        self._changed[user] = None
        if not self._planned:
            self._planned = True
            self._loop.call_later(SOON, lambda: self._tasks.spawn(self._tell()))

    async def _tell(self) -> None:
        self._planned = False
        changed = list(self._changed)
        self._changed.clear()
        people, gone = [], []
        for user in changed:
            if _is_here(user):
                people.append((self._number(user), person(user, self._hub.node_name)))
            elif number := self._numbers.pop(user, 0):
                gone.append(number)
                del self._people[number]
        for part in _parts(people) if people or not gone else [[]]:
            self._told += 1
            await self._link.tell(NEWS, _encode(NewsMessage(self.node, self._lease.node, self._told, part, gone)))
            gone = []

    def _number(self, user: User) -> int:
        number = self._numbers.get(user)
        if number is None:
            number = self._numbers[user] = next(self._next)
            self._people[number] = user
        return number

    async def _on_ask(self, message: Msg) -> None:
        asker = inbound.node(message.data)
        if asker == self.node:
            return
        name = self._hub.node_name
        people = [(number, person(user, name)) for user, number in self._numbers.items() if _is_here(user)]
        parts = list(_parts(people)) or [[]]
        for part in parts:
            news = NewsMessage(self.node, self._lease.node, self._told, part, answer=True, last=part is parts[-1])
            await self._link.tell(f"{ALL}{asker}", _encode(news))

    # --- what happens elsewhere -----------------------------------------------------------------------------------

    async def _on_news(self, message: Msg) -> None:
        news = inbound.news(message.data, self._hub.clock())
        if news.node == self.node:
            return
        now = self._loop.time()
        peer = self.peers.get(news.node)
        if news.bye:
            if peer:
                self._lose(news.node, peer)
            return
        if peer is None:
            if len(self.peers) >= PEERS:
                raise ValueError("there are too many nodes")
            peer = self.peers[news.node] = Peer(news, now)
        peer.heard, peer.lease = now, news.lease
        if news.answer:
            self._take_answer(peer, news)
        elif news.number == peer.number + bool(news.people or news.gone):
            self._take_next(peer, news)
        elif now - peer.asked > BEAT / 2:  # some news was missed
            peer.asked = now
            peer.named.clear()
            await self._link.tell(f"{ASK}.{news.node}", self.node.encode())

    def _take_answer(self, peer: Peer, news: NewsMessage) -> None:
        self._take(peer, news)
        peer.named.update(number for number, _ in news.people)
        if news.last:
            self._forget(peer, peer.people.keys() - peer.named)
            peer.named.clear()
            peer.number = news.number

    def _take_next(self, peer: Peer, news: NewsMessage) -> None:
        # A new user may have the name of one who left.
        self._forget(peer, news.gone)
        self._take(peer, news)
        peer.number = news.number

    def _take(self, peer: Peer, news: NewsMessage) -> None:
        for number, who in news.people:
            if home := peer.people.get(number):
                self._hub.remote.update(home, who)
            elif len(peer.people) >= PEOPLE:
                raise ValueError("a node has too many people")
            else:
                home = peer.people[number] = self._hub.remote.add(who)
                self._addresses[home] = news.node, number

    def _forget(self, peer: Peer, numbers: Iterable[int]) -> None:
        for number in list(numbers):
            if home := peer.people.pop(number, None):
                self._remove(home)

    async def _look_at(self, node: str, peer: Peer) -> None:
        """Remove a silent node if its lease has ended. Ignore a BrokerError: the next heartbeat checks again."""
        try:
            over = await self._lease.over(peer.lease)
        except BrokerError:
            return
        if over and node in self.peers and self._loop.time() - peer.heard > SILENT:
            self._lose(node, peer)

    def _bury(self, lease: str) -> None:
        """Store leave entries for the users of a dead node, before other users may take their names."""
        for node, peer in list(self.peers.items()):
            if peer.lease == lease:
                log.warning("another node is gone; its %d users have left", len(peer.people))
                for number, home in peer.people.items():
                    self._say_gone(lease, number, home)
                self._lose(node, peer)

    def _lose(self, node: str, peer: Peer) -> None:
        """Remove a node and all its users."""
        del self.peers[node]
        for home in peer.people.values():
            user = self._hub.remote.user_at(home)
            self._remove(home)
            self._hub.staying.take_over(user)

    def _remove(self, home: User) -> None:
        self._hub.remote.remove(home)
        del self._addresses[home]

    def _say_gone(self, lease: str, number: int, home: User) -> None:
        """Publish the leaves of a user whose only sessions were on a dead node, under ids of the user.

        The ids follow from the joins that the leaves end, so that nobody leaves twice.
        """
        user = self._hub.remote.user_at(home)
        if not user.is_remote or len(self._hub.remote.homes(user)) > 1 or self._hub.staying.keeps(user):
            return
        places = self._hub.remote.members.places(user)
        first = min(places.values(), default=0)
        # A user of an older version has no known prefix: the lease makes the id unique, as it ends once.
        id = leave_for(user.id_prefix, first) if user.id_prefix and first else make_id(f"{lease}.", number)
        self._hub.remote.members.publish_leaves(id, user.nick, user.host, places)

    # --- for one user, or for the members of a room ---------------------------------------------------------------

    def _send(self, subject: str, data: bytes) -> None:
        self._tasks.spawn(self._link.tell(subject, data))

    def _send_to(self, user: User, event: Event) -> None:
        for node, number in self._places_of(user):
            if one := forwarded(number, event):
                self._send(f"{TO}{node}", _encode(one))

    def _expel(self, user: User, reason: str) -> None:
        for node, number in self._places_of(user):
            self._send(f"{TO}{node}", _encode(ForwardedEvent(number, text=reason, what=EXPEL)))

    def _end_sessions(self, user: User, ids: Collection[str]) -> None:
        for node, number in self._places_of(user):
            self._send(f"{TO}{node}", _encode(ForwardedEvent(number, ids=tuple(ids), what=END)))

    def _places_of(self, user: User) -> list[tuple[str, int]]:
        """Return the other nodes where a user is, with the user's number on each."""
        return [self._addresses[home] for home in self._hub.remote.homes(user) if home in self._addresses]

    def _deliver(self, user: User, event: Private, done: Callable[[bool | None], None]) -> None:
        async def ask() -> None:
            requests = (
                self._link.request(f"{TO}{node}", _encode(forwarded(number, event)), WITHIN)
                for node, number in self._places_of(user)
            )
            answers = await asyncio.gather(*requests)
            done(TOLD in answers or (None if None in answers else False))

        self._tasks.spawn(ask())

    async def _on_told(self, message: Msg) -> None:
        told = inbound.told(message.data, self._hub.clock())
        user = self._people.get(told.to)
        done = user is not None and user.present and self._pass_on(told, user)
        await self._link.reply(message, TOLD if done else NOT_TOLD)

    def _pass_on(self, told: ForwardedEvent, user: User) -> bool:
        """Deliver an event from another node to a user of this node; return False if none of their sessions reads."""
        if told.what == EXPEL:
            self._hub.expel_here(user, told.text)
            return True
        if told.what == END:
            self._hub.end_sessions_here(user, told.ids)
            return True
        if told.what == INVITED:
            user.invite(told.room_id or told.room, told.opens)
            return deliver(user, Invited(told.nick, told.host, told.room, told.opens, told.room_id))
        if told.what == KNOCK:
            return deliver(user, Knocked(told.nick, told.host, told.room))
        said = entry(told.room, told.seq, 0, told.line) if told.line else None
        return deliver(user, Private(told.nick, told.text, said, told.user, told.recipient))

    def _signal(self, said: Entry) -> None:
        self._send(SIGNAL, _encode(SignalMessage(self.node, said.room, line(said, said.time), said.room_id)))

    async def _on_signal(self, message: Msg) -> None:
        signal = inbound.signal(message.data, self._hub.clock())
        loaded = self._hub.rooms.loaded
        room = loaded.by_id.get(signal.room_id) if signal.room_id else loaded.get(signal.room)
        if signal.node != self.node and room:
            self._hub.delivery.signal(room, entry(room.name, 0, 0, signal.line, room.id), None)


def _is_here(user: User) -> bool:
    """Return whether other nodes are to know a user as one of this node."""
    return user.present and not user.is_remote


def _parts(people: list[tuple[int, Person]]) -> Iterator[list[tuple[int, Person]]]:
    """Yield parts of a list, each of which fits in a message: at most TOGETHER users and BYTES bytes."""
    part: list[tuple[int, Person]] = []
    size = 0
    for one in people:
        length = len(_encode(one))
        if part and (size + length > BYTES or len(part) == TOGETHER):
            yield part
            part, size = [], 0
        part.append(one)
        size += length
    if part:
        yield part
