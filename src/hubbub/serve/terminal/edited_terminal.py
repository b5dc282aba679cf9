"""A peer's terminal whose keys the server reads and shows: over ssh, and over telnet in character mode."""

from __future__ import annotations

from itertools import chain, islice
from typing import NamedTuple

from hubbub.chat.commands import slash
from hubbub.chat.hub import Hub
from hubbub.chat.session import Session
from hubbub.model.access import Action, may
from hubbub.serve.terminal.line_output import Writer
from hubbub.wire.line.reader import LineSignal
from hubbub.wire.line.telnet import Telnet
from hubbub.wire.terminal.colours import has_colours, is_dumb
from hubbub.wire.terminal.completion import Vocabulary
from hubbub.wire.terminal.editor import Editor

ROOMS = 1000  # rooms that are looked through for TAB, besides those of the user
_WITH_ROOM = frozenset(name for name, row in slash.COMMANDS.items() if row.usage.lstrip("[").startswith("ROOM"))
_ALIASES = frozenset(alias for alias, name in slash.ALIASES.items() if name in _WITH_ROOM)


def vocabulary(hub: Hub, session: Session) -> Vocabulary:
    """Return the words that TAB completes for a session: the people in its room, and the rooms that it may know of."""
    viewer = hub.viewer(session)
    room = session.rooms.get(session.current)
    others = (one for one in hub.rooms.loaded.values() if not may(viewer, Action.LIST, one.state))
    rooms = dict.fromkeys(one.name for one in chain(session.rooms.values(), islice(others, ROOMS)))
    names = [member.nick for member in room.members] if room else ()
    return Vocabulary(names, rooms, slash.COMMANDS, _WITH_ROOM | _ALIASES)


class TerminalKind(NamedTuple):
    """The type and the size of a terminal.

    Args:
        type: its type, as TERM names it; "" if it is not known.
        columns: its width; 0 if it is not known.
        coloured: whether its user wants colours.

    """

    type: str = ""
    columns: int = 0
    coloured: bool = True


class EditedTerminal:
    """The input line of a peer's terminal, and the text above it.

    It is the reader of the peer's lines, the sink of its session and its output at once, because the typed line and the
    text that arrives share the screen.

    Args:
        hub: the hub.
        session: the session.
        connection: takes the bytes for the terminal.
        limit: longest line, in bytes.
        kind: the type and the size of the terminal.

    """

    def __init__(self, hub: Hub, session: Session, connection: Writer, limit: int, kind: TerminalKind) -> None:
        self.telnet: Telnet | None = None  # the state of the peer's telnet; None on another wire
        self.echo = connection.write  # writes what shows the keys
        self._session = session
        self._connection = connection
        self._kind = kind
        self._is_dumb = _is_dumb(kind)
        self._editor = Editor(limit, lambda: vocabulary(hub, session), kind.columns, self._is_plain)

    # --- the reader of its lines ------------------------------------------------------------------------------------

    def feed(self, data: bytes) -> None:
        """Add bytes from the terminal."""
        self._editor.feed(self.telnet.feed(data) if self.telnet else data)

    def next_line(self) -> str | LineSignal | None:
        """Return the next line or signal, and show the typed text up to it; None if more input is needed."""
        line = self._editor.next_line()
        self.draw()
        return line

    def has_line(self) -> bool:
        """Return whether an Enter waits to be taken."""
        return self._editor.has_line()

    @property
    def waiting(self) -> bool:
        """Whether there is input that was not processed yet."""
        return self._editor.waiting

    @property
    def pending(self) -> str:
        """The typed line before Enter, without its prompt."""
        return self._editor.pending

    def end(self) -> str:
        """Return "": a line that was not sent with Enter is no message."""
        return ""

    def take_rest(self) -> bytes:
        """Return the typed text that was not sent, and the input that was not processed; remove both."""
        return self._editor.take_rest().encode("utf-8", "replace")

    # --- the sink of its session ------------------------------------------------------------------------------------

    def send(self, data: bytes) -> int:
        """Write text above the input line, and return its size: all of it is taken."""
        self.write(data)
        return len(data)

    def write_rest(self, data: bytes, sent: int) -> None:
        """Do nothing: `send` takes everything."""

    def write(self, data: bytes) -> None:
        """Write text above the input line; each line of it ends in CR LF."""
        if data:
            self._editor.set_plain(self._is_plain)
            self._connection.write(self._editor.above(data))

    # --- questions --------------------------------------------------------------------------------------------------

    @property
    def hides_secrets(self) -> bool:
        """True: the server decides which keys it shows."""
        return True

    def ask(self, question: str, secret: bool = False) -> None:
        """Ask a question; the answer is not shown if it is a secret."""
        before, end, prompt = question.rpartition("\r\n")
        self.write((before + end).encode())
        self._editor.ask(prompt, secret)
        self.draw()

    def answered(self) -> None:
        """Do nothing: a prompt holds for one line."""

    def farewell(self) -> bytes:
        """Return the bytes that leave the terminal as it was."""
        return self._editor.close()

    # --- the terminal -----------------------------------------------------------------------------------------------

    def adopt(self, prompt: str, typed: str, rest: bytes) -> None:
        """Go on with a row that the terminal shows already.

        Args:
            prompt: stands at its beginning.
            typed: the typed text after it.
            rest: input that was not processed yet, without telnet.

        """
        self._editor.adopt(prompt, typed)
        self._editor.feed(rest)

    def draw(self) -> None:
        """Show the input line as it is now."""
        self._editor.set_plain(self._is_plain)
        if out := self._editor.take_output():
            self.echo(out)

    @property
    def kind(self) -> TerminalKind:
        """The terminal, as far as it is known."""
        return self._kind

    @kind.setter
    def kind(self, kind: TerminalKind) -> None:
        self._kind = kind
        self._is_dumb = _is_dumb(kind)
        self._editor.resize(kind.columns)

    @property
    def has_colours(self) -> bool:
        """Whether names can be coloured."""
        return self.kind.coloured and has_colours(self.kind.type)

    @property
    def _is_plain(self) -> bool:
        return self._session.is_plain or self._is_dumb


def _is_dumb(kind: TerminalKind) -> bool:
    return bool(kind.type) and is_dumb(kind.type)
