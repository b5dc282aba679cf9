"""Lines of text, as nc and telnet send and show them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from datetime import datetime, tzinfo
from enum import Enum, auto
from typing import Any

import regex

from hubbub.model.client import Encoder
from hubbub.model.codec import text_of
from hubbub.model.entries import (
    Body,
    Entry,
    Ephemeral,
    Erased,
    Joined,
    Kicked,
    Kind,
    Left,
    ModesChanged,
    NickChanged,
    Redacted,
    RoomRenamed,
    Said,
    TopicSet,
    Unknown,
)
from hubbub.model.events import (
    Acknowledged,
    Clock,
    Event,
    Goodbye,
    HistoryShown,
    Invited,
    Knocked,
    LoggedIn,
    MembersListed,
    Missed,
    NickAssigned,
    Notice,
    Private,
    PrivateShown,
    QueryResult,
    Refusal,
    RoomEntered,
    RoomExited,
    RoomNameChanged,
    RoomsListed,
)
from hubbub.model.room.modes import describe
from hubbub.text.names import LOBBY
from hubbub.text.timeparse import shown_time
from hubbub.wire.line.telnet import Telnet
from hubbub.wire.line.wrap import columns, wrap
from hubbub.wire.reader_state import State, give, taken

PROMPT = "Enter your name: "

# --- in ---------------------------------------------------------------------------------------------------

CANCEL, QUIT, BS, LF, CR, REPRINT, ERASE_LINE, ERASE_WORD, DEL = 3, 4, 8, 10, 13, 18, 21, 23, 127
_STOP = re.compile(rb"[\x08\x7f]+|[\x03\x04\n\r\x12\x15\x17]")
_CLUSTER = regex.compile(r"\X")  # a character as people see it (UAX #29)
LONG_CLUSTER = 64  # bytes; longer than in any script, so cutting one harms no real text


class LineSignal(Enum):
    """An event in a peer's line other than its end."""

    TOO_LONG = auto()  # the line is over the limit, and discarded up to its end
    # D on an empty line
    QUIT = auto()
    # R: the peer asks to see `LineReader.pending`
    REPRINT = auto()


class LineReader:
    """Cut a byte stream into lines, and remove telnet and the editing bytes of a terminal.

    LF, CR LF, CR NUL and a lone CR end a line. Text is UTF-8, other bytes become U+FFFD. BS and DEL erase the last
    character as people see it, ^W a word, ^U and ^C the line. Feed bytes, then take lines until None; the result does
    not depend on where the network cut the bytes. The time is proportional to the number of bytes, whatever they erase.

    Args:
        max_line: longest line, in bytes without its end. The buffers hold at most this and the bytes that were fed
            last.

    """

    __slots__ = ("_data", "_discard", "_ended_by", "_line", "_max", "_pos", "_split", "_starts", "telnet")

    def __init__(self, max_line: int) -> None:
        self._max = max_line
        self._data = b""  # bytes that are not read yet, from _pos on
        self._pos = 0
        self._line = bytearray()  # the line so far
        self._starts: list[int] = []  # indexes in _line of visible characters, up to _split
        self._split = 0
        self._discard = False  # up to the line's end
        self._ended_by = 0  # the byte that ended the last line, if no byte followed yet
        self.telnet: Telnet | None = None  # from the first byte 255 on

    def feed(self, data: bytes) -> None:
        """Add bytes from the network."""
        if self.telnet is None and b"\xff" in data:
            self.telnet = Telnet()
        if self.telnet is not None:
            data = self.telnet.feed(data)
        if b"\0" in data:
            data = data.replace(b"\0", b"")  # CR NUL ends a line by its CR, a lone NUL is a keepalive
        self._data = self._data[self._pos :] + data if self._pos < len(self._data) else data
        self._pos = 0

    def state(self) -> State:
        """Return the state as plain data."""
        fields = (field for field in self.__slots__ if field not in ("_max", "telnet"))
        return {**taken(self, fields), "telnet": self.telnet.state() if self.telnet else None}

    def restore(self, state: State) -> None:
        """Go on in a new reader, which has the same limit, with the state of another one."""
        give(self, {**state, "telnet": None})
        if state["telnet"] is not None:
            self.telnet = Telnet()
            self.telnet.restore(state["telnet"])

    @property
    def waiting(self) -> bool:
        """Whether there are bytes that were not read yet."""
        return self._pos < len(self._data)

    @property
    def pending(self) -> str:
        """The line so far, undecodable bytes replaced; not cleaned."""
        return self._line.decode("utf-8", "replace")

    def next_line(self) -> str | LineSignal | None:
        """Return the next line without its end, or a signal, or None if more bytes are needed."""
        data = self._data
        while self._pos < len(data):
            stop = _STOP.search(data, self._pos)
            end = stop.start() if stop else len(data)
            if (
                stop
                and data[end] == LF
                and self._pos < end <= self._pos + self._max
                and not (self._line or self._discard)
            ):
                # The usual line: all of it is here, and nothing in it edits it.
                run = data[self._pos : end]
                self._pos, self._ended_by = stop.end(), LF
                return run.decode("utf-8", "replace")
            if end > self._pos:
                self._ended_by = 0
                run = data[self._pos : end]
                self._pos = end
                if not self._keep(run):
                    return LineSignal.TOO_LONG
            if stop:
                self._pos = stop.end()
                if data[end] in (BS, DEL):
                    self._ended_by = 0
                    self._erase(self._pos - end)
                    continue
                done = self._control(data[end])
                if done is not None:
                    return done
        self._data, self._pos = b"", 0
        return None

    def end(self) -> str:
        """Return the unfinished last line when the peer has closed its side; "" if there is none."""
        return self._take_line()

    def _take_line(self) -> str:
        text = self._line.decode("utf-8", "replace")
        self._clear()
        return text

    def _clear(self) -> None:
        self._line.clear()
        self._starts.clear()
        self._split = 0

    def _keep(self, run: bytes) -> bool:
        """Add to the line; return False if that makes it too long."""
        if self._discard:
            return True
        if len(self._line) + len(run) > self._max:
            self._clear()
            self._discard = True
            return False
        self._line += run
        return True

    def _control(self, byte: int) -> str | LineSignal | None:
        ended_by, self._ended_by = self._ended_by, 0
        if byte in (LF, CR):
            if ended_by and ended_by != byte:  # the second half of CR LF, or of LF CR
                return None
            return self._finish(byte)
        match byte:
            case 23:
                kept = self._line.rstrip(b" \t")
                self._cut_at(max(kept.rfind(b" "), kept.rfind(b"\t")) + 1)
            case 21 | 3:
                self._clear()
                self._discard = False
            case 18:
                return LineSignal.REPRINT
            # D
            case _ if not self._line and not self._discard:
                return LineSignal.QUIT
        return None

    def _finish(self, byte: int) -> str | None:
        self._ended_by = byte
        if self._discard:
            self._discard = False
            return None
        return self._take_line()

    def _erase(self, count: int) -> None:
        """Erase the last characters, as people see them, from the line. A byte that is not UTF-8 counts as one.

        Each byte is split once. Only the last character is split again, because later bytes may belong to it.
        """
        line = self._line
        if count == 1 and len(line) > 1 and line[-1] < 128 and line[-2] < 128:
            self._cut_at(len(line) - 1)
            return
        if self._split < len(line):
            start = self._split
            if self._starts and start - self._starts[-1] <= LONG_CLUSTER:
                start = self._starts.pop()
            for cluster in _CLUSTER.findall(line[start:].decode("utf-8", "surrogateescape")):
                self._starts.append(start)
                start += len(cluster.encode("utf-8", "surrogateescape"))
        self._split = len(line)
        self._cut_at(self._starts[-count] if count < len(self._starts) else 0)

    def _cut_at(self, end: int) -> None:
        """Cut the line at a byte where a character begins."""
        del self._line[end:]
        self._split = min(self._split, end)
        while self._starts and self._starts[-1] >= end:
            self._starts.pop()


# --- out --------------------------------------------------------------------------------------------------


def _where(entry: Entry) -> str:
    return "the chat" if entry.room == LOBBY else entry.room


def _said(entry: Entry, body: Said) -> str:
    # Each line names its author; otherwise it could pose as another user's message.
    if body.style is Kind.MESSAGE and "\n" not in body.text:
        return f"{entry.nick}: {body.text}"
    if body.style is Kind.MESSAGE:
        return _in_front(f"{entry.nick}: ", body.text)
    return _in_front(f"* {entry.nick} " if body.style is Kind.ACTION else f"-{entry.nick}- ", body.text)


def _topic(entry: Entry, body: TopicSet) -> str:
    what = f"set the topic: {body.text}" if body.text else "removed the topic"
    return f"*** {entry.nick} {what} ***"


def _nothing(entry: Entry, body: Body) -> str:
    return ""


def _reason(text: str) -> str:
    return f" ({text})" if text else ""


# mypy cannot see that each function gets the body of its row.
ENTRIES: dict[type[Body], Callable[[Entry, Any], str]] = {
    Said: _said,
    Joined: lambda entry, body: f"*** {entry.nick} has joined {_where(entry)} ***",
    Left: lambda entry, body: f"*** {entry.nick} has left {_where(entry)}{_reason(body.reason)} ***",
    NickChanged: lambda entry, body: f"*** {entry.nick} is now {body.nick} ***",
    TopicSet: _topic,
    ModesChanged: lambda entry, body: f"*** {entry.nick} {describe(body.changes)} ***",
    Kicked: lambda entry, body: f"*** {entry.nick} has kicked {body.nick}{_reason(body.reason)} ***",
    RoomRenamed: lambda entry, body: f"*** {entry.nick} has renamed {entry.room}: it is {body.to} now ***",
    Redacted: lambda entry, body: f"*** {entry.nick} has deleted a message ***",
    Erased: _nothing,
    Unknown: _nothing,
    Ephemeral: _nothing,
}


class LineEncoder:
    """Encode entries for a terminal: one line each, with the room before it if it is not the current one."""

    __slots__ = ("_end", "_prefixed", "for_other_room")

    echo = False
    dedupes = False

    def __init__(self, end: str, prefixed: bool = False) -> None:
        self._end = end
        self._prefixed = prefixed
        self.for_other_room: Encoder = self if prefixed else LineEncoder(end, True)

    def encode(self, entry: Entry) -> bytes:
        """Return the entry's line; b"" for a kind that a terminal does not show."""
        text = ENTRIES[type(entry.body)](entry, entry.body)
        if not text:
            return b""
        if self._prefixed:
            text = _in_front(f"[{entry.room}] ", text)
        return encode(text, self._end)

    def encode_own(self, entry: Entry) -> bytes:
        """Return b"" for the author's own text, which is on their screen already, and lines for acts on other users."""
        return self.encode(entry) if type(entry.body) in (ModesChanged, Kicked, Redacted) else b""

    def join(self, entries: Iterable[bytes]) -> bytes:
        """Return lines one after the other."""
        return b"".join(entries)

    def encode_skipped(self, room: str, count: int) -> bytes:
        """Return a line that tells how many entries were skipped."""
        prefix = f"[{room}] " if self._prefixed else ""
        return encode(f"{prefix}*** {count} messages skipped; /history shows the latest ***", self._end)


RAW = LineEncoder("\n")
TELNET = LineEncoder("\r\n")


def encode(text: str, end: str) -> bytes:
    """Return a text as bytes, with `end` after each of its lines."""
    if end != "\n":
        text = text.replace("\n", end)
    return (text + end).encode("utf-8", "replace")


def _in_front(prefix: str, text: str) -> str:
    return prefix + (text.replace("\n", "\n" + prefix) if "\n" in text else text)


def notice(text: str) -> str:
    """Return a line that comes from the server."""
    return f"*** {text} ***"


def _unseen(entry: Entry) -> str:
    if type(entry.body) is Unknown:
        return "A newer version of hubbub wrote an entry here"
    return f"A message by {entry.nick} was deleted"


def stamped(entry: Entry, now: float, tz: tzinfo | None = None) -> str:
    """Return an entry's line with its time before it; the date is included unless it is today's.

    A redacted message and an entry of a newer version have a line here, although no terminal shows one: a reader of the
    log sees where they are.

    Args:
        entry: an entry of any kind.
        now: epoch seconds.
        tz: the time zone; None for the system's.

    """
    text = ENTRIES[type(entry.body)](entry, entry.body) or notice(_unseen(entry))
    return _in_front(shown_time(entry.time, now, tz), text)


FOLDED = 4  # lines of a longer message that a new member is shown


def _folded(text: str) -> str:
    """Return the first lines of a message, and the number of further ones."""
    lines = text.split("\n")
    if len(lines) <= FOLDED + 1:
        return text
    return "\n".join([*lines[:FOLDED], f"… {len(lines) - FOLDED} more lines, /history shows them"])


def _past(event: HistoryShown) -> str:
    lines = [stamped(entry, event.now) for entry in event.entries]
    if event.folds:
        lines = [_folded(line) for line in lines]
    if event.elsewhere:
        lines = [_in_front(f"[{entry.room}] ", line) for entry, line in zip(event.entries, lines, strict=True)]
    lines += [notice(line) for line in event.tail]
    return "\n".join(lines)


def _members(event: MembersListed, width: int = 78) -> str:
    count = len(event.nicks) + event.more
    lines = [f"*** In {event.room}: {count} ***"]
    for nick in event.nicks:
        nick = f"@{nick}" if nick in event.operators else nick
        if len(lines) == 1 or columns(lines[-1]) + columns(nick) + 2 > width:
            lines.append(f"  {nick}")
        else:
            lines[-1] += f", {nick}"
    return "\n".join(lines + ([f"  and {event.more} more"] if event.more else []))


def _rooms(event: RoomsListed) -> str:
    lines = []
    for room in event.rooms:
        here = "*" if room.name == event.current else " "
        lines.append(f"{here} {room.name} ({room.members})" + (f": {room.topic}" if room.topic else ""))
    return "\n".join(
        [
            "*** Rooms, and how many people are in them ***",
            *lines,
            *([f"  and {event.more} more"] if event.more else []),
        ]
    )


def _joined(event: RoomEntered) -> str:
    if event.current:
        return notice(f"You are also in {event.room}. Type /join {event.room} to speak there")
    lines = [] if event.first else [notice(f"You are in {event.room}")]
    return "\n".join([*lines, notice(f"Topic: {event.topic}")] if event.topic else lines)


def _left(event: RoomExited) -> str:
    current = f" and are in {event.current}" if event.current else ""
    return notice(f"You have left {event.room}{current}")


def _private(event: Private) -> str:
    if event.entry and type(event.entry.body) is Redacted:
        return notice(f"{event.nick} has deleted a private message")
    author = f"{event.nick} -> {event.to}" if event.to else event.nick
    return _in_front(f"{author} (private): ", event.text)


def _notice(event: Notice) -> str:
    return notice(event.lines[0]) if len(event.lines) == 1 else "\n".join(event.lines)


def _missed(event: Missed) -> str:
    what = "new" if event.room else "private message" if event.count == 1 else "private messages"
    return f"--- {event.count} {what} since {datetime.fromtimestamp(event.since).astimezone():%H:%M} ---"


def _private_past(event: PrivateShown) -> str:
    lines = []
    for entry in event.entries:
        to = entry.room.removeprefix("@")
        author = entry.nick if to == event.reader else f"{entry.nick} -> {to}"
        text = _in_front(f"{author} (private): ", text_of(entry.body))
        lines.append(_in_front(shown_time(entry.time, event.now), text))
    return "\n".join([*lines, *(notice(line) for line in event.tail)])


EVENTS: dict[type[Event], Callable[[Any], str]] = {
    Notice: _notice,
    Refusal: lambda event: event.text,
    Acknowledged: lambda event: "",
    QueryResult: lambda event: "",
    RoomEntered: _joined,
    RoomExited: _left,
    RoomNameChanged: lambda event: "",
    LoggedIn: lambda event: notice(f"You are logged in as {event.name}"),
    Missed: _missed,
    NickAssigned: lambda event: notice(f"You are {event.nick} now"),
    Private: lambda event: _private(event) if event.text else "",
    PrivateShown: _private_past,
    Invited: lambda event: notice(f"{event.nick} invites you to {event.room}. Type /join {event.room}"),
    Knocked: lambda event: notice(event.text),
    HistoryShown: _past,
    MembersListed: _members,
    RoomsListed: _rooms,
    Clock: lambda event: notice(datetime.fromtimestamp(event.now).astimezone().strftime("%Y-%m-%d %H:%M:%S %Z")),
    Goodbye: lambda event: "",
}


MESSAGES = (HistoryShown, Private, PrivateShown)  # shown without wrapping


def render(event: Event, end: str, width: int = 0) -> bytes:
    """Return an event as bytes; b"" if a terminal does not show it.

    Args:
        event: an event of any type.
        end: the end of a line.
        width: columns of the terminal, at which the server's own lines are wrapped at words; 0 if unknown.

    """
    text = _members(event, width) if width and isinstance(event, MembersListed) else EVENTS[type(event)](event)
    if width and not isinstance(event, MESSAGES):
        text = wrap(text, width)
    return encode(text, end) if text else b""
