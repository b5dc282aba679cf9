"""The text of a search as people type it: words, and filters such as `from:ann` or `before:2026-11-24`."""

from __future__ import annotations

import re
from typing import NamedTuple

from hubbub.errors import Refused
from hubbub.model.queries import Asker, Search
from hubbub.model.viewer import Viewer
from hubbub.text import refusals
from hubbub.text.bounds import FOLDED_CHARS, SEARCH_CHARS, SEARCH_WORDS
from hubbub.text.cleaning import clean
from hubbub.text.names import check_room, key_of
from hubbub.text.typed.times import parse_time

_NAMES = "from|in|before|after"
_QUOTE = '["“”„]'
# A filter; its value may have quotes, and spaces between them: before:"2026-11-24 09:15".
_FILTER = rf"(?i)(?<!\S)({_NAMES}):(?:{_QUOTE}([^\"“”„]+){_QUOTE}|([^\s\"“”„]+))(?!\S)"
# A word that looks like a filter, in quotes: a search for the text itself.
_QUOTED = rf"(?i)(?<!\S){_QUOTE}((?:{_NAMES}):[^\s\"“”„]*){_QUOTE}(?!\S)"


class Asked(NamedTuple):
    """A search as it was typed."""

    words: str
    room: str = ""  # the room of the filter `in:`, "" without one
    author: str = ""  # the key of a nick, "" for all
    since: float = float("-inf")  # epoch seconds, included
    until: float = float("inf")  # epoch seconds, not included

    def query(
        self, limit: int, room: str | None, viewer: Viewer, asker: Asker | None = None, before: int = 0
    ) -> Search:
        """Return the query; `room` is searched (None: every room) if no filter names another one."""
        return Search(
            self.words,
            limit,
            self.room or room,
            before,
            asker,
            self.author,
            self.since,
            self.until,
            viewer=viewer,
        )


def parse(text: str, now: float) -> Asked:
    """Return the words and the filters of a search. Of two filters with the same name, the later one counts.

    Args:
        text: the text as it was typed.
        now: epoch seconds, for times such as `2h`.

    Raises:
        Refused: the search has more than SEARCH_CHARS characters or SEARCH_WORDS words, or the value of a filter is
            no name, no room or no time.

    """
    if len(text) > SEARCH_CHARS:
        raise refusals.SEARCH_TOO_LONG(limit=SEARCH_CHARS)
    text = clean(text)
    found = {match[1].lower(): (match[2] or match[3]).strip() for match in re.finditer(_FILTER, text)}
    asked = Asked(words_of(re.sub(_QUOTED, r"\1", re.sub(_FILTER, "", text))))
    if name := found.get("from"):
        asked = asked._replace(author=author_of(name))
    if room := found.get("in"):
        asked = asked._replace(room=check_room(room))
    if time := found.get("after"):
        asked = asked._replace(since=_time(time, now))
    if time := found.get("before"):
        asked = asked._replace(until=_time(time, now))
    return asked


def words_of(text: str) -> str:
    """Return the words of a search without filters, with one space between them. Raises Refused."""
    words = text.split()
    if len(words) > SEARCH_WORDS:
        raise refusals.TOO_MANY_WORDS(limit=SEARCH_WORDS)
    return " ".join(words)


def author_of(name: str) -> str:
    """Return the key of an author's nick. Raises Refused."""
    key = key_of(name.removeprefix("@"))
    if not key:
        raise refusals.TOO_LONG(limit=FOLDED_CHARS)
    return key


def _time(text: str, now: float) -> float:
    try:
        return parse_time(text, now)
    except Refused:
        raise refusals.FILTER_TIME_INVALID() from None
