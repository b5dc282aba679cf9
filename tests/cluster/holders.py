"""One name that somebody on every node wants, again and again, and the judge: nobody has it while another has."""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections.abc import Collection
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from crowd import Node

NAME = "zed"
PATIENCE = 120.0  # seconds until he is told whether he has it: that a dead node has it no more is sure after ten
HOLD = 0.8  # seconds for which he keeps it, at most
AGAIN = 0.1  # seconds until he asks again


class Span(NamedTuple):
    """When somebody had the name: from when he was told so, until he left, or was told that he has it no more."""

    start: float
    end: float
    node: int


class Holder:
    """Somebody on one node who wants the name; he comes in with it, or takes it when he is in.

    While his node says that the chat cannot be reached he has nothing: it speaks for nobody then, and others may
    take his name.
    """

    def __init__(self, number: int, node: Node) -> None:
        self._number = number
        self._node = node
        self._random = random.Random(number)
        self._since: float | None = None
        self.spans: list[Span] = []
        self.refused = 0
        self._task = asyncio.create_task(self._live())

    async def _live(self) -> None:
        while True:
            with contextlib.suppress(OSError, asyncio.IncompleteReadError, TimeoutError):
                await self._stay()
            self._lose()
            await asyncio.sleep(AGAIN)

    async def _stay(self) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", self._node.port)
        try:
            async with asyncio.timeout(PATIENCE):
                if not await self._gets_it(reader, writer):
                    self.refused += 1
                    return
            self._since = time.monotonic()
            left = self._since + self._random.uniform(0, HOLD)
            while self._since is None or time.monotonic() < left:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(0.1):
                        if not self._hears((await reader.readuntil()).decode()):
                            return
        finally:
            self._lose()  # before his node may know
            writer.close()

    async def _gets_it(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        await reader.readuntil(b"name: ")
        come = (f"{NAME}\n/time\n", f"h{self._number}\n/nick {NAME}\n")
        writer.write(self._random.choice(come).encode())
        while told := (await reader.readuntil()).decode():
            if "is taken" in told or "again in a while" in told:
                return False
            if told.startswith(("*** 2", f"*** You are {NAME} now")):
                return True
        return False

    def _hears(self, line: str) -> bool:
        """Note what a line says of the name; return whether he still has it, or may have it again."""
        if "cannot be reached right now" in line:
            self._lose()
        elif line.startswith("*** The chat is back"):
            self._since = time.monotonic()
        return f"The name {NAME} was taken" not in line

    def _lose(self) -> None:
        if self._since is not None:
            ended = self._node.ended or time.monotonic()  # who was on a node that ended had it no longer than that
            self.spans.append(Span(self._since, max(self._since, min(ended, time.monotonic())), self._number))
            self._since = None

    async def end(self) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)


def judge(spans: Collection[Span]) -> None:
    """See that nobody had the name while another had it."""
    before = Span(0.0, 0.0, -1)
    for span in sorted(spans):
        assert span.start >= before.end, f"two have the name for {before.end - span.start:.3f} s: {before}, {span}"
        before = max(before, span, key=lambda one: one.end)
    assert len({span.node for span in spans}) > 1, "the name never changed hands"
