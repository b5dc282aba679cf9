"""The mark file of a log, which records its end: a log that has lost its end shows no trace of the loss itself.

The file `hubbub.mark` beside the log has the log's identity and the newest stored number. Each batch overwrites the
same few bytes, which survive the end of the process. The file is synced every few seconds, and when the log is closed.
When a log is opened, it is compared with its mark:

- The log ends before the mark: entries are missing. Numbers continue above the mark, and the log gets a new identity.
- The log had a mark that is missing now, or the mark belongs to another log: the log was copied or restored, and lacks
  all later entries. It gets a new identity, because their numbers will be used again.
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
    """The content of the file: the log's identity, its newest number, and the time of the log (ageing.py)."""

    log_id: str
    newest: int
    time: int = 0  # epoch seconds; 0 if unknown

    def encode(self) -> bytes:
        """Return the file's content: one line with a CRC-32, always of the same length."""
        line = f"hubbub-mark 1 {self.log_id:<16} {self.newest:020} {self.time:012}"
        return f"{line} {zlib.crc32(line.encode()):08x}\n".encode()


def read(folder: Path) -> Mark | None:
    """Return the mark in a folder, None if it is missing or cannot be read."""
    try:
        line, _, checksum = (folder / NAME).read_text("ascii").rstrip("\n").rpartition(" ")
        _, _, log_id, newest, time = line.split()
        if int(checksum, 16) == zlib.crc32(line.encode()):
            return Mark(log_id, int(newest), int(time))
    except (OSError, ValueError):
        pass
    return None


class Continuity(NamedTuple):
    """Whether a log continues the one that was last written; if not, a message about it and its logging level."""

    same: bool
    level: int = logging.INFO
    text: str = ""


def judge(log_id: str, had_mark: bool, last: int, mark: Mark | None) -> Continuity:
    """Return whether a log continues the one that its mark describes.

    Args:
        log_id: the log's identity, "" if it has none: it is new, or a backup.
        had_mark: whether the log had a mark before.
        last: the log's newest number.
        mark: the present mark, None if there is none.

    """
    if not log_id:
        return Continuity(False)
    if mark is None:
        text = (
            f"The file {NAME} is missing, so this log is a copy. If hubbub.db-wal was not copied with it, its newest "
            "entries are missing; hubbub backup makes complete copies."
        )
        return Continuity(False, logging.WARNING, text) if had_mark else Continuity(True)
    if mark.log_id != log_id:
        return Continuity(
            False, logging.WARNING, f"This is another log than before: {NAME} belongs to a different one."
        )
    if mark.newest > last:
        lost = mark.newest - last
        count = f"{lost:,} entries after number {last:,} are" if lost > 1 else f"the entry after number {last:,} is"
        return Continuity(False, logging.ERROR, f"The log has lost its end: {count} missing.")
    return Continuity(True)


class Watermark:
    """The open mark file of a log that is being written.

    Args:
        folder: the folder of the log.
        mark: the first content of the file.
        keep: whether the file is in its place with this content, and is to be kept.

    Raises:
        OSError: the file cannot be written.

    """

    def __init__(self, folder: Path, mark: Mark, keep: bool) -> None:
        self._path = folder / NAME
        self._mark = mark
        # Whether the file has unsynced changes. A file that is kept may have those of a process that was killed: they
        # are synced with those to come, because to do that now would be the longest wait of a start.
        self.dirty = keep
        if not keep:
            write_file_durably(self._path, mark.encode())
        self._file = os.open(self._path, os.O_WRONLY | os.O_CLOEXEC)
        self._failed = self._told = False

    @property
    def time(self) -> float:
        """The time of the log (ageing.py), in epoch seconds; 0 if unknown."""
        return self._mark.time

    def note(self, newest: int, time: float = 0.0) -> None:
        """Write the newest number, and the time of the log unless it is 0; do not sync the file."""
        self._mark = self._mark._replace(newest=newest, time=int(time) or self._mark.time)
        self.dirty = True
        try:
            os.pwrite(self._file, self._mark.encode(), 0)
        except OSError as error:
            self._complain(error)

    def sync(self) -> None:
        """Sync the file, so that its content survives a power cut."""
        if self.dirty:
            self.dirty = False
            try:
                # After a failure, neither the file nor the system's cache of it is reliable.
                if self._failed:
                    write_file_durably(self._path, self._mark.encode())
                    os.close(self._file)
                    self._file = os.open(self._path, os.O_WRONLY | os.O_CLOEXEC)
                    self._failed = False
                else:
                    os.fdatasync(self._file)
            except OSError as error:
                self._complain(error)

    def close(self) -> None:
        """Sync and close the file."""
        self.sync()
        os.close(self._file)

    def _complain(self, error: OSError) -> None:
        """Log once that the file cannot be written; the log continues without it."""
        self._failed = True
        if not self._told:
            self._told = True
            log.warning("%s cannot be written: %s", self._path, os.strerror(error.errno or 0))
