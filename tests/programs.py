"""What the command line's tests share: `hubbub` run to its end, a server that runs beside, and a client of it."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import forked
from forked import Forked

SECONDS = 90.0  # until what does not happen is a failure
HUBBUB = [sys.executable, "-m", "hubbub"]


def environment(**more: str) -> dict[str, str]:
    """Return the variables of a program: none of ours but these."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("HUBBUB_")}
    return {**kept, "COLUMNS": "100", "PYTHONUTF8": "1", "TZ": "UTC", **more}


def hubbub(*arguments: object, cwd: Path | None = None, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a command to its end."""
    return forked.run(arguments, environment(**variables), cwd=cwd, timeout=SECONDS)


def sentence(result: subprocess.CompletedProcess[str], code: int = 2) -> str:
    """Return the one clear sentence with which a command failed."""
    assert result.returncode == code, (result.stdout, result.stderr)
    lines = result.stderr.splitlines()
    assert len(lines) == 1 and lines[0].startswith("hubbub: ") and lines[0].endswith("."), lines
    return lines[0].removeprefix("hubbub: ")


@dataclass
class Server:
    """`hubbub serve`, running."""

    process: Forked
    address: str

    @property
    def port(self) -> int:
        return int(self.address.rpartition(":")[2])

    def join(self, name: str) -> Client:
        return Client(self.port, name)

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.process.wait(SECONDS)


class Client:
    """Somebody with a name in the chat."""

    def __init__(self, port: int, name: str) -> None:
        self.sock = socket.create_connection(("127.0.0.1", port), timeout=SECONDS)
        self._text = ""
        self.sees("Enter your name: ")
        self.say(name)
        self.say("/who")
        self.sees(name)

    def say(self, line: str) -> None:
        self.sock.sendall(line.encode() + b"\n")

    def said(self, line: str) -> None:
        """Say something, and wait until it is in the log: an answer comes after that."""
        self.say(line)
        self.say("/time")
        self.sees("***")

    def sees(self, part: str) -> str:
        """Read until this was seen, and return all up to it."""
        while part not in self._text:
            data = self.sock.recv(65536)
            assert data, f"closed before {part!r}: {self._text!r}"
            self._text += data.decode()
        before, _, self._text = self._text.partition(part)
        return before + part

    def close(self) -> None:
        self.sock.close()


@contextmanager
def serving(*options: object, command: str = "serve") -> Iterator[Server]:
    """Run a server on a free port while the context lasts."""
    arguments = [command, "--listen", "127.0.0.1:0", *map(str, options)]
    process = forked.start(arguments, environment())
    with process.stdout:
        try:
            said = ""
            while "running on" not in (line := process.stdout.readline().decode()):
                assert line, said  # it has ended
                said += line
            yield Server(process, line.split()[-1])
        finally:
            process.kill()
            process.wait(SECONDS)
