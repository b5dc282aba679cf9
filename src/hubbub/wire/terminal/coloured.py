"""The lines of a terminal with colours: those of the line wire, with each author's name in its colour."""

from __future__ import annotations

from collections.abc import Collection

from msgspec.structs import replace

from hubbub.model.entries import Body, Entry
from hubbub.model.events import Event, HistoryShown, Private, PrivateShown
from hubbub.text.names import key_of
from hubbub.wire.line.encoder import QUIET, LineEncoder
from hubbub.wire.terminal.colours import painted


class ColourEncoder(LineEncoder):
    """Encode entries for a terminal with colours."""

    __slots__ = ()

    def encode(self, entry: Entry, hidden: Collection[type[Body]] = QUIET) -> bytes:
        """Return the entry's lines; b"" for the hidden kinds, and for others that a terminal does not show."""
        return super().encode(_painted(entry), hidden)


COLOURED = ColourEncoder("\r\n")


def coloured(event: Event) -> Event:
    """Return an event with the names of the authors in it in their colours, ready to be rendered for a terminal."""
    if isinstance(event, HistoryShown | PrivateShown):
        return replace(event, entries=[*map(_painted, event.entries)])
    if isinstance(event, Private) and event.text:
        return replace(event, nick=painted(event.nick, key_of(event.nick)))
    return event


def _painted(entry: Entry) -> Entry:
    return replace(entry, nick=painted(entry.nick, key_of(entry.nick)))
