"""Frames of a WebSocket in: messages, pings, and how it ends."""

from __future__ import annotations

import logging
import os

import pytest
from cutting import cuts
from websockets.frames import Frame, Opcode

from hubbub.wire.web.websocket import BadHandshake, FrameReader, FrameSignal, accept, close_frame, line_frames

LOG = logging.getLogger("test")


def sent(opcode: Opcode, data: bytes, fin: bool = True) -> bytes:
    """Return a frame as a client sends it."""
    return Frame(opcode, data, fin).serialize(mask=True)


def text(data: str) -> bytes:
    return sent(Opcode.TEXT, data.encode())


def read(*pieces: bytes, size: int = 1 << 16) -> tuple[list[str | bytes | FrameSignal], FrameReader]:
    reader = FrameReader(size, LOG)
    items: list[str | bytes | FrameSignal] = []
    for piece in pieces:
        reader.feed(piece)
        while (item := reader.next_item()) is not None:
            items.append(item)
    return items, reader


def test_messages_come_out_however_they_are_cut() -> None:
    data = (
        text("one")
        + sent(Opcode.TEXT, b"t", False)
        + sent(Opcode.PING, b"!")
        + sent(Opcode.CONT, b"wo")
        + text("ü" * 700)
    )
    expected = ["one", FrameSignal.CONTROL, FrameSignal.CONTROL, "two", "ü" * 700]
    for pieces in cuts(data):
        items, reader = read(*pieces)
        assert items == expected
        assert reader.take_pong() == b"\x8a\x01!" and reader.take_pong() == b""


def test_binary_message_is_told_apart() -> None:
    assert read(sent(Opcode.BINARY, b"\xff", False) + sent(Opcode.CONT, b"x"))[0] == [
        FrameSignal.CONTROL,
        b"\xffx",
    ]


def test_pong_means_nothing() -> None:
    items, reader = read(sent(Opcode.PONG, b"x"))
    assert items == [FrameSignal.CONTROL] and reader.take_pong() == b""


def test_last_ping_is_answered() -> None:
    items, reader = read(sent(Opcode.PING, b"1") + sent(Opcode.PING, b"2"))
    assert items == [FrameSignal.CONTROL] * 2 and reader.take_pong() == b"\x8a\x012"


def test_close_comes_after_what_was_said_before() -> None:
    items, reader = read(text("bye") + sent(Opcode.CLOSE, b"\x03\xe8see you") + text("more"), b"and more")
    assert items == ["bye", FrameSignal.CONTROL, FrameSignal.END] and reader.last_words == b"\x88\x09\x03\xe8see you"


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (sent(Opcode.TEXT, b"\xff"), 1007),
        (Frame(Opcode.TEXT, b"x").serialize(mask=False), 1002),
        (b"\xff\xff", 1002),
        (sent(Opcode.CONT, b"x"), 1002),
        (sent(Opcode.TEXT, b"x" * 101), 1009),
        (sent(Opcode.TEXT, b"x" * 60, False) + sent(Opcode.CONT, b"x" * 60), 1009),
        (sent(Opcode.CLOSE, b"\x00"), 1002),
    ],
    ids=["not UTF-8", "not masked", "reserved bits", "no beginning", "too long", "long in parts", "odd close"],
)
def test_what_breaks_the_protocol_ends_it_with_a_code(data: bytes, code: int) -> None:
    items, reader = read(text("before") + data + text("after"), size=100)
    assert items[0] == "before" and items[-1] is FrameSignal.END and "after" not in items
    assert reader.last_words[:1] == b"\x88" and int.from_bytes(reader.last_words[2:4], "big") == code


def test_many_small_frames_are_not_all_read_at_once() -> None:
    reader = FrameReader(100, LOG)
    reader.feed(sent(Opcode.PING, b"") * 2000)
    reader.next_item()
    assert len(reader._data) - reader._pos == 1999 * len(sent(Opcode.PING, b""))


def test_random_bytes_end_it_or_are_read() -> None:
    for _ in range(200):
        items, _ = read(os.urandom(100))
        assert all(isinstance(item, str | bytes | FrameSignal) for item in items)


def test_close_frame() -> None:
    assert close_frame(1001, "ü") == b"\x88\x04\x03\xe9\xc3\xbc" and close_frame(1000) == b"\x88\x02\x03\xe8"


HANDSHAKE = {
    "Connection": "keep-alive, Upgrade",
    "Upgrade": "WebSocket",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
    "Sec-WebSocket-Version": "13",
}


def test_handshake_is_answered_as_in_the_rfc() -> None:
    assert accept("GET", "/ws", HANDSHAKE.items(), (), LOG) == {
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Accept": "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=",
    }


@pytest.mark.parametrize(
    ("offered", "chosen"),
    [("b, a", "b"), ("x, a , b", "a"), ("x", None), ("", None)],
    ids=["first", "known", "none", "no"],
)
def test_first_offered_subprotocol_that_the_server_supports_is_chosen(offered: str, chosen: str | None) -> None:
    fields = HANDSHAKE | ({"Sec-WebSocket-Protocol": offered} if offered else {})
    assert accept("GET", "/irc", fields.items(), ("a", "b"), LOG).get("Sec-WebSocket-Protocol") == chosen


def test_each_line_travels_in_a_frame_without_its_end() -> None:
    lines = b"PING :a\r\n" + b"@x=" + b"y" * 200 + b" PRIVMSG #a :b\r\n"
    first, second = line_frames(lines, Opcode.BINARY).split(b"\x82~")
    assert first == b"\x82\x07PING :a" and second[:2] == (217).to_bytes(2, "big") and second.endswith(b" :b")
    assert line_frames(b"A\r\n", Opcode.TEXT) == b"\x81\x01A" and line_frames(b"", Opcode.TEXT) == b""


@pytest.mark.parametrize("field", [*HANDSHAKE, "GET"])
def test_request_that_is_no_handshake(field: str) -> None:
    fields = {name: value for name, value in HANDSHAKE.items() if name != field}
    with pytest.raises(BadHandshake):
        accept("POST" if field == "GET" else "GET", "/ws", fields.items(), (), LOG)


def test_handshake_does_not_depend_on_the_headers_of_others() -> None:
    """A cookie of another program on the same host may hold any byte."""
    headers = [*HANDSHAKE.items(), ("Cookie", "theme=\udce4"), ("X-Other", "\udcff")]
    assert accept("GET", "/ws", headers, (), LOG) == accept("GET", "/ws", HANDSHAKE.items(), (), LOG)


def test_handshake_with_bytes_that_no_header_can_have_is_refused() -> None:
    with pytest.raises(BadHandshake):
        accept("GET", "/ws", [*HANDSHAKE.items(), ("Sec-WebSocket-Protocol", "\udcff")], (), LOG)


def test_reader_knows_whether_anything_waits() -> None:
    reader = FrameReader(1 << 16, LOG)
    assert not reader.waiting
    reader.feed(text("one") + text("two"))
    assert reader.next_item() == "one" and reader.waiting
    assert reader.next_item() == "two" and not reader.waiting
    reader.feed(sent(Opcode.CLOSE, b"\x03\xe8"))
    assert reader.waiting and reader.next_item() is FrameSignal.CONTROL
    assert reader.waiting and reader.next_item() is FrameSignal.END and not reader.waiting
