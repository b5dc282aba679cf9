"""Telnet in character mode: the server shows what is typed."""

from __future__ import annotations

import re
import time
from collections.abc import Callable

import pytest
from in_thread import InThread

from scene import PATIENCE, PROMPT, Client
from terminals import Terminal

PUTTY = bytes.fromhex("fffb1f fffb20 fffb18 fffb27 fffd01 fffb03 fffd03")  # what it says when it connects
AGREED = bytes.fromhex("fffd1f fffe20 fffd18 fffa1801fff0 fffe27 fffb01 fffb03 fffd03")
OFFER = bytes.fromhex("fffd1f fffb01 fffd18 fffb03")
TELNET = re.compile(rb"\xff[\xfb-\xfe].|\xff\xfa.*?\xff\xf0", re.DOTALL)
NAMED = b"\xff\xfa\x18\x00%b\xff\xf0"  # TTYPE IS
LEFT = b"\x1b[D"


class Window:
    """A telnet client in character mode, and its screen."""

    def __init__(self, client: Client, columns: int = 60) -> None:
        self.client = client
        self.screen = Terminal(columns, 30)
        self.written = b""

    def types(self, *keys: bytes) -> None:
        for key in keys:
            self.client.send(key)

    def take(self) -> None:
        """Show what has come."""
        data, self.client.seen = TELNET.sub(b"", self.client.seen), b""
        self.written += data
        self.screen.show(data)

    def shows(self, *rows: str) -> None:
        """The last rows with text are these, some time."""
        end = time.monotonic() + PATIENCE
        self.take()
        while self.rows[-len(rows) :] != list(rows):
            try:
                self.client.receive(end)
            except AssertionError:
                raise AssertionError(f"expected {rows}, saw {self.rows}") from None
            self.take()

    @property
    def rows(self) -> list[str]:
        return [row.rstrip() for row in self.screen.display if row.strip()]


@pytest.fixture
def place(serve: Callable[..., InThread]) -> InThread:
    return serve("--no-limits", sniffs=False)


def putty(place: InThread, name: bytes = b"Ann", columns: int = 60) -> Window:
    """Return the window of a PuTTY whose user has given a name."""
    client = place.connect()
    client.sees(PROMPT)
    client.send(PUTTY)
    client.skips_to(AGREED)
    window = Window(client, columns)
    window.screen.show(PROMPT)
    window.types(name)
    window.shows(f"Enter your name: {name.decode()}")
    return window


def test_name_is_typed_with_keys(place: InThread) -> None:
    bo = place.join("Bo")
    window = putty(place, b"Anm")
    window.types(b"\x7fn", b"\r\0")
    bo.sees(b"*** Ann has joined the chat ***\n")
    bo.say("hello")
    window.shows("Enter your name: Ann", "Bo: hello")


def test_text_arrives_above_half_a_line(place: InThread) -> None:
    bo, window = place.join("Bo"), putty(place)
    window.types(b"\r\0", b"half a ")
    bo.sees(b"*** Ann has joined the chat ***\n")
    window.shows("half a")
    bo.say("one", "two")
    window.shows("Bo: one", "Bo: two", "half a")
    window.types(b"lime", LEFT, b"\x7fn", b"\r\0")
    bo.sees(b"Ann: half a line\n")
    window.shows("Bo: two", "half a line")


def test_keys_complete_recall_and_leave(place: InThread) -> None:
    bo, window = place.join("Bo"), putty(place)
    window.types(b"\r\0", b"b\t", b"hi\r\0")
    bo.skips_to(b"Ann: Bo: hi\n")
    window.types(b"\x1b[A", b"!\r\0")
    bo.sees(b"Ann: Bo: hi!\n")
    window.types(b"never sent\x03", b"\x03")
    window.shows("*** Ctrl-D or /quit leaves the chat ***")
    window.types(b"/ro\t\r\0")
    window.shows("*** Rooms, and how many people are in them ***", "* lobby (2)")
    window.types(b"\x04")
    bo.sees(b"*** Ann has left the chat ***\n")


def test_interrupt_at_the_prompt_leaves(place: InThread) -> None:
    window = putty(place)
    window.types(b"\x03\x03")
    window.client.rest()


def test_paste_is_one_message(place: InThread) -> None:
    bo, window = place.join("Bo"), putty(place)
    window.types(b"\r\0", b"\x1b[200~one\rtwo\x1b[201~", b"\r\0")
    bo.skips_to(b"Ann: one\nAnn: two\n")
    window.types(b"\x1b[200~" + b"x\r" * 200 + b"\x1b[201~")
    window.shows("200 lines: Enter sends, Esc drops")
    window.types(b"\r\0")
    bo.sees(b"Ann: x\n" * 200)
    window.types(b"\x1b[200~" + b"x" * 20_000 + b"\x1b[201~")
    window.shows("Not sent: a line has at most 16384 bytes.")


def test_password_is_not_shown(place: InThread) -> None:
    ann = place.join("Ann")
    ann.say("/register open sesame")
    ann.skips_to(b"logged in as Ann ***\n")
    window = putty(place)
    window.types(b"\r\0")
    window.shows("Ann is registered. Password or code:")
    window.types(b"wrong\r\0")
    window.shows("That is not the password of Ann, nor a valid code.", "Password or code:")
    window.types(b"open sesame\r\0")
    window.shows("*** You are logged in as Ann ***")
    assert b"sesame" not in window.written
    window.types(b"\x1b[A")
    window.types(b"seen")
    window.shows("seen")
    ann.sees_nothing()


def test_client_that_refuses_sends_lines_as_before(place: InThread) -> None:
    client = place.connect()
    client.sees(PROMPT)
    client.send(b"\xff\xfd\x03")
    client.sees(bytes.fromhex("fffd1f fffb03 fffb01 fffd18"))
    client.send(b"\xff\xfe\x01")
    client.sees(b"\xff\xfc\x03")
    client.send(b"Ann\r\n")
    bo = place.join("Bo")
    client.sees(b"*** Bo has joined the chat ***\r\n")
    client.send(b"hellp\x7fo\r\n")
    bo.sees(b"Ann: hello\n")


def test_client_can_go_back_to_lines(place: InThread) -> None:
    bo, window = place.join("Bo"), putty(place)
    window.types(b"\r\0", b"half")
    window.shows("half")
    window.types(b"\xff\xfe\x01")
    window.client.skips_to(b"\xff\xfc\x01\xff\xfc\x03\r\x1b[K\x1b[?2004l")
    window.types(b" a line\r\n")
    bo.skips_to(b"Ann: half a line\n")
    bo.say("hi")
    window.client.sees(b"Bo: hi\r\n")


def on_telnet_address(serve: Callable[..., InThread], terminal: bytes, width: int = 60) -> tuple[Client, Window]:
    """Return somebody with nc and a telnet client, each in the chat; the address is for telnet alone."""
    place = serve("--no-limits", listen="telnet:127.0.0.1:0")
    client = place.connect()
    client.sees(OFFER + PROMPT)
    client.send(b"\xff\xfd\x01\xff\xfd\x03\xff\xfb\x1f\xff\xfb\x18")
    client.skips_to(b"\xff\xfa\x18\x01\xff\xf0")
    client.send(NAMED % terminal + b"\xff\xfa\x1f" + width.to_bytes(2) + b"\x00\x18\xff\xf0")
    window = Window(client, width)
    window.screen.show(PROMPT)
    window.types(b"Ann\r\0")
    bo = place.connect()
    bo.sees(OFFER + PROMPT)
    bo.say("Bo")
    window.shows("*** Bo has joined the chat ***")
    return bo, window


def test_address_for_telnet_offers_keys_first(serve: Callable[..., InThread]) -> None:
    bo, window = on_telnet_address(serve, b"XTERM-256COLOR", 30)
    bo.say("hello")
    window.shows("Bo: hello")
    assert re.search(rb"\x1b\[38;5;\d+mBo\x1b\[39m: hello", window.written)
    window.types(b"x" * 40)
    window.shows("<" + "x" * 13)
    window.types(b"\x03", b"/history\r\0")
    end = time.monotonic() + PATIENCE
    while len(re.findall(rb"mBo\x1b\[39m: hello", window.written)) < 2:
        window.client.receive(end)
        window.take()


def test_dumb_terminal_gets_plain_output(serve: Callable[..., InThread]) -> None:
    bo, window = on_telnet_address(serve, b"dumb")
    window.written = b""
    window.types(b"half ")
    window.shows("half")
    bo.say("hello")
    window.shows("half", "Bo: hello")
    window.types(b"a line\r\0")
    bo.skips_to(b"Ann: half a line\r\n")
    window.shows("half", "Bo: hello", "a line")
    assert window.written == b"half \r\nBo: hello\r\na line\r\n"


def test_plain_output_can_be_chosen(place: InThread) -> None:
    bo, window = place.join("Bo"), putty(place)
    window.types(b"\r\0", b"/plain on\r\0")
    window.shows("*** Over ssh and telnet, your terminal shows nothing twice *", "**")
    window.written = b""
    window.types(b"ab")
    window.shows("ab")
    bo.say("hello")
    window.shows("ab", "Bo: hello")
    assert b"\x1b" not in window.written.replace(b"\x1b[?2004l", b"")
