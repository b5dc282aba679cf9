"""One address: what the first bytes show decides, however they are cut; TLS around it; PROXY before it."""

from __future__ import annotations

import contextlib
import logging
import shutil
import socket
import ssl
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from in_thread import InThread

from hubbub.config import Settings
from hubbub.serve.accept import sniffer
from hubbub.serve.accept.tls import Certificate
from scene import PROMPT, STOPS, wait_until
from tls_peers import context, encrypted, read_all, read_until

Serve = Callable[..., InThread]
Joined = Callable[[str], None]


@pytest.fixture
def unhurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait a minute for the first bytes of a peer: on a busy machine they may be late."""
    monkeypatch.setattr(sniffer, "PATIENCE", 60.0)
    monkeypatch.setattr(sniffer, "MAX_PATIENCE", 60.0)


@pytest.fixture
def joined(unhurried: None, caplog: pytest.LogCaptureFixture) -> Joined:
    """Wait until the console says that somebody has joined, and from where."""
    caplog.set_level(logging.INFO, "hubbub")
    return lambda who: wait_until(lambda: f"{who} has joined" in caplog.text, what=who)


def test_prompt_comes_to_who_says_nothing(serve: Serve) -> None:
    with socket.create_connection(("127.0.0.1", serve().port), timeout=120) as sock:
        assert sock.recv(100) == PROMPT


@pytest.mark.parametrize("cut", [False, True])
def test_irc_is_spoken_to_who_speaks_it(serve: Serve, unhurried: None, cut: bool) -> None:
    server = serve()
    alice = server.join("Alice")
    with socket.create_connection(("127.0.0.1", server.port), timeout=120) as sock:
        data = b"CAP LS 302\r\nNICK ada\r\n"
        for piece in (data[at : at + 1] for at in range(8)) if cut else [data]:
            sock.sendall(piece)
            alice.barrier()  # by then the server has looked at it
        sock.sendall(b"02\r\n")
        assert read_until(sock, b"\n").startswith(b":hubbub.local CAP * LS ")


def test_what_looked_like_a_program_and_ended_is_a_line(serve: Serve) -> None:
    with socket.create_connection(("127.0.0.1", serve().port), timeout=120) as sock:
        sock.sendall(b"GE")
        sock.shutdown(socket.SHUT_WR)
        assert read_all(sock) == PROMPT


def test_three_bytes_of_a_tls_hello_are_closed_in_time(serve: Serve) -> None:
    server = serve("--tls", "self-signed", "--name-timeout", "1")  # 10 s at most, and never more than for a name
    with socket.create_connection(("127.0.0.1", server.port), timeout=120) as sock:
        sock.sendall(b"\x16\x03\x01")
        start = time.monotonic()
        with contextlib.suppress(ConnectionResetError):  # the three bytes were looked at, not read
            assert sock.recv(100) == b""
        assert time.monotonic() - start < STOPS, "the name had a minute"


def test_lines_over_tls_meet_plain_ones(serve: Serve) -> None:
    server = serve("--tls", "self-signed")
    alice = server.join("Alice")
    with encrypted(server.port) as sock:
        assert read_until(sock, PROMPT) == PROMPT
        sock.sendall(b"Tess\nhello\n")
        alice.sees(b"*** Tess has joined the chat ***\nTess: hello\n")
        alice.say("welcome")
        assert read_until(sock, b"welcome\n") == b"Alice: welcome\n"
    alice.sees(b"*** Tess has left the chat ***\n")


def test_tls_client_that_speaks_at_once_is_understood(serve: Serve, unhurried: None) -> None:
    server = serve("--tls", "self-signed")
    with encrypted(server.port) as sock:
        sock.sendall(b"Tess\n/quit\n")
        assert read_all(sock) == PROMPT


def test_openssl_joins(serve: Serve, unhurried: None) -> None:
    if not shutil.which("openssl"):
        pytest.skip("openssl is missing")
    server = serve("--tls", "self-signed")
    alice = server.join("Alice")
    command = ["openssl", "s_client", "-quiet", "-connect", f"127.0.0.1:{server.port}"]
    quiet = subprocess.DEVNULL
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=quiet, stderr=quiet) as tess:
        assert tess.stdin is not None
        try:
            tess.stdin.write(b"Tess\nhi\n")
            tess.stdin.flush()
            alice.sees(b"*** Tess has joined the chat ***\nTess: hi\n")
        finally:
            tess.kill()


def test_old_tls_is_refused(serve: Serve, unhurried: None, tmp_path: Path) -> None:
    server = serve("--tls", "self-signed")
    made = context()
    with pytest.warns(DeprecationWarning):
        made.maximum_version = ssl.TLSVersion.TLSv1_1
    with (
        socket.create_connection(("127.0.0.1", server.port), timeout=120) as sock,
        pytest.raises((ssl.SSLError, OSError)),
    ):
        made.wrap_socket(sock)
    # OpenSSL itself may have refused that; it must not hang on how it was built.
    ours = Certificate(Settings(tls="self-signed", data=str(tmp_path / "data")))
    assert ours.context.minimum_version is ssl.TLSVersion.TLSv1_2


def test_proxy_counts_the_peers_own_address(serve: Serve) -> None:
    server = serve("--trust-proxy", "127.0.0.1", "--max-per-address", "1")
    with socket.create_connection(("127.0.0.1", server.port), timeout=120) as one:
        one.sendall(b"PROXY TCP4 192.0.2.7 127.0.0.1 5555 8888\r\n")
        assert one.recv(100) == PROMPT
        with socket.create_connection(("127.0.0.1", server.port), timeout=120) as two:
            two.sendall(b"PROXY TCP4 192.0.2.7 127.0.0.1 5556 8888\r\n")
            assert read_all(two) == b"There are too many connections from your address.\n"
        with socket.create_connection(("127.0.0.1", server.port), timeout=120) as three:
            three.sendall(b"PROXY TCP4 192.0.2.8 127.0.0.1 5556 8888\r\n")
            assert three.recv(100) == PROMPT


def test_proxy_is_not_believed_from_others(serve: Serve) -> None:
    with socket.create_connection(("127.0.0.1", serve().port), timeout=120) as sock:
        sock.sendall(b"PROXY TCP4 192.0.2.7 127.0.0.1 5555 8888\r\nPia\n")
        assert read_all(sock) == b"The PROXY protocol is not accepted from your address.\n"


def test_plaintext_no_refuses_who_is_not_on_loopback(serve: Serve) -> None:
    server = serve("--trust-proxy", "127.0.0.1", "--tls", "self-signed", "--plaintext", "no")
    with socket.create_connection(("127.0.0.1", server.port), timeout=120) as sock:
        sock.sendall(b"PROXY TCP4 192.0.2.7 127.0.0.1 5555 8888\r\n")
        assert b"encrypted connections only" in read_all(sock)
    server.join("Alice")  # loopback may


def test_what_is_piped_in_over_tls_is_said(serve: Serve) -> None:
    """There is no half-closed TLS: the connection ends before its name is even in the log."""
    server = serve("--tls", "self-signed")
    alice = server.join("Alice")
    with encrypted(server.port) as sock:
        assert sock.recv(100) == PROMPT  # who ends with something unread resets the connection
        sock.sendall(b"ci\n" + b"".join(b"line %d\n" % number for number in range(50)))
        with contextlib.suppress(ssl.SSLError):  # the prompt may still be on its way to who has ended
            sock.unwrap()
    alice.sees(b"*** ci has joined the chat ***\n" + b"".join(b"ci: line %d\n" % number for number in range(50)))
    alice.sees(b"*** ci has left the chat ***\n")


def test_proxy_says_for_whom_it_speaks_if_it_is_trusted(serve: Serve, joined: Joined) -> None:
    server = serve("--trust-proxy", "127.0.0.1", "--no-limits")
    for _ in range(8):  # the pieces arrive together or apart
        with socket.create_connection(("127.0.0.1", server.port), timeout=120) as sock:
            for piece in (b"PRO", b"XY TCP4 192.0.2.7 127.0.0.1 5", b"555 8888\r", b"\nPia", b"\n/quit\n"):
                sock.sendall(piece)
            assert read_all(sock) == PROMPT
    joined("Pia (('192.0.2.7', 5555))")


def test_proxy_before_tls(serve: Serve, joined: Joined) -> None:
    server = serve("--trust-proxy", "127.0.0.1", "--tls", "self-signed")
    sock = socket.create_connection(("127.0.0.1", server.port), timeout=120)
    sock.sendall(b"PROXY TCP6 2001:db8::7 ::1 5555 8888\r\n")
    with context().wrap_socket(sock) as inside:
        inside.sendall(b"Pia\n/quit\n")
        assert read_all(inside) == PROMPT
    joined("Pia (('2001:db8::7', 5555))")


def test_trusted_network_is_believed(serve: Serve, joined: Joined) -> None:
    server = serve("--trust-proxy", "127.0.0.0/8")
    with socket.create_connection(("127.0.0.1", server.port), timeout=120) as sock:
        sock.sendall(b"PROXY TCP4 192.0.2.7 127.0.0.1 5555 8888\r\nPia\n/quit\n")
        assert read_all(sock) == PROMPT
    joined("Pia (('192.0.2.7', 5555))")
