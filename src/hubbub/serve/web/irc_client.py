"""IRC over a WebSocket: each message is one line of IRC, without CR LF.

Source: https://ircv3.net/specs/extensions/websocket
"""

from __future__ import annotations

from functools import partial
from typing import Any

from websockets.frames import CloseCode, Opcode

from hubbub.chat.hub import Hub
from hubbub.chat.session import Session
from hubbub.serve.irc.client import IrcClient
from hubbub.serve.irc.network import IrcNetwork
from hubbub.serve.irc.protocol import IrcProtocol
from hubbub.serve.sockets.connection import Connection
from hubbub.serve.sockets.framed_connection import FramedConnection
from hubbub.wire.irc.lines import MAX_LINE, MAX_TAGS
from hubbub.wire.reader_state import State
from hubbub.wire.web.websocket import FrameReader, FrameSignal, close_frame, line_frames

# The messages that the server sends, by subprotocol. A client may send either kind with both.
OPCODES = {"text.ircv3.net": Opcode.TEXT, "binary.ircv3.net": Opcode.BINARY}
# Bytes of a message. IRC refuses a line that is too long with 417; a message far beyond that ends the connection.
MAX_MESSAGE = 2 * (MAX_TAGS + MAX_LINE)


class IrcWebSocketClient(IrcProtocol):
    """An IRC client whose lines come and go as WebSocket messages.

    Args:
        hub: the hub.
        network: the state that all IRC clients share.
        reader: the reader of the peer's frames.
        opcode: whether the server sends text or binary messages.
        now: the current time, in seconds on the connection's clock.

    """

    def __init__(
        self, hub: Hub, network: IrcNetwork[IrcClient], reader: FrameReader, opcode: Opcode, now: float
    ) -> None:
        super().__init__(hub, network, now)
        self._frames = reader
        self._opcode = opcode
        self._code = CloseCode.NORMAL_CLOSURE
        self._socket: Connection

    def begin(self, connection: Connection | FramedConnection) -> None:
        """Connect a session to the hub, with output in frames."""
        assert isinstance(connection, Connection)
        self._socket = connection
        super().begin(FramedConnection(connection, partial(line_frames, opcode=self._opcode), self._goodbye))

    def feed(self, data: bytes) -> None:
        """Buffer received bytes. Any input answers a PING."""
        super().feed(b"")
        self._frames.feed(data)

    def next_item(self) -> Any:
        """Return the next IRC message, or the signal of a frame that contains none; None if there is neither."""
        if (line := super().next_item()) is not None:
            return line
        item = self._frames.next_item()
        if not self.session.paused:
            self._answer_ping()
        if item is None or isinstance(item, FrameSignal):
            return item
        super().feed((item.encode() if isinstance(item, str) else item) + b"\r\n")
        return super().next_item() or FrameSignal.CONTROL

    @property
    def is_idle(self) -> bool:
        """Whether no frame waits, and no command is still running."""
        return super().is_idle and not self._frames.waiting

    def handle(self, item: Any) -> None:
        """Run the command of a message. The end of the frames makes the user leave."""
        if item is FrameSignal.END:
            self.ended()
        elif not isinstance(item, FrameSignal):
            super().handle(item)

    def resume(self) -> None:
        """Send a pong that waited, and let the hub write again."""
        self._answer_ping()
        super().resume()

    def shut_down(self) -> None:
        """Send an ERROR that the server is stopping, and close with code 1001 (going away)."""
        self._code = CloseCode.GOING_AWAY
        super().shut_down()

    def state(self) -> State | None:
        """Return the same as for an IRC client on a socket, with the state of the frames."""
        known = super().state()
        return known and {**known, "frames": self._frames.state(), "opcode": self._opcode.value}

    def restore(self, state: State, session: Session) -> None:
        """Go on, in a new client, with the state and the session of another one, before `begin` on its connection."""
        super().restore(state, session)
        self._frames.restore(state["frames"])
        self._opcode = Opcode(state["opcode"])

    def _answer_ping(self) -> None:
        if pong := self._frames.take_pong():
            self._socket.write(pong)

    def _goodbye(self) -> bytes:
        """Return the close frame: the answer to the peer's own one, if it has sent one."""
        return self._frames.last_words or close_frame(self._code)
