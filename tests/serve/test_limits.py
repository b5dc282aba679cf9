"""The limits: what is over them is later, elsewhere or told, and never breaks anything."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from functools import partial

import pytest
from in_thread import InThread

from hubbub import passwords
from hubbub.startup.logins import WRONG_AFTER
from scene import PROMPT, Client, wait_until

Serve = Callable[..., InThread]
FULL = b"The chat is full right now; try again later.\n"
CROWDED = b"There are too many connections from your address.\n"


@pytest.fixture
def serve(serve: Serve) -> Serve:
    """Start servers whose address is for lines alone, so that the prompt comes at once."""
    return partial(serve, sniffs=False)


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
    bob.skips_to(b"Carol: meanwhile\n", 45)


def test_no_limits_lifts_rate_and_numbers(serve: Serve) -> None:
    server = serve("--rate", "0.2", "--burst", "1", "--max-connections", "1", "--max-per-address", "1", "--no-limits")
    alice, bob = server.join_all("Alice", "Bob")
    alice.say(*map(str, range(50)))
    bob.skips_to(b"Alice: 49\n")


@pytest.mark.parametrize("length", [16_385, 20_000, 70_000, 300_000])
def test_line_over_the_limit_is_discarded_whole_and_its_sender_told(server: InThread, length: int) -> None:
    alice, bob = server.join_all("Alice", "Bob")
    alice.send(b"before\n" + b"a" * length + b"\nafter\n")
    alice.sees(b"Not sent: a line has at most 16384 bytes.\n")
    bob.sees(b"Alice: before\nAlice: after\n")
    alice.sees_nothing()
    bob.sees_nothing()


def test_line_at_the_limit_is_said(server: InThread) -> None:
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


def test_bytes_without_a_line_have_their_price(server: InThread) -> None:
    """Whoever sends no line end is read at the rate of lines; nobody else notices."""
    flood = server.connect()
    flood.sock.settimeout(0.5)
    sent, end = 0, time.monotonic() + 5.0
    with contextlib.suppress(TimeoutError):
        while sent < 50_000_000 and time.monotonic() < end:
            sent += flood.sock.send("é\x7f".encode() * 20_000)
    assert sent < 50_000_000, "the kernel's buffers and the burst are a few megabytes, and each second adds 0.3"
    alice, bob = server.join("Alice"), server.join("Bob")
    alice.skips_to(b"*** Bob has joined the chat ***\n")
    bob.say("hi")
    alice.sees(b"Bob: hi\n")
    flood.reset()


def test_an_operator_whose_password_cannot_be_checked_is_asked_to_try_again(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = serve("--operator", f"root:{passwords.make('sesame')}")
    alice = server.join("Alice")

    def without_memory(operators: list[str], name: str, password: str) -> bool:
        raise MemoryError

    monkeypatch.setattr("hubbub.startup.logins.is_operator", without_memory)
    alice.say("/oper root sesame")
    alice.sees(b"The server is too busy to check passwords right now; try again in a while.\n")


def test_a_wrong_password_takes_its_time_and_others_do_not_wait(serve: Serve) -> None:
    server = serve("--operator", f"root:{passwords.make('sesame')}")
    alice, bob = server.join_all("Alice", "Bob")
    start = time.monotonic()
    alice.say("/oper root guess", "/oper nobody guess", "done")
    bob.say("/oper root sesame")
    assert b"Alice: done" not in bob.skips_to(b"*** You may act in every room now ***\n")
    bob.skips_to(b"Alice: done\n")
    assert time.monotonic() - start > 2 * WRONG_AFTER
