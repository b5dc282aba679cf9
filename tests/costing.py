"""What text costs: the worst that somebody can send, and how much CPU its bytes take beside those of plain text."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from math import inf

WORST = {  # a unit that is repeated
    "marks of two classes": "\u0301\u0323",
    "many marks on a letter": "a" + "\u0301" * 30,
    "a letter that becomes 18": "\ufdfa",
    "a letter that becomes 3": "\ufb2c",
    "a letter that grows when its case is folded": "\u0390",
    "joiners": "\u200d",
    "emoji that are joined": "👨\u200d",
    "flags": "🇩",
    "syllables": "\u1100\u1161\u11a8",
    "tag characters": "\U000e0061",
    "variation selectors": "a\ufe0f",
    "stars": "*",
    "stars between letters": "a*",
    "question marks": "?a",
    "words": "a ",
    "spaces": " ",
    "tabs": "\t",
    "dots": "1.",
    "colons": "a:",
    "commas": "a,",
    "slashes": "/a",
    "begun escape sequences": "\x1b[",
    "begun strings": "\x1b]",
    "colours": "\x0312,3",
    "colour codes alone": "\x03",
    "a long word": "x",
    "quotes": '"',
    "backslashes": "\\",
    "nonsense": "\x1b[\u0301\x03\u200d\u202e",
}


def worst(size: int) -> Iterator[tuple[str, str]]:
    """Yield texts of `size` bytes at most, each with its name; and one of all marks of one class before another's."""
    for name, unit in WORST.items():
        yield name, unit * (size // len(unit.encode()))
    yield "a run of marks, then one of another class", "\u0301" * (size // 4) + "\u0323" * (size // 4)


def cpu(act: Callable[[], object]) -> float:
    """Return the CPU seconds that something takes."""
    begun = time.process_time()
    act()
    return time.process_time() - begun


def least(act: Callable[[], object], bound: float = 0.0) -> float:
    """Return the least CPU seconds that something took in some tries, fewer if that is within a bound."""
    best = inf
    for _ in range(10):
        best = min(best, cpu(act))
        if best <= bound:
            break
    return best
