"""Wrap lines of text at words to the width of a terminal."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from functools import lru_cache

KEPT = 256  # lines whose pieces are remembered: those of /help are the same for all sessions


def wrap(text: str, width: int) -> str:
    """Return text with each line cut at spaces to `width` columns; further lines get the indentation of the first.

    A word that is longer than a line stays whole: the terminal cuts it, and it can still be copied.
    """
    return "\n".join(piece for line in text.split("\n") for piece in _cut(line, width))


def columns(text: str) -> int:
    """Return the width of a text in terminal columns: wide characters (UAX #11) take two, marks take none."""
    if text.isascii():
        return len(text)
    return sum(_columns_of(char) for char in text)


def _columns_of(char: str) -> int:
    if unicodedata.category(char) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if unicodedata.east_asian_width(char) in "WF" else 1


@lru_cache(KEPT)
def _cut(line: str, width: int) -> tuple[str, ...]:
    return tuple(_pieces(line, width))


def _pieces(line: str, width: int) -> Iterator[str]:
    if columns(line) <= width:
        yield line
        return
    indent = line[: len(line) - len(line.lstrip(" "))]
    piece, size = indent, columns(indent)
    for word in line.split():
        gap = " " if piece.strip() else ""
        if gap and size + 1 + columns(word) > width:
            yield piece
            piece, size, gap = indent, columns(indent), ""
        piece += gap + word
        size += len(gap) + columns(word)
    yield piece
