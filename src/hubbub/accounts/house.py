"""Passwords that a program of the house knows, such as a directory of a school: asked as Ergo asks its auth-script.

The request is one line of JSON: `{"accountName": "ann", "passphrase": "…", "ip": "192.0.2.1"}`. The answer is one line:
`{"success": true, "accountName": "Ann"}`, or `{"success": false}`, or one with a text as `error`. The program is either
started for each request, and gets the line on its standard input, or it listens on a Unix socket, on which each request
has a connection of its own.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import signal
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator, Sequence

import msgspec

from hubbub.accounts.decoding import UNREADABLE
from hubbub.accounts.workers import Workers
from hubbub.errors import Refused
from hubbub.text import refusals
from hubbub.text.cleaning import SHOWN, clean

log = logging.getLogger("hubbub")

THREADS = 8  # requests at once
WAITING = 64  # requests that wait; the next one is refused
DEADLINE = 9.0  # seconds until a program that has not answered is killed, as in Ergo
MAX_ANSWER = 64 * 1024  # bytes


class HouseAnswer(msgspec.Struct, frozen=True, rename="camel"):
    """The answer of the program."""

    success: bool = False
    account_name: str = ""
    error: str = ""


class HouseProgram:
    """Asks the program, on threads.

    Args:
        workers: the threads.
        command: the program with its arguments; empty if it listens on a socket.
        path: the socket; "" if the program is started.
        deadline: seconds.

    """

    def __init__(self, workers: Workers, command: Sequence[str], path: str = "", deadline: float = DEADLINE) -> None:
        self._workers = workers
        self._command = list(command)
        self._path = path
        self._deadline = deadline

    def ask(self, name: str, password: str, address: str, done: Callable[[str | Refused | None], None]) -> None:
        """Check a password; call `done` with the name of its account, None if it is wrong, or a refusal."""

        def answered(answer: HouseAnswer | None) -> None:
            if answer is None:  # others took its place in the queue
                done(refusals.LOGINS_BUSY())
            elif answer.error:
                done(refusals.ACCOUNTS_UNREADABLE())
            else:
                done((answer.account_name or name) if answer.success else None)

        if not self._workers.do(lambda: self._answer(name, password, address), answered, address):
            done(refusals.LOGINS_BUSY())

    def _answer(self, name: str, password: str, address: str) -> HouseAnswer:
        """Return the answer of the program, one with an error if there is none. This runs on a thread."""
        line = json.dumps({"accountName": name, "passphrase": password, "ip": address}).encode() + b"\n"
        try:
            data = self._by_socket(line) if self._path else self._by_command(line)
            answer = msgspec.json.decode(data, type=HouseAnswer)
        except (OSError, *UNREADABLE) as error:
            # Not the error's own text: it might quote the answer.
            log.warning("The program that checks passwords gave no answer (%s)", type(error).__name__)
            return HouseAnswer(error="there is no answer")
        if answer.error:
            log.warning("The program that checks passwords failed: %s", clean(answer.error[:SHOWN]))
        return answer

    def _by_command(self, line: bytes) -> bytes:
        with self._started() as program:
            assert program.stdin and program.stdout
            with contextlib.suppress(BrokenPipeError):
                program.stdin.write(line)
                program.stdin.close()
            return program.stdout.readline(MAX_ANSWER)

    @contextlib.contextmanager
    def _started(self) -> Iterator[subprocess.Popen[bytes]]:
        """Start the program, and kill it with all that it has started at the deadline, or when its answer is there."""
        program = subprocess.Popen(self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True)

        def kill() -> None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(program.pid, signal.SIGKILL)

        timer = threading.Timer(self._deadline, kill)
        timer.daemon = True
        timer.start()
        try:
            yield program
        finally:
            timer.cancel()
            kill()
            for pipe in (program.stdin, program.stdout):
                if pipe:
                    with contextlib.suppress(OSError):
                        pipe.close()
            program.wait()

    def _by_socket(self, line: bytes) -> bytes:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as peer:
            peer.settimeout(self._deadline)
            peer.connect(self._path)
            peer.sendall(line)
            data = b""
            while b"\n" not in data and len(data) < MAX_ANSWER and (part := peer.recv(MAX_ANSWER)):
                data += part
        return data.partition(b"\n")[0]
