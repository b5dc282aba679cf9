"""The limits: what is over them is later, elsewhere or told, and never breaks anything."""

from __future__ import annotations

import contextlib
import resource
import time
from collections.abc import Callable

import pytest

from hubbub import passwords
from hubbub.logins import WRONG_AFTER
from scene import PROMPT, Client, Server, wait_until

Serve = Callable[..., Server]
FULL = b"The chat is full right now; try again later.\n"
CROWDED = b"There are too many connections from your address.\n"


def test_over_the_rate_nothing_is_dropped_only_later(serve: Serve) -> None:
    """A burst of 10, then 20 a second: 30 lines are said over at least a second, all of them, in order."""
    server = serve("--rate", "20", "--burst", "10")
    alice, bob = server.join_all("Alice", "Bob")
    start = time.monotonic()
    alice.say(*map(str, range(30)))
    for i in range(30):
        bob.sees(f"Alice: {i}\n".encode())
    assert time.monotonic() - start > 0.7
    alice.sees_nothing()  # and nobody is told off


def test_over_the_rate_others_do_not_wait(serve: Serve) -> None:
    server = serve("--rate", "0.2", "--burst", "10")
    alice, bob, carol = server.join_all("Alice", "Bob", "Carol")
    alice.say(*map(str, range(30)))
    carol.say("meanwhile")
    bob.skips_to(b"Carol: meanwhile\n", 3)


def test_over_the_rate_its_socket_is_not_read(serve: Serve) -> None:
    """What it sends stays with it, once the kernel's buffers are full: that is what bounds the memory."""
    server = serve("--rate", "0.2", "--burst", "10")
    alice = server.join("Alice")
    before = server.rss()
    alice.sock.settimeout(1)
    sent = 0
    with contextlib.suppress(TimeoutError):
        while sent < 64 << 20:
            sent += alice.sock.send(b"x" * 999 + b"\n")
    assert sent < 64 << 20
    assert server.rss() - before < 8 << 20


def test_no_limits_lifts_rate_and_numbers(serve: Serve) -> None:
    server = serve("--rate", "0.2", "--burst", "1", "--max-connections", "1", "--max-per-address", "1", "--no-limits")
    alice, bob = server.join_all("Alice", "Bob")
    alice.say(*map(str, range(50)))
    bob.skips_to(b"Alice: 49\n")


@pytest.mark.parametrize("length", [16_385, 20_000, 70_000, 300_000])
def test_line_over_the_limit_is_discarded_whole_and_its_sender_told(server: Server, length: int) -> None:
    alice, bob = server.join_all("Alice", "Bob")
    alice.send(b"before\n" + b"a" * length + b"\nafter\n")
    alice.sees(b"Not sent: a line has at most 16384 bytes.\n")
    bob.sees(b"Alice: before\nAlice: after\n")
    alice.sees_nothing()
    bob.sees_nothing()


def test_line_at_the_limit_is_said(server: Server) -> None:
    alice, bob = server.join_all("Alice", "Bob")
    alice.send(b"a" * 16_384 + b"\r\n")
    bob.sees(b"Alice: " + b"a" * 16_384 + b"\n")


def test_line_limit_is_a_setting_and_holds_for_names(serve: Serve) -> None:
    server = serve("--line-limit", "64")
    client = server.connect()
    client.sees(PROMPT)
    client.send(b"n" * 65 + b"\n")
    client.skips_to(b"\n")
    client.say("Alice")
    client.skips_to(b"")
    client.say("x" * 65)
    client.skips_to(b"Not sent: a line has at most 64 bytes.\n")


def is_in(client: Client) -> bool:
    client.sees(b"")
    while not client.seen and not client.ended:
        client.receive(time.monotonic() + 10)
    return client.seen == PROMPT


@pytest.mark.parametrize(("setting", "sentence"), [("connections", FULL), ("per-address", CROWDED)])
def test_one_connection_too_many_gets_one_sentence(serve: Serve, setting: str, sentence: bytes) -> None:
    server = serve(f"--max-{setting}", "3")
    inside = server.join_all("A", "B", "C")
    for _ in range(3):
        outside = server.connect()
        outside.send(b"Mallory\n")  # a reset would take the sentence away
        assert outside.rest() == sentence
    inside[0].sees_nothing()
    inside[2].close()
    inside[0].sees(b"*** C has left the chat ***\n")

    def let_in() -> bool:
        return is_in(server.connect())

    wait_until(let_in, what="a free place")


def test_many_turned_away_at_once_hold_nobody_up(serve: Serve) -> None:
    server = serve("--max-per-address", "2")
    alice, bob = server.join_all("Alice", "Bob")
    turned_away = [server.connect() for _ in range(150)]
    alice.say("hi")
    bob.sees(b"Alice: hi\n")
    for client in turned_away:
        assert client.rest() in (CROWDED, b"")
    assert server.process.poll() is None


def few_files() -> None:
    resource.setrlimit(resource.RLIMIT_NOFILE, (40, 40))


def test_running_out_of_file_descriptors_is_survived_and_said_in_the_log(serve: Serve) -> None:
    server = serve(before=few_files)
    alice, bob = server.join_all("Alice", "Bob")
    crowd = [server.connect() for _ in range(60)]
    server.logs("^WARNING: .*Too many open files")
    alice.say("still here")
    bob.sees(b"Alice: still here\n")
    assert server.log.count("Too many open files") == 1  # not a line for each of them
    for client in crowd[:50]:
        client.close()
    last = crowd[-1]  # who waited in the kernel's queue gets in
    last.sees(PROMPT)
    last.say("Zoe")
    alice.sees(b"*** Zoe has joined the chat ***\n")
    bob.say("welcome")
    last.skips_to(b"Bob: welcome\n")


def test_bytes_without_a_line_have_their_price(server: Server) -> None:
    """Whoever sends no line end is read at the rate of lines; nobody else notices."""
    flood = server.connect()
    flood.sock.settimeout(0.5)
    sent = 0
    with contextlib.suppress(TimeoutError):
        while sent < 50_000_000:
            sent += flood.sock.send("é\x7f".encode() * 20_000)
    assert sent < 50_000_000
    alice, bob = server.join("Alice"), server.join("Bob")
    alice.skips_to(b"*** Bob has joined the chat ***\n")
    bob.say("hi")
    alice.sees(b"Bob: hi\n")
    flood.reset()


def test_a_wrong_password_takes_its_time_and_others_do_not_wait(serve: Serve) -> None:
    server = serve("--operator", f"root:{passwords.make('sesame')}")
    alice, bob = server.join_all("Alice", "Bob")
    start = time.monotonic()
    alice.say("/oper root guess", "/oper nobody guess", "done")
    bob.say("/oper root sesame")
    assert b"Alice: done" not in bob.skips_to(b"*** You may act in every room now ***\n")
    bob.skips_to(b"Alice: done\n")
    assert time.monotonic() - start > 2 * WRONG_AFTER
