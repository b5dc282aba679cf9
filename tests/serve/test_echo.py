"""The echo server: every line comes back as it was, and nobody holds it up."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from serving import SECONDS, Peer, program, serving, until

from hubbub.config import Settings
from hubbub.serve.echo import EchoClient
from hubbub.serve.sockets.connection import Connection
from hubbub.serve.sockets.peer_socket import ConnectionState

LIMIT = 64
TOO_LONG = b"Not sent back: a line has at most 64 bytes.\n"
IDLE = b"Disconnected: idle timeout.\n"
BYTES = bytes(range(256)).replace(b"\n", b"") + b"\n"


class Wire:
    """A connection that keeps what is written."""

    def __init__(self) -> None:
        self.peer = ("192.0.2.1", 1)
        self.out = b""
        self.ended = False

    def write(self, data: bytes) -> None:
        self.out += data

    def finish(self, data: bytes = b"") -> None:
        self.out += data
        self.ended = True

    def resume_input(self) -> None:
        pass


def made(**settings: Any) -> tuple[EchoClient, Any]:
    dialogue, wire = EchoClient(Settings(**settings)), Wire()
    anything: Any = wire
    dialogue.begin(anything)
    return dialogue, wire


def echoed(*pieces: bytes) -> bytes:
    """Return what comes back for input that the network cut into these pieces, and an end after it."""
    dialogue, wire = made(line_limit=LIMIT)
    for piece in pieces:
        dialogue.feed(piece)
        while (item := dialogue.next_item()) is not None:
            dialogue.handle(item)
    dialogue.ended()
    assert wire.ended
    return wire.out


def expected(data: bytes) -> bytes:
    *lines, rest = data.split(b"\n")
    back = b"".join(line + b"\n" if len(line) <= LIMIT else TOO_LONG for line in lines)
    return back + (rest if len(rest) <= LIMIT else TOO_LONG)


STREAMS = [
    b"",
    b"\n",
    b"one\ntwo\r\n\n\nthree",
    b"\x00\xff\xf4\x1b[A\x7f\x08\n\xe2\x82\n",
    b"x" * LIMIT + b"\n",
    b"x" * (LIMIT + 1) + b"\nafter\n",
    b"before\n" + b"x" * 200 + b"\nafter\n" + b"y" * 200 + b"\n" + b"z" * LIMIT + b"\n",
    b"x" * LIMIT,
    b"x" * (LIMIT + 1),
    b"x" * (LIMIT + 2),
    b"x" * 200,
]


@pytest.mark.parametrize("data", STREAMS, ids=lambda data: repr(data[:20]))
def test_lines_come_back_however_the_network_cut_them(data: bytes) -> None:
    assert echoed(data) == expected(data)
    assert echoed(*(data[n : n + 1] for n in range(len(data)))) == expected(data)
    for cut in range(len(data)):
        assert echoed(data[:cut], data[cut:]) == expected(data)


@given(
    st.lists(st.lists(st.sampled_from([b"a", b"\n", b"\r", b"\xff", b"b" * 63, b"c" * 64, b"d" * 65])).map(b"".join))
)
def test_any_pieces_come_back(pieces: list[bytes]) -> None:
    assert echoed(*pieces) == expected(b"".join(pieces))


@pytest.mark.parametrize(("timeout", "quiet", "ends"), [(300, 299.9, False), (300, 300, True), (0, 1e9, False)])
def test_the_idle_timeout_is_kept(timeout: float, quiet: float, ends: bool) -> None:
    dialogue, wire = made(idle_timeout=timeout)
    delay = dialogue.check_deadlines(1e9, quiet)
    assert wire.ended is ends and wire.out == (IDLE if ends else b"")
    assert ends or 0 < delay <= 300


# --- over a socket ----------------------------------------------------------------------------------------------


async def test_every_byte_comes_back() -> None:
    async with serving() as server:
        peer = await server.join()
        peer.send(BYTES)
        assert await peer.got(BYTES)
        for piece in (b"Hel", b"lo\nwor", b"ld\n"):
            peer.send(piece)
        assert await peer.got(b"Hello\nworld\n")
        peer.close()


async def test_much_comes_back_in_order() -> None:
    async with serving(no_limits=True) as server:
        peer = await server.join()
        data = b"".join(b"%d %s\n" % (n, b"x" * (n % 200)) for n in range(20_000))
        peer.send(data)
        assert await peer.got(data)
        peer.close()


async def test_a_half_close_gets_the_rest_and_the_end() -> None:
    async with serving() as server:
        peer = await server.join()
        peer.send(b"one\ntwo")
        peer.writer.write_eof()
        assert await peer.rest() == b"one\ntwo"
        peer.close()
        await until(lambda: not server.shared.connections)


async def test_a_line_that_is_too_long_is_said_and_the_next_comes_back() -> None:
    async with serving(line_limit=LIMIT, no_limits=True) as server:
        peer = await server.join()
        peer.send(b"one\n" + b"x" * 100_000)
        assert await peer.got(b"one\n" + TOO_LONG)
        peer.send(b"x" * 100_000 + b"\ntwo\n")
        assert await peer.got(b"two\n")
        connection = await server.only_connection()
        assert len(connection.client._data) <= LIMIT
        peer.close()


async def test_over_the_rate_nothing_is_lost() -> None:
    async with serving(rate=500, burst=1) as server:
        peer = await server.join()
        for number in range(50):
            peer.send(b"%d\n" % number)
            await peer.writer.drain()
        assert await peer.got(b"".join(b"%d\n" % number for number in range(50)))
        peer.close()


async def test_client_that_sends_nothing_is_disconnected() -> None:
    async with serving(idle_timeout=0.2) as server:
        peer = await server.join()
        assert await peer.echoes()
        assert await peer.rest() == IDLE
        peer.close()
        await until(lambda: not server.shared.connections)


async def test_each_one_has_its_own_idle_timeout() -> None:
    """Though who came later is looked at later."""
    async with serving(idle_timeout=0.6) as server:
        quiet = await server.join()
        busy = await server.join()
        ending = asyncio.ensure_future(quiet.rest())
        while not ending.done():
            assert await busy.echoes()
            await asyncio.wait([ending], timeout=0.05)
        assert ending.result() == IDLE
        assert await busy.echoes()
        for peer in (quiet, busy):
            peer.close()


@contextlib.asynccontextmanager
async def stalled(server: Any) -> AsyncIterator[tuple[socket.socket, Connection, int]]:
    """Join, and send until the server reads no more; yield both ends and how many bytes that were."""
    loop = asyncio.get_running_loop()
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
        sock.setblocking(False)
        await loop.sock_connect(sock, ("127.0.0.1", server.port))
        connection = await server.only_connection()
        data, sent = b"0123456789abcde\n" * 1000, 0

        def push() -> bool:
            nonlocal sent
            with contextlib.suppress(BlockingIOError):
                while True:
                    sent += sock.send(data[sent % 16 :])
            return connection.transport.get_write_buffer_size() > 0 and not connection._reading

        await until(push)
        yield sock, connection, sent


async def test_a_client_that_never_reads_is_read_no_more() -> None:
    """It costs the server a bounded memory, and others nothing; when it reads again it gets everything."""
    async with serving(no_limits=True, buffer=65536) as server, stalled(server) as (sock, connection, sent):
        held = connection.transport.get_write_buffer_size() + len(connection.client._data)
        assert held <= 65536
        other = await server.join()
        assert await other.echoes()
        got = bytearray()
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(SECONDS):
            while len(got) < sent // 16 * 16:
                got += await loop.sock_recv(sock, 1 << 20)
        assert bytes(got) == b"0123456789abcde\n" * (sent // 16)
        other.close()


async def test_the_idle_timeout_holds_though_nothing_is_read() -> None:
    async with serving(no_limits=True, idle_timeout=0.3) as server, stalled(server) as (_, connection, _):
        await until(lambda: connection.state is not ConnectionState.OPEN)


async def test_client_that_does_not_read_is_disconnected() -> None:
    async with serving(no_limits=True, idle_timeout=0, stall_timeout=1) as server, stalled(server):
        await until(lambda: not server.shared.connections)


async def test_a_reset_is_survived() -> None:
    async with serving() as server:
        for _ in range(20):
            peer = await server.join()
            assert await peer.echoes()
            peer.send(b"half a line")
            peer.writer.transport.abort()
        await until(lambda: not server.shared.connections)
        peer = await server.join()
        assert await peer.echoes()
        peer.close()


# --- as a program -----------------------------------------------------------------------------------------------


async def test_the_program_has_no_rate() -> None:
    async with program() as server:
        peer = Peer(*await asyncio.open_connection("127.0.0.1", server.port))
        lines = b"".join(b"%d\n" % number for number in range(5000))
        peer.send(lines)
        assert await peer.got(lines)
        peer.close()
        assert await server.end() == 0


async def test_the_program_tells_who_comes_and_ends_though_somebody_stalls() -> None:
    async with program("--no-limits") as server:
        peer = Peer(*await asyncio.open_connection("127.0.0.1", server.port))
        assert await peer.echoes()
        own = peer.writer.get_extra_info("sockname")
        assert await server.line(f"New connection from {own}")
        with socket.create_connection(("127.0.0.1", server.port)) as sock:
            sock.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                for _ in range(1000):
                    sock.send(b"0123456789abcde\n" * 4000)
            assert await server.end() == 0
        assert await peer.rest() == b""
        peer.close()
    assert "Traceback" not in "".join(server.lines)
