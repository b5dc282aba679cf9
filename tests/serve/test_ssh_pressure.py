"""ssh clients that do not read: nothing is written to them, and they catch up without a gap."""

from __future__ import annotations

import asyncio
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from housing import Client, Serving
from serving import SECONDS, until
from sshing import dialled, joined, peers, session, ssh_house

from hubbub.serve.ssh.channel import SshChannel
from hubbub.serve.ssh.peer import LINE_SECONDS
from hubbub.serve.ssh.transport import AT_ONCE, ChannelTransport, PacketTransport

LINE = "x" * 2000
MANY = 300


async def flood(nora: Client) -> None:
    """Send a lot more than anybody buffers."""
    for number in range(MANY):
        nora.send(f"{number} {LINE}\n".encode())
    nora.send(b"/zzz\n")
    await nora.skips_to(b"zzz")


def channel_of(serving: Serving) -> SshChannel:
    (peer,) = peers(serving)
    (channel,) = peer.channels
    return channel


async def test_full_window_makes_a_session_behind_and_it_catches_up(tmp_path: Path) -> None:
    async with ssh_house(tmp_path, no_limits=True) as serving:
        nora = await serving.join("Nora")
        async with joined(serving.port, "ann", window=4096) as ann:
            ann.process.channel.pause_reading()
            await flood(nora)
            channel, hub = channel_of(serving), serving.house.hub
            await until(lambda: hub.delivery.behind)
            assert channel._channel is not None
            assert channel._channel.get_write_buffer_size() < 3 * serving.house.settings.buffer
            ann.process.channel.resume_reading()
            for number in range(MANY):
                await ann.skips_to(f"Nora: {number} {LINE}\n".encode())
            await until(lambda: not hub.delivery.behind)


async def test_full_socket_makes_a_session_behind_and_it_catches_up(tmp_path: Path) -> None:
    async with ssh_house(tmp_path, no_limits=True) as serving:
        nora = await serving.join("Nora")
        async with dialled(serving.port, "ann", window=1 << 24) as client:
            ann = await session(client)
            ann.send(b"/time\n")
            await ann.skips_to(b" ***\n")
            transport = client._transport
            transport.pause_reading()
            await flood(nora)
            (peer,) = peers(serving)
            await until(lambda: peer.is_paused and serving.house.hub.delivery.behind)
            assert peer.packets.buffered < 3 * serving.house.settings.buffer
            assert not peer.ready()  # its questions, whose answers it would not read, wait
            transport.resume_reading()
            for number in range(MANY):
                await ann.skips_to(f"Nora: {number} {LINE}\n".encode())


async def test_nothing_is_kept_for_a_client_that_does_not_complete_a_new_key_exchange(tmp_path: Path) -> None:
    async with ssh_house(tmp_path, no_limits=True) as serving:
        nora = await serving.join("Nora")
        async with dialled(serving.port, "ann") as client:
            ann = await session(client)
            ann.send(b"/time\n")
            await ann.skips_to(b" ***\n")
            client._transport.pause_reading()
            (peer,) = peers(serving)
            assert peer.login
            ours: Any = peer.login.connection
            ours._send_kexinit()  # as after a gigabyte
            ours._kexinit_sent = True
            await flood(nora)
            await until(lambda: channel_of(serving)._blocked == {"keys"})
            assert serving.house.hub.delivery.behind
            assert sum(len(part) for _, parts in ours._deferred_packets for part in parts) < 100 * len(LINE)
            client._transport.resume_reading()
            for number in range(MANY):
                await ann.skips_to(f"Nora: {number} {LINE}\n".encode())


async def test_commands_and_sessions_of_a_client_count_as_its_lines(tmp_path: Path) -> None:
    async with ssh_house(tmp_path, rate=0.001, burst=100) as serving, dialled(serving.port, "ann") as client:
        (peer,) = peers(serving)
        throttle = peer.connection._throttle
        before = throttle.tokens
        for _ in range(5):
            async with asyncio.timeout(SECONDS):
                assert (await client.run("rooms")).exit_status == 0
        assert throttle.tokens <= before - 5
        await session(client)
        one = channel_of(serving).connection
        assert one and one._throttle is throttle


async def test_time_that_a_client_takes_counts_as_lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with ssh_house(tmp_path, rate=0.001, burst=100) as serving, dialled(serving.port, "ann") as client:
        ann = await session(client)
        throttle = peers(serving)[0].connection._throttle
        before, times = throttle.tokens, count()
        monkeypatch.setattr("hubbub.serve.ssh.peer.thread_time", lambda: next(times) * 20 * LINE_SECONDS)
        ann.send(b"/time\n")
        await ann.skips_to(b" ***\n")
        assert throttle.tokens <= before - 20


class FakeChannel:
    """A channel that keeps what is written, as asyncssh does while keys are exchanged."""

    def __init__(self) -> None:
        self.kept: list[bytes] = []
        self.open = True

    def write(self, data: bytes) -> None:
        if not self.open:
            raise BrokenPipeError
        self.kept.append(data)

    write_stderr = write

    def get_write_buffer_size(self) -> int:
        return 0


class FakeConnection:
    """A connection that notes what is written to it."""

    def __init__(self) -> None:
        self.written: list[bytes] = []

    def write(self, data: bytes) -> None:
        self.written.append(data)


async def test_channel_is_held_when_its_output_makes_no_packet() -> None:
    held: list[int] = []
    below: Any = FakeConnection()
    packets = PacketTransport(below, asyncio.get_running_loop(), None)
    channel: Any = FakeChannel()
    transport = ChannelTransport(channel, packets, lambda: held.append(1))
    transport.write(b"")
    assert not held
    transport.write(b"one")
    transport.write_error(b"two")
    assert held == [1, 1] and channel.kept == [b"", b"one", b"two"]
    channel.open = False
    transport.write(b"three")
    assert held == [1, 1]


async def test_packets_of_one_moment_are_written_together_up_to_a_bound() -> None:
    below: Any = FakeConnection()
    packets = PacketTransport(below, asyncio.get_running_loop(), None)
    noted: list[int] = []
    packets.write(b"a")
    packets.on_write = lambda: noted.append(packets.sent)
    packets.write(b"b")
    async with asyncio.timeout(SECONDS):
        while not below.written:  # noqa: ASYNC110
            await asyncio.sleep(0)
    assert below.written == [b"ab"] and noted == [2]
    packets.write(b"c" * AT_ONCE)
    assert below.written == [b"ab", b"c" * AT_ONCE]
