"""Export and import of a log, in a file of SQLite or on NATS, as lines of JSON; exported_lines.py has their form.

Entries are identified by their ids, and an import leaves out entries that are already in the log. So an interrupted
import can simply be started again.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from hubbub.config import Settings
from hubbub.errors import BrokerError, SettingsError
from hubbub.startup import brokers
from hubbub.storage.sqlite.archive import Archive
from hubbub.storage.sqlite.broker import lock
from hubbub.storage.sqlite.schema import COPY, FILE
from hubbub.tools.exported_lines import STEP, Lines, Output, read

Progress = Callable[[int, int], None]  # called with the amount that is done, and the total (0 if unknown)


class Exported(NamedTuple):
    """The number of entries in an export, and of damaged or unreadable entries that were left out."""

    entries: int
    left_out: int = 0


class Outcome(NamedTuple):
    """The number of entries that an import added, and of those that were already in the log."""

    added: int
    known: int


def export(settings: Settings, file: Output, progress: Progress, salvage: bool = False) -> Exported:
    """Write all entries that are in the log at the start; with `salvage`, all readable entries of a damaged log.

    Raises:
        SettingsError: there is no log, or it cannot be read.
        OSError: the file cannot be written.

    """
    try:
        if settings.broker:
            return asyncio.run(_export_stream(settings, file, progress))
        return _export_file(Path(settings.data), file, progress, salvage)
    except BrokerError as error:
        raise SettingsError(f"The log cannot be read: {error}.") from error


def take_in(settings: Settings, lines: Lines, progress: Progress) -> Outcome:
    """Append the entries that are not in the log yet.

    Raises:
        SettingsError: the log cannot be opened or written, or a line is broken; all entries before it are in the log.

    """
    try:
        if settings.broker:
            return asyncio.run(_import_stream(settings, lines, progress))
        return _import_file(Path(settings.data), lines, progress)
    except BrokerError as error:
        raise SettingsError(
            f"The import is incomplete: {error}. When you start it again, it skips the entries that were imported."
        ) from error


# --- a file of SQLite -----------------------------------------------------------------------------------------


def _export_file(folder: Path, file: Output, progress: Progress, salvage: bool) -> Exported:
    if not (folder / FILE).exists() and (folder / COPY / FILE).exists():
        folder /= COPY
    with contextlib.closing(Archive(folder, salvage=salvage)) as archive:
        whole, done = archive.count(), 0
        file.begin()
        for entries in archive.pages():
            file.write(entries)
            done += len(entries)
            progress(done, whole)
        return Exported(done, archive.left_out)


def _import_file(folder: Path, lines: Lines, progress: Progress) -> Outcome:
    if (copy := folder / COPY).exists():
        # A running cluster node holds this lock. It does not read the log that is written here, so this import fails.
        os.close(lock(copy))
    held = lock(folder)
    try:
        with contextlib.closing(Archive(folder, write=True)) as archive:
            added = seen = 0
            for entries, done in read(lines):
                added += archive.take_in(entries)
                seen += len(entries)
                while archive.index_some(STEP):
                    pass
                progress(done, lines.size)
            while archive.merge_some(time.time()):  # erases the texts that the import has redacted
                pass
        return Outcome(added, seen - added)
    finally:
        os.close(held)


# --- the stream -----------------------------------------------------------------------------------------------


async def _export_stream(settings: Settings, file: Output, progress: Progress) -> Exported:
    # Only clusters need the library nats-py, so it is imported here.
    from hubbub.cluster.nats import streams
    from hubbub.cluster.nats.link.connection import NatsConnection
    from hubbub.cluster.nats.log.archive import StreamReader

    access = brokers.access(settings)
    link = NatsConnection(access, "hubbub-export", lambda up: None)
    await link.connect()
    try:
        if not await streams.are_there(link):
            raise SettingsError(f"There is no log on {access.shown}.")
        reading = StreamReader(link)
        await reading.begin()
        file.begin()
        count = 0
        async with contextlib.aclosing(reading.pages()) as pages:
            async for entries, upto in pages:
                file.write(entries)
                count += len(entries)
                progress(upto - reading.first + 1, reading.last - reading.first + 1)
        return Exported(count)
    finally:
        await link.close()


async def _import_stream(settings: Settings, lines: Lines, progress: Progress) -> Outcome:
    from hubbub.cluster.nats.log.archive import StreamImport

    broker = brokers.stream(settings)
    await broker.attach()
    try:
        taking = StreamImport(broker)
        await taking.begin()
        added = seen = 0
        for entries, done in read(lines):
            added += await taking.take_in(entries)
            seen += len(entries)
            progress(done, lines.size)
        return Outcome(added, seen - added)
    finally:
        await broker.stop(1.0)
        await broker.detach()
