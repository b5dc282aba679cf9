"""The screen of a line client's peer: a terminal that shows its own input, or one whose keys the server shows."""

from __future__ import annotations

from hubbub.chat.hub import Hub
from hubbub.chat.session import Session
from hubbub.model.client import ByteSink, Encoder
from hubbub.model.events import Event
from hubbub.serve.terminal.edited_terminal import EditedTerminal, TerminalKind
from hubbub.serve.terminal.line_output import LineOutput, PeerOutput
from hubbub.wire.line import encoder as wire
from hubbub.wire.line.encoder import RAW, TELNET
from hubbub.wire.line.reader import LineReader
from hubbub.wire.line.telnet import Telnet
from hubbub.wire.terminal.coloured import COLOURED, coloured


class PeerScreen:
    """Reads the lines of a peer and shows it text, in one of two ways.

    Args:
        hub: the hub.
        session: the session.
        writer: takes the bytes for the peer; also the sink of the session.
        reader: reads the lines of a peer that shows its own input.
        limit: longest line, in bytes.

    """

    __slots__ = ("_hub", "_limit", "_session", "_writer", "output", "reader")

    def __init__(self, hub: Hub, session: Session, writer: ByteSink, reader: LineReader, limit: int) -> None:
        self._hub = hub
        self._session = session
        self._writer = writer
        self._limit = limit
        self.reader: LineReader | EditedTerminal = reader
        self.output: PeerOutput = LineOutput(writer, reader)

    def follow(self, telnet: Telnet, prompt: str) -> bool:
        """Let a telnet client send keys or lines, as it has agreed to; return whether that has changed.

        Args:
            telnet: the state of its telnet.
            prompt: the one that it was shown last, if it was not answered; else "".

        """
        terminal = self.reader
        if isinstance(terminal, LineReader):
            if telnet.sends_keys:
                self._read_keys(telnet, terminal, prompt)
            return telnet.sends_keys
        if telnet.sends_keys:
            terminal.kind = TerminalKind(telnet.terminal, telnet.width)
            if (encoder := self._encoder_for(terminal)) is not self._session.encoder:
                self._hub.set_encoder(self._session, encoder)
        else:
            self._read_lines(telnet, terminal)
        return not telnet.sends_keys

    def use(self, terminal: EditedTerminal) -> None:
        """Read keys from a terminal, and show them there, from now on."""
        self._session.sink = terminal
        self.reader = self.output = terminal
        self._hub.set_encoder(self._session, self._encoder_for(terminal))

    def show(self, event: Event) -> None:
        """Write an event as lines, wrapped to the width of the screen if that is known."""
        shown = coloured(event) if self._session.encoder is COLOURED else event
        self.output.write(wire.render(shown, self.end_of_line, self._columns))

    @property
    def end_of_line(self) -> str:
        """The end of a line: LF, or CR LF for telnet, a terminal and peers that send CR LF."""
        return "\r\n" if self._session.encoder is not RAW else "\n"

    @property
    def reads_keys(self) -> bool:
        """Whether the peer sends keys, and is shown them when they are processed."""
        return not isinstance(self.reader, LineReader)

    @property
    def _columns(self) -> int:
        if isinstance(self.reader, LineReader):
            return self.reader.telnet.width if self.reader.telnet else 0
        return self.reader.kind.columns

    def _read_keys(self, telnet: Telnet, reader: LineReader, prompt: str) -> None:
        kind = TerminalKind(telnet.terminal, telnet.width)
        terminal = EditedTerminal(self._hub, self._session, self._writer, self._limit, kind)
        terminal.telnet = telnet
        terminal.adopt(prompt, *reader.take_rest())
        self.use(terminal)

    def _read_lines(self, telnet: Telnet, terminal: EditedTerminal) -> None:
        self._writer.write(terminal.farewell())
        self.reader = LineReader(self._limit)
        self.reader.feed(terminal.take_rest())
        self.reader.telnet = telnet
        self.output = LineOutput(self._writer, self.reader)
        self._session.sink = self._writer
        self._hub.set_encoder(self._session, TELNET)

    @staticmethod
    def _encoder_for(terminal: EditedTerminal) -> Encoder:
        return COLOURED if terminal.has_colours else TELNET
