"""What the tests of the ports share: drafts, a clock, and a probe that keeps what a log hands back."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from itertools import count
from typing import Any

from hubbub.chat.core import NoIndex
from hubbub.cluster.nats.broker import JetStreamBroker
from hubbub.model.entries import Draft, Entry, Kind
from hubbub.model.queries import OpenedRoom, Search
from hubbub.startup.brokers import Backend, alone, clustered
from hubbub.storage.memory import MemoryBroker
from hubbub.storage.sqlite.broker import SqliteBroker
from records import draft_of, text_in

SECONDS = 90.0  # until an effect that does not come is a failure

_numbers = count(1)


def draft(text: str = "hi", room: str = "lobby", kind: Kind = Kind.MESSAGE, nick: str = "Ann") -> Draft:
    return draft_of(room, kind, nick, text, f"test-{next(_numbers)}")


def said(*texts: str, room: str = "lobby") -> list[Draft]:
    return [draft(text, room) for text in texts]


def texts(entries: Sequence[Entry]) -> list[str]:
    return [text_in(entry) for entry in entries]


class SetClock:
    """Shows the time that it was set to."""

    def __init__(self, now: float = 1_000_000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


class Probe:
    """A log with all that belongs to it, and all that it handed back, in order.

    `inside` is true while the test calls a port: a callback that comes then is noted as early.
    """

    def __init__(self, backend: Backend | MemoryBroker | SqliteBroker | JetStreamBroker, clock: SetClock) -> None:
        if isinstance(backend, JetStreamBroker):
            backend = clustered(backend, None)
        elif not isinstance(backend, Backend):
            backend = alone(backend)
        self.broker = backend.log
        self.index: Any = backend.index or NoIndex(asyncio.get_running_loop())
        self.key_values = backend.key_values
        self.cluster = backend.cluster
        self.clock = clock
        self.entries: list[Entry] = []
        self.failed: list[Draft] = []
        self.unsure: list[Draft] = []  # of those that failed, which may be stored all the same
        self.reasons: list[str] = []
        self.batches: list[list[Entry]] = []
        self.inside = False
        self.early = 0
        self._news = asyncio.Event()
        self._stopped = False

    def start(self) -> None:
        self.broker.start(self._committed, self._failed)
        self.cluster.start()

    async def stop(self, deadline: float = SECONDS) -> None:
        if not self._stopped:
            self._stopped = True
            await self.broker.stop(deadline)
            await self.cluster.leave()

    def _arrived(self) -> None:
        self.early += self.inside
        self._news.set()

    def _committed(self, entries: Sequence[Entry]) -> None:
        self._arrived()
        self.batches.append(list(entries))
        self.entries += entries

    def _failed(self, drafts: Sequence[Draft], reason: str, sure: bool = True) -> None:
        self._arrived()
        self.failed += drafts
        self.unsure += [] if sure else drafts
        self.reasons.append(reason)

    def _call(self, method: Callable[..., None], *values: Any) -> None:
        self.inside = True
        try:
            method(*values)
        finally:
            self.inside = False

    def publish(self, drafts: Sequence[Draft]) -> None:
        self._call(self.broker.publish, drafts)

    async def until(self, reached: Callable[[], bool]) -> None:
        async with asyncio.timeout(SECONDS):
            while not reached():
                self._news.clear()
                await self._news.wait()

    async def commit(self, *drafts: Draft) -> list[Entry]:
        """Publish drafts in one batch, and return their entries."""
        ids = [d.id for d in drafts]
        self.publish(drafts)
        await self.until(lambda: {entry.id for entry in self.entries}.issuperset(ids))
        by_id = {entry.id: entry for entry in self.entries}
        return [by_id[id] for id in ids]

    async def say(self, *words: str, room: str = "lobby") -> list[Entry]:
        return await self.commit(*said(*words, room=room))

    def asking(self, method: Callable[..., None], *values: Any) -> list[Any]:
        """Ask the broker something, and return the list that will hold its answer."""
        answers: list[Any] = []

        def done(result: Any) -> None:
            self._arrived()
            answers.append(result)

        self._call(method, *values, done)
        return answers

    def way(self, query: Any) -> Callable[..., None]:
        """Return the method of the port that answers a query."""
        return self.index.search if isinstance(query, Search) else self.broker.read  # type: ignore[no-any-return]

    async def read(self, query: Any) -> Any:
        answers = self.asking(self.way(query), query)
        await self.until(lambda: bool(answers))
        return answers[0]

    async def open(self, room: str, latest: int = 20) -> OpenedRoom:
        answers = self.asking(self.broker.open, room, latest)
        await self.until(lambda: bool(answers))
        assert isinstance(answers[0], OpenedRoom)
        return answers[0]


# --- what a search finds: messages, and which of them hold all the words --------------------------------------

MESSAGES = (
    "The cat sat on the mat",
    "Concatenate the files",
    "CAT pictures",
    "Grüße aus München",
    "100% sure",
    "a_b and c",
    'she said "hello" twice',
    "NOT a drill OR fire AND smoke NEAR me",
    "日本語を話します",
    "grün 世界",
    "it's so, they don't",
    "release 🎉 party",
    "a?b=c in C++ -> x != y",
    "Größe und Straße: 5 €",
    "pages of cafés…",
    "I ❤️ हिन्दी",
)
FOUND = (
    ("cat", [0, 2]),
    ("CAT", [0, 2]),
    ("cat mat", [0]),
    ("mat the CAT", [0]),
    ("cat dog", []),
    ("concat", []),
    ("MÜNCHEN", [3]),
    ("grüße münchen", [3]),
    ("100%", [4]),
    ("c%t", []),
    ("c_t", []),
    ("a_b", [5]),
    ("con*", [1]),
    ("cat*", [0, 2]),
    ("text:cat", []),
    ("cat OR mat", []),
    ("cat NOT mat", []),
    ("AND", [5, 7]),
    ("or", [7]),
    ("NEAR", [7]),
    ('"hello"', [6]),
    ('hello"', [6]),
    ("don't", [10]),
    ("日本", [8]),
    ("本語 話", [8]),
    ("日%語", []),
    ("日_語", []),
    ("世界 grün", [9]),
    ("GRÜN 世界", [9]),
    ("rün 世界", []),
    ("🎉", [11]),
    ("party 🎊", []),
    ("party 🎉", [11]),
    ("->", [12]),
    ("!=", [12]),
    ("C++", [12]),
    ("c+", [12]),
    ("b=c", [12]),
    ("?", [12]),
    ("€", [13]),
    ("GRÖSSE", [13]),
    ("grosse strasse", [13]),
    ("STRASSE", [13]),
    ("page", []),
    ("page*", [14]),
    ("pag* caf*", [14]),
    ("cafe", []),
    ("cafes…", [14]),
    ("…", [14]),
    ("❤", [15]),
    ("हिन्दी", [15]),
    ("हिन", []),
    ("they don’t", [10]),
    ("\0", []),
    ("ca\0t", []),
    ("cat\0", []),
)
ODD = ("", " ", '"', '""', "*", "--", "NEAR(", "(cat", "^", "{a b}:", "-", "\\", "%", "_", "'", "cat +")
