"""What the console and the files of the log show of people at nc, and what is there after a restart."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from scene import Server, ask_in, stored

Serve = Callable[..., Server]


@pytest.mark.parametrize("flags", [(), ("--log-messages",)])
def test_console_shows_who_comes_and_goes_and_what_is_said_only_when_told_to(serve: Serve, flags: list[str]) -> None:
    server = serve(*flags)
    alice, bob = server.join_all("Alice", "Bob")
    a, b = alice.address, bob.address
    alice.say("the secret", "/me waves", "/msg Bob psst")
    bob.skips_to(b"psst\n")
    alice.close()
    bob.skips_to(b"has left the chat ***\n")
    bob.close()
    server.logs(rf"^Bob \({re.escape(str(b))}\) has left$")
    assert server.stop() == 0
    said = ["Alice: the secret", "* Alice waves"] if flags else []
    # The start also tells how to join, and of an old SQLite.
    assert [line for line in server.lines if not line.startswith((" ", "Chat server", "WARNING: SQLite"))] == [
        f"Alice ({a}) has joined",
        f"Bob ({b}) has joined",
        *said,
        f"Alice ({a}) has left",
        f"Bob ({b}) has left",
    ]


def test_replay_comes_after_a_restart_too_and_never_twice(serve: Serve) -> None:
    """Between the replay and what is said while somebody joins is neither a gap nor a double."""
    first = serve()
    alice = first.join("Alice")
    alice.say("before")
    alice.barrier()
    assert first.stop() == 0
    server = serve("--no-limits", "--history", "200")
    talker = server.join("Talker")
    assert re.fullmatch(rb"\[\d\d:\d\d\] Alice: before\n", talker.seen)
    newcomers = []
    for i in range(60):
        talker.say(f"number {i}")
        if i % 10 == 5:
            newcomers.append(ask_in(server, f"N{i}"))
    talker.say("the end")
    for client in newcomers:
        seen = client.skips_to(b"Talker: the end\n") + b"Talker: the end\n"
        assert re.findall(rb"number (\d+)", seen) == [str(i).encode() for i in range(60)]


def test_names_cannot_carry_control_bytes(server: Server) -> None:
    alice = server.join("Alice")
    ask_in(server, "M\x1b[2Ja\u202ell")
    alice.sees(b"*** Mall has joined the chat ***\n")
    assert "\x1b" not in server.log


def test_private_message_reaches_one_alone_and_no_log(serve: Serve) -> None:
    server = serve("--log-messages")
    alice, bob, carol = server.join_all("Alice", "Bob", "Carol")
    alice.say("/msg bob  just for you", "/msg nobody hi", "/msg Alice memo to myself")
    bob.sees(b"Alice (private): just for you\n")
    alice.sees(b"Nobody here is called nobody.\nAlice (private): memo to myself\n")
    for client in (alice, bob, carol):
        client.sees_nothing()
    server.disconnect()
    assert server.stop() == 0
    assert isinstance(server.data, Path)
    assert stored(server.data, "--room", "lobby") == []
    assert "just for you" not in server.log
    assert all(b"just for you" not in file.read_bytes() for file in server.data.iterdir())
