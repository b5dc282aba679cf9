"""The filters of a search, as they are typed."""

from __future__ import annotations

import pytest

from hubbub.errors import Refused
from hubbub.model import searching
from hubbub.model.entries import Entry, Said
from hubbub.model.queries import Search
from hubbub.model.searching import Asked
from hubbub.model.viewer import SYSTEM
from hubbub.text.bounds import FOLDED_CHARS, SEARCH_CHARS, SEARCH_WORDS

NOW = 1_795_000_000.0


@pytest.mark.parametrize(
    ("text", "asked"),
    [
        ("tea  time", Asked("tea time")),
        ("from:Ann tea", Asked("tea", author="ann")),
        ("tea FROM:@ANN", Asked("tea", author="ann")),
        ("in:#Ops tea in:dev", Asked("tea", "dev")),
        ("after:2026-11-24T00:00+00:00 before:2026-11-25T00:00+00:00", Asked("", "", "", 1795478400.0, 1795564800.0)),
        ("before:2h", Asked("", until=NOW - 7200)),
        ('tea before:"2 h" x', Asked("tea x", until=NOW - 7200)),
        ("tea before:“2 h”", Asked("tea", until=NOW - 7200)),
        # Quoted, these are words; so are those without a value, and those within a word.
        ('"from:ann" tea', Asked("from:ann tea")),
        ("“before:all”", Asked("before:all")),
        ('from: in:"" xfrom:ann re:tea', Asked('from: in:"" xfrom:ann re:tea')),
        ('"tea time"', Asked('"tea time"')),
        ("  ", Asked("")),
    ],
)
def test_text_is_parsed(text: str, asked: Asked) -> None:
    assert searching.parse(text, NOW) == asked


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("before:all tea", "time-invalid"),
        ("after:2026-13-01", "time-invalid"),
        ("in:a,b", "room-invalid"),
        ("from:" + "x" * (FOLDED_CHARS + 1), "too-long"),
        ("x" * (SEARCH_CHARS + 1), "too-many-words"),
        ("a " * (SEARCH_WORDS + 1) + "from:ann", "too-many-words"),
    ],
)
def test_refused(text: str, code: str) -> None:
    with pytest.raises(Refused) as caught:
        searching.parse(text, NOW)
    assert caught.value.code == code


def test_filter_names_the_room_before_the_wire() -> None:
    assert searching.parse("in:ops tea", NOW).query(5, "lobby", SYSTEM).room == "ops"
    assert searching.parse("tea", NOW).query(5, "lobby", SYSTEM).room == "lobby"
    assert searching.parse("tea", NOW).query(5, None, SYSTEM).room is None


def test_entries_that_fit() -> None:
    entry = Entry("ops", 1, 0, 100.0, "Zoë", "x-1.1", Said("tea"))
    for fits, query in (
        (True, Search("", 5, viewer=SYSTEM)),
        (True, Search("", 5, author="zoë", since=100.0, until=101.0, viewer=SYSTEM)),
        (False, Search("", 5, author="zoe", viewer=SYSTEM)),
        (False, Search("", 5, until=100.0, viewer=SYSTEM)),
        (False, Search("", 5, since=101.0, viewer=SYSTEM)),
    ):
        assert query.fits(entry) is fits
    assert not Search("tea", 5, viewer=SYSTEM).narrows
    assert Search("", 5, author="a", viewer=SYSTEM).narrows and Search("", 5, until=5.0, viewer=SYSTEM).narrows
