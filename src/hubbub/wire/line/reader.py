"""The lines that nc and telnet send: bytes are cut into lines, and edited as a terminal does."""

from __future__ import annotations

import re
from enum import Enum, auto

from hubbub.text.patterns import pattern
from hubbub.wire.line.telnet import Telnet
from hubbub.wire.reader_state import State, give, taken

CANCEL, QUIT, BS, LF, CR, REPRINT, ERASE_LINE, ERASE_WORD, DEL = 3, 4, 8, 10, 13, 18, 21, 23, 127
_STOP = re.compile(rb"[\x08\x7f]+|[\x03\x04\n\r\x12\x15\x17]")
_CLUSTER = pattern(r"\X")  # a character as people see it (UAX #29)
LONG_CLUSTER = 64  # bytes; longer than in any script, so cutting one harms no real text


class LineSignal(Enum):
    """An event in a peer's line other than its end."""

    TOO_LONG = auto()  # the line is over the limit, and discarded up to its end
    # D on an empty line
    QUIT = auto()
    # R: the peer asks to see `LineReader.pending`
    REPRINT = auto()
    INTERRUPT = auto()  # of an editor: ^C, and nothing was typed
    KEYS = auto()  # of an editor: so many keys that they cost as much time as a line


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

    def has_line(self) -> bool:
        """Return whether a complete line that is not empty waits to be taken."""
        waiting = self._data[self._pos :].lstrip(b"\r\n")
        return b"\n" in waiting or b"\r" in waiting

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

    def take_rest(self) -> tuple[str, bytes]:
        """Return the line so far, and the bytes that were not read yet; remove both."""
        rest, self._data, self._pos = self._data[self._pos :], b"", 0
        return self._take_line(), rest

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
            for cluster in _CLUSTER().findall(line[start:].decode("utf-8", "surrogateescape")):
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
