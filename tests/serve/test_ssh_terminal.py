"""Sessions over ssh with a terminal, and the frames in which ssh channels write."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import asyncssh
import pytest
from serving import SECONDS
from sshing import dialled, joined, new_key, ssh_house

from hubbub.serve.ssh import frames
from hubbub.serve.ssh.frames import AT_ONCE, INTERVAL, FrameClock
from scene import PROMPT
from terminals import Terminal

SGR = re.compile(rb"\x1b\[[0-9;]*m")
ASKS = b"\x1b[?2004h"  # for bracketed paste
STOPS = b"\x1b[?2004l"


class Window:
    """A terminal at the other end of an ssh channel."""

    def __init__(self, process: asyncssh.SSHClientProcess[bytes], columns: int) -> None:
        self.process = process
        self.screen = Terminal(columns, 30)
        self.written = b""

    def types(self, *keys: str) -> None:
        for key in keys:
            self.process.stdin.write(key.encode())

    async def shows(self, *rows: str) -> None:
        """The last rows with text are these, some time."""
        async with asyncio.timeout(SECONDS):
            while self.rows[-len(rows) :] != list(rows):
                data = await self.process.stdout.read(1 << 16)
                assert data, f"expected {rows}, saw {self.rows} and the end"
                self.written += data
                self.screen.show(data)

    async def rest(self) -> bytes:
        """Return everything until the server closes the channel."""
        async with asyncio.timeout(SECONDS):
            while data := await self.process.stdout.read(1 << 16):
                self.written += data
        return self.written

    @property
    def rows(self) -> list[str]:
        return [row.rstrip() for row in self.screen.display if row.strip()]


@asynccontextmanager
async def window(
    port: int, name: str = "ann", type: str = "xterm-256color", columns: int = 60, **options: Any
) -> AsyncIterator[Window]:
    """Yield the window of a new client."""
    async with dialled(port, name, new_key()) as client, asyncio.timeout(SECONDS):
        process = await client.create_process(encoding=None, term_type=type, term_size=(columns, 30), **options)
        yield Window(process, columns)


async def test_text_arrives_above_half_a_line(tmp_path: Path) -> None:
    async with ssh_house(tmp_path) as serving:
        nora = await serving.join("Nora")
        async with window(serving.port) as ann:
            await nora.skips_to(b"*** ann has joined the chat ***\n")
            ann.types("half a ")
            await ann.shows("half a")
            for n in range(50):
                nora.send(b"message %d\n" % n)
            await ann.shows("Nora: message 48", "Nora: message 49", "half a")
            ann.types("lime", "\x1b[D", "\x7f", "n", "\r")
            await nora.skips_to(b"ann: half a line\n")
            await ann.shows("Nora: message 49", "half a line")
            assert [f"Nora: message {n}" for n in range(50)] == re.findall(
                "Nora: message [0-9]+", SGR.sub(b"", ann.written).decode()
            )
            assert ann.written.startswith(ASKS)


@pytest.mark.parametrize(("key", "told"), [(True, "/register keeps the name for your key, "), (False, "")])
async def test_first_line_says_who_the_guest_is(tmp_path: Path, key: bool, told: str) -> None:
    async with ssh_house(tmp_path) as serving, dialled(serving.port, "ann", new_key() if key else None) as client:
        process = await client.create_process(encoding=None, term_type="xterm", term_size=(100, 30))
        await Window(process, 100).shows(f"*** You are ann; {told}/help lists the commands ***")


async def test_keys_complete_recall_and_leave(tmp_path: Path) -> None:
    async with ssh_house(tmp_path) as serving:
        nora = await serving.join("Nora")
        async with window(serving.port) as ann:
            ann.types("nor\t", "hi 日本語 👍\r", "\x1b[A", "!\r")
            await nora.skips_to("ann: Nora: hi 日本語 👍\nann: Nora: hi 日本語 👍!\n".encode())
            ann.types("\x1b[200~" + "\r".join("x" * 200) + "\x1b[201~")
            await ann.shows("200 lines: Enter sends, Esc drops")
            ann.types("\r")
            await nora.skips_to(b"ann: x\n" * 200)
            ann.types("typed\x03", "\x03")
            await ann.shows("*** Ctrl-D or /quit leaves the chat ***")
            ann.types("\x04")
            await nora.skips_to(b"*** ann has left the chat ***\n")
            assert (await ann.rest()).endswith(STOPS)


async def test_window_can_change(tmp_path: Path) -> None:
    async with ssh_house(tmp_path) as serving, window(serving.port, columns=60) as ann:
        ann.types("x" * 50)
        await ann.shows("x" * 50)
        ann.process.change_terminal_size(1, 1)  # clamped to 20 columns
        ann.screen.resize(columns=20)
        await ann.shows("<" + "x" * 8)


@pytest.mark.parametrize(("name", "typed"), [("root", "Ann"), ("two words", "Ann"), ("nora", "Ann")])
async def test_name_is_asked_for_where_there_is_none(tmp_path: Path, name: str, typed: str) -> None:
    async with ssh_house(tmp_path) as serving:
        nora = await serving.join("Nora")
        async with window(serving.port, name) as ann:
            await ann.shows("Enter your name:")
            ann.types(f"{typed}\r")
            await nora.skips_to(f"*** {typed} has joined the chat ***\n".encode())
            nora.send(b"hello\n")
            await ann.shows("Nora: hello")


async def test_interrupt_at_the_prompt_ends(tmp_path: Path) -> None:
    async with ssh_house(tmp_path) as serving, window(serving.port, "root") as ann:
        ann.types("\x03")
        assert PROMPT in await ann.rest()


@pytest.mark.parametrize("environment", [{}, {"NO_COLOR": "1"}])
async def test_names_are_coloured_unless_the_user_wants_none(tmp_path: Path, environment: dict[str, str]) -> None:
    async with ssh_house(tmp_path) as serving:
        nora = await serving.join("Nora")
        async with window(serving.port, env=environment) as ann:
            await nora.skips_to(b"*** ann has joined the chat ***\n")
            nora.send(b"hello\n")
            await ann.shows("Nora: hello")
            assert bool(SGR.search(ann.written)) is not bool(environment)


async def test_plain_output_for_screen_readers(tmp_path: Path) -> None:
    """No CSI at all on a dumb terminal, no CR without LF, and the bytes of each message once."""
    async with ssh_house(tmp_path) as serving:
        nora = await serving.join("Nora")
        async with window(serving.port, type="dumb") as ann:
            await nora.skips_to(b"*** ann has joined the chat ***\n")
            ann.types("half a ")
            await ann.shows("half a")
            for n in range(20):
                nora.send(b"message %d\n" % n)
            await ann.shows("Nora: message 19")
            ann.types("line\r", "/bell on\r")
            await ann.shows("line", "/bell on", "*** Your terminal rings when somebody mentions you ***")
            nora.send(b"@ann hi\n")
            await ann.shows("Nora: @ann hi")
            ann.types("\x04")
            written = await ann.rest()
        assert b"\x1b" not in written and b"\r" not in written.replace(b"\r\n", b"")
        assert all(written.count(b"Nora: message %d\r\n" % n) == 1 for n in range(20))
        assert b"Nora: @ann hi\r\n\a" in written


async def test_plain_output_is_remembered(tmp_path: Path) -> None:
    key = new_key()
    async with ssh_house(tmp_path) as serving:
        for turn in range(2):
            async with dialled(serving.port, "ann", key) as client, asyncio.timeout(SECONDS):
                one = Window(await client.create_process(encoding=None, term_type="xterm", term_size=(60, 30)), 60)
                if not turn:
                    one.types("/register\r")
                    await one.shows("*** You are logged in as ann ***")
                    one.types("/plain on\r")
                    await one.shows("*** Over ssh and telnet, your terminal shows nothing twice", "***")
                else:
                    one.types("ab", "\x01c\r", "/quit\r")
                    written = SGR.sub(b"", await one.rest())
                    assert b"\r" not in written.replace(b"\r\n", b"").replace(b"\r\x1b[K", b"") and b"ab" in written


# --- frames -----------------------------------------------------------------------------------------------------


class Hand:
    """A clock that is moved by hand."""

    def __init__(self) -> None:
        self.now = 100.0
        self.calls: list[tuple[float, Any]] = []

    def later(self, delay: float, call: Any) -> None:
        self.calls.append((self.now + delay, call))

    def run_until(self, end: float) -> None:
        while due := sorted((at, n) for n, (at, _) in enumerate(self.calls) if at <= end):
            at, n = due[0]
            self.now = max(self.now, at)
            self.calls.pop(n)[1]()
        self.now = end


class Busy:
    """A channel that always has something to write."""

    def __init__(self, clock: FrameClock, hand: Hand) -> None:
        self.clock, self.hand, self.turns = clock, hand, list[float]()

    def write_frame(self) -> None:
        self.turns.append(self.hand.now)
        self.clock.hold(self)


@pytest.mark.parametrize(("count", "most"), [(1, 11), (100, 11), (1000, 6)])
def test_frames_are_few_and_fewer_under_load(count: int, most: int) -> None:
    hand = Hand()
    clock = FrameClock(hand.later, lambda: hand.now)
    channels = [Busy(clock, hand) for _ in range(count)]
    for one in channels:
        clock.ask(one)
    hand.run_until(101.0)
    assert all(most - 2 <= len(one.turns) <= most for one in channels)
    turns = sorted(turn for one in channels for turn in one.turns)
    assert len(turns) <= 1.0 / frames.STEP * AT_ONCE + AT_ONCE
    assert channels[0].turns[0] == 100.0
    assert all(b - a >= INTERVAL - 1e-6 for one in channels for a, b in zip(one.turns, one.turns[1:], strict=False))


async def test_busy_room_comes_in_frames_without_gap_or_double(tmp_path: Path) -> None:
    async with ssh_house(tmp_path, no_limits=True) as serving:
        nora = await serving.join("Nora")
        async with joined(serving.port, "ann") as ann:
            loop = asyncio.get_running_loop()
            start, packets = loop.time(), 0
            for n in range(300):
                nora.send(b"message %d\n" % n)
                await asyncio.sleep(0)
            seen = b""
            async with asyncio.timeout(SECONDS):
                while b"message 299\n" not in seen:
                    seen += await ann.process.stdout.read(1 << 16)
                    packets += 1
            took = loop.time() - start
            assert seen == b"".join(b"Nora: message %d\n" % n for n in range(300))
            assert packets <= 3 + took / INTERVAL


async def test_reply_comes_behind_what_was_said_before_it(tmp_path: Path) -> None:
    async with ssh_house(tmp_path, no_limits=True) as serving:
        nora = await serving.join("Nora")
        async with joined(serving.port, "ann") as ann:
            nora.send(b"one\n")
            await ann.skips_to(b"Nora: one\n")
            nora.send(b"two\nthree\n")
            nora.send(b"/time\n")
            await nora.skips_to(b" ***\n")  # all of it is stored
            ann.send(b"/leave\n")
            assert b"Nora: two\nNora: three\n" in await ann.skips_to(b"*** You have left lobby")
            ann.send(b"/join lobby\n/quit\n")
            await ann.rest()


async def test_member_who_is_thrown_out_sees_all_that_came_before(tmp_path: Path) -> None:
    async with ssh_house(tmp_path, no_limits=True) as serving:
        nora = await serving.join("Nora")
        async with joined(serving.port, "ann") as ann:
            nora.send(b"/join den\n")
            await nora.skips_to(b"You are in den")
            ann.send(b"/join den\n")
            await nora.skips_to(b"ann has joined den")
            nora.send(b"one\ntwo\nthree\n/kick ann\n")
            assert b"Nora: one\nNora: two\nNora: three\n" in await ann.skips_to(b"*** Nora has kicked ann ***\n")
            nora.send(b"unseen\n")
            ann.send(b"/quit\n")
            assert b"unseen" not in await ann.rest()


async def test_client_that_does_not_read_costs_no_memory(tmp_path: Path) -> None:
    """Its window stays full; it catches up without a gap, and its keys wait meanwhile."""
    async with ssh_house(tmp_path, no_limits=True, rate=0) as serving:
        nora, bo = await serving.join("Nora"), await serving.join("Bo")
        async with window(serving.port, "ann") as ann:
            await nora.skips_to(b"*** ann has joined the chat ***\n")
            ann.process.channel.pause_reading()
            count = 3000
            for n in range(count):
                nora.send(b"%d %s\n" % (n, b"x" * 1000))
                if n % 100 == 99:
                    await bo.skips_to(b"Nora: %d " % n)
            hub = serving.house.hub
            stalled = [session for session in hub.delivery.behind if session.paused]
            assert [session.nick for session in stalled] == ["ann"]
            connection: Any = stalled[0].client._connection  # type: ignore[attr-defined]
            held = connection._size + connection.transport.get_write_buffer_size()
            assert held < 200_000
            ann.types(*["k"] * 500)
            ann.process.channel.resume_reading()
            seen = b""
            async with asyncio.timeout(SECONDS):
                while b"%d xxx" % (count - 1) not in seen:
                    seen += await ann.process.stdout.read(1 << 16)
            numbers = [int(n) for n in re.findall(rb"Nora: (\d+) x", SGR.sub(b"", seen))]
            assert numbers == list(range(count))
