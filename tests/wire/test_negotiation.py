"""What a client prefers, and its charset."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hubbub.wire.web.negotiation import decode, preferred

JSON, TEXT, EVENTS = "application/json", "text/plain", "text/event-stream"


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        ("", JSON),
        ("*/*", JSON),
        ("application/json, text/plain, */*", JSON),
        ("application/json;q=1.0, text/plain;q=0.5", JSON),
        ("text/plain;q=0.5, application/json", JSON),
        ("text/plain, application/json", JSON),
        ("text/html, application/xhtml+xml, */*;q=0.8", JSON),
        ("text/plain;q=0", JSON),
        ("application/xml", JSON),
        ("text/plain;q=x, */*", JSON),
        ("text/plain;q=1e9;q=0, */*", JSON),
        ("text/plain", TEXT),
        ("TEXT/PLAIN", TEXT),
        ("text/plain; charset=utf-8", TEXT),
        ("text/plain, */*", TEXT),
        ("text/plain, */*;q=0.1", TEXT),
        ("application/json;q=0.2, text/plain; q = 0.3", TEXT),
        ("text/*", TEXT),
        ("application/json;q=0, */*", TEXT),
        ("*/*;q=.5, application/json;q=0.4", TEXT),
    ],
)
def test_lines_are_sent_to_a_client_that_prefers_them(accept: str, kind: str) -> None:
    assert preferred(accept, (JSON, TEXT)) == kind


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        ("text/event-stream, text/plain", EVENTS),
        ("text/plain, text/event-stream", EVENTS),
        ("text/*", EVENTS),
        ("text/plain, text/event-stream;q=0.9", TEXT),
    ],
)
def test_stream_is_of_events_unless_lines_are_preferred(accept: str, kind: str) -> None:
    assert preferred(accept, (EVENTS, TEXT)) == kind


@given(st.text())
def test_any_header_has_an_answer(accept: str) -> None:
    assert preferred(accept, (JSON, TEXT)) in (JSON, TEXT)


def test_long_header_costs_little() -> None:
    assert preferred(",".join(["a/b"] * 5000 + [TEXT]), (JSON, TEXT)) == JSON


@pytest.mark.parametrize(
    ("charset", "body", "text"),
    [
        ("", b"caf\xc3\xa9", "café"),
        ("UTF-8", b"caf\xc3\xa9\xff", "café\ufffd"),
        ("us-ascii", b"caf\xc3\xa9", "café"),
        ("iso-8859-1", b"caf\xe9", "café"),
        ("ISO-8859-15", b"\xa4", "€"),
        ("windows-1251", "привет".encode("cp1251"), "привет"),
        ("utf-16", "hé".encode("utf-16"), "hé"),
        ("shift_jis", "日本".encode("shift_jis"), "日本"),
        ("utf-7", b"x", None),
        ("zlib", b"x", None),
        ("idna", b"x", None),
        ("nonsense", b"x", None),
    ],
)
def test_charset_that_is_known_is_decoded(charset: str, body: bytes, text: str | None) -> None:
    assert decode(body, charset) == text
