"""IRC's lines: bytes to messages and back, with tags and limits. No I/O; serve/irc/ interprets the messages.

Sources: https://modern.ircdocs.horse, RFC 1459 and 2812 where that is silent, and ircv3.net's message-tags.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from enum import Enum, auto
from typing import NamedTuple

from hubbub.text.cleaning import cut as cut
from hubbub.text.concealed import concealed
from hubbub.text.tags import escape as escape
from hubbub.text.tags import unescape as unescape
from hubbub.wire.reader_state import State, give, taken

MAX_LINE = 512  # bytes of a line without its tags, with CR LF
MAX_TAGS = 4096  # bytes of the tags that a client sends, with the @ and the space
MAX_LABEL = 64
# Commands that are executed even if their text is not valid UTF-8: the bytes in question become U+FFFD.
ADORNED = frozenset({"USER", "PASS", "QUIT", "PART", "KICK", "AWAY", "SETNAME"})

_SPACES = re.compile(" +")


class Message(NamedTuple):
    """One line: the command in capitals, its parameters, and its tags (a tag without a value has "")."""

    verb: str
    params: list[str]
    tags: dict[str, str]

    def __repr__(self) -> str:
        return concealed(self)


class IrcFault(Enum):
    """The fault of a line that is not a message."""

    TOO_LONG = auto()
    NOT_UTF8 = auto()


class Broken(NamedTuple):
    """A line that is not a message: its fault, and its command and label as far as they are known."""

    why: IrcFault
    verb: str = "*"
    label: str = ""


def parse_tags(text: str) -> dict[str, str]:
    """Return tags by name; of two with the same name, the last one."""
    tags = {}
    for tag in text.split(";"):
        name, _, value = tag.partition("=")
        if name:
            tags[name] = unescape(value)
    return tags


def parse(line: str) -> Message | None:
    """Return the message in a line, None for an empty line. The source that a client gives is ignored."""
    tags: dict[str, str] = {}
    if line.startswith("@"):
        text, _, line = line[1:].partition(" ")
        tags = parse_tags(text)
    line = line.lstrip(" ")
    if line.startswith(":"):
        line = line.partition(" ")[2].lstrip(" ")
    # The first " :" begins the last parameter, which may contain spaces and further colons.
    head, colon, last = line.partition(" :")
    words = _SPACES.split(head.strip(" "))
    if not words[0]:
        return None
    return Message(words[0].upper(), [*words[1:], last] if colon else words[1:], tags)


class Reader:
    """Cuts bytes into messages, however the network cut them.

    `feed` adds bytes, `next_message` returns the next message. A line that is longer than MAX_LINE without its tags, or
    whose tags are longer than MAX_TAGS, is discarded up to its end, and reported once.
    """

    __slots__ = ("_data", "_pos", "_skipping")

    def __init__(self) -> None:
        self._data = b""  # bytes that are not read yet, from _pos on
        self._pos = 0
        self._skipping = False

    def feed(self, data: bytes) -> None:
        """Add bytes to the buffer."""
        self._data = self._data[self._pos :] + data if self._pos < len(self._data) else data
        self._pos = 0

    @property
    def waiting(self) -> bool:
        """Whether there are bytes that were not read yet."""
        return self._pos < len(self._data)

    def state(self) -> State:
        """Return the state as plain data."""
        return taken(self, self.__slots__)

    def restore(self, state: State) -> None:
        """Go on in a new reader with the state of another one."""
        give(self, state)

    def next_message(self) -> Message | Broken | None:
        """Return the next message, or the fault of the next line; None if no line is complete."""
        while (end := self._data.find(b"\n", self._pos)) >= 0:
            line = self._data[self._pos : end]
            self._pos = end + 1
            if self._skipping:
                self._skipping = False
            elif message := self._message(line):
                return message
        # The usual case: everything was read, so nothing needs to be copied.
        if self._pos == len(self._data) and not self._skipping:
            self._data, self._pos = b"", 0
            return None
        return self._unfinished()

    def _unfinished(self) -> Broken | None:
        self._data, self._pos = self._data[self._pos :], 0
        # The rest of a line that was reported already is not kept: it may be endless.
        if self._skipping:
            self._data = b""
        elif len(self._data) > MAX_TAGS + MAX_LINE:
            self._skipping = True
            self._data = b""
            return Broken(IrcFault.TOO_LONG)
        return None

    def _message(self, line: bytes) -> Message | Broken | None:
        # The result must be the same as if the line had arrived in pieces.
        if len(line) > MAX_TAGS + MAX_LINE:
            return Broken(IrcFault.TOO_LONG)
        line = line.rstrip(b"\r")
        tags, rest = b"", line
        if line.startswith(b"@"):
            tags, _, rest = line.partition(b" ")
        # Tags and the rest have separate limits (message-tags): a client cannot use one for the other.
        if len(tags) + 1 > MAX_TAGS or len(rest) > MAX_LINE - 2:
            return Broken(IrcFault.TOO_LONG)
        try:
            return parse(line.decode("utf-8").replace("\0", "").replace("\r", ""))
        except UnicodeDecodeError:
            known = parse(line.decode("utf-8", "replace").replace("\0", "").replace("\r", ""))
            if known and known.verb in ADORNED:
                return known
            verb = known.verb if known and "\ufffd" not in known.verb else "*"
            return Broken(IrcFault.NOT_UTF8, verb, known.tags.get("label", "") if known else "")


def line(source: str, verb: str, *params: str, tags: Mapping[str, str] | None = None) -> bytes:
    """Return a message as bytes, cut to the limit. The last parameter may be any text."""
    words = [f":{source}", verb, *params[:-1]] if source else [verb, *params[:-1]]
    if params:
        last = params[-1]
        words.append(f":{last}" if not last or last[0] == ":" or " " in last else last)
    text = " ".join(words)
    if len(text) > MAX_LINE // 4:  # it may be too long: a character has up to four bytes
        text = cut(text, MAX_LINE - 2)
    return (tag_text(tags) + text + "\r\n").encode()


def tag_text(tags: Mapping[str, str] | None) -> str:
    """Return tags with the @ and the space, as they stand before a message; "" if there are none."""
    if not tags:
        return ""
    return "@" + ";".join(f"{name}={escape(value)}" if value else name for name, value in tags.items()) + " "


def fill(words: Iterable[str], size: int, between: str = " ") -> list[str]:
    """Return words joined to lines of at most `size` bytes each, with as many words in a line as fit."""
    lines: list[str] = []
    length = 0
    current: list[str] = []
    for word in words:
        count = len(word.encode()) + len(between)
        if current and length + count > size:
            lines.append(between.join(current))
            current, length = [], 0
        current.append(word)
        length += count
    if current:
        lines.append(between.join(current))
    return lines
