"""The broker of one machine: an SQLite file, a thread that writes it, and two that read.

The disk is never touched on the loop's thread. The writer takes a batch, commits it, and hands it back by one
call on the loop; the hub gathers the next batch meanwhile, so batches grow with the load and nobody waits for
a timer.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import logging
import os
import queue
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hubbub.brokers.base import Committed, Failed
from hubbub.brokers.keep import Keep
from hubbub.brokers.store import Store
from hubbub.core.model import AllRooms, Draft, Query, RoomState
from hubbub.errors import BrokerError, SettingsError, reason
from hubbub.files import is_open_to_others, make_folder

if TYPE_CHECKING:
    from hubbub.core.hub import Hub

log = logging.getLogger(__name__)

READERS = 2  # so that a long search does not hold up who joins
PAUSE = 0.2  # seconds without a batch, after which the text index is fed
REPEAT = 10.0  # seconds between two lines on the console about a disk that fails
INDEX_STEP = 2_000  # entries that are indexed at once: a few milliseconds that a batch may have to wait
INDEX_LAG = 20_000  # entries; further behind, the index is fed between batches too
TRIM_STEP = 100  # entries that are forgotten at once: a few milliseconds likewise
TRIM_EVERY = 60.0  # seconds without a batch after which is looked what has become too old

Job = Callable[[Store], None]


class SqliteBroker:
    """Keeps everything in a folder that no other server uses.

    Args:
        folder: made if it does not exist.
        clock: returns epoch seconds.
        keep: how much is kept.

    """

    def __init__(self, folder: Path, clock: Callable[[], float], keep: Keep | None = None) -> None:
        self._folder = folder
        self.gathers = False
        self.secret = b""
        self.log_id = ""
        self._clock = clock
        self._keep = keep or Keep()
        self._batches: queue.SimpleQueue[Sequence[Draft] | Job | None] = queue.SimpleQueue()
        self._questions: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._quiet_until = 0.0  # on the loop's clock
        self._threads: list[threading.Thread] = []

    async def connect(self) -> None:
        """Nothing is elsewhere."""

    async def meet(self, hub: Hub) -> None:
        """Nobody is elsewhere."""

    def start(self, committed: Committed, failed: Failed) -> None:
        """Open the file and begin to work for the running loop.

        Raises:
            SettingsError: the folder cannot be written, or another server uses it.

        """
        self._loop = asyncio.get_running_loop()
        self._committed = committed
        self._failed = failed
        self._lock = lock(self._folder)
        with contextlib.ExitStack() as undo:
            undo.callback(os.close, self._lock)
            self._store = Store(self._folder, write=True)
            self.log_id = self._store.log_id
            undo.callback(self._store.close)
            readers = [Store(self._folder) for _ in range(READERS)]
            undo.pop_all()
        if is_open_to_others(self._folder):
            log.warning("Other users of this machine may enter the data folder %s: chmod 700 closes it", self._folder)
        self._spawn(self._write)
        for store in readers:
            self._spawn(self._answer, store)

    def figures(self) -> Mapping[str, tuple[str, float]]:
        """Nothing besides."""
        return {}

    async def give_up(self) -> None:
        """Do nothing: everything has its outcome soon."""

    async def stop(self, deadline: float) -> None:
        """Commit what was published, and close the file; after `deadline` seconds leave both to the system."""
        writer, *readers = self._threads
        end = self._loop.time() + deadline
        for _ in readers:
            self._questions.put(None)
        await _join(readers, end)  # first: the last one to close puts all into one file, and it must be able to write
        self._batches.put(None)
        await _join([writer], end)
        await asyncio.sleep(0)  # the last outcome is handed over by a call that is waiting
        os.close(self._lock)

    def publish(self, drafts: Sequence[Draft]) -> None:
        """Store drafts in one transaction."""
        self._batches.put(drafts)

    def open(self, room: str, latest: int, done: Callable[[RoomState | BrokerError], None]) -> None:
        """Start to follow a room: all of it passes through here, so there is nothing to subscribe to."""
        self._ask(lambda store: store.state(room, latest), done)

    def close(self, room: str) -> None:
        """Follow a room no more."""

    def read(self, query: Query | AllRooms, done: Callable[[Any], None]) -> None:
        """Answer a query from a thread that reads."""
        self._ask(lambda store: store.answer(query), done)

    def probe(self, done: Callable[[BrokerError | None], None]) -> None:
        """Commit something that is no entry, after what is waiting."""
        self._ask(lambda store: store.probe(self._clock()), done, self._batches)

    def _ask(
        self, question: Callable[[Store], Any], done: Callable[[Any], None], where: queue.SimpleQueue[Any] | None = None
    ) -> None:
        def job(store: Store) -> None:
            try:
                result = question(store)
            except BrokerError as error:
                log.warning("a question could not be answered: %s (%s)", error, error.__cause__)
                result = error
            except Exception:
                log.exception("a question could not be answered")
                result = BrokerError("the server made a mistake")
            self._tell(done, result)

        (where or self._questions).put(job)

    def _tell(self, callback: Callable[..., None], *values: object) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits for it any more
            self._loop.call_soon_threadsafe(callback, *values)

    def _spawn(self, target: Callable[..., None], *values: object) -> None:
        # Daemons: a disk that does not answer must not keep the process from ending.
        thread = threading.Thread(target=target, args=values, name="hubbub-sqlite", daemon=True)
        self._threads.append(thread)
        thread.start()

    def _write(self) -> None:
        store = self._store
        lag = INDEX_LAG  # entries that the text index may lack; unknown at first
        added = 0  # entries since something was forgotten
        idle = TRIM_EVERY if self._keep else None
        while True:
            try:
                batch = self._batches.get(timeout=PAUSE if lag else idle)
            except queue.Empty:
                while (more := self._index_some(store)) and self._batches.empty():
                    pass
                lag = lag if more else 0
                while self._trim_some(store) and self._batches.empty():
                    pass
                continue
            if batch is None:
                break
            if callable(batch):
                batch(store)
                continue
            self._store_batch(store, batch)
            lag += len(batch)
            added += len(batch)
            if lag > 2 * INDEX_LAG and not self._index_some(store):
                lag = 0
            if added > TRIM_STEP // 2:  # twice as fast as it grows
                added = max(0, added - TRIM_STEP // 2)
                self._trim_some(store)
        store.close()

    def _trim_some(self, store: Store) -> bool:
        try:
            return bool(self._keep) and store.trim_some(self._keep, self._clock(), TRIM_STEP)
        except Exception:  # the log must go on
            log.exception("the oldest entries could not be forgotten")
            return False

    def _index_some(self, store: Store) -> bool:
        try:
            return store.index_some(INDEX_STEP)
        except Exception:  # searching does without the index; the log must go on
            log.exception("the text index could not be fed")
            return False

    def _store_batch(self, store: Store, batch: Sequence[Draft]) -> None:
        try:
            self._tell(self._committed, store.append(batch, self._clock()))
        except BrokerError as error:
            now = self._loop.time()
            if now >= self._quiet_until:
                self._quiet_until = now + REPEAT
                log.error("%d entries could not be stored: %s (%s)", len(batch), error, error.__cause__)
            self._tell(self._failed, batch, str(error), True)
        except Exception:  # a bug must not end this thread: everybody would wait for ever
            log.exception("a batch of %d could not be stored", len(batch))
            self._tell(self._failed, batch, "the server made a mistake", True)

    def _answer(self, store: Store) -> None:
        while (job := self._questions.get()) is not None:
            job(store)
        store.close()


async def _join(threads: list[threading.Thread], end: float) -> None:
    loop = asyncio.get_running_loop()
    while any(thread.is_alive() for thread in threads) and loop.time() < end:  # noqa: ASYNC110 - once
        await asyncio.sleep(0.005)


def lock(folder: Path) -> int:
    """Return a file descriptor that holds the folder for this process alone.

    Raises:
        SettingsError: it cannot be made, written or had.

    """
    try:
        make_folder(folder)
        held = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise SettingsError(f"The data folder {folder} cannot be written: {reason(error)}.") from None
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(held)
        raise SettingsError(f"The data folder {folder} is in use by another server.") from None
    return held
