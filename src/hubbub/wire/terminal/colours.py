"""The colours of names on a terminal.

Each has a contrast of at least 4.5:1 (WCAG 2.2, 1.4.3) on black and on white, because nobody can tell which of them a
terminal has. Only these five colours of the 256 do; none is grey. Nothing but names is coloured.
"""

from __future__ import annotations

from zlib import crc32

PALETTE = (29, 63, 98, 131, 163)  # indexes into the 256 colours of xterm: green, blue, violet, red, magenta
_WITHOUT = ("dumb", "unknown", "vt", "ansi", "emacs")  # beginnings of the names of terminals that have no colours


def painted(name: str, key: str) -> str:
    """Return a name in its colour, which depends on its key alone: the form in which names are compared."""
    return f"\x1b[38;5;{PALETTE[crc32(key.encode()) % len(PALETTE)]}m{name}\x1b[39m"


def has_colours(terminal: str) -> bool:
    """Return whether a terminal of this type (TERM) has 256 colours, as far as its name tells."""
    return bool(terminal) and not terminal.lower().startswith(_WITHOUT)


def is_dumb(terminal: str) -> bool:
    """Return whether a terminal of this type (TERM) cannot erase a row."""
    return terminal.lower() in ("", "dumb", "unknown")
