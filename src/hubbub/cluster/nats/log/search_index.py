"""A copy of the log for searches: NATS has no search, so each node mirrors the stream in an SQLite store.

The copy can be deleted while the node is stopped, and is then made again. A thread of its own reads and writes it.
"""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from pathlib import Path
from typing import TypeVar

from msgspec.structs import replace

from hubbub.cluster.nats import streams
from hubbub.cluster.nats.link.connection import NatsConnection
from hubbub.cluster.nats.link.messages import NatsMessage
from hubbub.cluster.nats.log.batches import STEP, decode, entries
from hubbub.cluster.nats.log.replica_store import ReplicaStore
from hubbub.errors import BrokerError, HubbubError, SettingsError
from hubbub.files import write_file_durably
from hubbub.model.entries import HISTORY
from hubbub.model.queries import LogPage, Search
from hubbub.storage.sqlite.broker import lock
from hubbub.storage.sqlite.schema import FILE

log = logging.getLogger(__name__)

EVERY = 1.0  # seconds between two reads of new messages
PATIENCE = 2.0  # seconds that a search waits for the newest messages
MERGES = 50  # steps of a merge of the text index between two reads of new messages
INDEXED = 4_000  # entries that are put into the text index at once; a search reads newer ones directly

FORM = 2  # of the copy; one in an older form is made again

T = TypeVar("T")


class SearchIndex:
    """A searchable copy of the stream.

    Args:
        link: the connection to the NATS servers.
        folder: the folder of its file.

    """

    def __init__(self, link: NatsConnection, folder: Path) -> None:
        self._link = link
        self._folder = folder
        self._thread = ThreadPoolExecutor(1, "hubbub-projection")
        self._lock = asyncio.Lock()
        self._store: ReplicaStore | None = None
        self._held: int | None = None  # file descriptor of the folder's lock
        self._fresh = 0  # entries that may not be in the text index
        self.upto = 0  # number of the last message in the copy
        self.last = 0  # number of the stream's last message at the last sync

    def begin(self) -> None:
        """Lock the folder for this process. Raises SettingsError if another process has it or it cannot be written."""
        self._held = lock(self._folder)

    async def run(self) -> None:
        """Read new messages every EVERY seconds, and erase redacted texts, until the task is cancelled."""
        while True:
            try:
                await self.sync()
                await self.erase()
            except HubbubError as error:
                log.debug("the projection waits: %s", error)
            await asyncio.sleep(EVERY)

    async def close(self) -> None:
        """Close the file after the thread has finished its work, and unlock the folder."""
        await self._do(self._shut)
        self._thread.shutdown(wait=False)
        if self._held is not None:
            os.close(self._held)
            self._held = None

    async def sync(self) -> None:
        """Copy all new messages of the stream. Raises BrokerError."""
        async with self._lock:
            info = await self._link.ask(f"STREAM.INFO.{streams.LOG}")
            state = info["state"]
            self.last = int(state["last_seq"] if state["messages"] else 0)
            if self._store is None or self.upto > int(state["last_seq"]):
                created = str(info["created"])
                # The identity changes when the log loses its end, so the copy is then made again.
                origin = f"{FORM} {created} {await streams.log_id(self._link, created)}"
                await self._do(lambda: self._open(origin, self.last))
            # Retention may have deleted messages since the last sync. They must not be found any more.
            await self._do(lambda: self._forget(int(state["first_seq"])))
            # While there is nothing to copy, there is time to index even a few entries.
            if self.upto >= self.last:
                await self._do(lambda: self._index(1))
                return
            async with aclosing(
                streams.forward(self._link, streams.LOG, f"{streams.ROOM}*", self.upto + 1, self.last)
            ) as pages:
                async for page in pages:
                    await self._do(lambda page=page: self._take(page))  # type: ignore[misc]
                    if self.upto >= self.last:
                        break

    async def erase(self) -> None:
        """Remove redacted texts from the file by at most MERGES steps; a search waits for one step at most."""
        for _ in range(MERGES):
            if not await self._do(self._merge):
                break

    async def search(self, query: Search) -> LogPage:
        """Return the messages that match, including the newest ones. Raises BrokerError."""
        try:
            async with asyncio.timeout(PATIENCE):
                await self.sync()
        except SettingsError as error:
            raise BrokerError("the index cannot be used right now") from error
        except TimeoutError:
            done = 100 * self.upto // max(self.last, 1)
            raise BrokerError(f"the index is being built: it has {done} % of the log") from None
        store = self._store
        assert store is not None
        return await self._do(lambda: store.answer(query))

    async def as_changed(self, page: LogPage) -> LogPage:
        """Return a page of the stream with the corrections and reactions that the copy has: the stream keeps the texts.

        Entries that are not in the copy yet remain as they are.
        """
        store = self._store
        if store is None or not any(isinstance(entry.body, HISTORY) for entry in page.entries):
            return page
        return replace(page, entries=await self._do(lambda: store.as_changed(page.entries)))

    async def _do(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    def _open(self, origin: str, last: int) -> None:
        """Open the file; make a new one if it belongs to another log or has messages that the stream lacks."""
        # The file of an older log must be closed before it is deleted.
        self._shut()
        mark = self._folder / "origin"
        store = ReplicaStore(self._folder, write=True)
        if not mark.exists() or mark.read_text() != origin or store.mirrored > last:
            store.close()
            for file in self._folder.glob(f"{FILE}*"):
                file.unlink()
            store = ReplicaStore(self._folder, write=True)
            # The mark is written last: after a crash before this line, the copy is made again.
            write_file_durably(mark, origin.encode())
        self._store, self.upto, self._fresh = store, store.mirrored, 1

    def _shut(self) -> None:
        if self._store:
            self._store.close()
            self._store = None

    def _forget(self, first: int) -> None:
        assert self._store is not None
        self._store.trim_before(first * STEP)

    def _take(self, page: list[NatsMessage]) -> None:
        store = self._store
        assert store is not None
        found = [
            (one.subject.removeprefix(streams.ROOM), list(entries("", one.number, 0, decode(*one.parts))))
            for one in page
        ]
        # The number of the page is committed together with its entries, so a crash neither skips nor doubles a page.
        store.mirror(found, page[-1].number)
        self._fresh += sum(len(said) for _, said in found)
        self._index(INDEXED)
        self.upto = page[-1].number

    def _merge(self) -> bool:
        return self._store is not None and self._store.merge_some(time.time())

    def _index(self, least: int) -> None:
        """Put new entries into the text index if there are at least `least` of them: each time costs a commit."""
        assert self._store is not None
        if self._fresh >= least:
            while self._store.index_some(INDEXED):
                pass
            self._fresh = 0
