"""How many calls of hubbub's own functions a line costs, from the socket to the screens and back to the next line.

Calls are counted because they do not depend on how fast the machine is. Who adds a layer to the way of a message raises
the count, and has to see whether it is worth that.
"""

from __future__ import annotations

import asyncio
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import aiohttp
import pytest
from housing import Client, Serving, housing
from serving import until

import hubbub

SOURCE = str(Path(hubbub.__file__).parent)
COMPREHENSIONS = {"<listcomp>", "<setcomp>", "<dictcomp>", "<genexpr>"}


class Calls:
    """Counts the calls of hubbub's functions on all threads that start while it watches."""

    def __init__(self) -> None:
        self.on = False
        self.made: Counter[str] = Counter()

    def note(self, frame: FrameType, event: str, _: object) -> None:
        code = frame.f_code
        if self.on and event == "call" and code.co_filename.startswith(SOURCE):
            if code.co_name not in COMPREHENSIONS:
                self.made[f"{code.co_filename.removeprefix(SOURCE)[1:-3]}.{code.co_qualname}"] += 1

    @contextmanager
    def watching(self) -> Iterator[None]:
        before = sys.getprofile()
        threading.setprofile(self.note)
        sys.setprofile(self.note)
        try:
            yield
        finally:
            sys.setprofile(before)
            threading.setprofile(None)


async def irc(serving: Serving, nick: str) -> Client:
    client = await serving.connect()
    client.send(f"NICK {nick}\r\nUSER {nick} 0 * :{nick}\r\nJOIN #lobby\r\nPING in\r\n".encode())
    await client.skips_to(b"PONG")
    return client


@pytest.mark.parametrize(
    ("line", "most"), [(b"hello to all\n", 70), (b"PRIVMSG #lobby :hello to all\r\n", 83)], ids=["nc", "irc"]
)
async def test_calls_of_a_line(tmp_path: Path, line: bytes, most: int) -> None:
    calls = Calls()
    with calls.watching():
        async with housing(tmp_path, no_limits=True) as serving, aiohttp.ClientSession() as http:
            al, bo = await serving.join("Al"), await serving.join("Bo")
            ida = await irc(serving, "Ida")
            async with http.ws_connect(f"http://127.0.0.1:{serving.port}/ws") as web:
                await web.send_json({"type": "hello", "name": "Cy"})
                await web_sees(web, "joined")
                author, others = (ida, (al, bo)) if line.startswith(b"PRIVMSG") else (al, (bo, ida))
                # The first lines fill caches, and on a busy machine a timer may end during one of them.
                counts = []
                for _ in range(4):
                    calls.made = Counter()
                    counts.append(calls.made)
                    calls.on = True
                    author.send(line)
                    for other in others:
                        await other.skips_to(b"hello to all")
                    await web_sees(web, "message")
                    await until(lambda: not serving.house.hub.pipeline._in_flight)
                    await asyncio.sleep(0)
                    calls.on = False
    made = min(counts, key=Counter.total)
    assert made.total() <= most, "\n".join(f"{count:3} {name}" for name, count in sorted(made.items()))


async def web_sees(web: Any, kind: str) -> None:
    async for message in web:
        if message.json().get("type") == kind or any(e.get("kind") == kind for e in message.json().get("entries", [])):
            return
