"""The program of the house: asked in Ergo's JSON, with a deadline and a bound for what it costs."""

from __future__ import annotations

import json
import socket
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from registered import is_refused
from test_parts import Delivered

from hubbub.accounts.house import HouseProgram
from hubbub.accounts.workers import Workers

SCRIPT = """
import json, sys
asked = json.loads(sys.stdin.readline())
assert asked["ip"] == "192.0.2.1" and set(asked) == {"accountName", "passphrase", "ip"}
right = asked["passphrase"] == "right 🤗"
print(json.dumps({"success": right, "accountName": asked["accountName"].title() if right else "", "error": ""}))
"""


def ask(program: HouseProgram, delivered: Delivered, password: str) -> Any:
    answers: list[Any] = []
    program.ask("ann", password, "192.0.2.1", answers.append)
    delivered.take(1)
    return answers[0]


def python(delivered: Delivered, script: str, deadline: float = 60) -> HouseProgram:
    return HouseProgram(Workers(1, 1, delivered, "test"), [sys.executable, "-c", script], deadline=deadline)


def test_a_program_is_started_for_each_request() -> None:
    delivered = Delivered()
    program = python(delivered, SCRIPT)
    assert ask(program, delivered, "right 🤗") == "Ann"
    assert ask(program, delivered, "wrong") is None


@pytest.mark.parametrize(
    "script",
    [
        "",
        "print('no JSON')",
        "print('[1]')",
        "print('{\"success\": 1}')",
        'print(\'{"success": true, "error": "the directory is away"}\')',
        "print('{' * 10 ** 6)",
        "import sys; sys.stdin.close(); print('{')",
        "raise SystemExit(1)",
    ],
)
def test_a_program_that_fails_lets_nobody_in(script: str, caplog: pytest.LogCaptureFixture) -> None:
    delivered = Delivered()
    assert is_refused(ask(python(delivered, script), delivered, "a secret"), "busy")
    assert "a secret" not in caplog.text and "program that checks passwords" in caplog.text


def test_a_program_that_hangs_is_killed_with_its_children(tmp_path: Path) -> None:
    """A child that kept the pipe open would else hold the thread for ever."""
    delivered = Delivered()
    script = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'import time; time.sleep(1000)'])"
    assert is_refused(ask(python(delivered, script, deadline=0.5), delivered, "x"), "busy")


def test_a_program_that_is_missing_lets_nobody_in() -> None:
    delivered = Delivered()
    program = HouseProgram(Workers(1, 1, delivered, "test"), ["/nonexistent/program"])
    assert is_refused(ask(program, delivered, "x"), "busy")
    program = HouseProgram(Workers(1, 1, delivered, "test"), [], "/nonexistent/socket")
    assert is_refused(ask(program, delivered, "x"), "busy")


def test_a_full_queue_is_said() -> None:
    answers: list[Any] = []
    HouseProgram(Workers(0, 0, Delivered(), "test"), ["x"]).ask("ann", "x", "", answers.append)
    assert is_refused(answers[0], "too-many-logins")


def test_a_request_that_makes_room_for_that_of_another_address_is_refused_as_busy() -> None:
    answers, delivered = list[Any](), Delivered()
    program = HouseProgram(Workers(0, 2, delivered, "test"), ["x"])
    for address in ("192.0.2.1", "192.0.2.1", "192.0.2.2"):
        program.ask("ann", "x", address, answers.append)
    delivered.take(1)
    assert len(answers) == 1 and is_refused(answers[0], "too-many-logins")


def test_a_program_listens_on_a_socket(tmp_path: Path) -> None:
    path, delivered = tmp_path / "auth", Delivered()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()

        def serve() -> None:
            for _ in range(2):
                peer, _ = listener.accept()
                with peer, peer.makefile("rw") as lines:
                    asked = json.loads(lines.readline())
                    lines.write(json.dumps({"success": asked["passphrase"] == "right"}) + "\n")

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        program = HouseProgram(Workers(1, 1, delivered, "test"), [], str(path))
        assert ask(program, delivered, "right") == "ann"
        assert ask(program, delivered, "wrong") is None
        thread.join()
