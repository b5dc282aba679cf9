"""A session over ssh with a terminal: the server shows what is typed."""

from __future__ import annotations

from hubbub.serve.sockets.connection import Connection
from hubbub.serve.ssh.line_client import SshLineClient
from hubbub.serve.terminal.edited_terminal import EditedTerminal, TerminalKind
from hubbub.wire.line.encoder import PROMPT


class SshTerminalClient(SshLineClient):
    """A client with a window in which somebody types.

    Args:
        hub: the hub.
        settings: the settings in force.
        channel: the channel.

    """

    prompt = PROMPT
    hints = True
    __slots__ = ()

    def begin(self, connection: Connection) -> None:
        """Enter the chat, or ask for a name."""
        super().begin(connection)
        if not (self._channel.peer.identity.wished or self._channel.peer.identity.account or self._session.user):
            self._screen.output.ask(self.prompt)

    def connect(self, connection: Connection, kind: str) -> None:
        """Connect a session to the hub, and read keys."""
        super().connect(connection, kind)
        assert self._channel.connection
        terminal = EditedTerminal(self._hub, self._session, connection, self._settings.line_limit, self._kind)
        terminal.echo = self._channel.connection.echo
        self._screen.use(terminal)
        self._use_reader()

    @property
    def _kind(self) -> TerminalKind:
        window = self._channel.window
        assert window
        return TerminalKind(window.type or "dumb", window.columns, not self._channel.environment.get("NO_COLOR"))

    def feed(self, data: bytes) -> None:
        """Add bytes from the terminal. Input of any kind puts off the idle timeout."""
        self._warned = False
        self._reader.feed(data)

    def resized(self) -> None:
        """Draw the line for the new size of the window."""
        if isinstance(self._reader, EditedTerminal):
            self._reader.kind = self._kind
            self._reader.draw()
