"""Patterns of the regex library, which knows the properties of Unicode's characters.

Plain ASCII text needs none of them. The library and its patterns take a tenth of the time in which the server starts,
so both are loaded when a pattern is first used.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import regex


@cache
def compiled(text: str) -> regex.Pattern[str]:
    """Return a compiled pattern; its flags stand at the beginning of its text: `(?V1)` allows sets within sets."""
    import regex

    return regex.compile(text)


def pattern(text: str) -> Callable[[], regex.Pattern[str]]:
    """Return a function that returns the pattern, and compiles it when it is first called."""
    return partial(compiled, text)
