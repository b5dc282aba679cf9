"""IRC clients in the test's own process: the hub, the dialogue and the connection are real, the clock is not.

    @virtual_time
    async def test_greeting() -> None:
        async with irc_house() as house:
            ida = await house.irc("Ida", join="#ops")
            nina = await house.nc("Nina", join="ops")

Each peer reads by itself; what came in and no question has taken yet is in `seen`.
"""

from __future__ import annotations

import asyncio
import re
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import count
from typing import Any

from hubbub.chat.hub import Hub
from hubbub.chat.operations.table import OPERATIONS
from hubbub.config import Settings
from hubbub.serve.irc.client import IrcClient
from hubbub.serve.irc.network import IrcNetwork
from hubbub.serve.irc.protocol import IrcProtocol
from hubbub.serve.line.line_client import LineClient
from hubbub.serve.sockets.connection import ClientProtocol, Connection, Shared
from hubbub.serve.sockets.timer_wheel import TimerWheel
from hubbub.startup.app import limits
from hubbub.storage.memory import MemoryBroker
from irc_messages import ANY, Message, Word, fits

NOON = 1_800_000_000.0  # what the wall clock says when the loop's clock is at 0
PATIENCE = 5.0  # virtual seconds until what does not come is a failure
ELSEWHERE = "203.0.113.7"
GATEWAY = "gate-way"  # the password of web gateways


class Peer:
    """The client's end of a connection."""

    def __init__(self, sock: socket.socket, connection: Connection) -> None:
        self.sock = sock
        self.connection = connection
        self.ended = False
        self.received = b""  # all of it
        self._loop = asyncio.get_running_loop()
        self._came = asyncio.Event()
        self._loop.add_reader(sock, self._read)

    def _read(self) -> None:
        try:
            data = self.sock.recv(1 << 16)
        except ConnectionResetError:
            data = b""
        if data:
            self.received += data
            self.take(data)
        else:
            self.ended = True
            self._loop.remove_reader(self.sock)
        self._came.set()

    def take(self, data: bytes) -> None:
        """Keep what came in."""

    async def more(self) -> None:
        """Wait until something comes in. Raises AssertionError when nothing does."""
        self._came.clear()
        try:
            await asyncio.wait_for(self._came.wait(), PATIENCE)
        except TimeoutError:
            raise AssertionError(f"nothing more came after {self.received[-300:]!r}") from None

    async def ends(self) -> None:
        """Wait for the end of the connection, which must come."""
        while not self.ended:
            await self.more()

    def send(self, data: bytes) -> None:
        self.sock.sendall(data)

    def vanish(self) -> None:
        """Be gone without a word, as a program is that ends."""
        self._loop.remove_reader(self.sock)
        self.ended = True
        self.sock.close()


class NcPeer(Peer):
    """Somebody with nc."""

    def __init__(self, sock: socket.socket, connection: Connection) -> None:
        super().__init__(sock, connection)
        self.seen = b""

    def take(self, data: bytes) -> None:
        self.seen += data

    def say(self, *lines: str) -> None:
        self.send("".join(f"{line}\n" for line in lines).encode())

    async def sync(self) -> str:
        """Return what came before the answer to a question that is asked now."""
        self.say("/time")
        while not (match := re.search(rb"\*\*\* \d{4}-\d\d-\d\d [^\n]*\n", self.seen)):
            assert not self.ended, self.seen
            await self.more()
        before, self.seen = self.seen[: match.start()], self.seen[match.end() :]
        return before.decode()


class IrcPeer(Peer):
    """An IRC client. It answers the server's PING as long as `answers` is true."""

    def __init__(self, sock: socket.socket, connection: Connection) -> None:
        super().__init__(sock, connection)
        self.nick = "*"
        self.seen: list[Message] = []
        self.lines: list[bytes] = []  # as they came
        self.answers = True
        self._rest = b""
        self._pings = count(1)

    def take(self, data: bytes) -> None:
        *lines, self._rest = (self._rest + data).split(b"\r\n")
        for line in lines:
            self.lines.append(line)
            message = Message.parse(line)
            if message.verb == "PING" and self.answers:
                self.say(f"PONG :{message.params[-1]}")
            else:
                self.seen.append(message)

    def say(self, *lines: str | bytes) -> None:
        """Send lines."""
        self.send(b"".join((line.encode() if isinstance(line, str) else line) + b"\r\n" for line in lines))

    async def next(self) -> Message:
        """Return what comes next."""
        while not self.seen:
            assert not self.ended, f"{self.nick}: the connection ended"
            await self.more()
        return self.seen.pop(0)

    async def awaits(self, verb: str, *params: Word) -> Message:
        """Return the next message that begins like this; what comes before it is forgotten."""
        while not fits(message := await self.next(), verb, *params):
            pass
        return message

    async def sync(self) -> list[Message]:
        """Return what came before the answer to a question that is asked now."""
        token = f"sync-{next(self._pings)}"
        self.say(f"PING {token}")
        came = []
        while not fits(message := await self.next(), "PONG", ANY, token):
            came.append(message)
        return came

    async def ask(self, *lines: str | bytes) -> list[Message]:
        """Return what comes for lines up to the answer to a PING behind them."""
        self.say(*lines)
        return await self.sync()

    async def rest(self) -> list[Message]:
        """Return everything up to the end of the connection, which must come."""
        await self.ends()
        rest, self.seen = self.seen, []
        return rest

    async def register(self, nick: str, *caps: str, user: str = "user", real: str = "Real Name") -> list[Message]:
        """Get these capabilities and become somebody; return how one was greeted."""
        if caps:
            self.say("CAP LS 302", f"CAP REQ :{' '.join(caps)}")
            answer = await self.awaits("CAP", ANY, re.compile("ACK|NAK"))
            assert answer.params[1] == "ACK", str(answer)
        self.say(f"NICK {nick}", f"USER {user} 0 * :{real}", *(["CAP END"] if caps else []))
        first = await self.awaits("001", ANY)
        self.nick = first.params[0]
        return [first, *await self.sync()]

    async def join(self, channel: str) -> list[Message]:
        """Be in a channel; return what came of it."""
        messages = await self.ask(f"JOIN {channel}")
        assert any(fits(one, "JOIN", channel) and one.nick == self.nick for one in messages), [*map(str, messages)]
        return messages


class House:
    """A hub, and what its peers need.

    Args:
        broker: stores; one that outlives the house makes the next house a restarted server.
        boot: begins every id; each start has its own.
        settings: those in force.

    """

    def __init__(self, broker: MemoryBroker, boot: str, **settings: Any) -> None:
        loop = asyncio.get_running_loop()
        self.settings = Settings(**{"idle_timeout": 0, **settings})
        self.broker = broker
        self.hub = Hub(broker, wall_clock, boot, loop, limits(self.settings))
        self.hub.add_operations(OPERATIONS)
        self.hub.index = broker
        broker.start(self.hub.pipeline.committed, self.hub.pipeline.failed)
        self.shared = Shared(
            loop, self.settings, loop.time, TimerWheel(loop, loop.time), cloak=lambda address: f"{address}-cloak"
        )
        self.network: IrcNetwork[IrcClient] = IrcNetwork(self.hub, self.settings)
        self.network.verify_gateway = lambda password, done: loop.call_later(0.1, done, password == GATEWAY)
        self.gone: list[Connection] = []
        self.peers: list[Peer] = []

    async def connect(self, wire: str = "irc", origin: str = ELSEWHERE, secure: bool = False) -> Any:
        """Return a peer that has said nothing yet."""
        dialogue: ClientProtocol
        if wire == "irc":
            dialogue, kind = IrcProtocol(self.hub, self.network, self.shared.clock()), IrcPeer
        else:
            dialogue, kind = LineClient(self.hub, self.settings, self.shared.clock()), NcPeer  # type: ignore[assignment]
        ours, theirs = socket.socketpair()
        for sock in (ours, theirs):
            sock.setblocking(False)
        connection = Connection(self.shared, dialogue, None if secure else ours, self.gone.append)
        connection.peer, connection.origin = (origin, 4321), origin
        peer = kind(theirs, connection)
        self.peers.append(peer)
        await asyncio.get_running_loop().connect_accepted_socket(lambda: connection, ours)
        return peer

    async def irc(self, nick: str, *caps: str, join: str = "", origin: str = ELSEWHERE, **more: Any) -> IrcPeer:
        """Return a registered client; with `join` in that channel, and nobody has anything unread."""
        peer: IrcPeer = await self.connect("irc", origin)
        await peer.register(nick, *caps, **more)
        if join:
            await peer.join(join)
            await self.settle()
        return peer

    async def nc(self, name: str, join: str = "", origin: str = ELSEWHERE) -> NcPeer:
        """Return somebody with nc who has a name; with `join` in that room, and nobody has anything unread."""
        peer: NcPeer = await self.connect("nc", origin)
        peer.say(name, *([f"/join {join}"] if join else []))
        await peer.sync()
        await self.settle()
        return peer

    async def settle(self) -> None:
        """Let everybody take what there is, and forget it."""
        for peer in self.peers:
            if not peer.ended and isinstance(peer, IrcPeer | NcPeer) and peer.connection.client:
                if isinstance(peer, NcPeer) or peer.nick != "*":
                    await peer.sync()

    async def close(self) -> None:
        """Stop as the server does, and let go of all sockets."""
        self.hub.closing = True
        for connection in list(self.shared.connections):
            connection.client.shut_down()
        await asyncio.sleep(0.1)
        for connection in list(self.shared.connections):
            connection.abort()
        await asyncio.sleep(0.1)
        for peer in self.peers:
            if peer.sock.fileno() >= 0:
                peer._loop.remove_reader(peer.sock)
                peer.sock.close()
        assert not self.shared.connections


def wall_clock() -> float:
    """Return the seconds since the epoch, on the virtual clock."""
    return NOON + asyncio.get_running_loop().time()


@asynccontextmanager
async def irc_house(broker: MemoryBroker | None = None, boot: str = "boot-", **settings: Any) -> AsyncIterator[House]:
    """Yield a house with nobody in it; with a broker that was used before, a server that was restarted."""
    house = House(broker or MemoryBroker(wall_clock), boot, **settings)
    try:
        yield house
    finally:
        await house.close()
