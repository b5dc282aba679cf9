"""The output to a peer of the line wire that shows its own input, such as nc, and telnet in line mode."""

from __future__ import annotations

from typing import Protocol

from hubbub.wire.line.telnet import Telnet


class Writer(Protocol):
    """Takes bytes for a peer."""

    def write(self, data: bytes) -> None:
        """Write bytes; none of them is lost unless the peer goes."""
        ...


class PeerOutput(Writer, Protocol):
    """The output to a peer: lines, and questions that it answers in the same row."""

    @property
    def hides_secrets(self) -> bool:
        """Whether the answer to a secret question is not shown."""
        ...

    def ask(self, question: str, secret: bool = False) -> None:
        """Ask a question, perhaps after some lines: its last line is the prompt, which has no end of line."""
        ...

    def answered(self) -> None:
        """Take note that the question was answered: input is shown again."""
        ...

    def farewell(self) -> bytes:
        """Return the bytes that leave the peer's terminal as it was."""
        ...


class TelnetSpeaker(Protocol):
    """A peer's reader of lines."""

    @property
    def telnet(self) -> Telnet | None:
        """The state of the peer's telnet; None if it has spoken none."""
        ...


class LineOutput:
    """The output to a peer that shows its own input. A telnet client can be asked not to do that.

    Args:
        writer: takes the bytes.
        reader: reads the peer's lines.

    """

    __slots__ = ("_hidden", "_reader", "_writer")

    def __init__(self, writer: Writer, reader: TelnetSpeaker) -> None:
        self._writer = writer
        self._reader = reader
        self._hidden: Telnet | None = None  # of a client that was asked not to show its input

    @property
    def hides_secrets(self) -> bool:
        """Whether the peer speaks telnet."""
        telnet = self._reader.telnet
        return telnet is not None and telnet.spoken

    def write(self, data: bytes) -> None:
        """Write bytes to the peer, as they are."""
        self._writer.write(data)

    def ask(self, question: str, secret: bool = False) -> None:
        """Ask a question; let the client not show the answer if it is a secret."""
        self.write(question.encode())
        telnet = self._reader.telnet
        if secret and telnet and telnet.spoken:
            self._hidden = telnet
            self.write(telnet.hide_input())

    def answered(self) -> None:
        """Let the client show its input again, and end the row, because the client did not show its end."""
        self.write(self.farewell())

    def farewell(self) -> bytes:
        """Return the bytes that let the client show its input again; b"" if it shows it."""
        hidden, self._hidden = self._hidden, None
        return hidden.show_input() + b"\r\n" if hidden else b""
