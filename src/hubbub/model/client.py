"""The interface of a protocol for the hub: its encoder, its output, and the client's side of a session."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Protocol

from hubbub.model.entries import Entry
from hubbub.model.events import Event


class Encoder(Protocol):
    """Render entries in one format of a protocol; members with the same encoder are written the same bytes.

    Encoders are compared by identity, so a protocol creates each of them only once.
    """

    @property
    def echo(self) -> bool:
        """Whether a session receives its own entries like those of others."""
        ...

    @property
    def dedupes(self) -> bool:
        """Whether an event of a user who is in several rooms is shown once, not in each of the rooms."""
        ...

    @property
    def for_other_room(self) -> Encoder:
        """The encoder for rooms that are not the session's current one."""
        ...

    def encode(self, entry: Entry) -> bytes:
        """Return the bytes of one entry, b"" if this protocol does not show it."""
        ...

    def encode_own(self, entry: Entry) -> bytes:
        """Return the bytes of an entry for the session that published it, if `echo` is not set."""
        ...

    def join(self, entries: Iterable[bytes]) -> bytes:
        """Return the bytes of several rendered entries, b"" for none."""
        ...

    def encode_skipped(self, room: str, count: int) -> bytes:
        """Return the bytes of a notice that `count` entries of a room were skipped: the session was too far behind."""
        ...


Send = Callable[[bytes], int]  # like socket.send


class ByteSink(Protocol):
    """The output of a session. None of its methods blocks."""

    @property
    def send(self) -> Send:
        """A function that takes as many bytes as possible at once and returns their number.

        It raises OSError if it can take none.
        """
        ...

    def write_rest(self, data: bytes, sent: int) -> None:
        """Keep the bytes of `data` that `send` did not take; the session is paused until they are written."""
        ...

    def write(self, data: bytes) -> None:
        """Send the bytes, and keep those that cannot be written at once."""
        ...


class Client(Protocol):
    """The listener's side of a session."""

    def send_event(self, event: Event) -> None:
        """Write an event; called only while the transport takes bytes."""
        ...

    def resume_input(self) -> None:
        """Take the next command: the session need not wait any more."""
        ...
