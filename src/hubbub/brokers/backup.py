"""A copy of a log in an SQLite file, made while a server writes it: by SQLite's own backup, of one view of the log.

It is made beside its place, checked as a whole, synced, and then called by its name, so that there is never half a
backup of that name. The copy has no identity: the server that is started on it gives it one, because numbers that were
given since will be given again.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
import tempfile
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from hubbub.brokers import salvage
from hubbub.brokers.queries import sentence
from hubbub.brokers.store import FILE, Size, Store
from hubbub.errors import SettingsError, reason
from hubbub.files import PRIVATE, make_folder, replace_durably, sync_file, sync_folder, write_file_durably

BESIDE = ("secret", "tls-cert.pem", "tls-key.pem")  # what is kept beside a log, and belongs to it
PAGES = 1024  # of the file that are copied at once

Progress = Callable[[int, int], None]  # called with how much is done, and of how much


def back_up(folder: Path, target: Path, copying: Progress, verifying: Progress) -> Size:
    """Make a copy of the log in a folder, with what is kept beside it.

    Args:
        folder: where the log is.
        target: a folder that does not exist, or is empty.
        copying: called with how far the copying is, in pages of the file.
        verifying: called with how far the check of the copy is, in entries.

    Returns:
        How much the copy holds.

    Raises:
        SettingsError: there is no copy.

    """
    try:
        if target.exists() and next(target.iterdir(), None):
            raise SettingsError(f"The folder {target} is not empty; name one that is to be made.")
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


def _damaged(what: str) -> str:
    return f"The log is damaged, so there is no backup: {what.rstrip('.')}. hubbub export --salvage saves the rest."


def _copy(folder: Path, part: Path, copying: Progress, verifying: Progress) -> Size:
    os.close(os.open(part / FILE, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, PRIVATE))
    with contextlib.closing(Store(folder)) as log, contextlib.closing(sqlite3.connect(part / FILE)) as copy:
        count = log.begin_view()  # else each commit of the server would begin the backup again
        log.copy_to(copy, PAGES, copying)
        copy.execute("PRAGMA journal_mode = DELETE")  # one file
        with copy:
            copy.execute("CREATE TABLE IF NOT EXISTS note (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT")
            copy.execute("DELETE FROM note WHERE name IN ('log_id', 'marked')")
            copy.execute("INSERT INTO note VALUES ('backup', ?)", (f"{datetime.now():%Y-%m-%d %H:%M:%S}",))
    with contextlib.closing(Store(part)) as made:
        if faults := made.check(verifying):
            raise SettingsError(_damaged(faults[0]))
        size = made.size()
    if size.entries != count:
        raise SettingsError(f"The backup has {size.entries:,} entries, and the log {count:,}: something is wrong.")
    return size
