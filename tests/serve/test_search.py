"""Searching as people and programs do it: signs and emoji, and odd queries."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from in_thread import InThread

from api_scene import search

SAID = ("release 🎉 party", "a -> b", "x != y", "I like C++", "a?b=c", "Größe und Straße", "pages of tea", "日本語です")
FOUND = [
    ("🎉", ["release 🎉 party"]),
    ("party 🎊", []),
    ("->", ["a -> b"]),
    ("!=", ["x != y"]),
    ("C++", ["I like C++"]),
    ("GRÖSSE", ["Größe und Straße"]),
    ("strasse", ["Größe und Straße"]),
    ("page", []),
    ("page*", ["pages of tea"]),
    ("日本", ["日本語です"]),
    ("$", []),
]


@pytest.fixture(params=["sqlite", "memory"])
def server(request: pytest.FixtureRequest, serve: Callable[..., InThread]) -> InThread:
    server = serve("--no-limits", ephemeral=request.param == "memory")
    alice = server.join("Alice")
    alice.say(*SAID)
    assert alice.barrier() == b""
    return server


def test_signs_emoji_and_case_in_a_terminal_and_by_the_api(server: InThread) -> None:
    bob = server.clients[0]
    for words, expected in FOUND:
        bob.say(f"/search {words}")
        shown = [line.partition("Alice: ")[2] for line in bob.barrier().decode().splitlines()]
        assert [line for line in shown if line] == expected, words
        status, _, page = search(server, words)
        assert (status, [entry["text"] for entry in page["entries"]]) == (200, expected), words


@pytest.mark.parametrize("words", ["\x00", "te\x00a", "\x00tea", "tea \x00", '"', "*", "NEAR(", "\\", "%"])
def test_odd_searches_are_answered(server: InThread, words: str, caplog: pytest.LogCaptureFixture) -> None:
    for path in ("/api/v1/search", "/api/v1/rooms/lobby/search"):
        status, _, page = search(server, words, path)
        assert status == 200 and (page == {"entries": [], "more": False} or "\x00" in words)
    assert "could not be answered" not in caplog.text
