"""The dialogue with who types lines, over real sockets: cuts, deadlines, the end of a line that has none."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from typing import Any

import pytest
from peering import LOOPS, PATIENCE, PROMPT, Listener, Peer, chat, run_on, until

from hubbub.serve.line import line_client as lines
from hubbub.serve.sockets import peer_socket

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
            dialogue = alice.connection.client
            assert dialogue.check_deadlines(now + 239, 239.0) == pytest.approx(1)
            assert 0 < dialogue.check_deadlines(now + 241, 241.0) <= 59
            await alice.sees(r"\*\*\* Say something within 59 s, [^\n]+ \*\*\*\n")
            dialogue.check_deadlines(now + 260, 260.0)  # not again
            await alice.send(b"\n")  # input of any kind: a new start, and a new warning
            await alice.send(b"/time\n")
            await alice.sees(r"\*\*\* \d{4}-[^\n]+\n")
            dialogue.check_deadlines(now + 500, 245.0)
            await alice.sees(r"\*\*\* Say something within 55 s, [^\n]+ \*\*\*\n")
            dialogue.check_deadlines(now + 560, 300.0)
            assert await alice.rest() == b"Disconnected: idle timeout.\n"

    run_on("asyncio", scene)


@pytest.mark.parametrize("timeout", [100.0, 120.0])
def test_idle_timeout_of_two_minutes_or_less_has_no_warning(timeout: float) -> None:
    async def scene() -> None:
        async with chat(idle_timeout=timeout) as listener:
            alice = await listener.join("Alice")
            assert alice.connection.client.check_deadlines(0.0, timeout - 1) == pytest.approx(1)
            alice.connection.client.check_deadlines(0.0, timeout)
            assert await alice.rest() == b"Disconnected: idle timeout.\n"

    run_on("asyncio", scene)


def test_idle_timeout_begins_when_the_name_was_given(run: Callable[[Any], None]) -> None:
    """Though the time for a name is longer, it is kept from then on."""

    async def scene() -> None:
        async with chat(idle_timeout=1, name_timeout=30) as listener:
            alice = await listener.join("Alice")
            assert await alice.rest() == b"Disconnected: idle timeout.\n"

    run(scene)


def test_idle_timeout_applies_to_a_client_that_does_not_read(
    run: Callable[[Any], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The others see it leave; its socket is closed a little later, whether it reads or not."""
    monkeypatch.setattr(peer_socket, "LINGER", 0.5)

    async def scene() -> None:
        async with chat(idle_timeout=2, name_timeout=1, no_limits=True) as listener:
            bob, deaf = await listener.join("Bob"), await listener.join("Deaf", small=True)
            await bob.sees(b"*** Deaf has joined the chat ***\n")
            for _ in range(100):
                await bob.send(b"x" * 4000 + b"\n")
            await until(lambda: deaf.connection.transport.get_write_buffer_size())
            end = asyncio.get_running_loop().time() + PATIENCE
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
            alice.connection.client.shut_down()
            await alice.send(b"too late\n")
            assert await alice.rest() == b"*** The server is shutting down ***\n"

    run(scene)


# --- names that are refused -----------------------------------------------------------------------------------


async def piped(listener: Listener, data: bytes) -> bytes:
    """Return what a pipe is shown that sends all of this and then a FIN."""
    peer = await listener.connect()
    await peer.send(data)
    peer.half_close()
    return await peer.rest()


async def holds_a_line_back(listener: Listener) -> None:
    """Wait until somebody's line waits for a name."""
    await until(lambda: any(one.client._early for one in listener.shared.connections))


@pytest.mark.parametrize("name", [b"cron", b"x" * 33, b"x" * 20_000, b"cron job", b"", b"***", b"server"])
def test_line_that_came_before_a_refusal_is_no_name(
    run: Callable[[Any], None], name: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lines, "NAME_RETRY_SECONDS", 0.5)

    async def scene() -> None:
        async with chat(history=0) as listener:
            await listener.join("cron")
            witness = await listener.join("Witness")
            shown = await piped(listener, name + b"\nDONE\nthird\n")
            assert re.fullmatch(rb"Enter your name: [^\n]+\nNot sent: DONE\nNot sent: third\n", shown)
            await witness.send(b"/who\n")
            await witness.sees(b"*** In lobby: 2 ***\n  cron, Witness\n")

    run(scene)


def test_line_that_comes_a_moment_after_a_refused_name_is_no_name_either(run: Callable[[Any], None]) -> None:
    """A program writes its lines one by one: nobody can have read the refusal yet."""

    async def scene() -> None:
        async with chat(history=0) as listener:
            witness = await listener.join("Witness")
            peer = await listener.connect()
            await peer.send(b"cron job\n")
            await peer.sees(PROMPT)
            await asyncio.sleep(0)  # the name may be read alone
            await peer.send(b"DONE\n")
            assert (await peer.rest()).endswith(b"\nNot sent: DONE\n")
            await witness.send(b"/who\n")
            await witness.sees(b"*** In lobby: 1 ***\n  Witness\n")

    run(scene)


def test_each_line_that_came_early_is_told(run: Callable[[Any], None], monkeypatch: pytest.MonkeyPatch) -> None:
    """Also those that come after the first one of them, while the name may still become free."""
    monkeypatch.setattr(lines, "NAME_RETRY_SECONDS", 0.5)

    async def scene() -> None:
        async with chat(history=0) as listener:
            await listener.join("cron")
            peer = await listener.connect()
            await peer.send(b"cron\nDONE\n")
            await holds_a_line_back(listener)
            await peer.send(b"third\n")
            assert (await peer.rest()).endswith(b"\nNot sent: DONE\nNot sent: third\n")

    run(scene)


def test_pipe_waits_a_moment_for_a_name_that_another_run_of_it_has(run: Callable[[Any], None]) -> None:
    async def scene() -> None:
        async with chat(history=0) as listener:
            witness = await listener.join("Witness")
            holder = await listener.join("cron")
            await witness.sees(b"*** cron has joined the chat ***\n")
            pipe = asyncio.create_task(piped(listener, b"cron\n/me is ready\njob ok\nunfinished"))
            await holds_a_line_back(listener)
            holder.sock.close()
            assert await pipe == PROMPT
            await witness.sees(
                b"*** cron has left the chat ***\n*** cron has joined the chat ***\n* cron is ready\n"
                b"cron: job ok\ncron: unfinished [the line was cut off here]\n*** cron has left the chat ***\n"
            )

    run(scene)


def test_pipes_that_start_at_once_are_all_said_once(run: Callable[[Any], None]) -> None:
    async def scene() -> None:
        async with chat(history=0) as listener:
            witness = await listener.join("Witness")
            shown = await asyncio.gather(*(piped(listener, b"cron\njob %d ok\n" % job) for job in range(5)))
            assert shown == [PROMPT] * 5
            await until(lambda: len(listener.gone) == 5)
            await witness.send(b"/time\n")
            seen = (await witness.sees(r"(?:.*\n)*?\*\*\* \d{4}-\d\d-.*\n"))[0]
            assert sorted(re.findall(rb"\ncron: job (\d) ok\n", seen)) == [b"0", b"1", b"2", b"3", b"4"]
            assert seen.count(b"cron has joined") == seen.count(b"cron has left") == 5

    run(scene)


def test_of_a_long_pipe_some_lines_are_named(run: Callable[[Any], None]) -> None:
    async def scene() -> None:
        async with chat(history=0) as listener:
            peer = await listener.connect()
            data = b"cron job\n" + b"".join(b"%d\n" % number for number in range(10_000))
            sending = asyncio.create_task(peer.send(data))
            shown = (await peer.rest()).splitlines()
            assert shown[1:] == [*(b"Not sent: %d" % number for number in range(10)), b"Not sent: all that followed."]
            await sending

    run(scene)


def test_command_that_was_cut_off_after_a_refused_name_is_told(run: Callable[[Any], None]) -> None:
    async def scene() -> None:
        async with chat(history=0) as listener:
            shown = await piped(listener, b"cron job\n/join ops")
            assert shown.startswith(PROMPT + b"*** Not done: the command was cut off ***\n")

    run(scene)


def test_person_who_reads_the_refusal_gives_another_name(run: Callable[[Any], None]) -> None:
    async def scene() -> None:
        async with chat(history=0) as listener:
            alice, peer = await listener.join("Alice"), await listener.connect()
            await peer.send(b"alice\n\n  \n")  # empty lines are nobody's message
            await peer.sees(PROMPT + b"The name alice is taken.\n" + PROMPT)
            await peer.send(b"two words\n")
            await peer.sees(r"[^\n]+\nEnter your name: ")
            await peer.send(b"Bob\nhi\n")
            await alice.sees(b"*** Bob has joined the chat ***\nBob: hi\n")

    run(scene)


def test_pipe_may_quit_after_a_refused_name(run: Callable[[Any], None]) -> None:
    async def scene() -> None:
        async with chat(history=0) as listener:
            assert await piped(listener, b"cron job\n/quit\n") == PROMPT
            assert await piped(listener, b"/quit\n") == PROMPT

    run(scene)


def test_refused_name_alone_in_a_pipe_is_told(run: Callable[[Any], None]) -> None:
    async def scene() -> None:
        async with chat(history=0) as listener:
            shown = await piped(listener, b"cron job\n")
            assert shown.count(PROMPT) == 2 and shown.endswith(b"\n" + PROMPT)

    run(scene)


# --- peers that are no terminals ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sent", "seen"),
    [
        ("klaus\r\nBericht fertig: über 90 %\r\n".encode("utf-16"), "klaus: Bericht fertig: über 90 %"),
        ("klaus\r\nBericht fertig: über 90 %\r\n".encode("utf-16-le"), "klaus: Bericht fertig: über 90 %"),
        ("klaus\nüber\n".encode("utf-16-be"), "klaus: über"),
        (b"ru\n\xef\xf0\xff\xec\xee\nsecond\n", "ru: \ufffd\ufffd\ufffd\ufffd\ufffd|ru: second"),
        (b"scale\n\x02 12.50 kg\x03\r\n", "scale: 12.50 kg"),
        (b"ci\nbuild \x0304failed\x03 in \x033,1 5 s\x03\n", "ci: build failed in  5 s"),
        (b"x\nalpha\x15beta\n", "x: alphabeta"),
        (b"bar\n10 %\r50 %\r100 %\n", "bar: 100 %"),
    ],
)
def test_what_programs_send_is_said(run: Callable[[Any], None], sent: bytes, seen: str) -> None:
    async def scene() -> None:
        async with chat(history=0) as listener:
            witness = await listener.join("Witness")
            assert await piped(listener, sent) == PROMPT
            name = seen.partition(":")[0]
            await witness.sees(
                f"*** {name} has joined the chat ***|{seen}|*** {name} has left the chat ***|".replace(
                    "|", "\n"
                ).encode()
            )

    run(scene)


def test_telnets_width_cuts_what_the_server_says_and_is_known_anew(run: Callable[[Any], None]) -> None:
    async def scene() -> None:
        async with chat(history=0) as listener:
            alice = await listener.join("Alice")
            await alice.send(b"\xff\xfb\x1f\xff\xfa\x1f\x00\x28\x00\x18\xff\xf0/nosuchcommandanywhere here\r\n")
            await alice.sees(b"\xff\xfd\x1f")
            shown = await alice.sees(r"(?:[^\r\n]{1,40}\r\n){2,}")
            assert shown[0].split() == b"There is no command /nosuchcommandanywhere; /help lists the commands.".split()
            await alice.send(b"\xff\xfa\x1f\x00\x50\x00\x18\xff\xf0/nosuchcommandanywhere here\r\n")
            await alice.sees(b"There is no command /nosuchcommandanywhere; /help lists the commands.\r\n")

    run(scene)
