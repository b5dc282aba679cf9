"""How far a log got, kept apart from it: a log that lost its end does not know that it had one.

The file `hubbub.mark` beside the log has the log's identity and the newest number that was stored. Each batch writes
it into the same few bytes, which survive the end of the process; it is synced every few seconds, and when the log is
closed. When a log is opened, both are compared:

- The log ends before the mark: entries are missing. Numbers go on above the mark, and the log gets another identity.
- There is no mark though the log had one, or the mark is another log's: the log was copied or restored, and what was
  said since is not in it. It gets another identity, because its numbers are given again.
"""

from __future__ import annotations

import logging
import os
import zlib
from pathlib import Path
from typing import NamedTuple

from hubbub.files import write_file_durably

log = logging.getLogger("hubbub")

NAME = "hubbub.mark"


class Mark(NamedTuple):
    """What is in the file: the log's identity, its newest number, and until when its age is sure (ageing.py)."""

    log_id: str
    newest: int
    time: int = 0  # epoch seconds

    def encode(self) -> bytes:
        """Return the file's content: one line, always of the same length."""
        line = f"hubbub-mark 1 {self.log_id:<16} {self.newest:020} {self.time:012}"
        return f"{line} {zlib.crc32(line.encode()):08x}\n".encode()


def read(folder: Path) -> Mark | None:
    """Return the mark in a folder, None if there is none that can be read."""
    try:
        line, _, checksum = (folder / NAME).read_text("ascii").rstrip("\n").rpartition(" ")
        _, _, log_id, newest, time = line.split()
        if int(checksum, 16) == zlib.crc32(line.encode()):
            return Mark(log_id, int(newest), int(time))
    except (OSError, ValueError):
        pass
    return None


class Continuity(NamedTuple):
    """Whether a log is what it was when it was last written; if not, a sentence about it and how bad that is."""

    same: bool
    level: int = logging.INFO
    text: str = ""


def judge(log_id: str, had_mark: bool, last: int, mark: Mark | None) -> Continuity:
    """Return what a mark says of a log.

    Args:
        log_id: the log's identity, "" if it has none: it is new, or a backup.
        had_mark: whether there was a mark beside it once.
        last: its newest number.
        mark: the mark beside it now.

    """
    if not log_id:
        return Continuity(False)
    if mark is None:
        text = (
            f"The file {NAME} is missing, so this log is a copy. If hubbub.db-wal was not copied with it, its newest "
            "entries are missing; hubbub backup makes whole copies."
        )
        return Continuity(False, logging.WARNING, text) if had_mark else Continuity(True)
    if mark.log_id != log_id:
        return Continuity(
            False, logging.WARNING, f"The log is another one than before: {NAME} beside it is not its own."
        )
    if mark.newest > last:
        lost = mark.newest - last
        count = f"{lost:,} entries after number {last:,} are" if lost > 1 else f"the entry after number {last:,} is"
        return Continuity(False, logging.ERROR, f"The log has lost its end: {count} missing.")
    return Continuity(True)


class Watermark:
    """The mark of a log that is written.

    Args:
        folder: where the log is.
        mark: what is to be in the file.

    Raises:
        OSError: it cannot be written.

    """

    def __init__(self, folder: Path, mark: Mark) -> None:
        self._path = folder / NAME
        self._mark = mark
        self.dirty = False  # what was noted is not synced yet
        write_file_durably(self._path, mark.encode())
        self._file = os.open(self._path, os.O_WRONLY | os.O_CLOEXEC)
        self._failed = self._told = False

    @property
    def time(self) -> float:
        """Until when the log's age is sure, in epoch seconds; 0 if that is not known."""
        return self._mark.time

    def note(self, newest: int, time: float = 0.0) -> None:
        """Write the newest number, and until when the log's age is sure if that is known."""
        self._mark = self._mark._replace(newest=newest, time=int(time) or self._mark.time)
        self.dirty = True
        try:
            os.pwrite(self._file, self._mark.encode(), 0)
        except OSError as error:
            self._complain(error)

    def sync(self) -> None:
        """Let what was noted survive a power cut."""
        if self.dirty:
            self.dirty = False
            try:
                if self._failed:  # the file, and what the system has in memory of it, is not to be trusted
                    write_file_durably(self._path, self._mark.encode())
                    os.close(self._file)
                    self._file = os.open(self._path, os.O_WRONLY | os.O_CLOEXEC)
                    self._failed = False
                else:
                    os.fdatasync(self._file)
            except OSError as error:
                self._complain(error)

    def close(self) -> None:
        """Sync it and let go of it."""
        self.sync()
        os.close(self._file)

    def _complain(self, error: OSError) -> None:
        """Say once that it cannot be written; the log goes on without it."""
        self._failed = True
        if not self._told:
            self._told = True
            log.warning("%s cannot be written: %s", self._path, os.strerror(error.errno or 0))
