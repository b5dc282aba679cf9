"""Read the messages of a peer over a WebSocket (RFC 6455); the websockets library decodes the frames."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from enum import Enum, auto
from typing import Any

from websockets.datastructures import Headers
from websockets.frames import CloseCode, Frame, Opcode
from websockets.http11 import Request
from websockets.protocol import SERVER, Protocol
from websockets.server import ServerProtocol

PIECE = 1024  # bytes that are read at once: a decoded frame takes more memory
PING = b"\x89\x00"
REPLACED = 4001  # close code: the session continues in another connection


class FrameSignal(Enum):
    """An event other than a text message."""

    CONTROL = auto()  # a ping or pong; or a part of a message
    BINARY = auto()
    # The peer closes the connection, or breaks the protocol; nothing more is read.
    END = auto()


class BadHandshake(ValueError):
    """A request is not a valid WebSocket handshake."""


def close_frame(code: int, reason: str = "") -> bytes:
    """Return a close frame; the reason has at most 123 bytes."""
    payload = code.to_bytes(2, "big") + reason.encode()
    return bytes((0x88, len(payload))) + payload


def accept(method: str, path: str, headers: Iterable[tuple[str, str]], logger: Any) -> str:
    """Return the value of Sec-WebSocket-Accept for a request's Sec-WebSocket-Key.

    Raises:
        BadHandshake: the request is not for a WebSocket of version 13.

    """
    response = ServerProtocol(logger=logger).accept(Request(path, Headers(headers), method))
    if response.status_code != 101:
        raise BadHandshake
    return response.headers["Sec-WebSocket-Accept"]


class FrameReader:
    """Reads messages, and holds the answer to the last ping and the close frame.

    Args:
        max_size: greatest size of a message in bytes.
        logger: the logger for the websockets library.

    """

    def __init__(self, max_size: int, logger: Any) -> None:
        self._protocol = Protocol(SERVER, max_size=max_size, logger=logger)
        self._data = b""  # bytes that are not read yet
        self._frames: deque[Frame] = deque()
        self._parts: list[bytes] = []  # of an incomplete message
        self._binary = False  # whether the incomplete message is binary
        self._ended = False
        self._pong = b""
        self.last_words = b""  # the close frame, to be written when END is taken

    def feed(self, data: bytes) -> None:
        """Add bytes from the network."""
        self._data += data

    def take_pong(self) -> bytes:
        """Return the answer to the last ping that has none yet, b"" if there is none."""
        pong, self._pong = self._pong, b""
        return pong

    def next_item(self) -> str | FrameSignal | None:
        """Return the next text or signal; None if more bytes are needed."""
        while not self._frames and self._data and not self.last_words:
            piece, self._data = self._data[:PIECE], self._data[PIECE:]
            self._read(piece)
        if self._frames:
            return self._take(self._frames.popleft())
        if self.last_words and not self._ended:
            self._ended = True
            return FrameSignal.END
        return None

    def _read(self, piece: bytes) -> None:
        self._protocol.receive_data(piece)
        self._frames += self._protocol.events_received()  # type: ignore[arg-type] # frames alone, once it is open
        writes = [data for data in self._protocol.data_to_send() if data]
        if self._protocol.close_expected():
            self.last_words = writes[-1]
        elif writes:
            self._pong = writes[-1]

    def _take(self, frame: Frame) -> str | FrameSignal | None:
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
            return FrameSignal.BINARY
        try:
            return message.decode()
        except UnicodeDecodeError:
            self._frames.clear()
            self.last_words = close_frame(CloseCode.INVALID_DATA, "not UTF-8")
            return self.next_item()
