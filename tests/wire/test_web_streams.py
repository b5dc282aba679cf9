"""Entries as events or lines, in chunks."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from msgspec.structs import asdict

from hubbub.model.codec import record
from hubbub.model.entries import Kind
from hubbub.wire.line.encoder import RAW
from hubbub.wire.web import streams
from records import entry_of

ENTRY = entry_of("ops", 7, 5, 12.5, Kind.MESSAGE, "Al", "hi\nthere: ü", "x.1")
DATA = json.dumps(asdict(record(ENTRY)), ensure_ascii=False, separators=(",", ":")).encode()


def test_chunk_says_its_length_in_hex_and_none_is_no_end() -> None:
    assert streams.chunk(b"x" * 26) == b"1a\r\n" + b"x" * 26 + b"\r\n"
    assert streams.chunk(b"") == b"", "a chunk of nothing would end the body"


@pytest.mark.parametrize(("cut", "end"), [(streams.chunk, b"0\r\n\r\n"), (streams.whole, b"")])
def test_entry_is_an_event_with_the_logs_identity_and_its_number(cut: Callable[[bytes], bytes], end: bytes) -> None:
    form = streams.StreamEncoder(streams.EventStreamEncoder(lambda: "log1"), cut)
    event = b"id: log1-7\ndata: " + DATA + b"\n\n"
    assert form.encode(ENTRY) == event and b"\n" not in DATA
    assert form.join([event, event]) == cut(2 * event)
    assert form.join([]) == form.encode_own(ENTRY) == b""
    assert form.encode_skipped("ops", 3) == cut(b"event: skipped\ndata: 3\n\n")
    assert form.other_log() == cut(b"event: other-log\ndata: log1\n\n")
    assert form.for_other_room is form and form.echo and not form.dedupes
    assert (form.alive, form.end) == (cut(b":\n\n"), end)


def test_lines_are_streamed_as_in_a_terminal() -> None:
    form = streams.StreamEncoder(streams.TextEncoder(), streams.chunk)
    assert form.join([form.encode(ENTRY)]) == streams.chunk(b"Al: hi\nAl: there: \xc3\xbc\n")
    assert form.encode_skipped("ops", 3) == streams.chunk(RAW.encode_skipped("ops", 3))
    assert (
        form.other_log().startswith(streams.chunk(form.other_log()[4:-2])[:4]) and b"*** The log is" in form.other_log()
    )
    assert form.alive == b"", "a terminal would show it"
