"""The end of the server: everybody is told, nothing that was received is lost, and it takes no long time."""

from __future__ import annotations

import contextlib
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from scene import PATIENCE, PROMPT, STOPS, Client, Server, free_port, stored, wait_until

Serve = Callable[..., Server]
FAREWELL = b"*** The server is shutting down ***\n"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_everybody_is_told_and_nothing_else(serve: Serve, number: int) -> None:
    """Not a line for each who leaves with it, which would be N times N."""
    server = serve()
    people = [server.join(f"P{i}") for i in range(12)]
    nameless = server.connect()
    nameless.sees(PROMPT)
    for client in people:
        client.barrier()
    server.signal(number)
    for client in [*people, nameless]:
        assert client.rest() == FAREWELL
        client.close()
    assert server.wait(STOPS) == 0


def test_telnet_is_told_with_cr_lf(server: Server) -> None:
    alice = server.join("Alice")
    alice.send(b"\xff\xf1")
    alice.sees(bytes.fromhex("fffd1f"))
    server.signal(signal.SIGTERM)
    assert alice.rest() == FAREWELL.replace(b"\n", b"\r\n")
    alice.close()
    assert server.wait(STOPS) == 0


def test_what_was_received_is_stored_and_delivered_in_one_order(serve: Serve, tmp_path: Path) -> None:
    """Said in the moment of the signal, over the rate too: everybody has it, in the log's order."""
    server = serve("--rate", "1", "--burst", "10", "--max-behind", "100000")
    people = server.join_all("Alice", "Bob", "Carol", "Dave")
    for client in people:
        client.say(*(f"{client.address[1]} {i}" for i in range(100)))
    people[0].skips_to(b" 3\n")  # it is busy with it
    server.signal(signal.SIGTERM)
    seen = []
    for client in people:
        lines = client.rest().splitlines(keepends=True)
        assert lines.pop() == FAREWELL
        seen.append([line.decode().rstrip("\n") for line in lines])
    server.disconnect()
    assert server.wait(STOPS) == 0
    log = [(row["nick"], f"{row['nick']}: {row['text']}") for row in stored(tmp_path / "data", "--room", "lobby")]
    assert len(log) == 400
    for name, lines in zip(["Bob", "Carol", "Dave"], seen[1:], strict=True):
        assert lines == [line for nick, line in log if nick != name]


def test_stalled_clients_do_not_hold_it_up(serve: Serve) -> None:
    server = serve("--no-limits")
    alice = server.join("Alice")
    for i in range(3):
        server.join(f"Deaf{i}", buffer=4096)
    alice.skips_to(b"Deaf2 has joined the chat ***\n")
    alice.say(*["x" * 4000] * 2000)
    alice.barrier()
    server.signal(signal.SIGTERM)
    assert alice.rest() == FAREWELL
    assert server.wait(STOPS) == 0


def test_second_signal_ends_it_at_once(serve: Serve) -> None:
    """The first would wait for Alice, who reads nothing and does not close."""
    server = serve()
    alice = server.join("Alice")
    server.signal(signal.SIGTERM)
    alice.sees(FAREWELL)
    start = time.monotonic()
    while server.process.poll() is None and time.monotonic() - start < 1:
        with contextlib.suppress(ProcessLookupError):  # it has ended meanwhile
            server.signal(signal.SIGINT)  # at once it is taken for the first one again
    assert server.wait(STOPS) == 1


def test_nobody_new_is_let_in(serve: Serve) -> None:
    server = serve()
    alice = server.join("Alice")
    server.signal(signal.SIGTERM)
    alice.sees(FAREWELL)
    with pytest.raises(OSError):
        socket.create_connection(("127.0.0.1", server.port), timeout=PATIENCE)
    alice.close()
    assert server.wait(STOPS) == 0


def test_restart_on_the_same_port_and_data_works_at_once(serve: Serve) -> None:
    server = serve()
    for number in ("one", "two", "three"):
        alice = server.join("Alice")
        alice.say(number)
        alice.barrier()
        server.signal(signal.SIGTERM)
        assert alice.rest() == FAREWELL
        alice.close()
        assert server.wait(STOPS) == 0
        server = serve(port=server.port)
    alice = server.join("Alice")
    assert [line[8:] for line in alice.seen.splitlines()] == [b"Alice: one", b"Alice: two", b"Alice: three"]


def test_server_that_is_killed_leaves_port_and_data_usable(serve: Serve) -> None:
    server = serve()
    alice = server.join("Alice")
    alice.say("kept")
    alice.barrier()
    server.kill()
    again = serve(port=server.port)
    assert again.join("Alice").seen.endswith(b"Alice: kept\n")


@pytest.mark.parametrize("loop", ["--uvloop", "--no-uvloop"])
@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&-", "<&- >&- 2>&-"])
def test_closed_standard_streams_change_nothing(tmp_path: Path, closed: str, loop: str) -> None:
    """What is closed could be a socket's number later: then the log would be written to a client."""
    port = free_port()
    server = [
        sys.executable,
        "-m",
        "hubbub",
        "serve",
        "--listen",
        f"line:127.0.0.1:{port}",
        "--data",
        tmp_path / "data",
    ]
    script = f'exec "$0" "$@" {loop} {closed}'
    with subprocess.Popen(["/bin/sh", "-c", script, *server], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        try:
            wait_until(lambda: listens(port), what="a server")
            alice = Client(port)
            alice.sees(PROMPT)
            alice.say("Alice", "hello")
            alice.sees_nothing()
            process.send_signal(signal.SIGTERM)
            assert alice.rest() == FAREWELL
            alice.close()
            assert process.wait(PATIENCE) == 0
        finally:
            process.kill()
    assert [row["text"] for row in stored(tmp_path / "data", "--room", "lobby")] == ["hello"]


def listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port)).close()
    except ConnectionRefusedError:
        return False
    return True
