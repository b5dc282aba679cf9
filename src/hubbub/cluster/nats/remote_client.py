"""Clients of remote users: their events go to the user's node, which delivers them. Nothing is written here."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import msgspec

from hubbub.cluster.nats.log.batches import line
from hubbub.cluster.nats.log.packed_entries import PackedEntry
from hubbub.model.client import Encoder
from hubbub.model.entries import Entry
from hubbub.model.events import Event, Invited, Knocked, Private

TO = "hubbub.to."  # + node
PRIVATE, INVITED, EXPEL, KNOCK = "private", "invited", "expel", "knock"  # values of ForwardedEvent.what
_encode = msgspec.json.Encoder().encode


class ForwardedEvent(msgspec.Struct, omit_defaults=True):
    """An event for one remote user, or the order to end the user's session. `to` is the user's number on that node."""

    to: int
    nick: str = ""
    host: str = ""
    text: str = ""
    room: str = ""
    what: str = PRIVATE
    line: PackedEntry | None = None
    user: str = ""
    opens: float = 0.0  # epoch seconds of an operator's invitation, which opens the room; else 0


class NullEncoder:
    """An encoder that returns no bytes, because nothing is written to remote users here."""

    echo = False
    dedupes = False

    @property
    def for_other_room(self) -> Encoder:
        """This encoder itself, as the room makes no difference."""
        return self

    def encode(self, entry: Entry) -> bytes:
        """Return no bytes: the user's node encodes the entry."""
        return b""

    encode_own = encode

    def join(self, entries: Iterable[bytes]) -> bytes:
        """Return no bytes for any entries."""
        return b""

    def encode_skipped(self, room: str, count: int) -> bytes:
        """Return no bytes: the user's node reports skipped entries."""
        return b""


NO_FORM = NullEncoder()


class RemoteClient:
    """The client of a remote user: it sends events to the user's node, and writes nothing.

    Args:
        send: sends data to a subject.
        node: the id of the user's node.
        number: the user's number on that node.

    """

    def __init__(self, send: Callable[[str, bytes], None], node: str, number: int) -> None:
        self._send = send
        self.node = node
        self.number = number

    def send_event(self, event: Event) -> None:
        """Send a private message, an invitation or a knock to the user's node; ignore all other events."""
        if isinstance(event, Private):
            self._send(f"{TO}{self.node}", self.private(event))
        elif isinstance(event, Invited):
            told = ForwardedEvent(self.number, event.nick, event.host, room=event.room, what=INVITED, opens=event.opens)
            self._send(f"{TO}{self.node}", _encode(told))
        elif isinstance(event, Knocked):
            told = ForwardedEvent(self.number, event.nick, event.host, room=event.room, what=KNOCK)
            self._send(f"{TO}{self.node}", _encode(told))

    def private(self, event: Private) -> bytes:
        """Return the data of a private message for the user's node."""
        said = event.entry
        told = ForwardedEvent(self.number, event.nick, text=event.text, user=event.user)
        if said:
            told.room, told.line = said.room, line(said, said.time)
        return _encode(told)

    def expel(self, reason: str) -> None:
        """Order the user's node to end the session, with a reason."""
        self._send(f"{TO}{self.node}", _encode(ForwardedEvent(self.number, text=reason, what=EXPEL)))

    def resume_input(self) -> None:
        """Do nothing: the user's node reads the user's commands."""

    def send(self, data: bytes) -> int:
        """Write nothing, and return the length of the data as if all of it was written."""
        return len(data)

    def write_rest(self, data: bytes, sent: int) -> None:
        """Write nothing: `send` never leaves a rest."""

    def write(self, data: bytes) -> None:
        """Write nothing: the user's node writes to the user."""
