"""A history as lines of JSON: out of one log, and into another.

The first line says what this is; each other one is an entry, in the order of the log. The name of an entry's room is
the one that it had then, so that who reads the lines in order sees it renamed where that happened. An entry is known by
its id: what is in a log already is left out, so an import that was interrupted is begun again.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import stat
import sys
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import IO, Annotated, NamedTuple

import msgspec

from hubbub import storage
from hubbub.brokers.archive import Archive
from hubbub.brokers.sqlite import lock
from hubbub.brokers.store import COPY, FILE
from hubbub.config import Settings
from hubbub.core.model import SAID, Entry, Kind
from hubbub.core.names import check_room
from hubbub.core.tags import clean_tags
from hubbub.core.text import clean, clean_exactly
from hubbub.errors import BrokerError, Refused, SettingsError, reason
from hubbub.files import replace_durably

VERSION = 1
AHEAD = 24 * 60 * 60.0  # seconds that a line's time may be ahead of the clock
STEP = 10_000  # entries that are taken in at once: what is in memory, and what an interruption undoes
STEP_BYTES = 16 * 1024 * 1024  # at most
MAX_LINE = 4 * 1024 * 1024  # bytes
BUFFER = 1024 * 1024  # bytes that are written at once

Progress = Callable[[int, int], None]  # is told how much is done, and of how much; 0 if that is not known


class Header(msgspec.Struct, frozen=True):
    """The first line."""

    hubbub: str
    version: Annotated[int, msgspec.Meta(ge=1)]


class ExportedLine(msgspec.Struct, frozen=True):
    """Every other line."""

    room: str
    seq: int
    time: Annotated[float, msgspec.Meta(ge=0, le=1e11)]
    kind: Kind
    nick: str
    text: str
    id: Annotated[str, msgspec.Meta(min_length=1)]
    host: str = ""
    tags: str = ""


class Exported(NamedTuple):
    """How many entries an export has, and how many are damaged, or unreadable, and were left out."""

    entries: int
    left_out: int = 0


class Outcome(NamedTuple):
    """How many entries an import added, and how many were there already."""

    added: int
    known: int


class Lines(NamedTuple):
    """What an import reads: the file, what it is called, and how many bytes it has, 0 if that is not known."""

    file: IO[bytes]
    name: str
    size: int


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(ExportedLine)


# --- files ----------------------------------------------------------------------------------------------------


class Output:
    """What is exported to; an export that was interrupted goes on behind the last entry that it had written.

    Args:
        file: where to write.
        part: what it is called until all is there.
        seq: the number of the last entry in it, 0 if there is none.
        id: that entry's id: the same number in another log is another entry.

    """

    def __init__(self, file: IO[bytes], part: str = "", seq: int = 0, id: str = "") -> None:
        self._file = file
        self._part = part
        self._seq = seq
        self._id = id
        self._known = not seq

    def begin(self) -> None:
        """Write the first line, if it is not there."""
        if not self._seq:
            self._file.write(_encoder.encode(Header("export", VERSION)) + b"\n")

    def write(self, entries: list[Entry]) -> None:
        """Write those of the next entries that are not there yet. Raises SettingsError if they are of another log."""
        for entry in entries if not self._known else ():
            self._known = self._known or (entry.seq, entry.id) == (self._seq, self._id)
            if entry.seq > self._seq and not self._known:
                raise SettingsError(f"The file {self._part} is of another log, or of what it was; remove it.")
        rest = [entry for entry in entries if entry.seq > self._seq]
        lines = [ExportedLine(e.room, e.seq, e.time, e.kind, e.nick, e.text, e.id, e.host, e.tags) for e in rest]
        self._file.write(_encoder.encode_lines(lines))


@contextlib.contextmanager
def output(target: str) -> Iterator[Output]:
    """Open what is exported to, `-` for standard output; the file has its name when all of it is there.

    Raises:
        SettingsError: it cannot be written.

    """
    part = f"{target}.part"
    try:
        if target == "-":
            yield Output(sys.stdout.buffer)
            sys.stdout.buffer.flush()
            return
        descriptor = os.open(part, os.O_RDWR | os.O_CREAT, 0o600)  # private rooms are in it, too
        with open(descriptor, "r+b", BUFFER) as file:
            yield Output(file, part, *_left(file))
            file.flush()
            os.fsync(file.fileno())
        replace_durably(Path(part), Path(target))
    except BrokenPipeError:
        raise
    except OSError as error:
        raise SettingsError(f"{_called(target)} cannot be written: {reason(error)}.") from None
    finally:
        with contextlib.suppress(OSError):
            if target != "-" and not os.path.getsize(part):
                os.unlink(part)


def _left(file: IO[bytes]) -> tuple[int, str]:
    """Go behind the last whole line that is left in a file; return the number and the id of its entry, 0 if none."""
    end = file.seek(0, os.SEEK_END)
    file.seek(max(0, end - 2 * MAX_LINE))
    tail = file.read()
    whole = tail[: tail.rfind(b"\n") + 1]
    try:
        last = _decoder.decode(whole[whole.rfind(b"\n", 0, -1) + 1 :])
    except (msgspec.MsgspecError, UnicodeDecodeError):
        file.seek(0)
        file.truncate()
        return 0, ""
    file.seek(end - len(tail) + len(whole))
    file.truncate()
    return last.seq, last.id


def _called(name: str) -> str:
    return "Standard output" if name == "-" else f"The file {name}"


@contextlib.contextmanager
def source(name: str) -> Iterator[Lines]:
    """Open what is imported from, `-` for standard input. Raises SettingsError."""
    if name == "-":
        yield Lines(sys.stdin.buffer, "standard input", 0)
        return
    try:
        file = open(name, "rb")
    except OSError as error:
        raise SettingsError(f"The file {name} cannot be read: {reason(error)}.") from None
    with file:
        about = os.fstat(file.fileno())
        yield Lines(file, name, about.st_size if stat.S_ISREG(about.st_mode) else 0)


def read(lines: Lines) -> Iterator[tuple[list[Entry], int]]:
    """Yield the entries of a file in steps, and how many bytes were read.

    Raises:
        SettingsError: a line is broken; what is before it was yielded.

    """
    _check_header(lines)
    latest = time.time() + AHEAD
    entries: list[Entry] = []
    number = 1
    done = begun = lines.file.tell() if lines.size else 0
    while data := _line(lines):
        number += 1
        done += len(data)
        try:
            entries.append(_entry(data, latest))
        except (msgspec.MsgspecError, UnicodeError, Refused) as error:
            yield entries, done
            text = str(error).rstrip(".")
            raise SettingsError(f"Line {number} of {lines.name} is broken: {text}. All before it is there.") from None
        if len(entries) == STEP or done - begun > STEP_BYTES:
            yield entries, done
            entries, begun = [], done
    yield entries, done


def _line(lines: Lines) -> bytes:
    try:
        return lines.file.readline(MAX_LINE)
    except OSError as error:
        raise SettingsError(f"The file {lines.name} cannot be read: {reason(error)}.") from None


def _check_header(lines: Lines) -> None:
    try:
        header = msgspec.json.decode(_line(lines), type=Header)
    except (msgspec.MsgspecError, UnicodeError):
        raise SettingsError(f"Line 1 of {lines.name} is broken: it was not made by `hubbub export`.") from None
    if header.version > VERSION:
        raise SettingsError(f"What is in {lines.name} was made by a newer hubbub.")


def _entry(data: bytes, latest: float) -> Entry:
    """Return the entry of a line: as safe for terminals as what people type. Raises MsgspecError or Refused."""
    line = _decoder.decode(data)
    if line.time > latest:
        when = datetime.fromtimestamp(line.time)
        raise msgspec.ValidationError(f"its time, {when:%Y-%m-%d %H:%M}, is in the future by this machine's clock")
    if line.kind is Kind.EPHEMERAL or check_room(line.room) != line.room:
        raise msgspec.ValidationError("no log has such an entry")
    nick, id, host = (clean(text) for text in (line.nick, line.id, line.host))
    text = clean_exactly(line.text) if line.kind in SAID else clean(line.text)
    return Entry(line.room, line.seq, 0, line.time, line.kind, nick, text, id, host, clean_tags(line.tags))


# --- either log -----------------------------------------------------------------------------------------------


def export(settings: Settings, file: Output, progress: Progress, salvage: bool = False) -> Exported:
    """Write all that is in a log, as it is now; with `salvage` all that can be read of one that is damaged.

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
    """Append what is not in a log yet.

    Raises:
        SettingsError: the log cannot be had or written, or a line is broken: what is before that is in the log.

    """
    try:
        if settings.broker:
            return asyncio.run(_import_stream(settings, lines, progress))
        return _import_file(Path(settings.data), lines, progress)
    except BrokerError as error:
        raise SettingsError(f"Not all was imported: {error}. What is there is skipped the next time.") from error


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
        os.close(lock(copy))  # not that of a node of a cluster that runs: it would not read what is written here
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
        return Outcome(added, seen - added)
    finally:
        os.close(held)


# --- the stream -----------------------------------------------------------------------------------------------


async def _export_stream(settings: Settings, file: Output, progress: Progress) -> Exported:
    # Only who has a cluster needs the library.
    from hubbub.brokers.jetstream import streams
    from hubbub.brokers.jetstream.archive import StreamReader
    from hubbub.brokers.jetstream.connection import NatsConnection

    access = storage.access(settings)
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
    from hubbub.brokers.jetstream.archive import StreamImport

    broker = storage.cluster(settings)
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
