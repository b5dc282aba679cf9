"""Every command, as the one who types it and the others see it; rooms; private messages."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

import pytest
from in_thread import InThread

from scene import CLOCK, PROMPT, Client

Serve = Callable[..., InThread]
NAMES = (
    "help nick who rooms join leave topic msg me history search since time op deop founder voice devoice kick ban "
    "unban mute unmute undo bans invite set rename oper quit"
).split()


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[InThread]:
    """One server for all who leave it as they found it: empty, and showing no past to who comes."""
    server = InThread(tmp_path_factory.mktemp("shared") / "data", "--history", "0", "--no-limits", sniffs=False)
    yield server
    server.close()


@pytest.fixture
def pair(shared: InThread) -> Iterator[tuple[Client, Client]]:
    alice, bob = shared.join_all("Alice", "Bob")
    yield alice, bob
    for client in (alice, bob):
        client.say("/quit")
        client.rest()


def table(client: Client, *question: str) -> list[str]:
    """Return the lines of an answer."""
    client.say(*question)
    return client.barrier().decode().splitlines()


Pair = tuple[Client, Client]


def test_help_lists_every_command_and_the_double_slash(pair: Pair) -> None:
    alice, bob = pair
    lines = table(alice, "/help")
    assert len(lines) < 24 and all(f"/{name}" in re.findall(r"/\w+", "\n".join(lines)) for name in NAMES)
    assert any(line.startswith("//TEXT: ") for line in lines)
    assert all(len(line) <= 79 for line in lines + table(alice, "/help operators"))  # nc does not tell its width
    bob.sees_nothing()


@pytest.mark.parametrize("name", NAMES)
def test_help_about_one_command_says_how_it_is_typed(pair: Pair, name: str) -> None:
    (line,) = table(pair[0], f"/help {name}")
    assert line.startswith(f"*** /{name}")
    assert table(pair[0], f"/help /{name}") == [line]


def test_what_other_chats_call_a_command_is_known(pair: Pair) -> None:
    alice, bob = pair
    assert table(alice, "/names") == table(alice, "/who")
    alice.say("/pm Bob psst", "/action waves")
    bob.sees(b"Alice (private): psst\n* Alice waves\n")
    assert table(alice, "/help part") == table(alice, "/help leave")
    assert "*** Rooms, and how many people are in them ***" in table(alice, "/list")


@pytest.mark.parametrize("line", ["/nonsense", "/nonsense with words", "/", "/ hello", "/msgBob hi"])
def test_unknown_command_says_so_and_is_not_published(pair: Pair, line: str) -> None:
    alice, bob = pair
    (answer,) = table(alice, line)
    assert "no command" in answer
    bob.sees_nothing()


@pytest.mark.parametrize("line", ["/nick", "/join", "/msg", "/msg Bob", "/me", "/search", "/since"])
def test_command_without_what_it_needs_tells_its_usage(pair: Pair, line: str) -> None:
    alice, bob = pair
    (answer,) = table(alice, line)
    assert answer.startswith(f"Usage: {line.split()[0]}")
    bob.sees_nothing()


@pytest.mark.parametrize(
    ("line", "shown"),
    [("//quit", "Alice: /quit"), ("//", "Alice: /"), ("///", "Alice: //"), ("/me waves", "* Alice waves"),
     ("/ME  waves ", "* Alice waves"), (" hi ", "Alice:  hi")],
)  # fmt: skip
def test_what_is_said(pair: Pair, line: str, shown: str) -> None:
    alice, bob = pair
    assert table(alice, line) == []  # not to who said it
    bob.sees(f"{shown}\n".encode())


def test_nick_is_seen_by_both_and_frees_the_old_name(pair: Pair, shared: InThread) -> None:
    alice, bob = pair
    assert table(alice, "/nick Alina") == ["*** You are Alina now ***"]
    bob.sees(b"*** Alice is now Alina ***\n")
    alice.say("hi")
    bob.sees(b"Alina: hi\n")
    assert table(bob, "/nick alina") == ["The name alina is taken."]
    assert len(table(bob, "/nick two words")) == 1
    bob.say("/nick Alice")
    alice.sees(b"*** Bob is now Alice ***\n")
    bob.sees(b"*** You are Alice now ***\n")
    assert table(bob, "/nick ALICE") == ["*** You are ALICE now ***"]  # its own name, written otherwise


def test_who_lists_the_room(pair: Pair) -> None:
    alice, _ = pair
    assert table(alice, "/who") == ["*** In lobby: 2 ***", "  Alice, Bob"]
    (refusal,) = table(alice, "/who elsewhere")
    assert "elsewhere" in refusal


def rules(room: str) -> bytes:
    """Return the line that the person reads who has opened a room."""
    return f"*** You are an operator of {room}. /help operators lists what you can do ***\n".encode()


def test_time_is_the_servers(pair: Pair) -> None:
    alice, bob = pair
    alice.say("/time")
    alice.sees(CLOCK)
    bob.sees_nothing()


def test_topic_is_set_shown_and_told_to_who_joins(pair: Pair) -> None:
    alice, bob = pair
    bob.say("/join garden")
    bob.sees(b"*** You are in garden ***\n" + rules("garden"))
    assert table(bob, "/topic") == ["*** There is no topic ***"]
    assert table(bob, "/topic  Roses & more ") == []
    assert table(bob, "/topic") == ["*** Topic: Roses & more ***"]
    assert table(alice, "/join garden") == ["*** You are in garden ***", "*** Topic: Roses & more ***"]
    bob.sees(b"*** Alice has joined garden ***\n")
    alice.say("/topic New")
    bob.sees(b"*** Alice set the topic: New ***\n")


def test_quit_tells_the_others_why(pair: Pair, shared: InThread) -> None:
    carol, alice = shared.join("Carol"), pair[0]
    alice.sees(b"*** Carol has joined the chat ***\n")
    carol.say("/quit off to bed")
    assert carol.rest() == b""
    alice.sees(b"*** Carol has left the chat (off to bed) ***\n")


@pytest.mark.parametrize("number", ["0", "-1", "201", "many", "9" * 400, "²"])
def test_history_with_a_number_that_cannot_be(pair: Pair, number: str) -> None:
    (answer,) = table(pair[0], f"/history {number}")
    assert "1 to 200" in answer


@pytest.mark.parametrize("when", ["never", "25:00", "9" * 100, "2026-13-01", "0000-01-01"])
def test_since_with_a_time_that_cannot_be(pair: Pair, when: str) -> None:
    (answer,) = table(pair[0], f"/since {when}")
    assert "09:15" in answer


def test_history_search_and_since_show_what_was_said(serve: Serve) -> None:
    server = serve()
    alice = server.join("Alice")
    assert table(alice, "/history") == ["*** Nothing was said here yet ***"]
    assert table(alice, "/search apple") == ["*** Nothing found ***"]
    alice.say("an apple a day", "Äpfel & 梨子", "/me eats an APPLE", "nothing")
    stamp = re.compile(r"^\[\d\d:\d\d\] ")

    def shown(line: str) -> list[str]:
        lines = table(alice, line)
        assert all(stamp.match(line) for line in lines)
        return [stamp.sub("", line) for line in lines]

    everything = ["Alice: an apple a day", "Alice: Äpfel & 梨子", "* Alice eats an APPLE", "Alice: nothing"]
    assert shown("/history") == everything  # the joins are no messages
    assert shown("/history 2") == everything[2:]
    assert shown("/search apple") == [everything[0], everything[2]]
    assert shown("/search apple day") == [everything[0]]
    assert shown("/search 梨") == [everything[1]]
    assert shown("/since today") == shown("/since 1h") == shown("/since 2h ago") == everything
    assert table(alice, '/search "*') in (["*** Nothing found ***"],)  # no syntax of the index


# --- rooms ----------------------------------------------------------------------------------------------------


def test_what_is_said_elsewhere_has_the_room_in_front(pair: Pair) -> None:
    alice, bob = pair
    assert table(alice, "/join ops") == ["*** You are in ops ***", rules("ops").decode().strip()]
    bob.sees_nothing()  # the lobby is not told of other rooms
    bob.say("in the lobby")
    alice.sees(b"[lobby] Bob: in the lobby\n")
    bob.say("/join #OPS")
    bob.sees(b"*** You are in ops ***\n")
    alice.sees(b"*** Bob has joined ops ***\n")
    alice.say("in ops")
    bob.sees(b"Alice: in ops\n")
    assert table(bob, "/join lobby") == ["*** You are in lobby ***"]
    alice.say("still there?")
    bob.sees(b"[ops] Alice: still there?\n")
    bob.say("/me nods")
    alice.sees(b"[lobby] * Bob nods\n")
    assert table(alice, "/leave") == ["*** You have left ops and are in lobby ***"]
    bob.sees(b"[ops] *** Alice has left ops ***\n")
    bob.say("hello")
    alice.sees(b"Bob: hello\n")
    assert table(bob, "/leave ops") == ["*** You have left ops and are in lobby ***"]
    alice.sees_nothing()


def test_rooms_lists_them_with_members_and_topics(pair: Pair) -> None:
    alice, bob = pair
    bob.say("/join tea", "/topic Green or black?")
    bob.barrier()
    lines = table(alice, "/rooms")
    assert lines[:2] == ["*** Rooms, and how many people are in them ***", "* lobby (2)"]
    assert "  tea (1): Green or black?" in lines


def test_who_is_in_no_room_can_say_nothing_and_join_again(pair: Pair) -> None:
    alice, bob = pair
    assert table(alice, "/leave") == ["*** You have left lobby ***"]
    bob.sees(b"*** Alice has left the chat ***\n")
    assert table(alice, "hello?") == ["You are not in a room. Type /join and a room's name first."]
    bob.say("gone?")
    alice.sees_nothing()
    alice.say("/join lobby")
    bob.sees(b"*** Alice has joined the chat ***\n")
    alice.say("back")
    bob.sees(b"Alice: back\n")


@pytest.mark.parametrize("room", ["a/b", "*", "#", "x" * 33, "a:b"])
def test_room_names_that_cannot_be(pair: Pair, room: str) -> None:
    (answer,) = table(pair[0], f"/join {room}")
    assert re.search("Use letters, digits .* like .+\\.$", answer)


def test_too_many_rooms(serve: Serve) -> None:
    alice = serve("--max-rooms", "2").join("Alice")
    assert table(alice, "/join a") == ["*** You are in a ***", rules("a").decode().strip()]
    assert table(alice, "/join b") == ["You are in 2 rooms; /leave one first."]


def test_who_leaves_the_chat_leaves_every_room(pair: Pair, shared: InThread) -> None:
    alice, bob = pair
    for client in pair:
        client.say("/join x", "/join y")
        client.barrier()
    alice.barrier()
    carol = shared.join("Carol")
    carol.say("/join x", "/join y")
    carol.barrier()
    alice.barrier()
    carol.close()
    left = alice.skips_to(b"*** Carol has left y ***\n")
    left += b"*** Carol has left y ***\n" + alice.barrier()
    assert sorted(left.splitlines()) == sorted(
        [b"[lobby] *** Carol has left the chat ***", b"[x] *** Carol has left x ***", b"*** Carol has left y ***"]
    )
    bob.barrier()


# --- private --------------------------------------------------------------------------------------------------


def test_private_message_comes_after_what_was_said_before_it(pair: Pair) -> None:
    alice, bob = pair
    alice.say("one", "/msg Bob two", "three", "/msg Bob four")
    lines = [bob.sees(re.compile(rb".*\n")).decode() for _ in range(4)]
    order = [line.rsplit(" ", 1)[1].strip() for line in lines]
    assert sorted(order) == ["four", "one", "three", "two"]
    for earlier, later in [("one", "two"), ("two", "four"), ("three", "four")]:
        assert order.index(earlier) < order.index(later)


def next_holder(server: InThread, name: str) -> tuple[Client, bytes]:
    """Return who gets a name as soon as it is free, and what he was shown at first."""
    while True:
        client = server.connect()
        client.sees(PROMPT)
        client.say(name, "/time")
        shown = client.skips_to(re.compile(CLOCK.pattern + rb"|is taken\.\n", re.MULTILINE))
        if not shown.startswith(b"The name"):
            return client, shown
        client.close()


def test_guests_private_message_never_reaches_the_next_holder_of_the_name(pair: Pair, shared: InThread) -> None:
    """Dave goes in the very moment in which Alice tells him something; the next Dave must not hear it."""
    alice, _ = pair
    for i in range(10):
        dave = shared.join("Dave")
        alice.sees(b"*** Dave has joined the chat ***\n")
        alice.say(f"said before {i}", f"/msg Dave secret {i}")
        dave.close()
        second, shown = next_holder(shared, "Dave")
        alice.barrier()
        assert b"secret" not in shown + second.barrier()
        second.say("/quit")
        second.rest()
        alice.barrier()


def test_private_message_to_who_has_left_is_refused(pair: Pair, shared: InThread) -> None:
    alice, _ = pair
    dave = shared.join("Dave")
    dave.say("/quit")
    dave.rest()
    alice.barrier()
    assert table(alice, "/msg Dave are you there?") == ["Nobody here is called Dave."]
