"""Mentions: which names a text addresses, and which words it contains; and a mention as it is stored.

`@ann` addresses Ann, and so do `ann:` and `ann,`. Names and words are compared folded, like all names.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from itertools import islice
from typing import NamedTuple

from hubbub.text.bounds import FOLDED_CHARS, NAME_CHARS
from hubbub.text.cleaning import fold_text
from hubbub.text.names import BETWEEN, key_of

KEPT = 200  # mentions of an account that are kept: the newest
MOST_NAMES = 50  # places in a text that are looked at; further ones have no effect
MOST_WORDS = 20  # own words of an account

# The text between spaces, `@`, `:` and `,`; whole, so the search is linear.
_PART = r"[^\s@:,]++"
# As texts: `re` compiles and keeps them when they are used first, which makes the start of the server shorter.
_ADDRESSED = rf"(?<!\w)@({_PART})|(?<![^\s@:,])({_PART})(?=:(?!\S)|,(?!\d))"
_SIGNS = r"^\W+|\W+$"
_ENDING = rf"[{BETWEEN}]\w{{1,2}}$"  # Ann's, Ann'll
_RUN = r"\w[\w.-]*"
_PIECE = r"\w+"
_WORD = r"\w+(?:[.-]\w+)*"


class Mention(NamedTuple):
    """A message that mentions somebody, by its place in the log.

    Args:
        time: the time of the message, in epoch seconds.
        room: the id of the room.
        seq: the number of the message.

    """

    time: float
    room: str
    seq: int


def addressed(text: str) -> tuple[str, ...]:
    """Return the folded names that a text may address; most of them may be nobody's."""
    found: dict[str, None] = {}
    for match in islice(re.finditer(_ADDRESSED, text), MOST_NAMES):
        found.update(dict.fromkeys(_names(match[1] or match[2])))
    return tuple(found)


def _names(part: str) -> Iterable[str]:
    """Yield the folded names that a part of a text may mean: `[Ann]`, and Ann; Ann's, and Ann."""
    if len(part) > FOLDED_CHARS:
        return
    bare = re.sub(_SIGNS, "", part)
    for name in dict.fromkeys((part, bare, re.sub(_ENDING, "", bare))):
        if key := key_of(name):
            yield key


def words_in(text: str) -> frozenset[str]:
    """Return the folded words of a text: those between other signs, and those with dots and hyphens as a whole."""
    folded = fold_text(text)
    runs = {run.rstrip(".-") for run in re.findall(_RUN, folded)}
    return frozenset(runs.union(re.findall(_PIECE, folded)))


def own_word(typed: str) -> str:
    """Return a word of somebody's list, folded; "" if it is no word or too long."""
    word = key_of(typed)
    return word if len(word) <= NAME_CHARS and re.fullmatch(_WORD, word) else ""


def merged(known: Iterable[Mention], more: Iterable[Mention]) -> list[Mention]:
    """Return the newest KEPT of two lists of mentions, each once, the oldest first."""
    return sorted({*known, *more})[-KEPT:]
