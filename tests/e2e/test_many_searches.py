"""Searches in a log of which the index knows nothing yet."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

from api_scene import search
from hubbub.storage.sqlite.store import FILE
from scene import PATIENCE, Server


def test_searches_that_are_too_many_are_told_so_and_delay_nobody(serve: Callable[..., Server], tmp_path: Path) -> None:
    """Each takes as long as a search may: nothing is found, and there is no index to say so at once."""
    server = serve("--no-limits", sniffs=True)
    alice = server.join("Alice")
    alice.say(*(f"{number} " + "tea " * 700 for number in range(400)))
    alice.barrier()
    server.disconnect()
    assert server.stop() == 0
    with closing(sqlite3.connect(tmp_path / "data" / FILE)) as db:  # the index knows nothing of them
        db.execute("INSERT INTO entry_text (entry_text) VALUES ('delete-all')")
        db.executescript(
            "UPDATE mark SET value = 0 WHERE name = 'indexed';"
            "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 150000)"
            "INSERT INTO entry SELECT 1000 + i, 1, 999 + i, 1.0, 'message', 'Bo', 'größer ' || i, 'y.' || i, '', '',"
            " NULL FROM n"
        )
        db.commit()
    server = serve("--no-limits", sniffs=True)
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
