"""The API's wire: streams in chunks, entries as events, and what a query may hold."""

from __future__ import annotations

import json
from collections.abc import Callable

import msgspec
import pytest
from msgspec import Struct
from msgspec.structs import asdict

from hubbub.model.codec import record
from hubbub.model.entries import Kind
from hubbub.model.events import OpenPoll
from hubbub.wire.line.encoder import RAW
from hubbub.wire.web import http as wire
from hubbub.wire.web.http import PollInfo
from records import entry_of

ENTRY = entry_of("ops", 7, 5, 12.5, Kind.MESSAGE, "Al", "hi\nthere: ü", "x.1")
DATA = json.dumps(asdict(record(ENTRY)), ensure_ascii=False, separators=(",", ":")).encode()


def test_chunk_says_its_length_in_hex_and_none_is_no_end() -> None:
    assert wire.chunk(b"x" * 26) == b"1a\r\n" + b"x" * 26 + b"\r\n"
    assert wire.chunk(b"") == b"", "a chunk of nothing would end the body"


@pytest.mark.parametrize(("cut", "end"), [(wire.chunk, b"0\r\n\r\n"), (wire.whole, b"")])
def test_entry_is_an_event_with_the_logs_identity_and_its_number(cut: Callable[[bytes], bytes], end: bytes) -> None:
    form = wire.StreamEncoder(wire.EventStreamEncoder(lambda: "log1"), cut)
    event = b"id: log1-7\ndata: " + DATA + b"\n\n"
    assert form.encode(ENTRY) == event and b"\n" not in DATA
    assert form.join([event, event]) == cut(2 * event)
    assert form.join([]) == form.encode_own(ENTRY) == b""
    assert form.encode_skipped("ops", 3) == cut(b"event: skipped\ndata: 3\n\n")
    assert form.other_log() == cut(b"event: other-log\ndata: log1\n\n")
    assert form.for_other_room is form and form.echo and not form.dedupes
    assert (form.alive, form.end) == (cut(b":\n\n"), end)


def test_lines_are_streamed_as_in_a_terminal() -> None:
    form = wire.StreamEncoder(wire.TextEncoder(), wire.chunk)
    assert form.join([form.encode(ENTRY)]) == wire.chunk(b"Al: hi\nAl: there: \xc3\xbc\n")
    assert form.encode_skipped("ops", 3) == wire.chunk(RAW.encode_skipped("ops", 3))
    assert form.other_log().startswith(wire.chunk(form.other_log()[4:-2])[:4]) and b"*** The log is" in form.other_log()
    assert form.alive == b"", "a terminal would show it"


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


def test_refusal_is_a_whole_answer_and_the_last() -> None:
    answer = wire.refusal("408 Request Timeout", "Too late, Zoë.", wire.HEADERS)
    head, _, body = answer.partition(b"\r\n\r\n")
    lines = head.decode().split("\r\n")
    assert lines[0] == "HTTP/1.1 408 Request Timeout" and body == "Too late, Zoë.\n".encode()
    assert {"Content-Length: 16", "Connection: close", "Server: hubbub"} <= set(lines)


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
