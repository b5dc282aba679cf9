"""The dialogue with who types lines, over real sockets: cuts, deadlines, the end of a line that has none."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from peering import LOOPS, PROMPT, Listener, Peer, chat, run_on, until

from hubbub.listeners import connection as connections
from hubbub.listeners import line as lines

TALK = "Ünï\r\nhi\r\nfoo\x7f\x7fbar\r/me wäves\n\n//x\r\n".encode()
SHOWN = "*** Ünï has joined the chat ***\nÜnï: hi\nÜnï: fbar\n* Ünï wäves\nÜnï: /x\n".encode()


@pytest.fixture(params=LOOPS)
def run(request: pytest.FixtureRequest) -> Callable[[Any], None]:
    return lambda scene: run_on(request.param, scene)


async def two(listener: Listener) -> tuple[Peer, Peer]:
    """Return two who have joined, and the first has seen the second come."""
    bob, alice = await listener.join("Bob"), await listener.join("Alice")
    await bob.sees(b"*** Alice has joined the chat ***\n")
    return bob, alice


def test_line_cut_in_every_way_is_the_same(run: Callable[[Any], None]) -> None:
    async def scene() -> None:
        async with chat(history=0, rate=10_000, burst=10_000) as listener:
            bob = await listener.join("Bob")
            for cut in range(1, len(TALK)):
                peer = await listener.connect()
                await peer.sees(PROMPT)
                await peer.send(TALK[:cut])
                await asyncio.sleep(0)  # the loop reads what is there
                await peer.send(TALK[cut:])
                await bob.sees(SHOWN)
                peer.sock.close()
                await bob.sees("*** Ünï has left the chat ***\n".encode())

    run(scene)


def test_line_byte_by_byte_is_the_same(run: Callable[[Any], None]) -> None:
    async def scene() -> None:
        async with chat(history=0) as listener:
            bob = await listener.join("Bob")
            peer = await listener.connect()
            for byte in TALK:
                await peer.send(bytes([byte]))
                await asyncio.sleep(0)
            await bob.sees(SHOWN)

    run(scene)


def test_unfinished_line_is_said_with_its_mark_after_a_fin(run: Callable[[Any], None]) -> None:
    async def scene() -> None:
        async with chat() as listener:
            bob, alice = await two(listener)
            await alice.send(b"whole\nhalf a li")
            alice.half_close()
            mark = lines.UNFINISHED.encode()
            await bob.sees(b"Alice: whole\nAlice: half a li " + mark + b"\n*** Alice has left the chat ***\n")
            assert await alice.rest() == b""

    run(scene)


def test_unfinished_line_is_discarded_after_a_reset(run: Callable[[Any], None]) -> None:
    async def scene() -> None:
        async with chat() as listener:
            bob, alice = await two(listener)
            await alice.send(b"whole\nhalf a li")
            await bob.sees(b"Alice: whole\n")
            alice.reset()
            await bob.sees(b"*** Alice has left the chat ***\n")

    run(scene)


@pytest.mark.parametrize(
    ("rest", "answer"),
    [(b"/quit", b"*** Not done: the command was cut off ***\n"), (b"  ", b""), (b"", b"")],
)
def test_command_or_nothing_that_is_cut_off_is_not_done(run: Callable[[Any], None], rest: bytes, answer: bytes) -> None:
    async def scene() -> None:
        async with chat() as listener:
            bob, alice = await two(listener)
            await alice.send(rest)
            alice.half_close()
            assert await alice.rest() == answer
            await bob.sees(b"*** Alice has left the chat ***\n")

    run(scene)


def test_unfinished_name_is_nobody(run: Callable[[Any], None]) -> None:
    async def scene() -> None:
        async with chat() as listener:
            peer = await listener.connect()
            await peer.send(b"Alice")
            peer.half_close()
            assert await peer.rest() == PROMPT
            await until(lambda: len(listener.gone) == 1)

    run(scene)


def test_everything_that_was_sent_before_the_fin_is_taken_though_over_the_rate(run: Callable[[Any], None]) -> None:
    async def scene() -> None:
        async with chat(rate=50, burst=2) as listener:
            bob = await listener.join("Bob")
            alice = await listener.connect()
            await alice.send(b"Alice\n" + b"".join(b"%d\n" % i for i in range(20)))
            alice.half_close()
            await bob.sees(b"*** Alice has joined the chat ***\n" + b"".join(b"Alice: %d\n" % i for i in range(20)))
            await bob.sees(b"*** Alice has left the chat ***\n")

    run(scene)


def test_no_name_in_time(run: Callable[[Any], None]) -> None:
    async def scene() -> None:
        async with chat(name_timeout=1) as listener:
            peer = await listener.connect()
            await peer.send(b"Ali")
            assert await peer.rest() == PROMPT + b"\nDisconnected: no name was given in time.\n"

    run(scene)


def test_idle_is_told_once_a_minute_before_and_then_the_end() -> None:
    """With an injected clock: 300 s, one warning at 240 s, the end at 300 s."""

    async def scene() -> None:
        async with chat() as listener:
            alice = await listener.join("Alice")
            now = listener.shared.clock()
            dialogue = alice.connection.dialogue
            assert dialogue.tick(now + 239, 239.0) == pytest.approx(1)
            assert 0 < dialogue.tick(now + 241, 241.0) <= 59
            await alice.sees(r"\*\*\* Say something within 59 s, [^\n]+ \*\*\*\n")
            dialogue.tick(now + 260, 260.0)  # not again
            await alice.send(b"\n")  # input of any kind: a new start, and a new warning
            await alice.send(b"/time\n")
            await alice.sees(r"\*\*\* \d{4}-[^\n]+\n")
            dialogue.tick(now + 500, 245.0)
            await alice.sees(r"\*\*\* Say something within 55 s, [^\n]+ \*\*\*\n")
            dialogue.tick(now + 560, 300.0)
            assert await alice.rest() == b"Disconnected: idle timeout.\n"

    run_on("asyncio", scene)


@pytest.mark.parametrize("timeout", [100.0, 120.0])
def test_idle_timeout_of_two_minutes_or_less_has_no_warning(timeout: float) -> None:
    async def scene() -> None:
        async with chat(idle_timeout=timeout) as listener:
            alice = await listener.join("Alice")
            assert alice.connection.dialogue.tick(0.0, timeout - 1) == pytest.approx(1)
            alice.connection.dialogue.tick(0.0, timeout)
            assert await alice.rest() == b"Disconnected: idle timeout.\n"

    run_on("asyncio", scene)


def test_idle_timeout_begins_when_the_name_was_given(run: Callable[[Any], None]) -> None:
    """Though the time for a name is longer, it is kept from then on."""

    async def scene() -> None:
        async with chat(idle_timeout=1, name_timeout=30) as listener:
            alice = await listener.join("Alice")
            assert await alice.rest() == b"Disconnected: idle timeout.\n"

    run(scene)


def test_idle_timeout_holds_for_who_reads_nothing(run: Callable[[Any], None], monkeypatch: pytest.MonkeyPatch) -> None:
    """The others see it leave; its socket is closed a little later, whether it reads or not."""
    monkeypatch.setattr(connections, "LINGER", 0.5)

    async def scene() -> None:
        async with chat(idle_timeout=2, name_timeout=1, no_limits=True) as listener:
            bob, deaf = await listener.join("Bob"), await listener.join("Deaf", small=True)
            await bob.sees(b"*** Deaf has joined the chat ***\n")
            for _ in range(100):
                await bob.send(b"x" * 4000 + b"\n")
            await until(lambda: deaf.connection.transport.get_write_buffer_size())
            end = asyncio.get_running_loop().time() + 5
            while not listener.gone:
                assert asyncio.get_running_loop().time() < end, "who reads nothing is still there"
                await bob.send(b"\n")
                await asyncio.sleep(0.1)
            await bob.sees(b"*** Deaf has left the chat ***\n")

    run(scene)


def test_what_was_typed_is_shown_again(run: Callable[[Any], None]) -> None:
    async def scene() -> None:
        async with chat() as listener:
            alice = await listener.join("Alice")
            await alice.send(b"\x12")
            await alice.sees(b"*** Your line is empty ***\n")
            await alice.send(b"so far\x12")
            await alice.sees(b"*** Your line so far: so far ***\n")

    run(scene)


def test_farewell_is_the_last_that_is_said(run: Callable[[Any], None]) -> None:
    async def scene() -> None:
        async with chat() as listener:
            alice = await listener.join("Alice")
            alice.connection.dialogue.farewell()
            await alice.send(b"too late\n")
            assert await alice.rest() == b"*** The server is shutting down ***\n"

    run(scene)
