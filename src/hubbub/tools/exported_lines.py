"""An exported log as a file: lines of JSON.

The first line is a header; each other line is an entry, in the order of the log. An entry has the name that its room
had at its time, so a reader of the lines sees each rename in its place.
"""

from __future__ import annotations

import contextlib
import os
import stat
import sys
import time
from collections.abc import Iterator
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import IO, Annotated, NamedTuple

import msgspec

from hubbub.errors import Refused, SettingsError, reason
from hubbub.files import replace_durably
from hubbub.model.codec import Record, entry_of, record
from hubbub.model.conversation import can_have_log, is_conversation
from hubbub.model.entries import KIND, SAID, Entry, Kind
from hubbub.text.cleaning import clean, clean_exactly, is_plain
from hubbub.text.names import check_room
from hubbub.text.tags import clean_tags

VERSION = 1
AHEAD = 24 * 60 * 60.0  # seconds that a line's time may be ahead of the clock
STEP = 10_000  # maximum entries of an import step, which are in memory and which an interruption undoes
STEP_BYTES = 16 * 1024 * 1024  # bytes of lines after which a step ends
MAX_LINE = 4 * 1024 * 1024  # bytes
BUFFER = 1024 * 1024  # bytes that are written at once


class Header(msgspec.Struct, frozen=True, omit_defaults=True):
    """The first line of an export. `private`: it has the private messages as well."""

    hubbub: str
    version: Annotated[int, msgspec.Meta(ge=1)]
    private: bool = False


class ExportedLine(msgspec.Struct, frozen=True):
    """The line of an entry."""

    room: str
    seq: int
    time: Annotated[float, msgspec.Meta(ge=0, le=1e11)]
    kind: Annotated[str, msgspec.Meta(pattern=KIND)]
    nick: str
    text: str
    id: Annotated[str, msgspec.Meta(min_length=1)]
    host: str = ""
    tags: str = ""


class Lines(NamedTuple):
    """The input of an import: the file, its name for messages, and its size in bytes (0 if unknown)."""

    file: IO[bytes]
    name: str
    size: int


_ONE_LINE = frozenset(Kind) - SAID  # kinds whose text is one line; a kind of a newer version may have several
_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(ExportedLine)


class Output:
    """The output of an export. An interrupted export continues after the last entry in its file.

    Args:
        file: the file.
        part: the name of the file until the export is complete.
        seq: the number of the last entry in it, 0 if there is none.
        id: the id of that entry; in another log, the same number has another id.
        private: whether private messages are written, too.

    """

    def __init__(self, file: IO[bytes], part: str = "", seq: int = 0, id: str = "", private: bool = False) -> None:
        self._file = file
        self._private = private
        self.withheld = 0  # private messages that were not written
        self._part = part
        self._seq = seq
        self._id = id
        self._known = not seq

    def begin(self) -> None:
        """Write the header, unless the file already has one."""
        if not self._seq:
            self._file.write(_encoder.encode(Header("export", VERSION, self._private)) + b"\n")

    def write(self, entries: list[Entry]) -> None:
        """Write those of the given entries that the file does not have yet.

        Raises SettingsError if the entries in the file come from another log.
        """
        for entry in entries if not self._known else ():
            self._known = self._known or (entry.seq, entry.id) == (self._seq, self._id)
            if entry.seq > self._seq and not self._known:
                raise SettingsError(
                    f"The file {self._part} belongs to another log or to an older state of this one. Remove it."
                )
        allowed = [entry for entry in entries if self._private or not is_conversation(entry.room)]
        self.withheld += len(entries) - len(allowed)
        rest = [entry for entry in allowed if entry.seq > self._seq]
        self._file.write(_encoder.encode_lines([_exported(record(entry)) for entry in rest]))


def _exported(one: Record) -> ExportedLine:
    return ExportedLine(one.room, one.seq, one.time, one.kind, one.nick, one.text, one.id, one.host, one.tags)


@contextlib.contextmanager
def output(target: str, private: bool = False) -> Iterator[Output]:
    """Open the output of an export, `-` for standard output; a file gets its name when the export is complete.

    Args:
        target: the name of the file.
        private: whether private messages are written, too.

    Raises:
        SettingsError: the output cannot be written, or an interrupted export in it was begun with another `private`.

    """
    part = f"{target}.part"
    try:
        if target == "-":
            yield Output(sys.stdout.buffer, private=private)
            sys.stdout.buffer.flush()
            return
        descriptor = os.open(part, os.O_RDWR | os.O_CREAT, 0o600)  # it has private rooms too
        with open(descriptor, "r+b", BUFFER) as file:
            last = _left(file)
            if last[0] and _is_private(file) != private:
                raise SettingsError(
                    f"The file {part} was begun {'without' if private else 'with'} --private. Remove it."
                )
            yield Output(file, part, *last, private)
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
    """Seek to the end of the last complete line of a file, and cut the rest off.

    Returns:
        The number and the id of the last entry; 0 and "" if there is none, and then the file is empty.

    """
    end = file.seek(0, os.SEEK_END)
    file.seek(max(0, end - 2 * MAX_LINE))
    tail = file.read()
    whole = tail[: tail.rfind(b"\n") + 1]
    try:
        last = _decoder.decode(whole[whole.rfind(b"\n", 0, -1) + 1 :])
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        file.seek(0)
        file.truncate()
        return 0, ""
    file.seek(end - len(tail) + len(whole))
    file.truncate()
    return last.seq, last.id


def _is_private(file: IO[bytes]) -> bool:
    """Return whether the header of an interrupted export says that it has private messages; leave the file's place."""
    end = file.tell()
    file.seek(0)
    header = msgspec.json.decode(file.readline(MAX_LINE), type=Header)
    file.seek(end)
    return header.private


def _called(name: str) -> str:
    return "Standard output" if name == "-" else f"The file {name}"


@contextlib.contextmanager
def source(name: str) -> Iterator[Lines]:
    """Open the input of an import, `-` for standard input. Raises SettingsError."""
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
    """Yield the entries of a file in steps, each with the number of bytes that were read so far.

    Raises:
        SettingsError: a line is broken; all entries before it were yielded.

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
        except (msgspec.MsgspecError, UnicodeError, RecursionError, Refused) as error:
            yield entries, done
            text = "it is nested too deeply" if isinstance(error, RecursionError) else str(error).rstrip(".")
            raise SettingsError(
                f"Line {number} of {lines.name} is invalid: {text}. Everything before it was imported."
            ) from None
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
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        raise SettingsError(f"Line 1 of {lines.name} is invalid: the file was not made by `hubbub export`.") from None
    if header.version > VERSION:
        raise SettingsError(f"{lines.name} was made by a newer version of hubbub.")


@lru_cache(1024)
def _is_room(name: str) -> bool:
    """Return whether a name is one that a room can have. Raise Refused if it is not even similar to one."""
    return can_have_log(name) if is_conversation(name) else check_room(name) == name


def _entry(data: bytes, latest: float) -> Entry:
    """Return the entry of a line, cleaned for terminals like the input of users. Raises MsgspecError or Refused."""
    line = _decoder.decode(data)
    if line.time > latest:
        when = datetime.fromtimestamp(line.time)
        raise msgspec.ValidationError(f"its time, {when:%Y-%m-%d %H:%M}, is in the future by this machine's clock")
    if line.kind == Kind.EPHEMERAL or not _is_room(line.room):
        raise msgspec.ValidationError("no log has such an entry")
    nick, text, id, host = line.nick, line.text, line.id, line.host
    # One check of all four texts together is enough for nearly all lines.
    if not is_plain(f"{nick}{text}{id}{host}"):
        nick, id, host = clean(nick), clean(id), clean(host)
        text = clean(text) if line.kind in _ONE_LINE else clean_exactly(text)
    tags = clean_tags(line.tags) if line.tags else ""
    return entry_of(line.room, line.seq, 0, line.time, line.kind, nick, text, id, host, tags)
