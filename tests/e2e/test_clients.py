"""Real clients: Debian's nc, ncat, telnet at a terminal, and socat talk to each other."""

from __future__ import annotations

import os
import re
import select
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pexpect
import pytest

from scene import PATIENCE, Client, Server, free_port
from terminals import Terminal

PLAIN = {  # how each is told where to go; {port} is filled in
    "nc.openbsd": ["nc.openbsd", "127.0.0.1", "{port}"],
    "ncat": ["ncat", "127.0.0.1", "{port}"],
    "socat": ["socat", "STDIO", "TCP:127.0.0.1:{port}"],
}


@pytest.fixture
def serve(serve: Callable[..., Server]) -> Callable[..., Server]:
    """Start servers whose address is for every wire, as it is by default."""
    return partial(serve, sniffs=True)


def need(program: str) -> None:
    """Skip where a client is not installed; that is a failure in continuous integration."""
    if shutil.which(program) is None:
        assert os.environ.get("CI") != "true", f"{program} is not installed"
        pytest.skip(f"{program} is not installed")


class Typist:
    """Somebody at a client program, with pipes for a terminal."""

    def __init__(self, command: list[str]) -> None:
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, bufsize=0
        )
        assert self.process.stdout
        os.set_blocking(self.process.stdout.fileno(), False)
        self.seen = b""

    def types(self, text: str) -> None:
        assert self.process.stdin
        self.process.stdin.write(text.encode())

    def sees(self, what: str) -> None:
        """What comes next is exactly this."""
        expected = what.encode()
        self._receive(lambda: len(self.seen) >= len(expected) or not expected.startswith(self.seen))
        assert self.seen.startswith(expected)
        self.seen = self.seen[len(expected) :]

    def _receive(self, enough: Callable[[], bool]) -> None:
        assert self.process.stdout
        end = time.monotonic() + PATIENCE
        while not enough():
            readable, _, _ = select.select([self.process.stdout], [], [], max(0, end - time.monotonic()))
            assert readable, f"nothing more came after {self.seen!r}"
            data = self.process.stdout.read()
            assert data, f"it ended after {self.seen!r}"
            self.seen += data

    def stop(self) -> None:
        self.process.kill()
        self.process.wait()
        for stream in (self.process.stdin, self.process.stdout):
            if stream:
                stream.close()


@pytest.fixture
def typist(server: Server) -> Iterator[Callable[[str], Typist]]:
    typists: list[Typist] = []

    def start(program: str) -> Typist:
        need(program)
        typists.append(Typist([part.format(port=server.port) for part in PLAIN[program]]))
        return typists[-1]

    yield start
    for one in typists:
        one.stop()


@pytest.fixture
def telnet(server: Server) -> Iterator[Callable[[], Any]]:
    terminals: list[Any] = []

    def start() -> Any:
        need("telnet")
        terminal = pexpect.spawn("telnet", ["127.0.0.1", str(server.port)], timeout=PATIENCE, echo=True)
        terminals.append(terminal)
        terminal.expect_exact("Enter your name: ")
        return terminal

    yield start
    for terminal in terminals:
        terminal.close(force=True)


@pytest.fixture
def witness(server: Server) -> Client:
    """Somebody with a plain socket, who sees what the others see."""
    return server.join("Witness")


# --- nc, ncat, socat ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("program", PLAIN)
def test_one_joins_talks_and_leaves(typist: Callable[[str], Typist], witness: Client, program: str) -> None:
    alice = typist(program)
    alice.sees("Enter your name: ")
    alice.types("Alice\n")
    witness.sees(b"*** Alice has joined the chat ***\n")
    witness.say("welcome")
    alice.sees("Witness: welcome\n")
    alice.types("thanks, 你好\n")
    witness.sees("Alice: thanks, 你好\n".encode())
    alice.types("/quit\n")
    witness.sees(b"*** Alice has left the chat ***\n")


@pytest.mark.parametrize("program", PLAIN)
def test_one_is_killed(typist: Callable[[str], Typist], witness: Client, program: str) -> None:
    alice = typist(program)
    alice.sees("Enter your name: ")
    alice.types("Alice\n")
    witness.sees(b"*** Alice has joined the chat ***\n")
    alice.process.kill()
    witness.sees(b"*** Alice has left the chat ***\n")


def test_all_of_them_talk_to_each_other(typist: Callable[[str], Typist], telnet: Callable[[], Any]) -> None:
    people: list[tuple[str, Typist]] = []
    for program, name in zip(PLAIN, ["Nc", "Ncat", "Socat"], strict=True):
        one = typist(program)
        one.sees("Enter your name: ")
        one.types(f"{name}\n")
        for _, other in people:
            other.sees(f"*** {name} has joined the chat ***\n")
        people.append((name, one))
    terminal = telnet()
    terminal.sendline("Telnet")
    for _, one in people:
        one._receive(lambda one=one: b"*** Telnet has joined the chat ***\n" in one.seen)  # type: ignore[misc]
        one.seen = b""
    for name, one in people:
        one.types(f"hello from {name}\n")
        terminal.expect_exact(f"{name}: hello from {name}\r\n")
        for other_name, other in people:
            if other_name != name:
                other.sees(f"{name}: hello from {name}\n")
    terminal.sendline("hello all")
    for _, one in people:
        one.sees("Telnet: hello all\n")


@pytest.mark.parametrize(
    "command", ["nc.openbsd -N 127.0.0.1 {port}", "ncat 127.0.0.1 {port}", "socat -t5 - TCP:127.0.0.1:{port}"]
)
def test_pipe_into_it(server: Server, witness: Client, command: str) -> None:
    r"""printf 'bob\nhi\n' | nc -N: what is in the pipe is said, and the program ends."""
    need(command.split()[0])
    result = subprocess.run(
        command.format(port=server.port).split(), input=b"bob\nhi\nand bye\n", capture_output=True, timeout=PATIENCE
    )
    assert result.stdout == b"Enter your name: "
    witness.sees(b"*** bob has joined the chat ***\nbob: hi\nbob: and bye\n*** bob has left the chat ***\n")
    witness.sees_nothing()


def test_nc_is_shown_the_past_before_it_ends(server: Server, witness: Client) -> None:
    """nc -N has closed its side long before: it is given everything all the same."""
    need("nc.openbsd")
    witness.say(*(f"number {i}" for i in range(20)))
    witness.barrier()
    command = ["nc.openbsd", "-N", "127.0.0.1", str(server.port)]
    result = subprocess.run(command, input=b"bob\n/who\n/history 1\n", capture_output=True, timeout=120)
    shown = re.sub(rb"\[\d\d:\d\d\] ", b"", result.stdout).decode().splitlines()
    past = [f"Witness: number {i}" for i in range(20)]
    assert shown == ["Enter your name: " + past[0], *past[1:], "*** In lobby: 2 ***", "  bob, Witness", past[-1]]


# --- telnet ---------------------------------------------------------------------------------------------------


@pytest.fixture
def alice(telnet: Callable[[], Any], witness: Client) -> Any:
    """A telnet that has joined."""
    alice = telnet()
    alice.sendline("Alice")
    witness.sees(b"*** Alice has joined the chat ***\n")
    return alice


def test_telnet_joins_talks_and_quits(alice: Any, witness: Client) -> None:
    alice.sendline("hello from telnet")
    witness.sees(b"Alice: hello from telnet\n")
    witness.say("hello yourself")
    alice.expect_exact("Witness: hello yourself\r\n")
    alice.sendline("/quit")
    alice.expect_exact("Connection closed by foreign host.")
    alice.expect(pexpect.EOF)
    witness.sees(b"*** Alice has left the chat ***\n")


def test_telnet_survives_ctrl_c(alice: Any, witness: Client) -> None:
    """Ctrl-C sends IAC IP and IAC DO TM: the line is cancelled, and output goes on, with CR LF from now on."""
    for i in range(3):
        alice.sendintr()
        alice.sendline(f"after {i}")
        witness.sees(f"Alice: after {i}\n".encode())
        witness.say(f"heard {i}")
        alice.expect_exact(f"Witness: heard {i}\r\n")
    assert not re.search(rb"[\x80-\xff]", alice.before or b"")


def test_telnet_is_quit_by_its_escape(alice: Any, witness: Client) -> None:
    alice.sendcontrol("]")
    alice.expect_exact("telnet> ")
    alice.sendline("quit")
    alice.expect(pexpect.EOF)
    witness.sees(b"*** Alice has left the chat ***\n")


def test_telnet_asks_for_a_sign_of_life(alice: Any, witness: Client) -> None:
    alice.sendcontrol("]")
    alice.expect_exact("telnet> ")
    alice.sendline("send ayt")
    alice.expect_exact("[yes]\r\n")
    alice.sendline("fine")
    witness.sees(b"Alice: fine\n")


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_telnet_is_killed(alice: Any, witness: Client, number: int) -> None:
    alice.kill(number)
    witness.sees(b"*** Alice has left the chat ***\n")


# --- PuTTY ----------------------------------------------------------------------------------------------------


class Seen:
    """A program at a terminal of its own, whose screen can be read."""

    def __init__(self, *command: str) -> None:
        need(command[0])
        self.program = pexpect.spawn(command[0], list(command[1:]), timeout=PATIENCE, dimensions=(24, 60))
        self.screen = Terminal(60, 24)

    def types(self, *keys: str) -> None:
        for key in keys:
            self.program.send(key)

    def shows(self, *rows: str) -> None:
        """The last rows with text are these, some time."""
        end = time.monotonic() + PATIENCE
        while [row.rstrip() for row in self.screen.display if row.strip()][-len(rows) :] != list(rows):
            assert time.monotonic() < end, self.screen.display
            self.screen.show(self.program.read_nonblocking(1 << 16, timeout=PATIENCE))


def at_keys(alice: Seen, witness: Client) -> None:
    """Somebody types with the server's editor: half a line, text that arrives, completion, history, a paste."""
    alice.shows("Enter your name:")
    alice.types("Alicf", "\x7f", "e", "\r")
    witness.skips_to(b"*** Alice has joined the chat ***\n")
    alice.types("half a lime", "\x1b[D", "\x7f", "n")
    alice.shows("half a line")
    witness.say("hello")
    alice.shows("Witness: hello", "half a line")
    alice.types("\x05, 日本語 👍", "\r")
    witness.sees("Alice: half a line, 日本語 👍\n".encode())
    alice.types("wit\t", "hi", "\r")
    witness.sees(b"Alice: Witness: hi\n")
    alice.types("\x1b[A")
    alice.shows("Witness: hi", "Witness: hi")
    alice.types("\x15", "\x1b[200~one\rtwo\x1b[201~")
    alice.shows("one↵two")
    alice.types("\r", "\x04")
    witness.sees(b"Alice: one\nAlice: two\n*** Alice has left the chat ***\n")


def test_putty_in_telnet_mode_sends_keys(server: Server, witness: Client) -> None:
    putty = Seen("plink", "-telnet", "-P", str(server.port), "127.0.0.1")
    try:
        at_keys(putty, witness)
    finally:
        putty.program.close(force=True)


def test_telnet_sends_keys_on_an_address_for_it(serve: Callable[..., Server]) -> None:
    port = free_port()
    server = serve("--listen", f"telnet:127.0.0.1:{port}")
    telnet = Seen("telnet", "127.0.0.1", str(port))
    try:
        at_keys(telnet, server.join("Witness"))
    finally:
        telnet.program.close(force=True)


# --- OpenSSH ----------------------------------------------------------------------------------------------------


def test_ssh_with_a_terminal_sends_keys(server: Server, witness: Client) -> None:
    options = [
        "-F",
        "none",
        "-o",
        "StrictHostKeyChecking=no",
        "-o",
        "UserKnownHostsFile=/dev/null",
        "-o",
        "LogLevel=ERROR",
    ]
    ssh = Seen("ssh", *options, "-p", str(server.port), "root@127.0.0.1")
    try:
        at_keys(ssh, witness)
    finally:
        ssh.program.close(force=True)
