"""The handshake, the messages and the frames of a WebSocket (RFC 6455); the websockets library decodes the frames."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from enum import Enum, auto
from typing import Any

from websockets.datastructures import Headers
from websockets.exceptions import InvalidHeader
from websockets.frames import CloseCode, Frame, Opcode
from websockets.http11 import Request
from websockets.protocol import SERVER, Protocol
from websockets.server import ServerProtocol
from websockets.typing import Subprotocol

from hubbub.wire.reader_state import State, give, taken

PING = b"\x89\x00"
SUBPROTOCOL = "Sec-WebSocket-Protocol"
ASKED = ("upgrade", "connection")  # headers of a handshake, besides Sec-WebSocket-…
ANSWERED = ("Upgrade", "Connection", "Sec-WebSocket-Accept", SUBPROTOCOL)
REPLACED = 4001  # close code: the session continues in another connection


class FrameSignal(Enum):
    """An event other than a message."""

    CONTROL = auto()  # a ping or pong; or a part of a message
    # The peer closes the connection, or breaks the protocol; nothing more is read.
    END = auto()


class BadHandshake(ValueError):
    """A request is not a valid WebSocket handshake."""


def close_frame(code: int, reason: str = "") -> bytes:
    """Return a close frame; the reason has at most 123 bytes."""
    payload = code.to_bytes(2, "big") + reason.encode()
    return bytes((0x88, len(payload))) + payload


def frame(payload: bytes, opcode: Opcode = Opcode.TEXT) -> bytes:
    """Return a message in one frame, unmasked as a server sends it (RFC 6455, section 5.2)."""
    head, size = 0x80 | opcode, len(payload)
    if size < 126:
        return bytes((head, size)) + payload
    if size < 1 << 16:
        return bytes((head, 126)) + size.to_bytes(2, "big") + payload
    return bytes((head, 127)) + size.to_bytes(8, "big") + payload


def line_frames(lines: bytes, opcode: Opcode) -> bytes:
    """Return whole lines, which end with CR LF, as one message each without that end."""
    return b"".join(frame(line, opcode) for line in lines.split(b"\r\n")[:-1])


def accept(
    method: str, path: str, headers: Iterable[tuple[str, str]], subprotocols: Collection[str], logger: Any
) -> dict[str, str]:
    """Return the headers of the response that accepts a WebSocket handshake.

    Of the subprotocols that the client offers, the first one that the server supports is chosen. If there is none, the
    response names none.

    Args:
        method: the request's method.
        path: the request's path.
        headers: the request's headers.
        subprotocols: the supported subprotocols.
        logger: the logger for the websockets library.

    Raises:
        BadHandshake: the request is not for a WebSocket of version 13.

    """

    def choose(protocol: ServerProtocol, offered: Sequence[Subprotocol]) -> Subprotocol | None:
        return next((name for name in offered if name in subprotocols), None)

    # The library refuses some bytes in values, which the cookies of other programs may hold.
    own = [one for one in headers if one[0].lower() in ASKED or one[0].lower().startswith("sec-websocket-")]
    handshake = ServerProtocol(select_subprotocol=choose, logger=logger)
    try:
        response = handshake.accept(Request(path, Headers(own), method))
    except InvalidHeader:
        raise BadHandshake from None
    if response.status_code != 101:
        raise BadHandshake
    return {name: response.headers[name] for name in ANSWERED if name in response.headers}


def _frame_size(data: bytes, start: int) -> int:
    """Return the bytes of the frame that begins at an index; 0 if its header is not complete yet."""
    head = data[start : start + 10]
    if len(head) < 2:
        return 0
    mask, length = 4 * (head[1] >> 7), head[1] & 0x7F
    wide = {126: 2, 127: 8}.get(length, 0)  # bytes of a longer length
    if len(head) < 2 + wide:
        return 0
    return 2 + wide + mask + (int.from_bytes(head[2 : 2 + wide]) if wide else length)


class FrameReader:
    """Reads messages, and holds the answer to the last ping and the close frame.

    The library's protocol gets one whole frame at a time, so that its own state never holds a part of one.

    Args:
        max_size: greatest size of a message in bytes.
        logger: the logger for the websockets library.

    """

    def __init__(self, max_size: int, logger: Any) -> None:
        self._protocol = Protocol(SERVER, max_size=max_size, logger=logger)
        self._max_size = max_size
        self._data = b""  # bytes that are not read yet, from _pos on
        self._pos = 0
        self._parts: list[bytes] = []  # of an incomplete message
        self._binary = False  # whether the incomplete message is binary
        self._ended = False
        self._pong = b""
        self.last_words = b""  # the close frame, to be written when END is taken

    def feed(self, data: bytes) -> None:
        """Add bytes from the network."""
        self._data = self._data[self._pos :] + data
        self._pos = 0

    def state(self) -> State:
        """Return the state as plain data."""
        return taken(self, _FIELDS)

    def restore(self, state: State) -> None:
        """Go on in a new reader, which has the same limit, with the state of another one."""
        give(self, state)
        if self._parts:  # the protocol must know that the next part continues a message, and how long it is
            opcode = Opcode.BINARY if self._binary else Opcode.TEXT
            self._decode(Frame(opcode, b"".join(self._parts), fin=False).serialize(mask=True))

    @property
    def waiting(self) -> bool:
        """Whether there are bytes that were not read yet, or a signal that was not taken."""
        return self._pos < len(self._data) or bool(self.last_words and not self._ended)

    def take_pong(self) -> bytes:
        """Return the answer to the last ping that has none yet, b"" if there is none."""
        pong, self._pong = self._pong, b""
        return pong

    def next_item(self) -> str | bytes | FrameSignal | None:
        """Return the next message (bytes if it is binary) or signal; None if more bytes are needed."""
        while not self.last_words and (data := self._next_frame()):
            for frame in self._decode(data):
                return self._take(frame)
        if self.last_words and not self._ended:
            self._ended = True
            return FrameSignal.END
        return None

    def _next_frame(self) -> bytes:
        """Return the bytes of the next frame, b"" if they are not complete; of a frame that is too long its header."""
        size = _frame_size(self._data, self._pos)
        whole = size and size <= len(self._data) - self._pos
        if not whole and size <= self._max_size + 14:
            return b""
        start, self._pos = self._pos, min(self._pos + size, len(self._data))
        return self._data[start : self._pos]

    def _decode(self, data: bytes) -> list[Frame]:
        """Return the frame that the bytes are; none if they break the protocol."""
        self._protocol.receive_data(data)
        writes = [data for data in self._protocol.data_to_send() if data]
        if self._protocol.close_expected():
            self.last_words = writes[-1]
        elif writes:
            self._pong = writes[-1]
        return self._protocol.events_received()  # type: ignore[return-value] # frames alone, once it is open

    def _take(self, frame: Frame) -> str | bytes | FrameSignal | None:
        """Return the message that a frame completes, or a signal for any other frame."""
        if frame.opcode in (Opcode.TEXT, Opcode.BINARY):
            self._binary = frame.opcode is Opcode.BINARY
        elif frame.opcode is not Opcode.CONT:
            return FrameSignal.CONTROL
        self._parts.append(bytes(frame.data))
        if not frame.fin:
            return FrameSignal.CONTROL
        message, self._parts = b"".join(self._parts), []
        if self._binary:
            return message
        try:
            return message.decode()
        except UnicodeDecodeError:
            self.last_words = close_frame(CloseCode.INVALID_DATA, "not UTF-8")
            return self.next_item()


_FIELDS = ("_data", "_pos", "_parts", "_binary", "_ended", "_pong", "last_words")
