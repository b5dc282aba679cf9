"""The log of a single machine: an SQLite file, one thread that writes it, and several threads that read.

The loop's thread never touches the disk. The writer takes a batch, commits it, and returns the entries by one call on
the loop. The hub collects the next batch meanwhile, so batches grow with the load and no draft waits for a timer.
Searches have their own threads, so that joins and history requests do not wait for them.

A commit that the disk does not confirm may be in the file or not, and the system's cache of the file is not reliable
then. So the writer opens the file again, overwrites the last commit, and reads what is stored before it reports any
outcome. If that fails too, the server ends.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import logging
import os
import queue
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from hubbub.errors import BrokerError, Closed, SettingsError, reason
from hubbub.files import is_open_to_others, make_folder
from hubbub.model.entries import Draft, Entry
from hubbub.model.queries import AllRooms, LogQuery, OpenedRoom, Search
from hubbub.storage.key_value import Changed, KeyValueStore
from hubbub.storage.ports import Committed, Failed
from hubbub.storage.retention import Retention
from hubbub.storage.search_scheduler import SearchScheduler
from hubbub.storage.sqlite.key_value import Act, SqliteKeyValue
from hubbub.storage.sqlite.store import NotSynced, Store
from hubbub.storage.sqlite.turns import Turns
from hubbub.storage.sqlite.upkeep import checking
from hubbub.storage.sqlite.upkeep.ageing import Ageing, Forgetting

log = logging.getLogger(__name__)

READERS = 2  # reading threads; more than one, so that a long answer does not delay joins
SEARCHERS = 2  # searching threads
PAUSE = 0.2  # seconds without a batch, after which entries are indexed
REPEAT = 10.0  # seconds between two lines on the console about a failing disk
INDEX_STEP = 1_000  # entries that are indexed at once; a batch may wait a few milliseconds for it
INDEX_LAG = 20_000  # unindexed entries above which indexing also runs between batches
TRIM_STEP = 100  # entries that are deleted at once; a batch may wait a few milliseconds for it
TRIM_EVERY = 60.0  # seconds without a batch, after which the retention is checked
MARK_EVERY = 5.0  # maximum seconds between two syncs of the mark file under load
HOUR = 60 * 60.0
SYNC_TRIES = 10  # attempts to reopen the log after an unconfirmed commit
SYNC_PAUSE = 0.3  # seconds between two attempts
LOST_DISK = "the disk does not confirm what is written to it"

Job = Callable[[Store], None]


class SqliteBroker:
    """Stores the log in a folder that no other server uses.

    Args:
        folder: the data folder; it is made if it does not exist.
        clock: returns epoch seconds.
        keep: the retention of the log.
        uptime: returns the seconds of a monotonic clock.

    """

    def __init__(
        self,
        folder: Path,
        clock: Callable[[], float],
        keep: Retention | None = None,
        uptime: Callable[[], float] = time.monotonic,
    ) -> None:
        self._folder = folder
        self.gathers = False
        self.log_id = ""
        self.health = ""
        self.broken: Callable[[str], None] = lambda reason: None
        self._clock = clock
        self._uptime = uptime
        self._keep = keep or Retention()
        self._batches: queue.SimpleQueue[Sequence[Draft] | Job | None] = queue.SimpleQueue()
        self._questions: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._searching: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._quiet_until = 0.0  # end of silence about a failing disk, on the loop's clock
        self._forgetting = Forgetting(self._keep)
        self._told_of = 0.0  # time of the entry that was last checked for a time in the future
        self._fault = ""  # the reason why nothing is stored any more
        self._marked = 0.0  # time of the last sync of the mark file, in seconds of `uptime`
        self._threads: list[threading.Thread] = []
        self.key_values: KeyValueStore = SqliteKeyValue(
            self._look_up, self._change, lambda seconds, *call: self._loop.call_later(seconds, *call)
        )

    def start(self, committed: Committed, failed: Failed) -> None:
        """Open the file, start the threads, and deliver outcomes on the running loop.

        Raises:
            SettingsError: the folder cannot be written, another server uses it, or the log cannot be opened.

        """
        self._loop = asyncio.get_running_loop()
        self._committed = committed
        self._failed = failed
        self._searches = SearchScheduler(self._search, SEARCHERS)
        self._lock = lock(self._folder)
        with contextlib.ExitStack() as undo:
            undo.callback(os.close, self._lock)
            self._turns = _turns(self._folder)
            undo.callback(self._turns.close)
            with self._turns:
                self._store = Store(self._folder, write=True)
            undo.callback(self._store.close)
            self.log_id = self._store.log_id
            self._ageing = Ageing(self._store.aged, self._clock(), self._uptime())
            readers = [Store(self._folder) for _ in range(READERS + SEARCHERS)]
            self._checked = Store(self._folder)
            undo.pop_all()
        self._warn()
        self._spawn(self._write)
        for number, store in enumerate(readers):
            self._spawn(self._answer, store, self._questions if number < READERS else self._searching)
        self._spawn(self._check)

    def _warn(self) -> None:
        """Log warnings about the log and its folder that do not prevent its use."""
        warnings = [checking.sqlite_warning(), self._future(self._clock())]
        if is_open_to_others(self._folder):
            folder = self._folder
            warnings.append(f"Other users of this machine may enter the data folder {folder}: chmod 700 closes it.")
        for text in filter(None, warnings):
            log.warning("%s", text)

    async def stop(self, deadline: float) -> None:
        """Commit the published drafts and close the file; stop waiting for that after `deadline` seconds."""
        writer, *readers = self._threads
        end = self._loop.time() + deadline
        for _ in range(READERS):
            self._questions.put(None)
        for _ in range(SEARCHERS):
            self._searching.put(None)
        self._checked.interrupt()
        # The readers close first: the last connection merges all into one file, so it must be the one that writes.
        await _join(readers, end)
        self._batches.put(None)
        await _join([writer], end)
        await asyncio.sleep(0)  # the last outcome is a waiting call of the loop
        os.close(self._lock)

    def publish(self, drafts: Sequence[Draft]) -> None:
        """Queue drafts for the writing thread, which stores them in one transaction."""
        self._batches.put(drafts)

    def open(self, room: str, latest: int, done: Callable[[OpenedRoom | BrokerError], None]) -> None:
        """Read the state of a room and call `done` with it; no subscription is needed, since all entries are local."""
        self._ask(lambda store: store.opened(room, latest), done, self._questions)

    def close(self, id: str) -> None:
        """Do nothing: `open` made no subscription."""

    def read(self, query: LogQuery | AllRooms, done: Callable[[Any], None]) -> None:
        """Answer a query in a reading thread; call `done` later with the result."""
        self._ask(lambda store: store.answer(query), done, self._questions)

    def search(self, query: Search, done: Callable[[Any], None]) -> None:
        """Search in a searching thread when the turn of the asker's address comes; call `done` later."""
        self._searches.ask(query, done)

    def _search(self, query: Search, done: Callable[[Any], None]) -> None:
        self._ask(lambda store: store.answer(query), done, self._searching)

    def probe(self, done: Callable[[BrokerError | None], None]) -> None:
        """Commit a mark that is no entry, after the waiting batches; call `done` with None or a BrokerError."""
        self._ask(self._try_to_commit, done, self._batches)

    def _try_to_commit(self, store: Store) -> None:
        if self._fault:
            raise BrokerError(self._fault)
        try:
            store.probe(self._clock())
        except NotSynced:
            self._recover(store)

    def _look_up(self, act: Act, done: Callable[[Any], None]) -> None:
        self._ask(lambda store: store.look_up(act), done, self._questions)

    def _change(self, act: Act, done: Callable[[Any], None]) -> None:
        self._ask(lambda store: self._try_to_change(store, act), done, self._batches)

    def _try_to_change(self, store: Store, act: Act) -> Any:
        if self._fault:
            raise BrokerError(self._fault)
        try:
            return store.change(act)
        except NotSynced:
            self._recover(store)
            raise

    def _ask(
        self, question: Callable[[Store], Any], done: Callable[[Any], None], where: queue.SimpleQueue[Any]
    ) -> None:
        def job(store: Store) -> None:
            try:
                result = question(store)
            except BrokerError as error:
                if not isinstance(error, Closed | Changed):
                    log.warning("a query failed: %s (%s)", error, error.__cause__)
                result = error
            except Exception:
                log.exception("a query failed")
                result = BrokerError("the server has an internal error")
            if store.damage:
                self._tell(self._report_damage, store.damage)
            self._tell(done, result)

        where.put(job)

    def _report_damage(self, damage: str) -> None:
        """Report damage of the log, on the loop's thread: in `health`, and once on the console."""
        if not self.health:
            self.health = "the log is damaged; hubbub check says more"
            log.error(
                "The log is damaged: %s. Run hubbub check for details, and hubbub export --salvage to save the rest",
                damage,
            )

    def _tell(self, callback: Callable[..., None], *values: object) -> None:
        try:
            self._loop.call_soon_threadsafe(callback, *values)
        except RuntimeError:
            pass  # the loop is closed, and no caller waits any more

    def _spawn(self, target: Callable[..., None], *values: object) -> None:
        # Daemon threads, because a disk that does not answer must not keep the process from ending.
        thread = threading.Thread(target=target, args=values, name="hubbub-sqlite", daemon=True)
        self._threads.append(thread)
        thread.start()

    # --- threads that read ------------------------------------------------------------------------------------------

    def _answer(self, store: Store, questions: queue.SimpleQueue[Job | None]) -> None:
        while (job := questions.get()) is not None:
            job(store)
        store.close()

    def _check(self) -> None:
        """Check the file's pages once, with the lowest priority (nice 19)."""
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), 19)
        if fault := self._checked.quick_check():
            self._tell(self._report_damage, fault)
        self._checked.close()

    # --- the thread that writes -------------------------------------------------------------------------------------

    def _write(self) -> None:
        store = self._store
        lag = INDEX_LAG  # entries that the text index may lack; unknown at the start
        added = 0  # stored entries that are not matched by trimming yet
        self._marked = self._uptime()
        while True:
            try:
                batch = self._batches.get(timeout=PAUSE if lag or store.is_ahead_of_mark else TRIM_EVERY)
            except queue.Empty:
                lag = lag if self._use_pause(store) else 0
                continue
            if batch is None:
                break
            if callable(batch):
                with self._turns:
                    batch(store)
                continue
            with self._turns:
                self._store_batch(store, batch)
            if self._uptime() - self._marked >= MARK_EVERY:
                self._mark(store)
            lag += len(batch)
            added += len(batch)
            if lag > 2 * INDEX_LAG and not self._index_some(store):
                lag = 0
            if added > TRIM_STEP // 2:  # trims twice as fast as the log grows
                added = max(0, added - TRIM_STEP // 2)
                self._trim_some(store)
        self._mark(store)
        with self._turns:
            store.close()
        self._turns.close()

    def _use_pause(self, store: Store) -> bool:
        """Index, trim and mark while no batch waits; return whether entries are left that are not indexed."""
        while (left := self._index_some(store)) and self._batches.empty():
            pass
        while self._trim_some(store) and self._batches.empty():
            pass
        if store.is_ahead_of_mark or self._uptime() - self._marked >= HOUR:
            self._mark(store)
        return left

    def _mark(self, store: Store) -> None:
        """Advance the log's time, and sync the mark file with it."""
        self._marked = self._uptime()
        self._ageing.advance(self._clock(), self._marked)
        store.sync_mark(self._ageing.time)

    def _trim_some(self, store: Store) -> bool:
        clock = self._clock()
        try:
            with self._turns:
                more = store.trim_some(self._keep, self._ageing.advance(clock, self._uptime()), TRIM_STEP, clock)
        except Exception:  # the log must go on
            log.exception("the oldest entries could not be deleted")
            return False
        self._forgetting.tell(store.forgotten, more, clock, self._ageing.time)
        return more

    def _index_some(self, store: Store) -> bool:
        try:
            with self._turns:
                return store.index_some(INDEX_STEP)
        except Exception:  # searches work without the index; the log must go on
            log.exception("the text index could not be updated")
            return False

    def _store_batch(self, store: Store, batch: Sequence[Draft]) -> None:
        if self._fault:
            self._tell(self._failed, batch, self._fault, True)
            return
        clock = self._clock()
        if store.newest > clock and (text := self._future(clock)):
            log.warning("%s", text)
        try:
            self._tell(self._committed, store.append(batch, clock))
        except NotSynced as error:
            self._find_out(store, batch, error)
        except BrokerError as error:
            self._complain(len(batch), error)
            self._tell(self._failed, batch, str(error), True)
        except Exception:  # a bug must not end this thread, on which all users wait
            log.exception("a batch of %d could not be stored", len(batch))
            self._tell(self._failed, batch, "the server has an internal error", True)

    def _future(self, clock: float) -> str:
        """Return a warning if the newest entry has a time in the future; only once for each newest entry."""
        newest = self._store.newest
        if newest == self._told_of:
            return ""
        self._told_of = newest
        return checking.future_warning(newest, clock)

    def _complain(self, count: int, error: BrokerError) -> None:
        now = self._loop.time()
        if now >= self._quiet_until:
            self._quiet_until = now + REPEAT
            log.error("%d entries could not be stored: %s (%s)", count, error, error.__cause__)

    def _find_out(self, store: Store, batch: Sequence[Draft], error: BrokerError) -> None:
        """Find out and report the outcome of a batch that the disk did not confirm."""
        self._complain(len(batch), error)
        try:
            there = self._recover(store, batch)
        except BrokerError:
            self._tell(self._failed, batch, LOST_DISK, False)
            return
        if there:
            self._tell(self._committed, there)
        else:
            self._tell(self._failed, batch, str(error), True)

    def _recover(self, store: Store, batch: Sequence[Draft] = ()) -> list[Entry]:
        """Open the file again, and return the entries of a batch that are stored.

        Raises:
            BrokerError: the disk still confirms nothing after SYNC_TRIES attempts, so the server ends.

        """
        for attempt in range(SYNC_TRIES):
            time.sleep(SYNC_PAUSE if attempt else 0)
            try:
                store.reopen()
                return store.stored(batch)
            except BrokerError as error:
                cause = error.__cause__
        log.critical("The disk does not confirm writes to the log: %s", cause)
        self._fault = self.health = LOST_DISK
        self._tell(self.broken, LOST_DISK)
        raise BrokerError(LOST_DISK)


async def _join(threads: list[threading.Thread], end: float) -> None:
    loop = asyncio.get_running_loop()
    while any(thread.is_alive() for thread in threads) and loop.time() < end:  # noqa: ASYNC110 - once
        await asyncio.sleep(0.005)


def _turns(folder: Path) -> Turns:
    """Return the lock of whoever writes. Raises SettingsError."""
    try:
        return Turns(folder)
    except OSError as error:
        raise SettingsError(f"The data folder {folder} cannot be written: {reason(error)}.") from None


def lock(folder: Path) -> int:
    """Make a folder if needed, lock it for this process, and return the file descriptor that holds the lock.

    Raises:
        SettingsError: the folder cannot be made or written, or another process has the lock.

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
