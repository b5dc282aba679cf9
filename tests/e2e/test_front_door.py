"""One address: what the first bytes show decides, however they are cut; TLS around it; PROXY before it."""

import contextlib
import re
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from hubbub.config import Settings
from hubbub.serve.accept.tls import Certificate
from scene import Client, Server

Serve = Callable[..., Server]
PROMPT = b"Enter your name: "


@pytest.fixture
def serve(serve: Callable[..., Server]) -> Callable[..., Server]:
    """Start servers whose address is for every wire, as it is by default."""
    return partial(serve, sniffs=True)


def context() -> ssl.SSLContext:
    made = ssl.create_default_context()
    made.check_hostname = False
    made.verify_mode = ssl.CERT_NONE
    return made


def encrypted(port: int, alpn: list[str] | None = None) -> ssl.SSLSocket:
    made = context()
    if alpn:
        made.set_alpn_protocols(alpn)
    sock = made.wrap_socket(socket.create_connection(("127.0.0.1", port), timeout=120))
    sock.settimeout(120)
    return sock


def read_until(sock: socket.socket, end: bytes) -> bytes:
    data = b""
    while not data.endswith(end):
        piece = sock.recv(4096)
        assert piece, f"ended after {data!r}"
        data += piece
    return data


def read_all(sock: socket.socket) -> bytes:
    data = b""
    while piece := sock.recv(4096):
        data += piece
    return data


def test_prompt_comes_to_who_says_nothing(serve: Serve) -> None:
    with socket.create_connection(("127.0.0.1", serve().port), timeout=120) as sock:
        assert sock.recv(100) == PROMPT


@pytest.mark.parametrize("cut", [False, True])
def test_irc_is_spoken_to_who_speaks_it(serve: Serve, cut: bool) -> None:
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
        assert time.monotonic() - start < 15


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


def test_tls_client_that_speaks_at_once_is_understood(serve: Serve) -> None:
    server = serve("--tls", "self-signed")
    with encrypted(server.port) as sock:
        sock.sendall(b"Tess\n/quit\n")
        assert read_all(sock) == PROMPT


def test_openssl_joins(serve: Serve) -> None:
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


def test_old_tls_is_refused(serve: Serve, tmp_path: Path) -> None:
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


def test_proxy_says_for_whom_it_speaks_if_it_is_trusted(serve: Serve) -> None:
    server = serve("--trust-proxy", "127.0.0.1")
    with socket.create_connection(("127.0.0.1", server.port), timeout=120) as sock:
        for piece in (b"PRO", b"XY TCP4 192.0.2.7 127.0.0.1 5", b"555 8888\r", b"\nPia", b"\n/quit\n"):
            sock.sendall(piece)
        assert read_all(sock) == PROMPT
    server.logs(re.escape("Pia (('192.0.2.7', 5555)) has joined"))


def test_proxy_before_tls(serve: Serve) -> None:
    server = serve("--trust-proxy", "127.0.0.1", "--tls", "self-signed")
    sock = socket.create_connection(("127.0.0.1", server.port), timeout=120)
    sock.sendall(b"PROXY TCP6 2001:db8::7 ::1 5555 8888\r\n")
    with context().wrap_socket(sock) as inside:
        inside.sendall(b"Pia\n/quit\n")
        assert read_all(inside) == PROMPT
    server.logs(re.escape("Pia (('2001:db8::7', 5555)) has joined"))


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
    alice: Client = server.join("Alice")  # loopback may
    alice.close()


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
    command = [sys.executable, "-m", "hubbub", "serve", "--data", str(tmp_path / "data"), "--listen", "127.0.0.1:0"]
    done = subprocess.run([*command, *options], capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert sentence in done.stderr


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


def test_sigterm_does_not_wait_for_a_handshake(serve: Serve) -> None:
    server = serve("--tls", "self-signed")
    with socket.create_connection(("127.0.0.1", server.port), timeout=120) as sock:
        sock.sendall(b"\x16\x03\x01")
        server.join("Alice").close()  # by then it is under way
        server.signal(signal.SIGTERM)
        assert server.wait(5) == 0


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
    assert server.wait(5) == 0


def test_sighup_without_a_certificate_stops_in_order(serve: Serve) -> None:
    server = serve()
    alice = server.join("Alice")
    server.signal(signal.SIGHUP)
    alice.sees(b"*** The server is shutting down ***\n")
    alice.close()
    assert server.wait(5) == 0


def test_trusted_network_is_believed(serve: Serve) -> None:
    server = serve("--trust-proxy", "127.0.0.0/8")
    with socket.create_connection(("127.0.0.1", server.port), timeout=120) as sock:
        sock.sendall(b"PROXY TCP4 192.0.2.7 127.0.0.1 5555 8888\r\nPia\n/quit\n")
        assert read_all(sock) == PROMPT
    server.logs(re.escape("Pia (('192.0.2.7', 5555)) has joined"))
