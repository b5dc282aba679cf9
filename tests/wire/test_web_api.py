"""The queries and answers of the API."""

from __future__ import annotations

import msgspec
import pytest
from msgspec import Struct

from hubbub.model.events import OpenPoll
from hubbub.wire.web import api as wire
from hubbub.wire.web.api import PollInfo


@pytest.mark.parametrize(
    ("kind", "query"),
    [
        (wire.MessagesQuery, {"last": "0"}),
        (wire.MessagesQuery, {"last": "201"}),
        (wire.MessagesQuery, {"before": "-1"}),
        (wire.MessagesQuery, {"after": "x"}),
        (wire.MessagesQuery, {"after": "1" * 30}),
        (wire.SearchQuery, {}),
        (wire.SearchQuery, {"q": ""}),
        (wire.SearchQuery, {"q": "x" * 1025}),
        (wire.MessagesQuery, {"after": "a b-1"}),
        (wire.MessagesQuery, {"after": "-1"}),
        (wire.PostQuery, {"name": "x" * 129}),
    ],
)
def test_query_that_is_not_possible_is_told_in_a_sentence(kind: type[Struct], query: dict[str, str]) -> None:
    with pytest.raises(msgspec.ValidationError) as caught:
        msgspec.convert(query, kind, strict=False)
    field = next(iter(query), "")
    told = wire.explain(caught.value, kind).text
    assert told.startswith(f"The query's {field} must be " if query else "The query lacks ")
    assert told.endswith("." if query else "=…")


def test_place_is_a_number_of_this_log_or_of_no_certain_one() -> None:
    assert wire.place("7", "log1") == wire.place("log1-7", "log1") == 7
    assert wire.place("log2-7", "log1") is None
    assert wire.is_mark("log1-7") and wire.is_mark("7")
    assert not any(map(wire.is_mark, ("", "x", "log1-", "7-log1", "٣", "9" * 19, "7\n")))


def test_poll_has_one_line_with_its_votes() -> None:
    poll = OpenPoll("x.1", "Ann", "tea?", ("yes", "no"), (2, 1), mine=1)
    assert wire.PollInfo.of(poll).line == "Ann asks: tea? yes 2, no 1 (is open)"
    assert wire.PollInfo.of(poll, closed=True).line == "Ann asks: tea? yes 2, no 1 (has ended)"
    assert wire.PollInfo.of(poll) == wire.PollInfo("x.1", "Ann", "tea?", ("yes", "no"), (2, 1), 0, 1, False)


def test_poll_in_words_says_whether_it_is_open() -> None:
    poll = OpenPoll("x.1", "Ann", "tea?", ("yes", "no"), [2, 1], 1, 1)
    counted = "Ann asks: tea? yes 2, no 1 (1 vote by guests who can vote again under another name)"
    assert PollInfo.of(poll).line == f"{counted} (is open)"
    assert PollInfo.of(poll, closed=True).line == f"{counted} (has ended)"
