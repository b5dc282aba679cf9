"""IRC's formatting (bold, colours): removed from the text, and kept beside it for clients that can show it.

A text is stored plain. Its codes and their positions are a tag of its entry: `0b+5c04-01+9o` is bold at the beginning,
red on black from the sixth character on, and plain from the tenth. So wires without formatting can ignore it, and a
text never differs from its formatted version in anything but the codes. Source: https://modern.ircdocs.horse/formatting
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple

from hubbub.text.bounds import FORMAT_CHARS

# A colour code includes its numbers: up to two digits, then a comma and up to two more; after \x04, six hex digits
# likewise.
CODE = r"\x03(?:[0-9]{1,2}(?:,[0-9]{1,2})?)?|\x04(?:[0-9A-Fa-f]{6}(?:,[0-9A-Fa-f]{6})?)?|[\x02\x0f\x11\x16\x1c-\x1f]"
_CODE = re.compile(CODE)
TAG = "format"  # of an entry; its value comes from `store`
PLACE = "\x02"  # placeholder of a code while the text around it is cleaned

LETTERS = {
    "b": "\x02",
    "c": "\x03",
    "x": "\x04",
    "o": "\x0f",
    "m": "\x11",
    "r": "\x16",
    "k": "\x1c",  # no formatting: marks where the author's lines were joined to one
    "i": "\x1d",
    "s": "\x1e",
    "u": "\x1f",
}
CUT = LETTERS["k"]
APART = "\x02\x02"  # separates digits of a text from a code before them
_LETTERS = {char: letter for letter, char in LETTERS.items()}
_STORED = re.compile(r"([0-9]{1,5})([a-z])([0-9A-Fa-f]{0,6})(?:-([0-9A-Fa-f]{1,6}))?")


class Code(NamedTuple):
    """A code, and the index of the character in the plain text that it precedes."""

    at: int
    code: str


def mark(line: str) -> tuple[str, list[str]]:
    """Return a line with PLACE for each of its codes, and the codes.

    Digits after a colour code belong to it, except in two cases in which the code would have no effect: after another
    colour code without effect, and for 99 (the default) after one. There they are text, which that other code
    separates.
    """
    codes: list[str] = []
    coloured = noop = False  # coloured: a colour is set; noop: the last code ended no colour
    end = -1  # of the last code

    def place(match: re.Match[str]) -> str:
        nonlocal coloured, noop, end
        code = text = match[0]
        apart = match.start() == end and codes[-1] == "\x03"
        if text[0] == "\x03" and len(text) > 1 and apart and (noop or text[1:3] == "99"):
            code = "\x03"
        noop = code == "\x03" and not coloured
        coloured = len(code) > 1 if code[0] == "\x03" else coloured and code != "\x0f"
        codes.append(code)
        end = match.end()
        return PLACE + text[len(code) :]

    return _CODE.sub(place, line), codes


def strip(line: str) -> str:
    """Return a line without its codes."""
    return mark(line)[0].replace(PLACE, "")


def store(codes: Iterable[Code]) -> str:
    """Return codes as a tag's value; "" if there are none, or if the value is longer than FORMAT_CHARS."""
    words = (f"{at}{_LETTERS[code[0]]}{code[1:].replace(',', '-')}" for at, code in codes)
    value = "+".join(words)
    return value if len(value) <= FORMAT_CHARS else ""


def read(value: str) -> list[Code]:
    """Return the codes in a tag's value; invalid ones are left out."""
    codes = []
    for word in value[:FORMAT_CHARS].split("+"):
        match = _STORED.fullmatch(word)
        if match and match[2] in LETTERS:
            behind = f",{match[4]}" if match[4] else ""
            code = f"{LETTERS[match[2]]}{match[3]}{behind}"
            if _CODE.fullmatch(code):
                codes.append(Code(int(match[1]), code))
    return sorted(codes, key=lambda one: one.at)


def put_in(text: str, codes: Iterable[Code]) -> str:
    """Return a plain text with its codes, so that removing them from the result gives the same text again."""
    known = [one for one in codes if one.at <= len(text)]
    formatted = _put_in(text, known, "")
    return formatted if strip(formatted) == text else _put_in(text, known, APART)


def _put_in(text: str, codes: Iterable[Code], behind: str) -> str:
    parts = []
    start = 0
    for at, code in codes:
        parts += [text[start:at], code, behind if code[0] in "\x03\x04" else ""]
        start = at
    return "".join([*parts, text[start:]])
