"""Turns at writing: a server, and the commands that change accounts beside it, write to the log's file in turn.

SQLite's own locks would do, but its versions before 3.51.3 may lose a commit if one connection writes while another one
moves older commits from the write-ahead log into the file. So whoever writes has a lock of its own meanwhile.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from hubbub.errors import BrokerError
from hubbub.storage.sqlite.queries import sentence

FILE = "writing"
WAIT = 5.0  # seconds that a turn is waited for; SQLite's own locks decide after that
STEP = 0.002  # seconds between two attempts

T = TypeVar("T")


class Turns:
    """The lock of whoever writes, as a context.

    Args:
        folder: the folder of the log.

    Raises:
        OSError: the lock's file cannot be opened.

    """

    def __init__(self, folder: Path) -> None:
        self._file = os.open(folder / FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def __enter__(self) -> None:
        end = 0.0
        while True:
            try:
                fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            except OSError:
                end = end or time.monotonic() + WAIT
                if time.monotonic() >= end:
                    return
            time.sleep(STEP)

    def __exit__(self, *_: object) -> None:
        fcntl.flock(self._file, fcntl.LOCK_UN)

    def close(self) -> None:
        """Close the lock's file, which frees the lock."""
        os.close(self._file)


class Beside:
    """A connection that changes tables beside the log while a server writes the log.

    Args:
        folder: the folder of the log.
        file: the log.

    Raises:
        OSError: the lock's file cannot be opened.
        sqlite3.Error: the log cannot be opened.

    """

    def __init__(self, folder: Path, file: Path) -> None:
        self._turns = Turns(folder)
        with self._turns:
            uri = f"{file.absolute().as_uri()}?mode=rw"
            self._db = sqlite3.connect(uri, timeout=WAIT, isolation_level=None, uri=True)
            self._db.execute("PRAGMA synchronous = FULL")
            self._db.execute("PRAGMA wal_autocheckpoint = 0")  # that is the server's part

    def look_up(self, act: Callable[[sqlite3.Connection], T]) -> T:
        """Return the result of a function that reads. Raises BrokerError."""
        try:
            return act(self._db)
        except sqlite3.Error as error:
            raise BrokerError(sentence(error)) from error

    def change(self, act: Callable[[sqlite3.Connection], T]) -> T:
        """Return the result of a function that writes, in one transaction. Raises BrokerError."""
        with self._turns:
            try:
                self._db.execute("BEGIN IMMEDIATE")
                result = act(self._db)
                self._db.execute("COMMIT")
            except BaseException as error:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                if isinstance(error, sqlite3.Error):
                    raise BrokerError(sentence(error)) from error
                raise
        return result

    def close(self) -> None:
        """Close the connection; if the server has ended meanwhile, this moves all commits into the file."""
        with self._turns:
            self._db.close()
        self._turns.close()
