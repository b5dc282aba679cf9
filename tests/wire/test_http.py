"""The API's wire: streams in chunks, entries as events, and what a query may hold."""

from __future__ import annotations

import json

import msgspec
import pytest

from hubbub.core.model import Entry, Kind
from hubbub.wire import http as wire
from hubbub.wire.line import RAW

ENTRY = Entry("ops", 7, 5, 12.5, Kind.MESSAGE, "Al", "hi\nthere: ü", "x.1")
DATA = json.dumps(ENTRY._asdict(), ensure_ascii=False, separators=(",", ":")).encode()


def test_chunk_says_its_length_in_hex_and_none_is_no_end() -> None:
    assert wire.chunk(b"x" * 26) == b"1a\r\n" + b"x" * 26 + b"\r\n"
    assert wire.chunk(b"") == b"", "a chunk of nothing would end the body"


def test_entry_is_an_event_with_its_number() -> None:
    event = b"id: 7\ndata: " + DATA + b"\n\n"
    assert wire.EVENTS.render(ENTRY) == event and b"\n" not in DATA
    assert wire.EVENTS.join([event, event]) == wire.chunk(2 * event)
    assert wire.EVENTS.join([]) == b""
    assert wire.EVENTS.skipped("ops", 3) == wire.chunk(b"event: skipped\ndata: 3\n\n")
    assert wire.EVENTS.elsewhere is wire.EVENTS and wire.EVENTS.echo


def test_lines_are_streamed_as_in_a_terminal() -> None:
    form = wire.Streamed(RAW)
    assert form.join([form.render(ENTRY)]) == wire.chunk(b"Al: hi\nAl: there: \xc3\xbc\n")
    assert form.skipped("ops", 3) == wire.chunk(RAW.skipped("ops", 3))


@pytest.mark.parametrize(
    ("kind", "query"),
    [
        (wire.Messages, {"last": "0"}),
        (wire.Messages, {"last": "201"}),
        (wire.Messages, {"before": "-1"}),
        (wire.Messages, {"after": "x"}),
        (wire.Messages, {"after": "1" * 30}),
        (wire.Search, {}),
        (wire.Search, {"q": ""}),
        (wire.Search, {"q": "x" * 1025}),
        (wire.Post, {}),
        (wire.Post, {"name": "x" * 129}),
    ],
)
def test_query_that_is_not_possible(kind: type, query: dict[str, str]) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(query, kind, strict=False)


def test_who_follows_has_nothing_of_its_own() -> None:
    assert wire.EVENTS.mine(ENTRY) == b"" and not wire.EVENTS.once
