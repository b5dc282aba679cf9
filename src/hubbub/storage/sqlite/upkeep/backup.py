"""The backup of a log in an SQLite file, which may run while a server writes the log.

SQLite's own backup copies one view of the log. The copy is made under a temporary name, checked completely, synced,
and then renamed, so that a backup never exists in part under its name. The copy has no identity. A server that starts
on it gives it a new one, because the numbers of entries after the backup will be used again.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
import tempfile
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from hubbub.errors import SettingsError, reason
from hubbub.files import PRIVATE, make_folder, replace_durably, sync_file, sync_folder, write_file_durably
from hubbub.storage.sqlite.queries import sentence
from hubbub.storage.sqlite.schema import FILE
from hubbub.storage.sqlite.store import Size, Store
from hubbub.storage.sqlite.upkeep import salvage
from hubbub.storage.sqlite.upkeep.trimming import Trimming

BESIDE = ("secret", "tls-cert.pem", "tls-key.pem")  # files beside a log that belong to it
PAGES = 1024  # pages of the file that are copied at once

Progress = Callable[[int, int], None]  # called with the amount that is done, and the total


def back_up(folder: Path, target: Path, copying: Progress, verifying: Progress) -> Size:
    """Copy the log of a folder, with the files beside it that belong to it.

    Args:
        folder: the folder of the log.
        target: a folder that does not exist, or is empty.
        copying: called with the progress of the copy, in pages of the file.
        verifying: called with the progress of the check, in entries.

    Returns:
        The size of the copy.

    Raises:
        SettingsError: the backup failed; there is no copy.

    """
    try:
        if target.exists() and next(target.iterdir(), None):
            raise SettingsError(f"The folder {target} is not empty. Name a new folder.")
        make_folder(target.parent)
        part = Path(tempfile.mkdtemp(dir=target.parent, prefix=f".{target.name}."))
        with contextlib.ExitStack() as undo:
            undo.callback(shutil.rmtree, part, ignore_errors=True)
            size = _copy(folder, part, copying, verifying)
            for name in BESIDE:
                if (folder / name).exists():
                    write_file_durably(part / name, (folder / name).read_bytes())
            sync_file(part / FILE)
            sync_folder(part)
            replace_durably(part, target)
            undo.pop_all()
        return size
    except OSError as error:
        raise SettingsError(f"The backup {target} cannot be written: {reason(error)}.") from None
    except sqlite3.Error as error:
        if salvage.is_damage(error):
            raise SettingsError(_damaged(str(error))) from None
        raise SettingsError(f"The backup {target} cannot be written: {sentence(error)}.") from None


def _damaged(damage: str) -> str:
    return f"The log is damaged, so there is no backup: {damage.rstrip('.')}. hubbub export --salvage saves the rest."


def _erase(copy: sqlite3.Connection) -> None:
    """Remove the redacted texts that the log is about to remove from its text index. Raises sqlite3.Error."""
    copy.isolation_level = None
    copy.execute("PRAGMA secure_delete = ON")
    copy.execute("PRAGMA journal_mode = MEMORY")  # a journal in a file would have the texts
    tidying = Trimming()
    while tidying.step(copy, time.time()):
        pass


def _copy(folder: Path, part: Path, copying: Progress, verifying: Progress) -> Size:
    os.close(os.open(part / FILE, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, PRIVATE))
    with contextlib.closing(Store(folder)) as log, contextlib.closing(sqlite3.connect(part / FILE)) as copy:
        # Without a fixed view, each commit of the server would restart the backup.
        count = log.begin_view()
        log.copy_to(copy, PAGES, copying)
        copy.execute("PRAGMA journal_mode = DELETE")  # makes it a single file
        _erase(copy)
        with copy:
            copy.execute("CREATE TABLE IF NOT EXISTS note (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT")
            copy.execute("DELETE FROM note WHERE name IN ('log_id', 'marked')")
            copy.execute("INSERT INTO note VALUES ('backup', ?)", (f"{datetime.now():%Y-%m-%d %H:%M:%S}",))
    with contextlib.closing(Store(part)) as made:
        if faults := made.check(verifying):
            raise SettingsError(_damaged(faults[0]))
        size = made.size()
    if size.entries != count:
        raise SettingsError(f"The backup is wrong: it has {size.entries:,} entries, but the log has {count:,}.")
    return size
