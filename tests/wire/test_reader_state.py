"""A reader may stop at any byte: another one that gets its state as plain data reads on as if nothing had happened."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, Protocol

import msgspec
import pytest
from websockets.frames import Frame, Opcode

from hubbub.wire.irc.lines import MAX_LINE, Reader
from hubbub.wire.line.incoming import Incoming
from hubbub.wire.line.reader import LineReader
from hubbub.wire.web.websocket import FrameReader

LOG = logging.getLogger("test")
MAX_FRAME = 300


class Stateful(Protocol):
    """A reader of any wire."""

    def feed(self, data: bytes) -> None: ...
    def take(self) -> list[Any]: ...
    def state(self) -> Any: ...
    def restore(self, state: Any) -> None: ...


class Line:
    """The line wire's reader, with the conversion before it."""

    def __init__(self) -> None:
        self.incoming, self.reader = Incoming(), LineReader(40)

    def feed(self, data: bytes) -> None:
        telnet = self.reader.telnet
        self.reader.feed(self.incoming.feed(data, telnet is not None and telnet.spoken))

    def take(self) -> list[Any]:
        items: list[Any] = []
        while (item := self.reader.next_line()) is not None:
            items.append(item)
        telnet = self.reader.telnet
        return [*items, *([telnet.take_replies(), telnet.width, telnet.terminal] if telnet else [])]

    def state(self) -> Any:
        return [self.incoming.state(), self.reader.state()]

    def restore(self, state: Any) -> None:
        self.incoming.restore(state[0])
        self.reader.restore(state[1])


class Irc(Reader):
    """IRC's reader."""

    def take(self) -> list[Any]:
        items = []
        while (item := self.next_message()) is not None:
            items.append(item)
        return items


class Frames(FrameReader):
    """The WebSocket's reader."""

    def __init__(self) -> None:
        super().__init__(MAX_FRAME, LOG)

    def take(self) -> list[Any]:
        items: list[Any] = []
        while (item := self.next_item()) is not None:
            items.append(item)
        return [*items, self.take_pong(), self.last_words]


def frames(*parts: tuple[Opcode, bytes, bool]) -> bytes:
    return b"".join(Frame(opcode, data, fin).serialize(mask=True) for opcode, data, fin in parts)


TEXT, CONT, PING = Opcode.TEXT, Opcode.CONT, Opcode.PING
STREAMS: list[tuple[Callable[[], Stateful], bytes]] = [
    (Line, "one\r\nzwei ä🙂\x7f\x17drei\nunfinished".encode()),
    (Line, b"\xff\xfd\x03\xff\xfb\x1fAnn\xff\xfa\x1f\0\x50\0\x18\xff\xf0\r\0hi\xff\xff you\xff\xf4\r\n\xff\xfb\x18"),
    (Line, b"x" * 60 + b"\nnext\rmore\r"),
    (Line, "Zoë\r\nhi 🙂 there\r\n".encode("utf-16")),
    (Line, b"Andr\xe9\nf\xff\xff caf\xe9 10\xb0\n\xffx\n"),
    (Irc, b"NICK a\r\n@label=x PRIVMSG #b :hi \xc3\xa9\r\n" + b"x" * (MAX_LINE + 9000) + b"\r\nPING 1\nPRIV"),
    (Frames, frames((TEXT, b"one", True), (TEXT, b"tw\xc3", False), (PING, b"!", True), (CONT, b"\xb6", True))),
    (Frames, frames((Opcode.BINARY, b"\xff" * 100, False), (CONT, b"x" * 130, True), (TEXT, b"x" * 200, True))),
    (Frames, frames((TEXT, b"x" * 200, False), (CONT, b"x" * 101, True), (TEXT, b"never", True))),
    (Frames, frames((TEXT, b"", False), (CONT, b"", True), (CONT, b"out of place", True), (TEXT, b"never", True))),
    (Frames, frames((TEXT, b"x", True), (Opcode.CLOSE, b"\x03\xe8", True), (TEXT, b"never", True))),
]


def plain(state: Any) -> Any:
    """Return a state after its way through a pipe."""
    return msgspec.msgpack.decode(msgspec.msgpack.encode(state))


def pieces(data: bytes, at: int) -> tuple[bytes, bytes]:
    return data[:at], data[at:]


@pytest.mark.parametrize(("make", "data"), STREAMS, ids=map(str, range(len(STREAMS))))
def test_a_reader_goes_on_from_the_state_of_another(make: Callable[[], Stateful], data: bytes) -> None:
    for at in range(0, len(data) + 1, 1 + len(data) // 300):
        one, other, whole = make(), make(), make()
        found, expected = [], []
        for reader in (one, whole):
            reader.feed(data[:at])
        # Also a reader whose items were not taken yet has a state.
        taken = at % 2
        if taken:
            found, expected = one.take(), whole.take()
        other.restore(plain(one.state()))
        for reader in (other, whole):
            reader.feed(data[at:])
        assert found + other.take() == expected + whole.take()
        assert plain(other.state()) == plain(whole.state())
