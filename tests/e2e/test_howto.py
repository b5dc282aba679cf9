"""What the how-to's server shows on the wire, hubbub shows too, byte for byte."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial

import pytest

from scene import HOWTO, PROMPT, Client, Program, Server

LINUX = bytes.fromhex("fffb1f fffb20 fffb18 fffb27")  # what a telnet client says that sends lines
# DO NAWS of its own accord; then DONT 32, DO TTYPE, SB TTYPE SEND, DONT 39.
ANSWERS = bytes.fromhex("fffd1f fffe20 fffd18 fffa1801fff0 fffe27")


@pytest.fixture
def serve(serve: Callable[..., Server]) -> Callable[..., Server]:
    """Start servers whose address is for every wire, as it is by default."""
    return partial(serve, sniffs=True)


def scene(program: Program, end: bytes, bob_end: bytes, bob: Client | None = None) -> None:
    """Three people come, talk and go; each sees exactly this from the connect to the end, and nothing else."""
    alice = program.connect()
    alice.sees(PROMPT)
    alice.send(b"Alice" + end)
    program.logs(rf"^Alice \({re.escape(str(alice.address))}\) has joined$")

    bob = bob or program.connect()
    bob.sees(PROMPT)
    bob.send(b"Bob" + bob_end)
    alice.sees(b"*** Bob has joined the chat ***" + end)

    carol = program.connect()
    carol.sees(PROMPT)
    carol.send(b"Carol\n")
    alice.sees(b"*** Carol has joined the chat ***" + end)
    bob.sees(b"*** Carol has joined the chat ***" + bob_end)

    alice.send(b"Hello, all!\t " + end)
    bob.sees(b"Alice: Hello, all!" + bob_end)
    carol.sees(b"Alice: Hello, all!\n")

    bob.send(bob_end + b"   " + bob_end + "Grüße, 你好 👋".encode() + bob_end)  # the empty lines say nothing
    alice.sees("Bob: Grüße, 你好 👋".encode() + end)
    carol.sees("Bob: Grüße, 你好 👋\n".encode())

    carol.send(b"one\ntwo\n")
    alice.sees(b"Carol: one" + end + b"Carol: two" + end)
    bob.sees(b"Carol: one" + bob_end + b"Carol: two" + bob_end)

    carol_address = carol.address
    carol.half_close()
    alice.sees(b"*** Carol has left the chat ***" + end)
    bob.sees(b"*** Carol has left the chat ***" + bob_end)
    assert carol.rest() == b""
    program.logs(rf"^Carol \({re.escape(str(carol_address))}\) has left$")

    alice.half_close()
    bob.sees(b"*** Alice has left the chat ***" + bob_end)
    assert alice.rest() == b""
    bob.half_close()
    assert bob.rest() == b""


def test_the_how_tos_scene(either: Program) -> None:
    scene(either, b"\n", b"\n")


@pytest.mark.parametrize(("end", "bob_end"), [(b"\r\n", b"\n"), (b"\n", b"\r\n")])
def test_the_how_tos_scene_has_cr_lf_for_a_peer_whose_first_line_ends_so(
    server: Server, end: bytes, bob_end: bytes
) -> None:
    """As ncat -C and PuTTY's raw mode do. The how-to's server ends its lines with LF, which is a staircase in PuTTY."""
    scene(server, end, bob_end)


def test_first_line_decides_how_lines_end(server: Server) -> None:
    alice = server.connect()
    alice.sees(PROMPT)
    alice.send(b"Alice\nhi\r\n/who\r\n")
    alice.sees(b"*** In lobby: 1 ***\n  Alice\n")


def test_the_how_tos_scene_in_telnet_has_cr_lf(server: Server) -> None:
    """A telnet session among raw ones: nothing in telnet before its first byte 255, CR LF everywhere after."""
    bob = server.connect()
    bob.sees(PROMPT)
    bob.send(LINUX)
    bob.sees(ANSWERS)
    bob.seen = PROMPT  # the scene sees it again
    scene(server, b"\n", b"\r\n", bob)


def test_telnet_that_speaks_later_has_cr_lf_from_then_on(server: Server) -> None:
    alice, bob = server.join_all("Alice", "Bob")
    alice.say("before")
    bob.sees(b"Alice: before\n")
    bob.send(b"\xff\xfd\x03")
    bob.sees(bytes.fromhex("fffd1f fffb03 fffb01 fffd18"))
    bob.send(bytes.fromhex("fffe01"))  # it wants no echo
    bob.sees(bytes.fromhex("fffc03"))
    alice.say("after")
    bob.sees(b"Alice: after\r\n")
    bob.send(b"from telnet\r\0still\r\n")
    alice.sees(b"Bob: from telnet\nBob: still\n")
    bob.sees_nothing()


@pytest.mark.parametrize("way", ["close", "reset"])
def test_who_goes_in_whatever_way_has_left(either: Program, way: str) -> None:
    alice = either.join("Alice")  # type: ignore[attr-defined]
    bob = either.join("Bob")  # type: ignore[attr-defined]
    alice.sees(b"*** Bob has joined the chat ***\n")
    getattr(bob, way)()
    alice.sees(b"*** Bob has left the chat ***\n")


def test_who_gives_no_name_is_nobody(either: Program) -> None:
    alice = either.join("Alice")  # type: ignore[attr-defined]
    nobody = either.connect()
    nobody.sees(PROMPT)
    nobody.half_close()
    assert nobody.rest() == b""
    bob = either.join("Bob")  # type: ignore[attr-defined]
    alice.sees(b"*** Bob has joined the chat ***\n")
    bob.close()
    alice.sees(b"*** Bob has left the chat ***\n")


def test_idle_timeouts_line_is_the_how_tos(serve: Callable[..., Server]) -> None:
    alice = serve("--idle-timeout", "1", "--name-timeout", "1").join("Alice")
    assert alice.rest() == b"Disconnected: idle timeout.\n"
    assert r"b'Disconnected: idle timeout.\n'" in re.sub('"', "'", HOWTO.read_text())
