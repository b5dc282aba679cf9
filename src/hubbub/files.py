"""Files that survive a power cut, and that only their owner can read.

Syncing the bytes of a new file does not make it durable: its name is an entry of its folder, which must be synced too.
So a file is written under a temporary name, synced and renamed, and then its folder is synced. All files that hubbub
writes for itself go through this module, except those of SQLite.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

PRIVATE = 0o600
PRIVATE_FOLDER = 0o700


def write_file_durably(path: Path, data: bytes) -> None:
    """Make or replace a file; after a power cut it has either all of `data` or its former content.

    Raises:
        OSError: the write failed. The file has its former content, unless only the last sync of the folder failed.

    """
    # Not by `tempfile`: to load that takes longer than all that the server writes at its start.
    beside = path.with_name(f".{path.name}.{os.urandom(8).hex()}")
    descriptor = os.open(beside, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, PRIVATE)
    try:
        with open(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        replace_durably(beside, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(beside)
        raise


def replace_durably(source: Path, target: Path) -> None:
    """Rename a synced file or folder to `target` in the same folder, durably against a power cut. Raises OSError."""
    os.replace(source, target)
    sync_folder(target.parent)


def sync_folder(folder: Path) -> None:
    """Sync a folder, which makes the names of its files durable. Raises OSError."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_file(path: Path) -> None:
    """Sync a file that SQLite or another program has written. Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def make_folder(folder: Path) -> None:
    """Make a folder that only its owner can enter, with its missing parents, unless it exists. Raises OSError."""
    missing = []
    at = folder.absolute()
    while not at.exists():
        missing.append(at)
        at = at.parent
    folder.mkdir(mode=PRIVATE_FOLDER, parents=True, exist_ok=True)
    for made in missing:
        sync_folder(made.parent)


def make_private(path: Path) -> None:
    """Set a file to mode 0600 if others have any access; do nothing if it is missing or has another owner."""
    with contextlib.suppress(OSError):
        if path.stat().st_mode & 0o077:
            path.chmod(PRIVATE)


def is_open_to_others(folder: Path) -> bool:
    """Return whether other users of this machine have any access to a folder; False if the folder is missing."""
    try:
        return bool(folder.stat().st_mode & 0o077)
    except OSError:
        return False
