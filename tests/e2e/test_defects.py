"""The 19 defects of the how-to's server: hubbub has none of them, and where it can be shown cheaply, that one has.

A check gets a server and raises AssertionError where the defect is. FAILS is whether it must fail at the how-to's.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from scene import HOWTO, PATIENCE, PROMPT, Client, HowTo, Server, free_port

SOON = PATIENCE  # seconds in which what must happen does, however busy the machine is
NEVER = 1.0  # seconds after which it will not happen at the how-to's server
Check = Callable[[Any], None]
SHOWN: list[Check] = []  # at the how-to's server too
BOTH: list[Check] = []


def check(shown: bool = True) -> Callable[[Check], Check]:
    def register(function: Check) -> Check:
        BOTH.append(function)
        if shown:
            SHOWN.append(function)
        return function

    return register


def stalled(server: Any, talker: Client, others: list[Client]) -> Client:
    """Return somebody who reads nothing, after more was said than the kernel keeps for him (or the room froze)."""
    deaf = server.join("Deaf", buffer=4096)
    with contextlib.suppress(AssertionError, TimeoutError):
        for i in range(9):
            talker.sock.settimeout(SOON)
            talker.sock.sendall((b"x" * 4000 + b"\n") * 250 + f"round {i}\n".encode())
            for other in others:
                other.skips_to(f"round {i}\n".encode(), SOON)
    return deaf


@check()
def defect_01_duplicate_name(server: Any) -> None:
    first = server.join("al")
    second = server.connect()
    second.sees(PROMPT)
    second.say("al")
    second.sees(re.compile(rb"[^\n]+ taken\.\n"), SOON)
    second.close()
    third = server.join("bo")
    third.say("still there?")
    first.skips_to(b"bo: still there?\n", SOON)
    first.close()
    third.skips_to(b"*** al has left the chat ***\n", SOON)
    assert "Traceback" not in server.log


@check()
def defect_02_one_stalled_reader_freezes_the_room(server: Any) -> None:
    alice, bob = server.join("Alice"), server.join("Bob")
    stalled(server, alice, [bob])
    alice.say("anybody?")
    bob.skips_to(b"Alice: anybody?\n", SOON)
    newcomer = server.connect()
    newcomer.sees(PROMPT)
    newcomer.say("New")
    bob.skips_to(b"*** New has joined the chat ***\n", SOON)


@check()
def defect_04_leavers_leak(server: Any) -> None:
    alice, bob = server.join("Alice"), server.join("Bob")
    stalled(server, alice, [bob])
    bob.half_close()
    bob.rest(SOON)  # its socket is closed, though somebody cannot be told that it left


@check()
def defect_06_a_byte_that_is_not_utf8_kills_the_session(server: Any) -> None:
    """What telnet's Ctrl-C sends: IAC IP, IAC DO TM."""
    bob, alice = server.join("Bob"), server.join("Alice")
    alice.send(b"\xff\xf4\xff\xfd\x06\n")
    alice.say("after ctrl-c")
    bob.skips_to(b"Alice: after ctrl-c\n", SOON)
    alice.send(b"caf\xe9\n")
    bob.sees("Alice: caf\ufffd\n".encode(), SOON)
    assert "Traceback" not in server.log


@check()
def defect_07_a_line_over_64_kib_kills_the_session(server: Any) -> None:
    bob, alice = server.join("Bob"), server.join("Alice")
    bob.skips_to(b"Alice has joined the chat ***\n")
    alice.send(b"a" * 70_000 + b"\n")
    alice.say("after that")
    bob.sees(b"Alice: after that\n", SOON)


@check()
def defect_08_terminal_injection(server: Any) -> None:
    bob, alice = server.join("Bob"), server.join("Alice")
    bob.skips_to(b"Alice has joined the chat ***\n")
    alice.send(b"a\x1b[2J\x1b]0;owned\x07\x1b]52;c;b3duZWQ=\x07\rz\n")
    alice.say("end")
    assert b"\x1b" not in bob.skips_to(b"end\n", SOON)
    mallory = server.connect()
    mallory.send(b"Mal\x1b[2Jlory\n")
    assert b"\x1b" not in bob.skips_to(b"has joined", SOON)
    assert "\x1b" not in server.log


@check()
def defect_09_forgery(server: Any) -> None:
    for name in ("", "***", "al: hi", "x" * 100, "a\u202eb c"):
        client = server.connect()
        client.sees(PROMPT)
        client.say(name)
        client.sees(re.compile(rb"[^\n]+\nEnter your name: "), SOON)
    bob, alice = server.join("Bob"), server.join("Alice")
    bob.skips_to(b"Alice has joined the chat ***\n")
    alice.send(b"hi\r*** Bob has left the chat ***\n")
    assert b"\r" not in bob.sees(re.compile(rb"[^\n]+\n"), SOON)


@check(shown=False)
def defect_12_one_who_floods_is_held_back(server: Any) -> None:
    """`yes` in a pipe: who talks beside it is heard at once, and of the flood is heard what people can read."""
    alice, bob, flood = server.join("Alice"), server.join("Bob"), server.join("Flood")
    flood.sock.settimeout(0.5)
    with contextlib.suppress(TimeoutError):
        for _ in range(400):
            flood.sock.send(b"y\n" * 4096)
    alice.say("me too")
    before = bob.skips_to(b"Alice: me too\n", SOON)
    assert before.count(b"Flood: y\n") < 300


@check()
def defect_14_shutdown(server: Any) -> None:
    """SIGTERM: a farewell, no line for each who leaves, exit code 0."""
    people = [server.join(f"P{i}") for i in range(5)]
    for i, client in enumerate(people):
        for other in range(i + 1, 5):
            client.sees(f"*** P{other} has joined the chat ***\n".encode())
    server.signal(signal.SIGTERM)
    with contextlib.suppress(ConnectionError):
        for client in people:
            assert client.rest(SOON) == b"*** The server is shutting down ***\n"
            client.close()
    assert server.wait(SOON) == 0


@check()
def defect_15_noise_about_a_reset(server: Any) -> None:
    bob = server.join("Bob")
    for i in range(5):
        alice = server.join(f"Alice{i}")
        bob.sees(f"*** Alice{i} has joined the chat ***\n".encode())
        alice.say("x")
        alice.reset()
        bob.skips_to(f"*** Alice{i} has left the chat ***\n".encode())
        raw = server.connect()
        raw.send(b"half a name")
        raw.reset()
    bob.close()
    server.signal(signal.SIGTERM)
    with contextlib.suppress(subprocess.TimeoutExpired):
        server.wait(SOON)
    assert "Traceback" not in server.log and "Unhandled" not in server.log


@check()
def defect_16_truncated_lines_are_published(server: Any) -> None:
    bob, alice = server.join("Bob"), server.join("Alice")
    bob.skips_to(b"Alice has joined the chat ***\n")
    alice.send(b"rm -rf $TMP/x")
    alice.half_close()
    said = bob.skips_to(b"*** Alice has left the chat ***\n", SOON)
    assert said != b"Alice: rm -rf $TMP/x\n"  # as if it were whole
    assert said.startswith(b"Alice: rm -rf $TMP/x [")


@check()
def defect_17_telnet_output(server: Any) -> None:
    """CR LF for who speaks telnet; DEL erases."""
    bob = server.join("Bob")
    alice = server.connect()
    alice.sees(PROMPT)
    alice.send(b"Alicia\x7f\x7fe\r\0")
    bob.sees(b"*** Alice has joined the chat ***\n", SOON)
    alice.send(b"\xff\xfb\x1f")
    alice.sees(b"\xff\xfd\x1f", SOON)
    bob.say("hi")
    alice.sees(b"Bob: hi\r\n", SOON)


@check()
def defect_18_nothing_to_join(server: Any) -> None:
    alice = server.join("Alice")
    alice.say("said before")
    for question, answer in [
        ("/time", rb"\*\*\* \d{4}-"), ("/who", b"lobby: 1"), ("/rooms", b"lobby"), ("/help", b"/quit"),
    ]:  # fmt: skip
        alice.say(question)
        alice.skips_to(re.compile(answer), SOON)
    bob = server.connect()
    bob.sees(PROMPT)
    bob.say("Bob")
    bob.sees(re.compile(rb"\[\d\d:\d\d\] Alice: said before\n"), SOON)


def name(function: Check) -> str:
    return function.__name__.removeprefix("defect_")


@pytest.mark.parametrize("function", BOTH, ids=name)
def test_hubbub_has_not(serve: Callable[..., Server], function: Check) -> None:
    flags = [] if function is defect_12_one_who_floods_is_held_back else ["--no-limits"]
    function(serve(*flags))


@pytest.mark.parametrize("function", SHOWN, ids=name)
def test_howto_has(howto: HowTo, function: Check, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.modules[__name__], "SOON", NEVER)
    with pytest.raises((AssertionError, ConnectionError)):
        function(howto)


# --- those that need a server of their own --------------------------------------------------------------------


def test_03_a_stalled_client_is_evicted(serve: Callable[..., Server]) -> None:
    """By the stall timeout, though the others talk on, and its socket is closed."""
    server = serve("--stall-timeout", "1", "--no-limits")
    alice, bob = server.join_all("Alice", "Bob")
    deaf = stalled(server, alice, [bob])
    server.logs("^Deaf .* has left$")
    assert "  Alice, Bob\n" in who(alice)
    with contextlib.suppress(ConnectionResetError):
        deaf.rest()


def who(client: Client) -> str:
    client.say("/who")
    return client.barrier().decode()


def test_05_a_dead_peer_disconnects_nobody_else(serve: Callable[..., Server]) -> None:
    """Broken in every way that a socket without a network can be: who talks to it talks on."""
    server = serve("--stall-timeout", "1", "--no-limits")
    alice, bob = server.join_all("Alice", "Bob")
    for i in range(20):
        peer = server.join(f"Peer{i}")
        alice.say("x" * 2000)
        (peer.reset if i % 2 else peer.close)()
        alice.say("y" * 2000)
    alice.say("the end")
    bob.skips_to(b"Alice: the end\n")
    alice.barrier()
    assert "In lobby: 2" in who(alice)


def test_10_readers_are_warned_before_they_are_thrown_out(serve: Callable[..., Server]) -> None:
    """With a timeout over two minutes the warning comes one minute before; see tests/serve for the moment."""
    reader, alice = serve("--idle-timeout", "0").join_all("Reader", "Alice")
    for i in range(5):
        alice.say(str(i))
        reader.sees(f"Alice: {i}\n".encode())
    reader.sees_nothing()


def test_11_a_deadline_at_the_name_prompt(serve: Callable[..., Server]) -> None:
    server = serve("--name-timeout", "1")
    for client in [server.connect() for _ in range(50)]:
        client.sees(PROMPT)
        assert client.rest().startswith(b"\nDisconnected: ")


def test_12_limits_on_connections(serve: Callable[..., Server]) -> None:
    server = serve("--max-per-address", "5")
    for _ in range(5):
        server.connect().sees(PROMPT)
    assert server.connect().rest().count(b"\n") == 1


@pytest.mark.parametrize("which", ["hubbub", "how-to"])
def test_13_a_console_that_nobody_reads_blocks_nobody(which: str, tmp_path: Path) -> None:
    """Its output is a pipe that is full after 4 KiB, and everything said goes there."""
    port = free_port()
    if which == "hubbub":
        command = [
            "-m",
            "hubbub",
            "serve",
            "--listen",
            f"127.0.0.1:{port}",
            "--data",
            str(tmp_path),
            "--log-messages",
        ]
    else:
        command = ["-u", str(HOWTO), str(port)]
    reading, writing = os.pipe()
    fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, 4096)
    process = subprocess.Popen([sys.executable, *command], stdout=writing, stderr=writing)
    os.close(writing)
    try:
        said = b""
        while b" on " not in said:
            said += os.read(reading, 1000) or pytest.fail(f"it ended: {said!r}")
        # It listens; nothing is read any more.
        talk_much(port, suppress=which != "hubbub")
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            code = process.wait(8 if which == "how-to" else PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            code = process.wait()
        os.close(reading)
    assert which != "hubbub" or code == 0


def talk_much(port: int, suppress: bool) -> None:
    clients = []
    with contextlib.ExitStack() as stack:
        for name in ("Alice", "Bob"):
            client = Client(port)
            stack.callback(client.close)
            client.sees(PROMPT)
            client.say(name)
            clients.append(client)
        alice, bob = clients
        alice.skips_to(b"*** Bob has joined the chat ***\n")
        if suppress:
            stack.enter_context(pytest.raises(AssertionError))
        for i in range(60):
            alice.say(f"{i} " + "x" * 500)
            bob.skips_to(f"Alice: {i} ".encode(), NEVER if suppress else SOON)


def cost_of_a_burst(server: Any) -> float:
    """Return the CPU time that 1000 messages to 60 members take, in seconds."""
    members = [server.join(f"M{i}") for i in range(60)]
    before = server.cpu()
    members[0].say(*(f"number {i} of the burst" for i in range(1000)), "the end")
    for member in members[1:]:
        member.skips_to(b"M0: the end\n")
    return server.cpu() - before


def test_19_fan_out_costs_little(serve: Callable[..., Server], howto: HowTo) -> None:
    """A small part of what the how-to's takes, which makes a task for each message and member."""
    assert cost_of_a_burst(serve("--no-limits", "--history", "0")) < cost_of_a_burst(howto) / 3
