"""IRC's formatting (bold, colours): taken out of what is said, and kept beside it for clients that can show it.

A text is stored plain. Its codes are a tag of its entry, with the places where they stood: `0b+5c04-01+9o` is bold at
the beginning, red on black from the sixth character on, and none from the tenth. So wires without formatting need not
know of it, and what is shown with formatting is never another text. Sources: https://modern.ircdocs.horse/formatting
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple

from hubbub.core.bounds import FORMAT_CHARS

# A colour takes its numbers along: up to two digits, a comma and up to two more; behind \x04 six hex digits likewise.
CODE = r"\x03(?:[0-9]{1,2}(?:,[0-9]{1,2})?)?|\x04(?:[0-9A-Fa-f]{6}(?:,[0-9A-Fa-f]{6})?)?|[\x02\x0f\x11\x16\x1c-\x1f]"
_CODE = re.compile(CODE)
TAG = "format"  # of an entry; its value is what `store` returns
PLACE = "\x02"  # what stands for a code while the text around it is cleaned

LETTERS = {
    "b": "\x02",
    "c": "\x03",
    "x": "\x04",
    "o": "\x0f",
    "m": "\x11",
    "r": "\x16",
    "k": "\x1c",  # no formatting: here its author began another line that goes on in the same one
    "i": "\x1d",
    "s": "\x1e",
    "u": "\x1f",
}
CUT = LETTERS["k"]
APART = "\x02\x02"  # keeps digits of a text from a code before them
_LETTERS = {char: letter for letter, char in LETTERS.items()}
_STORED = re.compile(r"([0-9]{1,5})([a-z])([0-9A-Fa-f]{0,6})(?:-([0-9A-Fa-f]{1,6}))?")


class Code(NamedTuple):
    """A code, and before which character of the plain text it stands."""

    at: int
    code: str


def mark(line: str) -> tuple[str, list[str]]:
    """Return a line with PLACE for each of its codes, and the codes.

    Digits behind a colour code are its own, but for two cases in which it would do nothing: behind another such code
    without effect, and 99 (the default) behind one. There they are text, which that other code keeps apart.
    """
    codes: list[str] = []
    coloured = noop = False  # whether a colour is set, and the last thing was a code for the end of one that was not
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
    """Return codes as a tag's value; "" for none, and for more than are kept."""
    words = (f"{at}{_LETTERS[code[0]]}{code[1:].replace(',', '-')}" for at, code in codes)
    value = "+".join(words)
    return value if len(value) <= FORMAT_CHARS else ""


def read(value: str) -> list[Code]:
    """Return the codes that a tag's value tells; what is not understood is left out."""
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
    """Return a plain text with its codes: one that is the same text without them."""
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
