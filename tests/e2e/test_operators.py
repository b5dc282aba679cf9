"""Who logs in as an operator of the server is written on the console, and nobody guesses for long."""

from __future__ import annotations

from collections.abc import Callable

from hubbub.passwords import WRONG_LIMIT, make
from scene import Client, Server

Serve = Callable[..., Server]
UNKNOWN = b"*** Wrong name or password ***\n"


def server_of(serve: Serve) -> Server:
    return serve("--operator", f"root:{make('sesame')}", sniffs=True)


def guesses(client: Client, name: str = "root") -> None:
    client.say(f"/oper {name} wrong")
    client.sees(UNKNOWN)


def test_each_login_is_logged_with_its_address_and_outcome(serve: Serve) -> None:
    server = server_of(serve)
    alice, bob = server.join("Alice"), server.join("Bob")
    alice.skips_to(b"Bob has joined the chat ***\n")
    guesses(alice)
    server.logs(r"^WARNING: Alice \(127\.0\.0\.1\) gave a wrong name or password for operator root$")
    bob.say("/oper root sesame")
    bob.sees(b"*** You may act in every room now ***\n")
    server.logs(r"^Bob \(127\.0\.0\.1\) has logged in as operator root$")
    assert "sesame" not in server.log and "wrong " not in server.log.replace("a wrong name", "")


def test_address_that_guesses_waits_and_is_told(serve: Serve) -> None:
    server = server_of(serve)
    alice = server.join("Alice")
    for number in range(WRONG_LIMIT):
        guesses(alice, f"nobody{number}" if number else "root")
    alice.say("/oper root sesame")
    alice.skips_to(b"*** Too many wrong passwords came from your address; try again in 5 min ***\n")
    server.logs("may not try to log in as operator root")


def test_irc_is_logged_too_and_so_is_a_kill(serve: Serve) -> None:
    server = server_of(serve)
    alice = server.join("Alice")
    irc = server.connect()
    irc.send(b"NICK root\r\nUSER r 0 * :r\r\nOPER root sesame\r\nKILL Alice :spam\r\n")
    alice.skips_to(b"You are cut off")
    server.logs(r"^root \(127\.0\.0\.1\) has logged in as operator root$")
    server.logs(r"^WARNING: root \(127\.0\.0\.1\) has disconnected Alice: spam$")
