"""Nothing but text reaches a terminal over ssh, whatever names, texts, words of commands and variables contain."""

from __future__ import annotations

import asyncio
import re
import unicodedata
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from itertools import cycle
from pathlib import Path
from typing import Any

import asyncssh
import pytest
from housing import Serving
from serving import SECONDS
from sshing import dialled, new_key, ssh_house

from hubbub.text.bounds import MARKS_IN_ROW

HOSTILE = (
    b"\x1b[2J\x1b[31m", b"\x1b[", b"\x1b", b"\x1bc", b"\x1b#8", b"\x1b(0\x0e", b"\x1b[6n", b"\x1b[200~x\x1b[201~",
    b"\x1b]52;c;cm0gLXJm\x07", b"\x1b]0;owned\x1b\\", b"\x1b]8;;http://x.example\x07y", b"\x1bP$q\"p\x1b\\",
    b"\x1b_x\x1b\\", b"\x1bP", b"\x1b\x1b[2J", b"\x1b]\x1b[31mz",
    b"\xc2\x9b2J", b"\xc2\x9d0;x\xc2\x9c", b"\xc2\x90q", b"\xc2\x85", b"\x9b2J", b"\x9d0;x\x07",
    "\u202egnp.exe\u202c".encode(), "\u2066x\u2067y\u2069".encode(), "\u200e\u061cx".encode(),
    "a\u200bb\u2060c\ufeffd\u00ad".encode(), "\U000e0061\U000e0062".encode(), "\u3164\u115f".encode(),
    "x\ufff9y\ufffb".encode(), b"e" + "\u0301".encode() * 300, "\u0489".encode() * 40, "\u200d\u200dx".encode(),
    "\u2028y\u2029".encode(), b"before\rafter", b"abc\b\b\bxyz", b"\x07\x07", b"\x0b\x0c", b"\x7f\x7f",
    b"\x0e\x0f", b"\x00x", b"\xed\xa0\x80", b"\xc0\xaf", b"\xff\xfe", b"\x03" + b"04,01red\x0f", b"\x11\x1d\x16\x1f",
)  # fmt: skip
# What the line editor writes itself: it erases its row, asks for bracketed paste, colours names.
OURS = re.compile(r"\x1b\[\?2004[hl]|\x1b\[[0-9;]*m|\r\x1b\[K|\r\n|\r|\x1b\[K|\a")
MARKS = re.compile(rf"[\u0300-\u036f\u0483-\u0489]{{{MARKS_IN_ROW + 1}}}")
HIDDEN = re.compile(
    "[\u00ad\u200b\u200e\u200f\u2060\u061c\ufeff\u115f\u3164\u2028\u2029\ufff9-\ufffb\U000e0000-\U000e0fff]"
)
JOINERS = "\u200c\u200d"  # useful between letters
END = "this is the end"


def unsafe(data: bytes, terminal: bool) -> set[str]:
    """Return what is no text in some output, besides that of the line editor."""
    text = data.decode()
    left = (OURS.sub("", text) if terminal else text).replace("\n", "")
    odd = {char for char in left if unicodedata.category(char) in ("Cc", "Cf", "Cs") and char not in JOINERS}
    return odd | set(MARKS.findall(left)) | set(HIDDEN.findall(left))


@dataclass
class Watcher:
    """A channel of a client, and all that it was shown."""

    process: asyncssh.SSHClientProcess[bytes]
    terminal: bool
    seen: bytearray = field(default_factory=bytearray)

    def send(self, data: bytes) -> None:
        self.process.stdin.write(data)

    async def sees(self, what: str) -> None:
        async with asyncio.timeout(SECONDS):
            while what.encode() not in self.seen:
                data = await self.process.stdout.read(1 << 16)
                assert data, f"expected {what!r}, saw {bytes(self.seen[-300:])!r} and the end"
                self.seen += data

    def check(self) -> None:
        assert not unsafe(bytes(self.seen), self.terminal)


async def watchers(stack: AsyncExitStack, serving: Serving, name: str) -> list[Watcher]:
    """Return somebody with a terminal, somebody with a plain one, one without, and one who follows the room."""
    shapes: Sequence[tuple[str, dict[str, Any]]] = (
        ("term", {"term_type": "xterm-256color", "term_size": (80, 30)}),
        ("dumb", {"term_type": "dumb", "term_size": (80, 30)}),
        ("pipe", {}),
        ("tail", {"command": "tail -f den"}),
    )
    found = []
    for shape, options in shapes:
        client = await stack.enter_async_context(dialled(serving.port, f"{name}{shape}", new_key()))
        process = await client.create_process(encoding=None, **options)
        one = Watcher(process, "term_type" in options)
        if "command" not in options:
            one.send(b"/join den\n/away busy\n/time\n")
            await one.sees(" UTC ***")
        found.append(one)
    return found


def lines(hostile: bytes) -> list[bytes]:
    """Return commands and messages of the line wire that contain a hostile text."""
    return [
        b"say " + hostile + b" it", hostile + b"it", b"/me " + hostile + b" it", b"/topic " + hostile + b" it",
        b"/msg watchpipe " + hostile + b" it", b"/msg watchterm " + hostile + b" it", b"/away " + hostile + b" it",
        b"/join " + hostile + b"it", b"/join den", b"/msg " + hostile + b" it", b"/whois " + hostile + b"it",
        b"/" + hostile + b"it", b"/poll " + hostile + b" it | a" + hostile + b" | b", b"/search " + hostile + b"it",
        b"/set " + hostile + b" " + hostile, b"/kick " + hostile + b" " + hostile, b"/ban " + hostile + b"it",
        b"/re " + hostile + b" it", b"/fix " + hostile + b" it", b"/+ " + hostile, b"/invite " + hostile + b"it",
        b"/nick M" + hostile + b"l", b"/nick Mal", b"/leave " + hostile + b" it", b"/join den",
    ]  # fmt: skip


async def test_text_of_nc_is_safe_in_every_ssh_session(tmp_path: Path) -> None:
    async with ssh_house(tmp_path, no_limits=True) as serving, AsyncExitStack() as stack:
        mal = await serving.join("Mal")
        mal.send(b"/join den\n/time\n")
        await mal.skips_to(b" UTC ***\n")
        seen = await watchers(stack, serving, "watch")
        for hostile in HOSTILE:
            mal.send(b"\n".join(lines(hostile.replace(b"\n", b""))) + b"\n")
        mal.send(f"{END}\n".encode())
        for one in seen:
            await one.sees(END)
            one.check()


async def test_text_of_irc_is_safe_in_every_ssh_session(tmp_path: Path) -> None:
    async with ssh_house(tmp_path, no_limits=True) as serving, AsyncExitStack() as stack:
        seen = await watchers(stack, serving, "watch")
        for number, hostile in enumerate(HOSTILE):
            text = hostile.replace(b"\0", b"").replace(b"\r", b"\x85")
            mal = await serving.connect()
            mal.send(b"NICK Mal%d\r\nNICK M" % number + text + b"l\r\nUSER u 0 * :" + text + b" it\r\n")
            mal.send(b"JOIN #den\r\nJOIN #" + text + b"it\r\n")
            for start in (b"PRIVMSG #den :", b"NOTICE #den :", b"PRIVMSG #den :\x01ACTION ", b"TOPIC #den :",
                          b"PRIVMSG watchterm :", b"NOTICE watchpipe :\x01VERSION ", b"AWAY :", b"PART #den :",
                          b"JOIN #den\r\n@+x=" + text + b";+draft/reply=" + text + b" PRIVMSG #den :"):  # fmt: skip
                mal.send(start + text + b" it\r\n")
            mal.send(b"QUIT :" + text + b" it\r\n")
            await mal.rest()
        nora = await serving.join("Nora")
        nora.send(f"/join den\n{END}\n".encode())
        for one in seen:
            await one.sees(END)
            one.check()


async def test_text_of_ssh_is_safe_in_every_ssh_session(tmp_path: Path) -> None:
    async with ssh_house(tmp_path, no_limits=True) as serving, AsyncExitStack() as stack:
        seen = await watchers(stack, serving, "watch")
        others = (await watchers(stack, serving, "type"))[:3]
        for hostile in HOSTILE:
            others[2].send(b"piped " + hostile + b" it\n/topic " + hostile + b" it\n/nick P" + hostile + b"x\n")
            for one in others[:2]:
                one.send(b"typed " + hostile + b" it\r\x15\r\x1b[200~pasted\n" + hostile + b" it\x1b[201~\r\r\x1b\r")
                one.send(b"/join " + hostile + b"it\r\x15\r/nick T" + hostile + b"x\r\x15\r/join den\r")
        for number, one in enumerate(others):
            one.send(b"\x15\n" * one.terminal + f"\n/nick End{number}\n/join den\n{END} {number}\n".encode())
            for other in seen:
                await other.sees(f"{END} {number}")
        for one in [*seen, *others]:
            one.check()


async def test_words_of_commands_come_back_as_text(tmp_path: Path) -> None:
    commands = ("say den %s", "say %s x", "tail %s", "search %s", "who %s", "msg %s x", "%s", "say den '%s",
                "tail -n %s x", "rooms %s", "--%s")  # fmt: skip
    async with ssh_house(tmp_path, no_limits=True) as serving, dialled(serving.port, "mal", new_key()) as mal:
        for command, hostile in zip(cycle(commands), HOSTILE * 3, strict=False):
            word = hostile.decode("utf-8", "replace").replace("\0", "")
            async with asyncio.timeout(SECONDS):
                done = await mal.run(command % word, encoding=None, stdin=asyncssh.DEVNULL)
            assert isinstance(done.stdout, bytes) and isinstance(done.stderr, bytes)
            assert not unsafe(done.stdout, False), (command, hostile, done.stdout)
            assert not unsafe(done.stderr, False), (command, hostile, done.stderr)


async def test_names_and_variables_of_a_client_come_back_as_text(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("asyncssh.connection.saslprep", str)  # which refuses some of these names on both sides
    async with ssh_house(tmp_path, no_limits=True) as serving, AsyncExitStack() as stack:
        seen = await watchers(stack, serving, "watch")
        for number, hostile in enumerate(HOSTILE):
            word = hostile.decode("utf-8", "replace").replace("\0", "")
            async with dialled(serving.port, f"m{word}l", new_key()) as mal:
                process = await mal.create_process(
                    encoding=None,
                    term_type=f"x{word}".encode("ascii", "ignore").decode(),
                    term_size=(80, 30),
                    env={"LANG": word, "NO_COLOR": word},
                )
                one = Watcher(process, True)
                one.send(b"\x15Mal%d\r/whois mal%d\r/time\r" % (number, number))
                await one.sees(" UTC ***")
                one.check()
        nora = await serving.join("Nora")
        nora.send(f"/join den\n{END}\n".encode())
        for one in seen:
            await one.sees(END)
            one.check()
