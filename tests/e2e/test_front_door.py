"""The front door of a process: its certificate, signals, and settings that cannot be."""

import contextlib
import re
import signal
import socket
import ssl
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

import forked
from programs import environment
from scene import STOPS, Server

Serve = Callable[..., Server]
PROMPT = b"Enter your name: "


@pytest.fixture
def serve(serve: Callable[..., Server]) -> Callable[..., Server]:
    """Start servers whose address is for every wire, as it is by default."""
    return partial(serve, sniffs=True)


def test_a_thousand_who_show_one_byte_do_not_stop_the_others(serve: Serve) -> None:
    server = serve("--no-limits")
    half = [socket.create_connection(("127.0.0.1", server.port), timeout=120) for _ in range(1000)]
    for sock in half:
        sock.sendall(b"G")
    alice, bob = server.join("Alice"), server.join("Bob")
    alice.skips_to(b"*** Bob has joined the chat ***\n")
    bob.say("hi")
    alice.sees(b"Bob: hi\n")
    for sock in half:
        sock.close()


def test_certificate_is_made_once_and_its_fingerprint_told(serve: Serve, tmp_path: Path) -> None:
    server = serve("--tls", "self-signed")
    told = server.logs("The certificate.s SHA-256 fingerprint is .*")[0]
    first = ssl.get_server_certificate(("127.0.0.1", server.port))
    assert server.stop() == 0
    assert oct((tmp_path / "data" / "tls-key.pem").stat().st_mode)[-3:] == "600"
    again = serve("--tls", "self-signed")
    assert ssl.get_server_certificate(("127.0.0.1", again.port)) == first
    again.logs(re.escape(told))


def test_new_certificate_is_taken_on_sighup_and_a_bad_one_is_not(serve: Serve, tmp_path: Path) -> None:
    pems = []
    for folder in (tmp_path / "one", tmp_path / "two"):
        serve("--tls", "self-signed", data=folder)
        pems.append((folder / "tls-cert.pem").read_text() + (folder / "tls-key.pem").read_text())
    file = tmp_path / "site.pem"
    file.write_text(pems[0])
    server = serve("--tls-cert", str(file))
    alice = server.join("Alice")
    old = ssl.get_server_certificate(("127.0.0.1", server.port))
    file.write_text("nonsense")
    server.signal(signal.SIGHUP)
    server.logs("The old certificate stays")
    assert ssl.get_server_certificate(("127.0.0.1", server.port)) == old
    file.write_text(pems[1])
    server.signal(signal.SIGHUP)
    server.logs("was reloaded")
    assert ssl.get_server_certificate(("127.0.0.1", server.port)) != old
    alice.sees_nothing()


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--tls-cert", "/nonexistent.pem"], "cannot be read"),
        (["--tls", "other"], "setting tls must be"),
        (["--plaintext", "maybe"], "setting plaintext must be"),
        (["--trust-proxy", "::zz"], "of a balancer does not look like"),
        (["--trust-proxy", "foo"], "of a balancer does not look like"),
        (["--webirc-from", "foo"], "of a web gateway does not look like"),
        (["--webirc-password", "sesame"], "must be a hash"),
        (["--tls", "self-signed", "--host", "a..b"], "A certificate cannot be made for the name"),
        (["--tls", "self-signed", "--tls-cert", "x.pem"], "not both"),
        (["--tls-key", "x.pem"], "Name the certificate"),
        (["--listen", "tls:127.0.0.1:0"], "Name the certificate"),
        (["--listen", "gopher:127.0.0.1:0"], "does not look like"),
    ],
)
def test_bad_setting_is_one_sentence(tmp_path: Path, options: list[str], sentence: str) -> None:
    command = ["serve", "--data", tmp_path / "data", "--listen", "127.0.0.1:0"]
    done = forked.run([*command, *options], environment())
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert sentence in done.stderr


def test_sigterm_does_not_wait_for_a_handshake(serve: Serve) -> None:
    server = serve("--tls", "self-signed")
    with socket.create_connection(("127.0.0.1", server.port), timeout=120) as sock:
        sock.sendall(b"\x16\x03\x01")
        server.join("Alice").close()  # by then it is under way
        server.signal(signal.SIGTERM)
        assert server.wait(STOPS) == 0


def test_sigterm_is_told_to_who_waits_for_the_prompt(serve: Serve) -> None:
    server = serve()
    alice = server.join("Alice")
    person, program = server.connect(), server.connect()
    program.send(b"GE")
    alice.barrier()  # by then both are accepted
    server.signal(signal.SIGTERM)
    assert person.rest().removeprefix(PROMPT) == b"*** The server is shutting down ***\n"
    with contextlib.suppress(ConnectionResetError):
        program.rest()
    assert program.seen == b""
    alice.close()
    assert server.wait(STOPS) == 0


def test_sighup_without_a_certificate_stops_in_order(serve: Serve) -> None:
    server = serve(before=lambda: signal.signal(signal.SIGHUP, signal.SIG_DFL))  # nohup may ignore it
    alice = server.join("Alice")
    server.signal(signal.SIGHUP)
    alice.sees(b"*** The server is shutting down ***\n")
    alice.close()
    assert server.wait(STOPS) == 0
