"""People at the WebSocket of a cluster, who go on elsewhere where they were, and know what became of each message.

They are the strictest judges: over all their connections they must have seen the whole log from their first join on,
each entry once and in its order, and of each message of theirs the log must hold what they were told about it.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator, Iterable
from itertools import pairwise
from typing import Any

from crowd import PATIENCE, Crowd, Node, entries_of, pace
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import WebSocketException

from hubbub.model.entries import SAID, Entry
from records import text_in

WAITING, STORED, NOT_STORED, NOT_CONFIRMED = "waiting", "stored", "not-stored", "not-confirmed"
AGAIN = frozenset({"name-taken", "broker", "not-stored", "not-confirmed"})  # of a hello: it may be said again


class Page:
    """Somebody at the WebSocket of one of some nodes; when it ends he goes on at the next.

    Args:
        name: his name, and how his messages begin.
        nodes: where he goes, in turn.
        rate: messages a second.
        filler: what follows the number of each message.

    """

    def __init__(self, name: str, nodes: list[Node], rate: float = 0.0, filler: str = "") -> None:
        self.name, self.nodes, self.rate, self.filler = name, nodes, rate, filler
        self.stopped = False
        self.first = 0  # the number at which he came in first
        self.seen: list[dict[str, Any]] = []  # entries of the lobby, over all his connections
        self.fates: dict[str, str] = {}  # by label
        self.numbers: dict[str, int] = {}  # of what he was told is stored, by label
        self.reasons: set[str] = set()  # why something was not, in words
        self.notices: list[str] = []
        self.stays = 0  # connections on which he came in
        self.said_again = 0
        self.stays_at: Node | None = None
        self._number = 0
        self._tag = ""  # of his session
        self._tags: dict[str, str] = {}  # of the session in which something was said last, by label
        self._socket: ClientConnection | None = None
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> Page:
        self._tasks = [asyncio.create_task(self._live()), asyncio.create_task(self._talk())]
        return self

    async def here(self) -> None:
        async with asyncio.timeout(PATIENCE):
            while self._socket is None:  # noqa: ASYNC110 - the event would be one more thing to keep right
                await asyncio.sleep(0.01)

    async def end(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def told(self, stays: int = 1) -> None:
        """Wait until he came in so often, and knows what became of all that he said."""
        async with asyncio.timeout(PATIENCE):
            while self.stays < stays or self._socket is None or self.waiting:  # noqa: ASYNC110 - as above
                await asyncio.sleep(0.02)

    @property
    def waiting(self) -> list[str]:
        return [label for label, fate in self.fates.items() if fate == WAITING]

    @property
    def last(self) -> int:
        """The number of the newest entry that he has."""
        return self.seen[-1]["seq"] if self.seen else self.first

    # --- in and out -----------------------------------------------------------------------------------------------

    async def _live(self) -> None:
        turn = -1
        while True:
            turn += 1
            node = self.nodes[turn % len(self.nodes)]
            with contextlib.suppress(OSError, WebSocketException, TimeoutError):
                await self._stay(node)
            self._socket = self.stays_at = None
            await asyncio.sleep(0.1)

    async def _stay(self, node: Node) -> None:
        async with connect(f"ws://127.0.0.1:{node.port}/ws", open_timeout=5, close_timeout=0.5) as socket:
            hello: dict[str, Any] = {"type": "hello", "name": self.name}
            if self.first:
                hello["rooms"] = {"lobby": self.last}
            await socket.send(json.dumps(hello))
            tag, upto = "", 0
            async for data in socket:
                frame = json.loads(data)
                if self._socket is None and frame["type"] == "error" and frame.get("code") in AGAIN:
                    return
                if frame["type"] == "welcome":
                    tag = frame["tag"]
                elif frame["type"] == "joined":
                    upto = frame["seq"]
                    self.first = self.first or upto
                else:
                    self._take(frame)
                if self._socket is None and upto and self.last >= upto:
                    self._tag = tag
                    self.stays += 1
                    await self._say_again(socket)
                    self._socket, self.stays_at = socket, node

    def moves(self, node: Node) -> None:
        """Be cut off from the node where he is, without a word, and go to another one from now on."""
        assert self._socket
        self.nodes = [node]
        self._socket.transport.abort()

    def _take(self, frame: dict[str, Any]) -> None:
        match frame:
            case {"type": "entries", "entries": entries}:
                self.seen += entries
            case {"type": "stored", "label": label, "seq": number}:
                self.fates[label], self.numbers[label] = STORED, number
            case {"type": "error", "label": label, "code": code, "text": text} if label:
                self.fates[label] = code
                self.reasons.add(text)
            case {"type": "notice", "lines": lines}:
                self.notices += lines
            case {"type": "skipped"}:
                raise AssertionError(f"{self.name} was given less than all: {frame}")

    # --- saying ---------------------------------------------------------------------------------------------------

    async def _talk(self) -> None:
        async for _ in pace(self.rate):
            if self.stopped:
                return
            if self._socket:
                with contextlib.suppress(OSError, WebSocketException):
                    await self.says()

    async def says(self, count: int = 1) -> None:
        """Say something where he is."""
        assert self._socket
        for _ in range(count):
            self._number += 1
            await self._say(self._socket, f"m{self._number:06}")

    async def _say(self, socket: ClientConnection, label: str) -> None:
        self.fates[label], self._tags[label] = WAITING, self._tag
        text = f"{self.name}-{label}{self.filler}"
        await socket.send(json.dumps({"type": "say", "room": "lobby", "text": text, "label": label}))

    async def _say_again(self, socket: ClientConnection) -> None:
        """Do as docs/protocol.md says: what is not in the log by now never will be, and may be said again."""
        ids = {entry["id"]: entry["seq"] for entry in self.seen}
        for label in self.waiting:
            stored = [seq for id, seq in ids.items() if id.startswith(self._tags[label]) and id.endswith(f"-{label}")]
            if stored:
                self.fates[label], self.numbers[label] = STORED, stored[0]
            else:
                self.said_again += 1
                await self._say(socket, label)


@contextlib.asynccontextmanager
async def pages(made: Crowd, count: int, rate: float, filler: str = "") -> AsyncIterator[list[Page]]:
    """Start the nodes, and pages on all of them, which end with the block."""
    await made.nodes[0].start()
    await asyncio.gather(*(node.start() for node in made.nodes[1:]))
    found = []
    for number in range(count):
        turn = number % len(made.nodes)
        nodes = made.nodes[turn:] + made.nodes[:turn]
        found.append(Page(f"p{number}", nodes, rate / count, filler).start())
    try:
        await asyncio.gather(*(page.here() for page in found))
        yield found
    finally:
        await asyncio.gather(*(page.end() for page in found))


async def settle(url: str, pages: Iterable[Page]) -> list[Entry]:
    """Stop talking; wait until all have the end of the log and know what became of theirs; return it, judged."""
    pages = list(pages)
    for page in pages:
        page.stopped = True
    end = time.monotonic() + PATIENCE
    length = -1
    while True:
        log = await entries_of(url)
        behind = [page.name for page in pages if page.waiting or page.last < log[-1].seq]
        if not behind and len(log) == length:
            break
        length = len(log)
        assert time.monotonic() < end, f"these do not have the end: {[(p.name, len(p.waiting), p.last) for p in pages]}"
        await asyncio.sleep(1.0)
    for page in pages:
        judge(log, page)
    return log


def judge(log: list[Entry], page: Page) -> None:
    """Compare what somebody saw, and what he was told about his own messages, with the log."""
    shown = [entry["seq"] for entry in page.seen]
    wrong = [(a, b) for a, b in pairwise(shown) if a >= b]
    assert not wrong, f"{page.name} saw these twice, or out of order: {wrong[:5]}"
    want = [(e.seq, e.nick, text_in(e)) for e in log if e.seq > page.first and e.kind in SAID]
    have = [(e["seq"], e["nick"], e["text"]) for e in page.seen if e["kind"] in ("message", "action", "notice")]
    have = [one for one in have if one[0] > page.first]
    missed, extra = sorted(set(want) - set(have)), sorted(set(have) - set(want))
    assert not missed, f"{page.name} missed {len(missed)} of {len(want)}: {missed[:3]}"
    assert not extra, f"{page.name} saw {len(extra)} that are not in the log: {extra[:3]}"

    places: dict[str, list[int]] = {}
    for entry in log:
        if entry.nick == page.name and entry.kind in SAID:
            places.setdefault(entry.id.rpartition("-")[2], []).append(entry.seq)
    doubled = {label: found for label, found in places.items() if len(found) > 1}
    assert not doubled, f"{page.name} is in the log twice with {list(doubled.items())[:3]}"
    for label, fate in page.fates.items():
        found = places.get(label, [])
        if fate == STORED:
            assert found == [page.numbers[label]], f"{page.name} was told that {label} is stored: {found}"
        elif fate == NOT_STORED:
            assert not found, f"{page.name} was told that {label} is not stored, and it is: {found}"
        else:
            assert fate == NOT_CONFIRMED, f"{page.name} was told {fate} about {label}"
