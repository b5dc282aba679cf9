"""QR codes of addresses: a path for an SVG picture on the page, and half blocks for terminals.

The library segno makes them. It is pure Python without dependencies, and loaded when the first one is needed.
"""

from __future__ import annotations

import io
from itertools import groupby
from typing import NamedTuple

QUIET = 4  # modules of light margin, as ISO 18004 asks for


class QrPicture(NamedTuple):
    """The dark modules as the path of an SVG picture that is `size` wide and high."""

    size: int
    path: str


def picture(text: str) -> QrPicture:
    """Return the QR code of a text as a picture; a path needs no style, which the page's policy would forbid."""
    import segno

    rows = segno.make(text, micro=False, error="l").matrix
    parts = []
    for y, row in enumerate(rows, QUIET):
        x = QUIET
        for dark, run in groupby(row):
            width = len(list(run))
            if dark:
                parts.append(f"M{x} {y}h{width}v1h-{width}z")
            x += width
    return QrPicture(len(rows) + 2 * QUIET, "".join(parts))


def half_blocks(text: str) -> tuple[str, ...]:
    """Return the QR code of a text as lines for a terminal, whose text is light on a dark ground."""
    import segno

    lines = io.StringIO()
    segno.make(text, micro=False, error="l").terminal(out=lines, compact=True)
    return tuple(lines.getvalue().rstrip("\n").split("\n"))
