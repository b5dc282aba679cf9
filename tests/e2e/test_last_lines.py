"""Complete lines that arrived are said, however the program that sent them ends: nothing of a pipe is lost."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import ssl
import struct
import subprocess
from collections.abc import Callable
from functools import partial

import pytest

from scene import PATIENCE, Client, Server, wait_until

Serve = Callable[..., Server]
RESET = struct.pack("ii", 1, 0)

PIPES = {  # programs that close as soon as they have sent everything, whether they are answered or not
    "ncat": "ncat --send-only 127.0.0.1 {port}",
    "nc.traditional": "nc.traditional -q0 127.0.0.1 {port}",
    "nc.openbsd": "nc.openbsd -q0 127.0.0.1 {port}",
    "socat": "socat -u - TCP:127.0.0.1:{port}",
    "bash": "bash -c 'cat >/dev/tcp/127.0.0.1/{port}'",
}
ENCRYPTED = {
    "ncat": "ncat --ssl 127.0.0.1 {port}",
    "ncat-send-only": "ncat --ssl --send-only 127.0.0.1 {port}",
    "openssl": "openssl s_client -quiet -no_ign_eof -connect 127.0.0.1:{port}",
    "socat": "socat -u - OPENSSL:127.0.0.1:{port},verify=0",
}


@pytest.fixture
def serve(serve: Callable[..., Server]) -> Callable[..., Server]:
    """Start servers whose address is for every wire, as it is by default."""
    return partial(serve, sniffs=True)


def pipe(command: str, port: int, text: str) -> None:
    program = command.split()[0]
    if shutil.which(program) is None:
        assert os.environ.get("CI") != "true", f"{program} is not installed"
        pytest.skip(f"{program} is not installed")
    subprocess.run(command.format(port=port), shell=True, input=text.encode(), capture_output=True, timeout=PATIENCE)


def sees_all(witness: Client, *lines: str, name: str = "ci") -> None:
    witness.skips_to(f"*** {name} has joined the chat ***\n".encode())
    for line in lines:
        witness.skips_to(line.encode() + b"\n")
    witness.skips_to(f"*** {name} has left the chat ***\n".encode())


WAITS = ["", "/join ops\n/leave\n", "/history 50\n", "/nick ci\n", "/topic tea\n", "/search tea\n"]


@pytest.mark.parametrize("program", PIPES)
def test_lines_that_must_wait_are_said(serve: Serve, program: str) -> None:
    """Behind a command that waits for the log, in another room, and over the rate."""
    server = serve()
    witness = server.join("Witness")
    for number, first in enumerate(WAITS):
        pipe(PIPES[program], server.port, f"ci\n{first}hello {number}\n")
        sees_all(witness, f"ci: hello {number}")
    pipe(PIPES[program], server.port, "ci\n" + "".join(f"{number}\n" for number in range(160)))
    sees_all(witness, *(f"ci: {number}" for number in range(160)))
    witness.say("/join ops")
    witness.barrier()
    pipe(PIPES[program], server.port, "ci\n/join ops\nhello\n")
    witness.skips_to(b"ci: hello\n")


@pytest.mark.parametrize("program", ENCRYPTED)
@pytest.mark.parametrize("flags", [["--ephemeral"], []], ids=["memory", "disk"])
def test_lines_over_tls_are_said(serve: Serve, program: str, flags: list[str]) -> None:
    server = serve("--tls", "self-signed", *flags)
    witness = server.join("Witness")
    for number in range(5):
        pipe(ENCRYPTED[program], server.port, f"ci\nhello {number}\n/join ops\n/leave\nbye {number}\n")
        sees_all(witness, f"ci: hello {number}", f"ci: bye {number}")


def test_more_lines_over_tls_than_the_rate_allows_are_said(serve: Serve) -> None:
    server = serve("--tls", "self-signed")
    witness = server.join("Witness")
    pipe(ENCRYPTED["ncat"], server.port, "ci\n" + "".join(f"{number}\n" for number in range(160)))
    sees_all(witness, *(f"ci: {number}" for number in range(160)))


@pytest.mark.parametrize("unread", [True, False])
def test_python_closes_tls_without_a_word(serve: Serve, unread: bool) -> None:
    server = serve("--tls", "self-signed")
    witness = server.join("Witness")
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    sock = context.wrap_socket(socket.create_connection(("127.0.0.1", server.port), timeout=PATIENCE))
    sock.sendall(b"ci\n/join ops\n/leave\nhello\n")
    if not unread:
        assert sock.recv(16)
    sock.close()
    sees_all(witness, "ci: hello")


def test_a_program_that_is_killed_has_said_what_it_sent(serve: Serve) -> None:
    server = serve()
    witness = server.join("Witness")
    command = ["nc.openbsd", "127.0.0.1", str(server.port)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL) as program:
        assert program.stdin
        program.stdin.write(b"ci\n" + b"/join ops\n/leave\n" * 20 + b"hello\n" + b"half")
        program.stdin.flush()
        witness.skips_to(b"*** ci has joined the chat ***\n")
        program.send_signal(signal.SIGKILL)
    witness.skips_to(b"ci: hello\n")
    assert b"half" not in witness.skips_to(b"*** ci has left the chat")


def test_an_irc_client_that_resets_has_said_what_it_sent(serve: Serve) -> None:
    server = serve()
    witness = server.join("Witness")
    sock = socket.create_connection(("127.0.0.1", server.port), timeout=PATIENCE)
    said = "".join(f"PRIVMSG #lobby :{number}\r\n" for number in range(160))
    sock.sendall(f"NICK ci\r\nUSER ci 0 * :ci\r\nJOIN #lobby\r\n{said}PRIVMSG #lobby :half".encode())
    witness.skips_to(b"*** ci has joined the chat ***\n")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    sock.close()
    for number in range(160):
        witness.skips_to(f"ci: {number}\n".encode())
    assert b"half" not in witness.skips_to(b"*** ci has left the chat")


def test_a_reset_before_anything_was_read_loses_nothing(serve: Serve) -> None:
    """Also before the prompt could be written."""
    server = serve()
    witness = server.join("Witness")
    for number in range(20):
        sock = socket.create_connection(("127.0.0.1", server.port), timeout=PATIENCE)
        sock.sendall(f"ci\nhello {number}\n".encode())
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        sock.close()
        sees_all(witness, f"ci: hello {number}")


def test_what_is_kept_for_those_who_are_gone_is_bounded(serve: Serve) -> None:
    server = serve("--rate", "0.2", "--burst", "2")
    witness = server.join("Witness")
    server.logs("in a browser")  # all wires are loaded
    before = server.rss()
    socks = []
    for number in range(50):
        sock = socket.create_connection(("127.0.0.1", server.port), timeout=PATIENCE)
        sock.sendall(f"ci{number}\n".encode())
        sock.setblocking(False)
        sent = 0
        try:
            while sent < 4 << 20:
                sent += sock.send(b"/time\n" * 10_000)
        except BlockingIOError:
            pass
        assert sent < 4 << 20
        socks.append(sock)
    for sock in socks:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        sock.close()
    witness.seen += witness.barrier()
    wait_until(lambda: server.rss() - before < 50 * (200 << 10), what="a bound")
