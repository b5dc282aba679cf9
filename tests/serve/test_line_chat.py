"""Names, the idle timeout, the replay and the text that people see at nc."""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Callable
from datetime import datetime
from functools import partial

import pytest
from in_thread import InThread

from scene import PATIENCE, PROMPT, ask_in, stored

Serve = Callable[..., InThread]
# What telnet and terminals could be told, and what is left of it.
DIRT = [
    (b"a\x1b[2Jb", b"ab"),
    (b"a\x1b]0;owned\x07b", b"ab"),
    (b"a\x1b]52;c;b3duZWQ=\x1b\\b", b"ab"),
    (b"a\x1bP1$qm\x1b\\b", b"ab"),
    (b"a\x1bOAb", b"ab"),
    ("a\u009b31mb".encode(), b"ab"),
    (b"a\x07\x0eb", b"ab"),
    ("a\u202eb\u2066c\u2069".encode(), b"abc"),
    (b"a\tb", b"a\tb"),
    (b"    if x:\t\t", b"    if x:"),
    (b"\treturn 1", b"\treturn 1"),
    ("a\u200bb\u00adc\U000e0064".encode(), b"abc"),
    (("z" + "\u0301" * 40).encode(), ("z" + "\u0301" * 4).encode()),
    (b"caf\xe9 au lait", "caf\ufffd au lait".encode()),
    (b"\xc3\x28", "\ufffd(".encode()),
    ("e\u0301 \U0001f468\u200d\U0001f469\u200d\U0001f467".encode(),) * 2,  # family: its joiners stay
]
INVALID = [
    "",
    "two words",
    "#room",
    "a@b",
    "a:b",
    "***",
    "a/b",
    "oh!",
    "a,b",
    "x" * 33,
    "server",
    "Server",
    "ＳＥＲＶＥＲ",
    "\u0301a",
]
VALID = ["a", "x" * 32, "Ünïcödé", "王小明", "محمد", "a-_.[]{}|^1", "हिन्दी"]


@pytest.fixture
def serve(serve: Serve) -> Serve:
    """Start servers whose address is for lines alone, so that the prompt comes at once."""
    return partial(serve, sniffs=False)


# --- names ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("same", ["Alice", "alice", "ALICE", "Ａlice", " Alice "])
def test_name_taken_in_any_spelling_is_asked_for_again(server: InThread, same: str) -> None:
    alice = server.join("Alice")
    other = ask_in(server, same)
    other.sees(f"The name {same.strip()} is taken.\n".encode() + PROMPT)
    other.say("Bob")
    alice.sees(b"*** Bob has joined the chat ***\n")
    alice.sees_nothing()


def test_name_is_free_again_when_its_holder_has_left(server: InThread) -> None:
    alice, bob = server.join_all("Alice", "Bob")
    alice.close()
    bob.sees(b"*** Alice has left the chat ***\n")
    server.join("alice")
    bob.sees(b"*** alice has joined the chat ***\n")


def test_invalid_names_are_refused_with_one_sentence_that_says_what_is_valid(server: InThread) -> None:
    for name in INVALID:
        client = ask_in(server, name)
        sentence = client.skips_to(b"\n" + PROMPT)
        assert re.search(rb"\. Use .* like [^\n]+\.$", sentence) and b"\n" not in sentence, sentence
        client.say("/quit")
        assert client.rest() == b""


def test_valid_names_of_every_script_are_welcome(server: InThread) -> None:
    alice = server.join("Alice")
    for name in VALID:
        ask_in(server, name)
        alice.sees(f"*** {name} has joined the chat ***\n".encode())


@pytest.mark.parametrize("odd", ["Ali\u200bce", "Ali\ufe0fce", "Alic\u034fe"])
def test_name_that_differs_by_what_nobody_sees_is_not_another_one(server: InThread, odd: str) -> None:
    server.join("Alice")
    other = ask_in(server, odd)
    other.skips_to(b"\n" + PROMPT)


def test_fifth_refusal_is_the_end(server: InThread) -> None:
    alice = server.join("Alice")
    client = ask_in(server, "alice")
    for _ in range(4):
        client.sees(b"The name alice is taken.\n" + PROMPT)
        client.say("alice")
    end = client.rest()
    assert end.startswith(b"The name alice is taken.\n") and end.endswith(b".\n") and PROMPT not in end
    alice.sees_nothing()


def test_who_gives_no_name_in_time_is_told_and_disconnected(serve: Serve) -> None:
    """Bytes that make no name buy no time."""
    server = serve("--name-timeout", "1")
    alice = server.join("Alice")
    slow, quiet = server.connect(), server.connect()
    slow.sees(PROMPT)
    slow.send(b"Bo")
    quiet.sees(PROMPT)
    for client in (quiet, slow):
        assert re.fullmatch(rb"\nDisconnected: [^\n]+\.\n", client.rest())
    alice.sees_nothing()


# --- idle -----------------------------------------------------------------------------------------------------


def test_idle_timeout_holds_though_it_is_shorter_than_the_time_for_a_name(serve: Serve) -> None:
    server = serve("--idle-timeout", "1")
    assert server.join("Alice").rest() == b"Disconnected: idle timeout.\n"


def test_idle_is_who_says_nothing_and_input_of_any_kind_counts(serve: Serve) -> None:
    server = serve("--idle-timeout", "4", "--name-timeout", "1")
    bob, alice = server.join("Bob"), server.join("Alice")
    bob.sees(b"*** Alice has joined the chat ***\n")
    end = time.monotonic() + PATIENCE
    beat = 0
    while b"*** Alice has left the chat ***\n" not in bob.seen:  # half a line at a time, until she is thrown out
        assert time.monotonic() < end and not bob.ended, bob.seen
        bob.send(b"x")
        beat += 1
        with contextlib.suppress(AssertionError):  # nothing has come in that time
            bob.receive(time.monotonic() + 0.3)
    assert alice.rest() == b"Disconnected: idle timeout.\n"
    assert beat > 2
    bob.sees(b"*** Alice has left the chat ***\n")
    bob.send(b"\x15")
    bob.sees_nothing()


def test_idle_timeout_zero_is_never(serve: Serve) -> None:
    server = serve("--idle-timeout", "0", "--name-timeout", "1")
    alice = server.join("Alice")
    late = server.connect()  # its end shows that time has passed
    late.sees(PROMPT)
    late.rest()
    alice.sees_nothing()


def test_idle_timeout_applies_to_a_client_that_does_not_read(serve: Serve) -> None:
    server = serve("--idle-timeout", "3", "--name-timeout", "1", "--no-limits", "--buffer", "16384")
    bob = server.join("Bob")
    server.join("Deaf", buffer=4096)
    bob.sees(b"*** Deaf has joined the chat ***\n")
    bob.say(*["x" * 4000] * 2000)  # more than the kernel keeps for who does not read
    end = time.monotonic() + PATIENCE
    while b"*** Deaf has left the chat ***\n" not in bob.seen:
        assert time.monotonic() < end, "who reads nothing is still there"
        bob.say("")  # so that it is not Bob who is idle
        with contextlib.suppress(AssertionError):
            bob.receive(time.monotonic() + 0.2)


# --- replay ---------------------------------------------------------------------------------------------------


def test_newcomer_is_shown_the_last_twenty_messages_with_their_times(serve: Serve) -> None:
    server = serve()
    alice = server.join("Alice")
    alice.sees_nothing()  # a fresh room shows nothing
    alice.say(*(f"number {i}" for i in range(25)), "/me waves")
    alice.barrier()
    minutes = {datetime.now().strftime("%H:%M")}
    bob = server.join("Bob")
    minutes.add(datetime.now().strftime("%H:%M"))
    shown = bob.seen.decode()
    times = set(re.findall(r"^\[(\d\d:\d\d)\] ", shown, re.MULTILINE))
    assert len(times - minutes) <= 1  # a minute may have gone by meanwhile
    lines = [re.sub(r"^\[\d\d:\d\d\] ", "", line) for line in shown.splitlines()]
    assert lines == [*(f"Alice: number {i}" for i in range(6, 25)), "* Alice waves"]
    bob.seen = b""
    bob.sees_nothing()


@pytest.mark.parametrize(("count", "shown"), [(0, []), (2, ["Alice: b", "Alice: c"])])
def test_history_setting_is_how_many_a_newcomer_is_shown(serve: Serve, count: int, shown: list[str]) -> None:
    server = serve("--history", str(count))
    alice = server.join("Alice")
    alice.say("a", "b", "c")
    alice.barrier()
    bob = server.join("Bob")
    assert [line[8:] for line in bob.seen.decode().splitlines()] == shown


# --- text -----------------------------------------------------------------------------------------------------


def test_text_is_cleaned_for_everybody_and_in_the_log(server: InThread) -> None:
    alice, bob = server.join_all("Alice", "Bob")
    for dirty, clean in DIRT:
        alice.send(dirty + b"\n")
        bob.sees(b"Alice: " + clean + b"\n")
    assert server.data
    assert [row["text"].encode() for row in stored(server.data, "--room", "lobby")] == [clean for _, clean in DIRT]


@pytest.mark.parametrize(
    "line",
    [
        b"hi\r*** Bob has left the chat ***\n",
        "hi\u2028*** Bob has left the chat ***\n".encode(),
        "hi\u0085*** Bob has left the chat ***\n".encode(),
        b"hi\x0b*** Bob has left the chat ***\x0c\n",
        b"*** Bob has left the chat ***\n",
        b"/me \x1b[1G*** Bob has left the chat ***\n",
        b"/topic \x1b[2K\r*** Bob has left the chat ***\n",
        b"/quit )\x1b[1G*** Bob has left the chat ***\n",
    ],
)
def test_servers_lines_cannot_be_forged(server: InThread, line: bytes) -> None:
    """Whatever Mallory sends: each line that others see of it names her, and never moves the cursor."""
    mallory, bob = server.join_all("Mallory", "Bob")
    mallory.send(line)
    came = bob.skips_to(b"\n") + b"\n"
    came += bob.barrier()
    assert b"Mallory" in came
    for shown in came.decode().split("\n")[:-1]:
        assert re.match(r"(Mallory: |\* Mallory |\*\*\* Mallory )", shown)
        assert shown.isprintable()
