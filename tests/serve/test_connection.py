"""The socket side of a peer, with a dialogue that only notes: back-pressure both ways, deadlines, the end."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import Any

import pytest
from peering import LOOPS, Listener, Peer, chat, listening, run_on, until

from hubbub.config import Settings
from hubbub.model.rates.budget import Buckets
from hubbub.serve.sockets import peer_socket
from hubbub.serve.sockets.connection import Connection, Shared
from hubbub.serve.sockets.input import AHEAD, SECONDS_AT_ONCE
from hubbub.serve.sockets.peer_socket import READ, ConnectionState


class Noting:
    """Takes lines while it is `willing`, and notes all that happens to it."""

    def __init__(self, settings: Settings, shared: Shared) -> None:
        self.willing = True
        self.fed = b""
        self.taken: list[bytes] = []
        self.calls: list[str] = []
        self.connection: Connection
        self.next_tick = 60.0

    def begin(self, connection: Connection) -> None:
        self.connection = connection
        self.calls.append("begin")

    def feed(self, data: bytes) -> None:
        self.fed += data

    def next_item(self) -> bytes | None:
        line, end, rest = self.fed.partition(b"\n")
        if not end:
            return None
        self.fed = rest
        return line

    @property
    def is_idle(self) -> bool:
        return not self.fed

    def ready(self) -> bool:
        return self.willing

    def handle(self, item: bytes) -> None:
        self.taken.append(item)

    def check_deadlines(self, now: float, quiet: float) -> float:
        return self.next_tick

    def __getattr__(self, name: str) -> Callable[[], None]:
        if name not in ("ended", "connection_lost", "pause", "resume", "shut_down"):
            raise AttributeError(name)
        return lambda: self.calls.append(name)


@pytest.fixture(params=LOOPS)
def run(request: pytest.FixtureRequest) -> Callable[..., None]:
    def start(scene: Callable[[Listener, Peer, Noting], Any], small: bool = False, **settings: Any) -> None:
        async def whole() -> None:
            async with listening(Noting, **settings) as listener:  # type: ignore[arg-type]
                peer = await listener.connect(small)
                await scene(listener, peer, peer.connection.client)

        run_on(request.param, whole)

    return start


Run = Callable[..., None]


async def fill(dialogue: Noting) -> int:
    """Write until the transport says pause; return how much was written."""
    written = 0
    while "pause" not in dialogue.calls:
        dialogue.connection.write(b"x" * 4096)
        written += 4096
        await asyncio.sleep(0)
    return written


def test_input_is_taken_in_order(run: Run) -> None:
    async def scene(_: Listener, peer: Peer, dialogue: Noting) -> None:
        await peer.send(b"a\nb\nc")
        await until(lambda: len(dialogue.taken) == 2)
        await peer.send(b"d\n")
        await until(lambda: len(dialogue.taken) == 3)
        assert dialogue.taken == [b"a", b"b", b"cd"]

    run(scene)


def test_socket_is_not_read_while_the_dialogue_is_not_ready(run: Run) -> None:
    """At most one read's bytes wait here; the rest stays with the peer, and nothing is lost."""

    async def scene(_: Listener, peer: Peer, dialogue: Noting) -> None:
        dialogue.willing = False
        data = b"".join(b"%0699d\n" % i for i in range(10_000))  # 7 MB: more than the kernel keeps
        sending = asyncio.ensure_future(peer.send(data))
        await until(lambda: dialogue.fed)
        await asyncio.wait({sending}, timeout=0.3)
        assert not sending.done()
        assert len(dialogue.fed) <= READ
        dialogue.willing = True
        dialogue.connection.resume_input()
        await sending
        await until(lambda: len(dialogue.taken) == 10_000)
        assert b"".join(line + b"\n" for line in dialogue.taken) == data

    run(scene, no_limits=True)


def test_others_have_the_loop_between_items_that_take_long(run: Run) -> None:
    async def scene(listener: Listener, peer: Peer, dialogue: Noting) -> None:
        clock = listener.shared.clock
        listener.shared.clock = lambda: clock() + len(dialogue.taken) * SECONDS_AT_ONCE / 2  # the time of each item

        def handle(item: bytes) -> None:
            dialogue.taken.append(item)
            if len(dialogue.taken) == 1:
                listener.shared.loop.call_soon(dialogue.taken.append, b"other")

        dialogue.handle = handle  # type: ignore[method-assign]
        await peer.send(b"a\n" * 20)
        await until(lambda: len(dialogue.taken) == 21)
        assert dialogue.taken.index(b"other") <= 4

    run(scene, no_limits=True)


def test_socket_is_not_read_over_the_rate_and_nothing_is_lost(run: Run) -> None:
    async def scene(_: Listener, peer: Peer, dialogue: Noting) -> None:
        await peer.send(b"".join(b"%d\n" % i for i in range(30)))
        await until(lambda: dialogue.taken)
        assert len(dialogue.taken) < 30
        await until(lambda: len(dialogue.taken) == 30)
        assert dialogue.taken == [b"%d" % i for i in range(30)]

    run(scene, rate=50, burst=5)


def test_lines_of_one_address_wait_for_each_other_and_nothing_is_lost(run: Run) -> None:
    """However many connections it opens, and though each of them has its own burst."""

    async def scene(listener: Listener, first: Peer, dialogue: Noting) -> None:
        clock = listener.shared.clock
        listener.shared.budget.lines = Buckets(10, 1.0, clock)
        peers = [first, await listener.connect(), await listener.connect()]
        for peer, origin in zip(peers, ["192.0.2.7", "192.0.2.7", "192.0.2.8"], strict=True):
            peer.connection.origin = origin
        start = clock()
        lines = [b"%d" % number for number in range(10)]
        for peer in peers:
            await peer.send(b"\n".join([*lines, b""]))
        await until(lambda: peers[2].connection.client.taken == lines)
        assert len(dialogue.taken) + len(peers[1].connection.client.taken) < 20 or clock() - start > 0.9
        for peer in peers:
            await until(lambda peer=peer: peer.connection.client.taken == lines)
        assert clock() - start > 0.9

    run(scene)


def test_bytes_without_an_end_of_one_address_have_their_price(run: Run) -> None:
    async def scene(listener: Listener, first: Peer, dialogue: Noting) -> None:
        listener.shared.budget.lines = Buckets(10, 1.0, listener.shared.clock)
        first.connection.origin = "192.0.2.7"
        start = listener.shared.clock()
        await first.send(b"x" * 64 * 15)
        await until(lambda: not first.connection._reading)  # else both pieces could arrive as one
        await first.send(b"x\n")
        await until(lambda: dialogue.taken)
        assert listener.shared.clock() - start > 0.4

    run(scene, line_limit=64)


def test_a_long_line_that_comes_with_its_end_has_the_price_of_its_bytes(run: Run) -> None:
    async def scene(listener: Listener, first: Peer, dialogue: Noting) -> None:
        listener.shared.budget.lines = Buckets(10, 1.0, listener.shared.clock)
        first.connection.origin = "192.0.2.7"
        start = listener.shared.clock()
        await first.send(b"x" * 64 * 15 + b"\n")
        await until(lambda: dialogue.taken and not first.connection._reading)
        await first.send(b"x\n")
        await until(lambda: len(dialogue.taken) == 2)
        assert listener.shared.clock() - start > 0.4

    run(scene, line_limit=64)


def test_last_call_takes_all_that_came_in_at_once(run: Run) -> None:
    async def scene(_: Listener, peer: Peer, dialogue: Noting) -> None:
        await peer.send(b"".join(b"%d\n" % i for i in range(30)))
        await until(lambda: dialogue.taken)
        dialogue.connection.take_last_input()
        assert dialogue.taken == [b"%d" % i for i in range(30)]

    run(scene, rate=0.1, burst=2)


def test_peer_that_does_not_read_pauses_the_dialogue_and_gets_everything_in_the_end(run: Run) -> None:
    async def scene(_: Listener, peer: Peer, dialogue: Noting) -> None:
        written = await fill(dialogue)
        assert dialogue.connection.transport.get_write_buffer_size() <= 4096  # one write
        assert "resume" not in dialogue.calls
        got = 0
        while "resume" not in dialogue.calls or got < written:
            got += len(await peer.receive())
        assert got == written
        dialogue.connection.write(b"live again\n")
        peer.seen = b""
        await peer.sees(b"live again\n")

    run(scene, small=True)


def test_peer_that_takes_no_byte_is_aborted_after_the_stall_timeout(run: Run) -> None:
    async def scene(listener: Listener, peer: Peer, dialogue: Noting) -> None:
        await listener.connect()  # another one, whose deadline is far: it must not matter
        await fill(dialogue)
        await until(lambda: dialogue.connection in listener.gone)
        assert dialogue.calls[-1] == "connection_lost"
        assert dialogue.connection.state is ConnectionState.CLOSED

    run(scene, small=True, stall_timeout=1)


def test_peer_that_takes_a_little_is_not_aborted(run: Run) -> None:
    async def scene(listener: Listener, peer: Peer, dialogue: Noting) -> None:
        connection = dialogue.connection
        connection.write(b"x" * 3_000_000)
        now = listener.shared.clock()
        for step in range(8):
            before = connection.transport.get_write_buffer_size()
            while connection.transport.get_write_buffer_size() == before:
                await peer.receive()
            connection._check_stall(now + step * 0.9)
        assert connection.state is ConnectionState.OPEN and not listener.gone

    run(scene, small=True, stall_timeout=1)


def test_fin_ends_the_dialogue_after_the_last_item(run: Run) -> None:
    async def scene(listener: Listener, peer: Peer, dialogue: Noting) -> None:
        dialogue.willing = False
        await peer.send(b"a\nb\nc")
        peer.half_close()
        await until(lambda: dialogue.fed)
        dialogue.willing = True
        dialogue.connection.resume_input()
        await until(lambda: "ended" in dialogue.calls)
        assert dialogue.taken == [b"a", b"b"] and dialogue.fed == b"c"
        dialogue.connection.write(b"you get this, too\n")
        dialogue.connection.finish(b"bye\n")
        assert await peer.rest() == b"you get this, too\nbye\n"
        await until(lambda: listener.gone)
        assert dialogue.calls == ["begin", "ended", "connection_lost"]

    run(scene)


def test_reset_ends_without_ended(run: Run) -> None:
    async def scene(listener: Listener, peer: Peer, dialogue: Noting) -> None:
        await peer.send(b"half")
        await until(lambda: dialogue.fed)
        peer.reset()
        await until(lambda: listener.gone)
        assert dialogue.calls == ["begin", "connection_lost"]
        assert listener.gone == [dialogue.connection]
        dialogue.connection.write(b"nobody is there")  # does nothing
        dialogue.connection.abort()

    run(scene)


def test_end_after_a_reset_that_was_not_read_yet_is_an_end(run: Run) -> None:
    async def scene(listener: Listener, peer: Peer, dialogue: Noting) -> None:
        peer.reset()
        dialogue.connection.finish()
        await until(lambda: listener.gone)
        assert dialogue.calls == ["begin", "connection_lost"]

    run(scene)


@pytest.mark.parametrize("end", ["reset", "close", "vanish"])
@pytest.mark.parametrize("before_it_begins", [False, True])
def test_lines_that_arrived_are_taken_though_the_peer_is_gone(run: Run, end: str, before_it_begins: bool) -> None:
    """Those that were read and those that were not; the line without an end is lost with a reset."""

    async def scene(listener: Listener, peer: Peer, dialogue: Noting) -> None:
        connection = dialogue.connection
        dialogue.willing = before_it_begins
        lines = [b"%d" % number for number in range(3000)]  # more than one read takes
        await peer.send(b"\n".join([*lines[:10], b""]))
        if not before_it_begins:
            await until(lambda: dialogue.fed)
        await peer.send(b"\n".join([*lines[10:], b"half"]))
        leave(peer, end)
        for _ in range(3):  # the first write is answered by a reset, the next ones find it
            connection.write(b"are you there?\n")
            await asyncio.sleep(0.01)
        dialogue.willing = True
        connection.resume_input()
        await until(lambda: listener.gone)
        assert dialogue.taken == lines
        assert dialogue.calls[-1] == "connection_lost"
        assert connection.state is ConnectionState.CLOSED and not listener.shared.connections

    run(scene, no_limits=True)


def leave(peer: Peer, how: str) -> None:
    if how == "reset":
        peer.reset()
    elif how == "close":
        peer.sock.close()
    else:  # as if its machine had lost power: the next write is answered by a reset
        peer.sock.setsockopt(socket.IPPROTO_TCP, 19, 1)  # TCP_REPAIR: close without a word
        peer.sock.close()


def test_what_is_taken_after_a_reset_keeps_to_the_rate(run: Run) -> None:
    async def scene(listener: Listener, peer: Peer, dialogue: Noting) -> None:
        await peer.send(b"".join(b"%d\n" % number for number in range(30)))
        await until(lambda: dialogue.taken)
        start = listener.shared.clock()
        peer.reset()
        dialogue.connection.write(b"are you there?\n")
        await until(lambda: listener.gone)
        assert dialogue.taken == [b"%d" % number for number in range(30)]
        assert listener.shared.clock() - start > 0.3
        assert "ended" not in dialogue.calls

    run(scene, rate=50, burst=5)


def test_a_peer_that_is_gone_is_kept_so_long_and_no_longer(run: Run) -> None:
    """The hub is never ready for its lines: a disk that is full, say."""

    async def scene(listener: Listener, peer: Peer, dialogue: Noting) -> None:
        dialogue.willing = False
        await peer.send(b"a\n")
        await until(lambda: dialogue.fed)
        peer.reset()
        dialogue.connection.write(b"are you there?\n")
        await until(lambda: dialogue.connection._lost_at)
        assert not listener.gone
        await until(lambda: listener.gone)
        assert dialogue.taken == [] and dialogue.calls == ["begin", "connection_lost"]

    run(scene, stall_timeout=1)


def test_a_peer_that_is_gone_leaves_at_once_when_nothing_waits(run: Run) -> None:
    async def scene(listener: Listener, peer: Peer, dialogue: Noting) -> None:
        await fill(dialogue)
        peer.reset()
        await until(lambda: listener.gone)
        assert "resume" not in dialogue.calls  # nothing is fetched for it any more

    run(scene, small=True)


def test_what_a_peer_that_is_gone_may_keep_is_bounded(run: Run) -> None:
    async def scene(listener: Listener, peer: Peer, dialogue: Noting) -> None:
        dialogue.willing = False
        sending = asyncio.ensure_future(peer.send(b"x" * 99 + b"\n" + b"y\n" * 4_000_000))
        await until(lambda: dialogue.fed)
        await asyncio.wait({sending}, timeout=0.3)
        sending.cancel()
        await asyncio.wait({sending})
        peer.reset()
        dialogue.connection.write(b"are you there?\n")
        await until(lambda: dialogue.connection._lost_at)
        assert len(dialogue.fed) + len(dialogue.connection._ahead) <= READ + AHEAD + READ
        dialogue.connection.abort()

    run(scene)


def test_finish_gives_the_last_bytes_though_input_is_not_read(run: Run) -> None:
    """Closing a socket with unread input would reset it, and the peer would lose what it was told."""

    async def scene(listener: Listener, peer: Peer, dialogue: Noting) -> None:
        dialogue.willing = False
        await peer.send(b"unread\n" * 100)
        await until(lambda: dialogue.fed)
        dialogue.connection.finish(b"bye\n")
        dialogue.connection.write(b"too late")
        await peer.send(b"more\n")
        assert await peer.rest() == b"bye\n"
        assert not listener.gone
        peer.sock.close()
        await until(lambda: listener.gone)
        assert dialogue.taken == []

    run(scene)


def test_finish_waits_so_long_for_the_peer_and_no_longer(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peer_socket, "LINGER", 0.3)

    async def scene(listener: Listener, peer: Peer, dialogue: Noting) -> None:
        dialogue.connection.finish(b"bye\n")
        assert await peer.rest() == b"bye\n"  # but it does not close
        await until(lambda: listener.gone)

    run(scene)


def test_finish_does_not_wait_longer_for_a_client_that_does_not_read(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peer_socket, "LINGER", 0.3)

    async def scene(listener: Listener, peer: Peer, dialogue: Noting) -> None:
        await fill(dialogue)
        dialogue.connection.finish(b"bye\n")
        await until(lambda: listener.gone)

    run(scene, small=True)


def test_tick_comes_when_the_dialogue_wants_it(run: Run) -> None:
    async def scene(_: Listener, peer: Peer, dialogue: Noting) -> None:
        ticks: list[float] = []

        def tick(now: float, quiet: float) -> float:
            ticks.append(quiet)
            return 0.2

        dialogue.check_deadlines = tick  # type: ignore[method-assign]
        dialogue.connection.on_timer()
        await until(lambda: len(ticks) >= 3)
        assert ticks == sorted(ticks)

    run(scene)


@pytest.mark.parametrize("left", [0.0, -3600.0])
def test_dialogue_that_is_over_is_not_asked_again_and_is_closed_in_time(
    run: Run, left: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It waits for a goodbye that cannot come: its leave cannot be stored, say."""
    monkeypatch.setattr(peer_socket, "LINGER", 0.3)

    async def scene(listener: Listener, peer: Peer, dialogue: Noting) -> None:
        ticks: list[float] = []

        def tick(now: float, quiet: float) -> float:
            ticks.append(quiet)
            return left

        dialogue.check_deadlines = tick  # type: ignore[method-assign]
        dialogue.connection.on_timer()
        dialogue.connection.write(b"bye\n")
        assert await peer.rest() == b"bye\n"
        await until(lambda: listener.gone)
        assert len(ticks) == 1 and dialogue.calls == ["begin", "connection_lost"]

    run(scene)


@pytest.mark.parametrize("loop", LOOPS)
def test_reader_that_stalls_in_a_chat_misses_nothing(loop: str) -> None:
    """The hub stops writing when told to, and goes on where it stopped."""

    async def scene() -> None:
        async with chat(no_limits=True, history=0) as listener:
            alice, deaf = await listener.join("Alice"), await listener.join("Deaf", small=True)
            await alice.sees(b"*** Deaf has joined the chat ***\n")
            for i in range(400):
                await alice.send(b"%04d " % i + b"x" * 2000 + b"\n")
            await alice.send(b"/time\n")
            await alice.sees(r"\*\*\* \d{4}-[^\n]+\n")
            assert deaf.connection.transport.get_write_buffer_size() <= 65536
            for i in range(400):
                await deaf.sees(rf"Alice: {i:04} x+\n")
            await alice.send(b"live\n")
            await deaf.sees(b"Alice: live\n")

    run_on(loop, scene)
