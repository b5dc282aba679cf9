"""The keys that a terminal sends: bytes become text, keys and pastes.

Escape sequences (ECMA-48) are read to their end, however the network cuts them, and those without a meaning here are
dropped. Nothing of a sequence but its parameters is kept, so a sequence without an end costs no memory. Any control
character ends one: Enter always works.
"""

from __future__ import annotations

import codecs
import re
from enum import Enum, auto

from msgspec import Struct

from hubbub.text.cleaning import typed
from hubbub.text.concealed import concealed

ESC = "\x1b"
PARAMETERS = 16  # characters of a control sequence that are kept; no key has more
PARTS = 256  # characters without a meaning after which `KeyReader.next_key` returns
PASTE_ENDS = "\x1b[201~"
_TEXT = re.compile(r"[^\x00-\x1f\x7f-\x9f]+")


class Key(Enum):
    """A key, or a combination of keys, that is not text."""

    ENTER = auto()
    ESCAPE = auto()
    INTERRUPT = auto()  # Ctrl-C
    DELETE_OR_END = auto()  # Ctrl-D
    COMPLETE = auto()  # TAB
    REDRAW = auto()  # Ctrl-L
    SEARCH = auto()  # Ctrl-R
    UP = auto()
    DOWN = auto()
    LEFT = auto()
    RIGHT = auto()
    HOME = auto()
    END = auto()
    WORD_LEFT = auto()
    WORD_RIGHT = auto()
    BACKSPACE = auto()
    DELETE = auto()
    CUT_TO_START = auto()  # Ctrl-U
    CUT_TO_END = auto()  # Ctrl-K
    CUT_WORD = auto()  # Ctrl-W
    CUT_WORD_RIGHT = auto()  # Meta-D
    PUT_BACK = auto()  # Ctrl-Y
    TRANSPOSE = auto()  # Ctrl-T
    NOTHING = auto()  # PARTS characters that were no keys, or parts of one


class Paste(Struct, frozen=True):
    """A pasted text; None if it is longer than the limit. Its lines end in LF."""

    text: str | None

    __repr__ = concealed


_CONTROLS = {
    "\x01": Key.HOME, "\x02": Key.LEFT, "\x03": Key.INTERRUPT, "\x04": Key.DELETE_OR_END, "\x05": Key.END,
    "\x06": Key.RIGHT, "\x08": Key.BACKSPACE, "\x09": Key.COMPLETE, "\x0a": Key.ENTER, "\x0b": Key.CUT_TO_END,
    "\x0c": Key.REDRAW, "\x0d": Key.ENTER, "\x0e": Key.DOWN, "\x10": Key.UP, "\x12": Key.SEARCH,
    "\x14": Key.TRANSPOSE, "\x15": Key.CUT_TO_START, "\x17": Key.CUT_WORD, "\x19": Key.PUT_BACK,
    "\x7f": Key.BACKSPACE,
}  # fmt: skip
_META = {
    "b": Key.WORD_LEFT, "f": Key.WORD_RIGHT, "d": Key.CUT_WORD_RIGHT, "B": Key.WORD_LEFT, "F": Key.WORD_RIGHT,
    "D": Key.CUT_WORD_RIGHT, "\x08": Key.CUT_WORD, "\x7f": Key.CUT_WORD,
}  # fmt: skip
# The last character of a control sequence: `ESC [ … A`.
_ARROWS = {
    "A": Key.UP, "B": Key.DOWN, "C": Key.RIGHT, "D": Key.LEFT, "H": Key.HOME, "F": Key.END,
}  # fmt: skip
# The character after `ESC O`: also Enter of the keypad, and rxvt's arrows with Ctrl.
_SHIFTED = {**_ARROWS, "M": Key.ENTER, "c": Key.WORD_RIGHT, "d": Key.WORD_LEFT}
_NUMBERED = {  # `ESC [ NUMBER ~`, of the VT220, xterm and rxvt
    "1": Key.HOME, "7": Key.HOME, "4": Key.END, "8": Key.END, "3": Key.DELETE,
    "3;3": Key.CUT_WORD_RIGHT, "3;5": Key.CUT_WORD_RIGHT,
}  # fmt: skip
_BY_WORDS = {Key.LEFT: Key.WORD_LEFT, Key.RIGHT: Key.WORD_RIGHT}  # with Ctrl, Alt or both
_MODIFIED = ("1;3", "1;5", "1;7")


class _Within(Enum):
    TEXT = auto()
    ESCAPE = auto()  # after ESC
    CONTROL = auto()  # after ESC [
    SHIFT = auto()  # after ESC O
    SKIP = auto()  # one character, of the Linux console's function keys
    INTERMEDIATE = auto()  # after ESC and one of the characters SPACE to /
    STRING = auto()  # of a device: up to ST, BEL or another control character
    PASTE = auto()


_OPENED = {
    "[": _Within.CONTROL,
    "O": _Within.SHIFT,
    **dict.fromkeys("PX]^_", _Within.STRING),
    **dict.fromkeys(map(chr, range(0x20, 0x30)), _Within.INTERMEDIATE),
}


class KeyReader:
    """Cut the bytes of a terminal into keys.

    Feed bytes, then take keys until None. The keys do not depend on where the network cut the bytes, but for
    `Key.ESCAPE`: an ESC is this key if no byte follows it yet. `Key.NOTHING` only ends a call that took long.

    Args:
        limit: longest paste, in bytes of UTF-8; also the most bytes of one that are kept.

    """

    __slots__ = (
        "_data",
        "_decoder",
        "_ended_by",
        "_limit",
        "_parameters",
        "_paste",
        "_pasted",
        "_pos",
        "_state",
        "_told",
    )

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._data = ""  # characters that are not read yet, from _pos on
        self._pos = 0
        self._state = _Within.TEXT
        self._told = False  # Key.ESCAPE was returned for the last ESC
        self._ended_by = ""  # the control character that was Enter, if no character followed yet
        self._parameters = ""
        self._paste: list[str] = []
        self._pasted = 0  # bytes in _paste; more than the limit if its text was dropped

    def feed(self, data: bytes) -> None:
        """Add bytes from the terminal. Those that are not UTF-8 become U+FFFD."""
        self._data = self._data[self._pos :] + self._decoder.decode(data)
        self._pos = 0

    @property
    def waiting(self) -> bool:
        """Whether there are characters that were not read yet."""
        return self._pos < len(self._data) and not (self._state is _Within.PASTE and self._is_start_of_end(self._pos))

    def has_enter(self) -> bool:
        """Return whether an Enter waits to be taken."""
        rest = self._data[self._pos :].lstrip("\r\n")
        return "\r" in rest or "\n" in rest

    def take_rest(self) -> str:
        """Return the characters that were not read yet, and remove them."""
        rest, self._data, self._pos = self._data[self._pos :], "", 0
        return rest

    def next_key(self) -> str | Key | Paste | None:
        """Return the next text without control characters, key or paste; None if more bytes are needed."""
        parts = 0
        while self._pos < len(self._data):
            if self._state is _Within.PASTE:
                return self._read_paste()
            if self._state is _Within.TEXT and (text := _TEXT.match(self._data, self._pos)):
                self._pos, self._ended_by = text.end(), ""
                if piece := typed(text[0]):
                    return piece
                continue
            char = self._data[self._pos]
            self._pos += 1
            key = self._step(char)
            if key is not None:
                return key
            parts += 1
            if parts == PARTS:
                return Key.NOTHING
        if self._state is _Within.ESCAPE and not self._told:
            self._told = True
            return Key.ESCAPE
        self._data, self._pos = "", 0
        return None

    def _step(self, char: str) -> Key | None:
        """Process one character that is not text, or is part of a sequence; return its key if it has one."""
        state = self._state
        if char == ESC:
            self._state, self._told, self._ended_by = _Within.ESCAPE, False, ""
            return None
        if char < " " or "\x7f" <= char <= "\x9f":
            self._state = _Within.TEXT
            return _META.get(char) if state is _Within.ESCAPE and char in _META else self._control(char)
        match state:
            case _Within.ESCAPE:
                self._state = _OPENED.get(char, _Within.TEXT)
                self._parameters = ""
                return _META.get(char)
            case _Within.CONTROL:
                return self._in_control(char)
            case _Within.SHIFT:
                self._state = _Within.TEXT
                return _SHIFTED.get(char)
            case _Within.INTERMEDIATE if char < "0":
                pass
            case _Within.SKIP | _Within.INTERMEDIATE:
                self._state = _Within.TEXT
        return None

    def _control(self, char: str) -> Key | None:
        key = _CONTROLS.get(char)
        if key is not Key.ENTER:
            self._ended_by = ""
            return key
        # The second half of CR LF, or of LF CR.
        if self._ended_by and self._ended_by != char:
            self._ended_by = ""
            return None
        self._ended_by = char
        return key

    def _in_control(self, char: str) -> Key | None:
        if "@" <= char <= "~":
            self._state = _Within.SKIP if char == "[" and not self._parameters else _Within.TEXT
            return self._meant_by(char)
        if len(self._parameters) < PARAMETERS:
            self._parameters += char
        return None

    def _meant_by(self, last: str) -> Key | None:
        """Return the key of a control sequence that ends."""
        if last != "~":
            key = _ARROWS.get(last)
            return _BY_WORDS.get(key, key) if key and self._parameters in _MODIFIED else key
        if self._parameters == "200":
            self._state = _Within.PASTE
            self._paste, self._pasted = [], 0
        return _NUMBERED.get(self._parameters)

    # --- pastes -----------------------------------------------------------------------------------------------

    def _read_paste(self) -> Paste | None:
        """Keep what is here of a paste; return the paste if its end is here, too."""
        end = self._data.find(PASTE_ENDS, self._pos)
        if end < 0:
            # The last characters may be the beginning of the end.
            kept = next((n for n in range(len(PASTE_ENDS) - 1, 0, -1) if self._data.endswith(PASTE_ENDS[:n])), 0)
            self._keep(self._data[self._pos : len(self._data) - kept])
            self._data, self._pos = self._data[len(self._data) - kept :], 0
            return None
        self._keep(self._data[self._pos : end])
        self._pos = end + len(PASTE_ENDS)
        self._state, self._ended_by = _Within.TEXT, ""
        text = re.sub(r"\r\n?", "\n", "".join(self._paste))
        self._paste = []
        return Paste(typed(text) if self._pasted <= self._limit else None)

    def _is_start_of_end(self, at: int) -> bool:
        return PASTE_ENDS.startswith(self._data[at:])

    def _keep(self, piece: str) -> None:
        self._pasted += len(piece.encode("utf-8", "replace"))
        if self._pasted <= self._limit:
            self._paste.append(piece)
        else:
            self._paste = []
