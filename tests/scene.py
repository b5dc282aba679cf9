"""A small language for scenes: servers that really run, and people with a plain socket who talk over them."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import forked
from forked import Forked

PATIENCE = 90.0  # seconds that an effect may take on a busy machine
STOPS = 45.0  # the same for a server that was told to stop; it waits longer for nobody, and alone it takes five
PROMPT = b"Enter your name: "
CLOCK = re.compile(rb"^\*\*\* \d{4}-\d\d-\d\d \d\d:\d\d:\d\d \S+ \*\*\*\r?\n", re.MULTILINE)
HOWTO = Path(__file__).parent / "e2e" / "howto_server.py"

What = bytes | re.Pattern[bytes]


class Client:
    """A peer at the line wire. What it received and no `sees` has taken yet is in `seen`.

    Args:
        port: where the server listens on 127.0.0.1.
        buffer: bytes that the kernel keeps for it; None for the system's default.

    """

    def __init__(self, port: int, buffer: int | None = None) -> None:
        self.sock = socket.socket()
        if buffer:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
        self.sock.settimeout(PATIENCE)
        self.sock.connect(("127.0.0.1", port))
        self.seen = b""
        self.ended = False

    @property
    def address(self) -> tuple[str, int]:
        return self.sock.getsockname()

    def send(self, data: bytes) -> None:
        self.sock.settimeout(PATIENCE)
        self.sock.sendall(data)

    def say(self, *lines: str) -> None:
        self.send("".join(line + "\n" for line in lines).encode())

    def receive(self, end: float) -> None:
        """Take what comes in next. Raises AssertionError when nothing does until `end`."""
        try:
            self.sock.settimeout(max(0.001, end - time.monotonic()))
            data = self.sock.recv(1 << 18)
        except TimeoutError:
            raise AssertionError(f"nothing more came after {self.seen[-300:]!r}") from None
        self.ended = not data
        self.seen += data

    def sees(self, what: What, deadline: float = PATIENCE) -> bytes:
        """What comes next is exactly this."""
        end = time.monotonic() + deadline
        while True:
            if isinstance(what, bytes):
                found = self.seen.startswith(what)
                length = len(what)
                possible = what.startswith(self.seen[:length])
            else:
                match = what.match(self.seen)
                found, length, possible = bool(match), match.end() if match else 0, True
            if found:
                taken, self.seen = self.seen[:length], self.seen[length:]
                return taken
            assert possible and not self.ended, f"expected {what!r}, saw {self.seen[:600]!r}"
            try:
                self.receive(end)
            except AssertionError:
                raise AssertionError(f"expected {what!r}, saw {self.seen[:600]!r}") from None

    def skips_to(self, what: What, deadline: float = PATIENCE) -> bytes:
        """This comes, some time; return what came before it."""
        end = time.monotonic() + deadline
        pattern = re.compile(re.escape(what)) if isinstance(what, bytes) else what
        while not (match := pattern.search(self.seen)):
            assert not self.ended, f"expected {what!r}, saw {self.seen[-600:]!r} and the end"
            self.receive(end)
        before, self.seen = self.seen[: match.start()], self.seen[match.end() :]
        return before

    def barrier(self, deadline: float = PATIENCE) -> bytes:
        """Return what came before the answer to a question that is asked now."""
        self.say("/time")
        return self.skips_to(CLOCK, deadline)

    def sees_nothing(self) -> None:
        came = self.barrier()
        assert not came, f"expected nothing, saw {came[:600]!r}"

    def rest(self, deadline: float = PATIENCE) -> bytes:
        """Return everything up to the end of the connection, which must come."""
        end = time.monotonic() + deadline
        while not self.ended:
            self.receive(end)
        rest, self.seen = self.seen, b""
        return rest

    def half_close(self) -> None:
        self.sock.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        self.sock.close()

    def reset(self) -> None:
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()


class Place:
    """Where people come to: a server, in whatever process.

    Attributes:
        port: where it listens on 127.0.0.1.
        sniffs: whether the address is for every wire; if not, its prompt comes at once.

    """

    port = 0
    sniffs = False

    def __init__(self) -> None:
        self.clients: list[Client] = []

    def connect(self, buffer: int | None = None) -> Client:
        client = Client(self.port, buffer)
        self.clients.append(client)
        return client

    def disconnect(self) -> None:
        for client in self.clients:
            client.close()

    def join(self, name: str, buffer: int | None = None) -> Client:
        """Return somebody who is in the lobby; what he was shown there is still to be seen."""
        client = self.connect(buffer)
        if self.sniffs:
            client.say(name)  # at once: whom nobody speaks to is given the prompt after a while only
            client.sees(PROMPT)
        else:
            client.sees(PROMPT)
            client.say(name)
        client.seen = client.barrier() + client.seen
        return client

    def join_all(self, *names: str) -> list[Client]:
        """Return several who are in the lobby, and have seen each other come."""
        clients = []
        for name in names:
            newcomer = self.join(name)
            for client in clients:
                client.sees(f"*** {name} has joined the chat ***\n".encode())
            clients.append(newcomer)
        return clients


def ask_in(server: Place, name: str) -> Client:
    """Return somebody who has given a name and been told nothing of it yet."""
    client = server.connect()
    client.sees(PROMPT)
    client.send(name.encode() + b"\n")
    return client


class Program(Place):
    """A server in a process of its own.

    Args:
        command: the program and its arguments.
        listening: what its output says once it listens; group 1 is the port.
        before: called in the child before the program starts.

    """

    def __init__(
        self, command: Iterable[str], listening: str, before: Callable[[], None] | None = None, **options: Any
    ) -> None:
        super().__init__()
        self.lines: list[str] = []
        self._more = threading.Condition()
        self.process = self._start([*command], before, **options)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        try:
            self.port = int(self.logs(listening)[1])
        except AssertionError:
            self.kill()
            raise

    def _start(
        self, command: list[str], before: Callable[[], None] | None, **options: Any
    ) -> subprocess.Popen[bytes] | Forked:
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            preexec_fn=before,
            **options,
        )

    def _read(self) -> None:
        assert self.process.stdout
        for line in self.process.stdout:
            with self._more:
                self.lines.append(line.decode("utf-8", "replace").rstrip("\n"))
                self._more.notify_all()
        with self._more:
            self._more.notify_all()

    @property
    def log(self) -> str:
        return "\n".join(self.lines)

    def logs(self, pattern: str, deadline: float = PATIENCE) -> re.Match[str]:
        """A line of its output is like this, now or soon."""
        end = time.monotonic() + deadline
        with self._more:
            while True:
                for line in self.lines:
                    if match := re.search(pattern, line):
                        return match
                left = end - time.monotonic()
                assert left > 0, f"no line like {pattern!r} in\n{self.log}"
                assert self._reader.is_alive(), f"it ended without a line like {pattern!r}\n{self.log}"
                self._more.wait(left)

    def cpu(self) -> float:
        """Return the seconds of CPU time that it has taken."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def signal(self, number: int) -> None:
        self.process.send_signal(number)

    def wait(self, deadline: float = PATIENCE) -> int:
        """Return its exit code; it must end in time."""
        code = self.process.wait(deadline)
        self._reader.join(deadline)
        assert self.process.stdout
        self.process.stdout.close()
        return code

    def kill(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.wait()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return free.getsockname()[1]


class HowTo(Program):
    """The how-to's server."""

    def __init__(self) -> None:
        super().__init__([sys.executable, "-u", str(HOWTO), str(free_port())], r"running on .*, (\d+)\)")

    def join(self, name: str, buffer: int | None = None) -> Client:
        client = self.connect(buffer)
        client.sees(PROMPT)
        client.say(name)
        self.logs(re.escape(f"{name} ({client.address}) has joined"))
        return client


class Server(Program):
    """`hubbub serve`.

    Args:
        data: its folder; None for --ephemeral.
        flags: more of the command line.
        port: where to listen; 0 for any.
        before: called in the child before the program starts.
        sniffs: whether the address is for every wire; if not, its prompt comes at once.
        patient: whether its prompt comes after a minute, because nobody waits for it: on a busy machine, browsers and
            programs may take seconds to send their first bytes, and do not understand a prompt.
        variables: more of its environment.

    """

    def __init__(
        self,
        data: Path | None,
        *flags: str,
        port: int = 0,
        before: Callable[[], None] | None = None,
        sniffs: bool = False,
        patient: bool = False,
        variables: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        self.data = data
        self.sniffs = sniffs
        self.patient = patient
        self.ending = False  # it was asked to
        wire = "" if sniffs else "line:"
        where = ["--data", str(data)] if data else ["--ephemeral"]
        command = [sys.executable, "-m", "hubbub", "serve", "--listen", f"{wire}127.0.0.1:{port}", *where, *flags]
        env = {key: value for key, value in os.environ.items() if not key.startswith("HUBBUB_")}
        env |= variables
        super().__init__(command, r"^Chat server running on 127\.0\.0\.1:(\d+)(?: \(line only\))?$", before, env=env)

    def _start(
        self, command: list[str], before: Callable[[], None] | None, **options: Any
    ) -> subprocess.Popen[bytes] | Forked:
        if before or "LD_PRELOAD" in options["env"]:  # what is preloaded has to be there from the start
            return super()._start(command, before, **options)
        waits = ("PATIENCE", "MAX_PATIENCE") if self.patient else ()
        return forked.start(
            command[3:], options["env"], **{f"hubbub.serve.accept.sniffer.{name}": 60 for name in waits}
        )

    def rss(self) -> int:
        """Return the bytes of memory that it holds."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+) kB", status)[1]) * 1024  # type: ignore[index]

    def stop(self, deadline: float = PATIENCE) -> int:
        self.signal(signal.SIGTERM)
        return self.wait(deadline)

    def let_end(self) -> None:
        """Ask it to stop, if it runs."""
        self.disconnect()
        self.ending = self.process.poll() is None
        if self.ending:
            self.signal(signal.SIGTERM)

    def check_end(self) -> None:
        """Let it stop if it runs; it must have made no fuss in all its life."""
        if not self.ending:
            self.let_end()
        if self.ending:
            assert self.wait() == 0, self.log
        elif not self.process.stdout.closed:  # type: ignore[union-attr]
            self.wait()
        assert "Traceback" not in self.log and "exception" not in self.log.lower(), self.log


def stored(data: Path, *flags: str, room: str = "lobby") -> list[dict[str, Any]]:
    """Return what `hubbub history` prints: all entries of a room, oldest first."""
    command = ["history", "--data", data, "--room", room, *(flags or ("--all",)), "--last", 0, "--format", "json"]
    result = forked.run(command, dict(os.environ))
    assert result.returncode == 0, result.stderr
    return [json.loads(line) for line in result.stdout.splitlines()]


def wait_until(condition: Callable[[], object], deadline: float = PATIENCE, what: str = "it") -> None:
    """Look again and again until a condition holds, which nothing announces."""
    end = time.monotonic() + deadline
    pause = threading.Event()
    while not condition():
        assert time.monotonic() < end, f"{what} did not happen in time"
        pause.wait(0.01)
