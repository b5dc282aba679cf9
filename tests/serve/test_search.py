"""Searching as people and programs do it: signs and emoji, odd queries, and searches that are too many."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from in_thread import InThread

from api_scene import search
from hubbub.storage.sqlite import queries
from hubbub.storage.sqlite.schema import FILE
from scene import PATIENCE

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


def test_filters_in_a_terminal_and_by_the_api(server: InThread) -> None:
    alice = server.clients[0]
    bob = server.join("Bob")
    bob.say("pages of cake", "/join ops", "pages of pie")
    bob.barrier()
    alice.barrier()
    for words, expected in (
        ("pages from:BOB in:lobby", ["pages of cake"]),
        ("in:ops pages", ["pages of pie"]),
        ("page* in:lobby after:1h before:2099-01-01", ["pages of tea", "pages of cake"]),
        ("pages in:lobby before:1h", []),
        ('"from:bob" in:lobby', []),
    ):
        alice.say(f"/search {words}")
        shown = [line.partition(": ")[2] for line in alice.barrier().decode().splitlines() if line.startswith("[")]
        assert shown == expected, words
        status, _, page = search(server, words)
        assert (status, [entry["text"] for entry in page["entries"]]) == (200, expected), words
    assert search(server, "before:never")[0] == 400


@pytest.mark.parametrize("words", ["\x00", "te\x00a", "\x00tea", "tea \x00", '"', "*", "NEAR(", "\\", "%"])
def test_odd_searches_are_answered(server: InThread, words: str, caplog: pytest.LogCaptureFixture) -> None:
    for path in ("/api/v1/search", "/api/v1/rooms/lobby/search"):
        status, _, page = search(server, words, path)
        assert status == 200 and (page == {"entries": [], "more": False} or "\x00" in words)
    assert "could not be answered" not in caplog.text


def test_searches_that_are_too_many_are_told_so_and_delay_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each takes as long as a search may: nothing is found, and there is no index to say so at once."""
    monkeypatch.setattr(queries, "PATIENCE", 0.3)
    server = InThread(tmp_path / "data", "--no-limits")
    alice = server.join("Alice")
    alice.say(*(f"{number} " + "tea " * 700 for number in range(400)))
    alice.barrier()
    server.close()
    with closing(sqlite3.connect(tmp_path / "data" / FILE)) as db:  # the index knows nothing of them
        db.execute("INSERT INTO entry_text (entry_text) VALUES ('delete-all')")
        db.executescript(
            "UPDATE mark SET value = 0 WHERE name = 'indexed';"
            "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 50000)"
            "INSERT INTO entry SELECT 1000 + i, 1, 999 + i, 1.0, 'message', 'Bo', 'größer ' || i, 'y.' || i, '', '',"
            " NULL FROM n"
        )
        db.commit()
    server = InThread(tmp_path / "data", "--no-limits")
    answers: list[tuple[int, Any, dict[str, Any]]] = []
    threads = [
        threading.Thread(target=lambda: answers.append(search(server, "nowhere"))) for _ in range(40)
    ]  # fmt: skip
    for thread in threads:
        thread.start()
    bob = server.join("Bob")
    bob.say("/join elsewhere", "hello")
    bob.barrier()
    for thread in threads:
        thread.join(PATIENCE)
    busy = [(headers, page) for status, headers, page in answers if status == 503 and page["code"] == "busy"]
    assert busy and all(headers["Retry-After"] for headers, _ in busy)
    assert len(answers) == 40
    server.close()
