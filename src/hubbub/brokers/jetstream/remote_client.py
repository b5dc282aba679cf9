"""What somebody on another node is told: it goes to that node, which passes it on. Nothing is written to him here."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import msgspec

from hubbub.brokers.jetstream.batches import line
from hubbub.brokers.jetstream.packed_entries import PackedEntry
from hubbub.core.model import Encoder, Entry, Event, Invited, Knocked, Private

TO = "hubbub.to."  # + node
PRIVATE, INVITED, EXPEL, KNOCK = "private", "invited", "expel", "knock"  # what somebody is told
_encode = msgspec.json.Encoder().encode


class ForwardedEvent(msgspec.Struct, omit_defaults=True):
    """Something for one person: an event, or his end."""

    to: int
    nick: str = ""
    host: str = ""
    text: str = ""
    room: str = ""
    what: str = PRIVATE
    line: PackedEntry | None = None
    user: str = ""
    opens: float = 0.0  # of an invitation


class NullEncoder:
    """Nothing is written to people on other nodes."""

    echo = False
    dedupes = False

    @property
    def for_other_room(self) -> Encoder:
        """The same."""
        return self

    def encode(self, entry: Entry) -> bytes:
        """Return nothing."""
        return b""

    encode_own = encode

    def join(self, entries: Iterable[bytes]) -> bytes:
        """Return nothing."""
        return b""

    def encode_skipped(self, room: str, count: int) -> bytes:
        """Return nothing."""
        return b""


NO_FORM = NullEncoder()


class RemoteClient:
    """The outlet of somebody on another node: what he is told goes there; nothing is written to him."""

    def __init__(self, send: Callable[[str, bytes], None], node: str, number: int) -> None:
        self._send = send
        self.node = node
        self.number = number

    def send_event(self, event: Event) -> None:
        """Send an event to his node, if it is one that somebody else caused."""
        if isinstance(event, Private):
            self._send(f"{TO}{self.node}", self.private(event))
        elif isinstance(event, Invited):
            told = ForwardedEvent(self.number, event.nick, event.host, room=event.room, what=INVITED, opens=event.opens)
            self._send(f"{TO}{self.node}", _encode(told))
        elif isinstance(event, Knocked):
            told = ForwardedEvent(self.number, event.nick, event.host, room=event.room, what=KNOCK)
            self._send(f"{TO}{self.node}", _encode(told))

    def private(self, event: Private) -> bytes:
        """Return what his node is sent of a private message."""
        said = event.entry
        told = ForwardedEvent(self.number, event.nick, text=event.text, user=event.user)
        if said:
            told.room, told.line = said.room, line(said, said.time)
        return _encode(told)

    def expel(self, reason: str) -> None:
        """End his session."""
        self._send(f"{TO}{self.node}", _encode(ForwardedEvent(self.number, text=reason, what=EXPEL)))

    def resume_input(self) -> None:
        """Do nothing: his commands are taken elsewhere."""

    def send(self, data: bytes) -> int:
        """Write nothing."""
        return len(data)

    def write_rest(self, data: bytes, sent: int) -> None:
        """Write nothing."""

    def write(self, data: bytes) -> None:
        """Write nothing."""
