"""Registered names on the line wire: the prompt for a password, with and without telnet."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from in_thread import InThread

from hubbub.accounts import hashing
from hubbub.model.accounts.grants import Grant
from scene import PROMPT, Client

NAWS = b"\xff\xfb\x1f"  # a telnet client introduces itself
ASKED = b"Ann is registered. Password or code (it can be seen): "
ASKED_HIDDEN = b"Ann is registered. Password or code: \xff\xfb\x01"
SHOWN = b"\xff\xfc\x01\r\n"
BUSY = b"The server is too busy to check passwords right now; try again in a while."
WRONG = b"That is not the password of Ann, nor a valid code."
ENTER = b"Press Enter for another name: "
IN = b"*** You are logged in as Ann ***\n"


@pytest.fixture
def place(serve: Callable[..., InThread]) -> InThread:
    """A server without telnet's wait for a protocol, where Ann is registered and logged in."""
    return serve("--no-limits", sniffs=False)


def registered(place: InThread) -> Client:
    ann = place.join("Ann")
    ann.say("/register open sesame")
    ann.sees(IN)
    return ann


def at_the_prompt(place: InThread, first: bytes = b"Ann\n") -> Client:
    peer = place.connect()
    peer.sees(PROMPT)
    peer.send(first)
    return peer


def test_the_owner_of_a_name_comes_in_with_the_password(place: InThread) -> None:
    ann = registered(place)
    ann.say("hello")
    peer = at_the_prompt(place, b"ANN\n")
    peer.sees(ASKED)
    peer.say("wrong")
    peer.sees(WRONG + b"\nPassword or code (it can be seen): ")
    peer.say("open sesame")
    peer.skips_to(IN)
    peer.skips_to(b"Ann: hello\n")
    peer.say("from the second screen")
    ann.sees(b"Ann: from the second screen\n")
    ann.sees_nothing()  # of passwords


def test_a_code_of_another_device_logs_in_once(place: InThread) -> None:
    ann = registered(place)
    ann.say("/link")
    code = ann.skips_to(b" within five minutes").rpartition(b" ")[2]
    for again in (False, True):
        peer = at_the_prompt(place)
        peer.sees(ASKED)
        peer.send(code.lower().replace(b"-", b" ") + b"\n")
        peer.skips_to(WRONG if again else IN)


def test_after_three_wrong_passwords_another_name_is_asked_for(place: InThread) -> None:
    registered(place)
    peer = at_the_prompt(place)
    peer.sees(ASKED)
    for _ in range(2):
        peer.say("wrong")
        peer.sees(WRONG + b"\nPassword or code (it can be seen): ")
    peer.say("wrong")
    peer.sees(WRONG + b"\n" + ENTER)
    peer.say("open sesame", "secret")  # one more password does not become a name, nor is it checked
    peer.sees(ENTER + ENTER)
    peer.say("")
    peer.sees(PROMPT)
    peer.say("Bo")
    peer.sees_nothing()


def test_telnet_does_not_show_a_password_after_the_last_try(place: InThread) -> None:
    registered(place)
    peer = at_the_prompt(place, NAWS + b"Ann\r\n")
    peer.skips_to(ASKED_HIDDEN)
    peer.send(b"\xff\xfd\x01")
    for _ in range(2):
        peer.send(b"wrong\r\n")
        peer.skips_to(b": \xff\xfb\x01")
    peer.send(b"wrong\r\n")
    peer.skips_to(ENTER + b"\xff\xfb\x01")
    peer.send(b"\r\n")
    peer.skips_to(SHOWN + PROMPT)


def test_lines_of_a_program_after_a_wrong_password_are_neither_tries_nor_names(place: InThread) -> None:
    """They are messages, and the third of them would be a name that everybody sees."""
    ann = registered(place)
    peer = at_the_prompt(place, b"Ann\nwrong\none\ntwo\nthree\nfour\n")
    peer.sees(ASKED)
    assert peer.rest() == WRONG + b"\nNot sent: one\nNot sent: two\nNot sent: three\nNot sent: four\n"
    ann.sees_nothing()


def test_an_empty_line_after_a_wrong_password_is_no_program(place: InThread) -> None:
    registered(place)
    peer = at_the_prompt(place, b"Ann\r\nwrong\r\n\r\n")
    peer.skips_to(WRONG + b"\r\nPassword or code (it can be seen): ")
    peer.skips_to(PROMPT)


def test_an_empty_answer_asks_for_another_name(place: InThread) -> None:
    registered(place)
    peer = at_the_prompt(place)
    peer.sees(ASKED)
    peer.say("")
    peer.sees(PROMPT)
    peer.say("Bo")
    peer.sees_nothing()


@pytest.mark.parametrize("answer", [b"wrong\r\n", b"\r\n", b"x" * 20_000 + b"\r\n"])
def test_telnet_does_not_show_a_password_and_shows_all_else(place: InThread, answer: bytes) -> None:
    registered(place)
    peer = at_the_prompt(place, NAWS + b"Ann\r\n")
    peer.skips_to(ASKED_HIDDEN)
    peer.send(b"\xff\xfd\x01" + answer)  # its client agrees
    peer.sees(SHOWN)


def test_a_password_is_not_shown_again_on_demand(place: InThread) -> None:
    registered(place)
    peer = at_the_prompt(place, NAWS + b"Ann\r\n")
    peer.skips_to(ASKED_HIDDEN)
    peer.send(b"open sesame\x12")
    peer.send(b"\r\n")
    peer.sees(SHOWN)


def test_telnet_shows_its_input_again_after_a_login(place: InThread) -> None:
    registered(place)
    peer = at_the_prompt(place, NAWS + b"Ann\r\n")
    peer.skips_to(ASKED_HIDDEN)
    peer.send(b"\xff\xfd\x01open sesame\r\n\xff\xfe\x01")
    peer.sees(SHOWN)
    peer.skips_to(IN.replace(b"\n", b"\r\n"))
    peer.send(b"/time\r\n")
    peer.skips_to(b"***\r\n")
    assert b"\xff" not in peer.seen


def test_telnet_shows_its_input_again_when_the_time_is_over(serve: Callable[..., InThread]) -> None:
    place = serve("--no-limits", "--name-timeout", "1", sniffs=False)
    registered(place)
    peer = at_the_prompt(place, NAWS + b"Ann\r\n")
    peer.skips_to(ASKED_HIDDEN)
    peer.sees(SHOWN + b"\r\nDisconnected: no password was given in time.\r\n")


def test_the_idle_timeout_does_not_end_a_user_who_is_logged_in(serve: Callable[..., InThread]) -> None:
    place = serve("--no-limits", "--idle-timeout", "1", sniffs=False)
    ann, bo = registered(place), place.join("Bo")
    bo.skips_to(b"Disconnected: idle timeout.\n")
    ann.skips_to(b"*** Bo has left the chat ***\n")
    ann.sees_nothing()


TO_REGISTER = b"Only people with an account may come in. To register Bo, "
CHOOSE = b"choose a password (it can be seen): "
AGAIN = b"The same once more: "


def test_people_register_at_the_prompt_where_guests_may_not_come(serve: Callable[..., InThread]) -> None:
    place = serve("--guests", "no", "--no-limits", sniffs=False)
    peer = at_the_prompt(place, b"Bo\n")
    peer.sees(TO_REGISTER + CHOOSE)
    for first, second, refusal in (
        ("short", "", b"A password has at least 8 characters."),
        ("open sesame", "open sesam", b"These two passwords differ."),
    ):
        peer.say(first)
        if second:
            peer.sees(AGAIN)
            peer.say(second)
        peer.sees(refusal + b"\nTo register Bo, " + CHOOSE)
    peer.say("open sesame")
    peer.sees(AGAIN)
    peer.say("open sesame")
    peer.sees(b"*** You are logged in as Bo ***\n")
    peer.say("hello")
    other = at_the_prompt(place, b"Bo\n")
    other.sees(ASKED.replace(b"Ann", b"Bo"))
    other.say("open sesame")
    other.skips_to(b"Bo: hello\n")


def test_people_with_an_invitation_register_at_the_prompt(serve: Callable[..., InThread]) -> None:
    place = serve("--guests", "no", "--register", "invite", "--no-limits", sniffs=False)
    code = place.invite().encode()
    peer = at_the_prompt(place, NAWS + b"Bo\r\n")
    peer.skips_to(TO_REGISTER + b"type your invitation code: \xff\xfb\x01")
    for given in (b"BCDF-BCDF", code):
        peer.send(given + b"\r\n")
        peer.skips_to(b"To register Bo, choose a password: \xff\xfb\x01")
        peer.send(b"open sesame\r\n")
        peer.skips_to(b"The same once more: \xff\xfb\x01")
        peer.send(b"open sesame\r\n")
        if given != code:
            peer.skips_to(b"That code is wrong, used or too old.\r\nTo register Bo, type your invitation code: ")
    peer.skips_to(SHOWN)
    peer.skips_to(b"*** You are logged in as Bo ***\r\n")


def test_a_password_in_a_line_that_is_not_sent_is_not_shown(place: InThread) -> None:
    registered(place)
    program = at_the_prompt(place, b"server\n/register open sesame\n /login Ann open sesame\nhello\n")
    assert program.rest().split(b"\n")[1:] == [
        "Not sent: /register …".encode(), "Not sent: /login …".encode(), b"Not sent: hello", b"",
    ]  # fmt: skip


def test_a_program_registers_nothing(serve: Callable[..., InThread]) -> None:
    place = serve("--guests", "no", "--no-limits", sniffs=False)
    program = at_the_prompt(place, b"Bo\ndeploy done\ndeploy done\n")
    refused = b"Only people with an account may come in. Register a name first, for example on the web page.\n"
    assert program.rest() == refused + b"Not sent: deploy done\n" * 2


def test_guests_are_turned_away_or_only_read(serve: Callable[..., InThread]) -> None:
    place = serve("--guests", "no", "--register", "closed", sniffs=False)
    peer = place.connect()
    peer.sees(PROMPT)
    peer.say("Bo")
    peer.sees(b"Only people with an account may come in. Ask the operator of this server.\n" + PROMPT)
    place = serve("--guests", "read", sniffs=False)
    ann = registered(place)
    bo = place.join("Bo")
    ann.sees(b"*** Bo has joined the chat ***\n")
    bo.say("hello", "/topic mine", "/msg Ann psst", "/nick Beau")
    ann.sees(b"*** Bo is now Beau ***\n")
    assert bo.barrier().count(b"Only people with an account may do that here; log in first.\n") == 3
    ann.say("hello")
    bo.sees(b"Ann: hello\n")


def test_a_program_posts_with_a_token_that_may_only_speak(place: InThread) -> None:
    ann = registered(place)
    ann.say("/join ops")
    ann.skips_to(b"ops")
    secret = place.make_token("Ann", Grant(scopes=("say",), rooms=("ops",)))
    program = at_the_prompt(place, f"Ann\n{secret}\ndeploy done\n/join lobby\n/me waves\n".encode())
    ann.skips_to(b"Ann: deploy done\n")
    program.half_close()
    assert b"That token is not for lobby." in program.rest()


def test_a_token_for_a_room_joins_that_room(place: InThread) -> None:
    registered(place)
    peer = at_the_prompt(place)
    peer.sees(ASKED)
    peer.say(place.make_token("Ann", Grant(scopes=("read",), rooms=("ops",))))
    peer.say("hello")
    peer.skips_to(b"That token does not allow that: it lacks the scope say.\n")


def test_a_busy_server_costs_no_try(place: InThread, monkeypatch: pytest.MonkeyPatch) -> None:
    registered(place)

    def without_memory(kept: str, password: str) -> bool:
        raise MemoryError

    peer = at_the_prompt(place)
    peer.sees(ASKED)
    with monkeypatch.context() as patch:
        patch.setattr(hashing, "verify", without_memory)
        for _ in range(4):
            peer.say("open sesame")
            peer.sees(BUSY + b"\nPassword or code (it can be seen): ")
    peer.say("open sesame")
    peer.skips_to(IN)


def test_an_account_is_closed_with_its_password(place: InThread) -> None:
    ann = registered(place)
    ann.say("/unregister open sesame")
    ann.sees(b"Nobody can ever log in as Ann again, if you type /unregister PASSWORD yes\n")
    ann.sees(b"To delete all your messages as well, type /unregister PASSWORD take-back yes\n")
    ann.say("/unregister open sesame yes")
    assert b"The account Ann is closed" in ann.rest()
    peer = at_the_prompt(place)
    assert b"Ann is registered" in peer.sees(ASKED)
