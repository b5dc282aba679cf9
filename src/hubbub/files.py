"""Files that survive a power cut, and that only their owner can read.

A new file is not durable when its bytes are: its name is an entry of its folder, and the folder has to be synced as
well. So a file is written beside its place, synced, renamed into it, and its folder synced. Everything that hubbub
writes for itself goes through here, except what SQLite writes.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from pathlib import Path

PRIVATE = 0o600
PRIVATE_FOLDER = 0o700


def write_file_durably(path: Path, data: bytes) -> None:
    """Make a file, or replace it, so that after a power cut it holds all of `data` or what it held before.

    Raises:
        OSError: the file is as it was.

    """
    descriptor, beside = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")  # mode 0600
    try:
        with open(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        replace_durably(Path(beside), path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(beside)
        raise


def replace_durably(source: Path, target: Path) -> None:
    """Rename a synced file or folder to `target`, in the same folder, so that a power cut does not undo it."""
    os.replace(source, target)
    sync_folder(target.parent)


def sync_folder(folder: Path) -> None:
    """Sync the names in a folder. Raises OSError."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_file(path: Path) -> None:
    """Sync what another program, or SQLite, wrote into a file. Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def make_folder(folder: Path) -> None:
    """Make a folder that only its owner can enter, with the folders above it, if it is not there. Raises OSError."""
    missing = []
    at = folder.absolute()
    while not at.exists():
        missing.append(at)
        at = at.parent
    folder.mkdir(mode=PRIVATE_FOLDER, parents=True, exist_ok=True)
    for made in missing:
        sync_folder(made.parent)


def make_private(path: Path) -> None:
    """Take a file from everybody but its owner; nothing happens if it is not there, or belongs to somebody else."""
    with contextlib.suppress(OSError):
        if path.stat().st_mode & 0o077:
            path.chmod(PRIVATE)


def is_open_to_others(folder: Path) -> bool:
    """Return whether other users of this machine may enter or read a folder."""
    try:
        return bool(folder.stat().st_mode & 0o077)
    except OSError:
        return False
