"""A log as the body of a response that has no end: server-sent events, or lines of text."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import msgspec

from hubbub.model.client import Encoder
from hubbub.model.entries import Entry
from hubbub.wire.line import encoder
from hubbub.wire.web.shown_entry import shown

LAST_CHUNK = b"0\r\n\r\n"
ALIVE = b":\n\n"  # a comment, so that a peer that is gone is noticed


def chunk(data: bytes) -> bytes:
    """Return bytes as one chunk of a body that has no length (RFC 9112, section 7.1)."""
    return b"%x\r\n%b\r\n" % (len(data), data) if data else b""


def whole(data: bytes) -> bytes:
    """Return bytes unchanged: HTTP/1.0 has no chunks, so the end of the connection ends the body."""
    return data


class EventStreamEncoder:
    """Encodes entries as server-sent events; the id of an event is the log's identity and the entry's number.

    Args:
        log: returns the identity of the log.

    """

    def __init__(self, log: Callable[[], str]) -> None:
        self._log = log

    def encode(self, entry: Entry) -> bytes:
        """Return an entry as a server-sent event."""
        data = msgspec.json.encode(shown(entry))
        return b"id: %b-%d\ndata: %b\n\n" % (self._log().encode(), entry.seq, data)

    def encode_skipped(self, room: str, count: int) -> bytes:
        """Return an event that says that entries were left out."""
        return b"event: skipped\ndata: %d\n\n" % count

    def other_log(self) -> bytes:
        """Return an event that says that the client's number belongs to another log."""
        return b"event: other-log\ndata: %b\n\n" % self._log().encode()


class TextEncoder:
    """Encodes entries as lines for terminals."""

    def encode(self, entry: Entry) -> bytes:
        """Return an entry as lines of text."""
        return encoder.RAW.encode(entry)

    def encode_skipped(self, room: str, count: int) -> bytes:
        """Return a line that says that entries were left out."""
        return encoder.RAW.encode_skipped(room, count)

    def other_log(self) -> bytes:
        """Return a line that says that the client's number belongs to another log."""
        return encoder.encode(
            encoder.notice("The log is not the same as before, so the stream begins with new messages"), "\n"
        )


class StreamEncoder:
    """Puts encoded entries into the body of a response without a length.

    Args:
        form: encodes the entries.
        cut: turns bytes into a part of the body.

    """

    echo = True
    dedupes = False

    def __init__(self, form: EventStreamEncoder | TextEncoder, cut: Callable[[bytes], bytes]) -> None:
        self._form = form
        self.cut = cut

    @property
    def for_other_room(self) -> Encoder:
        """Return this encoder: a stream shows a single room."""
        return self

    def encode(self, entry: Entry) -> bytes:
        """Return an entry in the form of this stream."""
        return self._form.encode(entry)

    def encode_own(self, entry: Entry) -> bytes:
        """Return nothing: a stream has no entries of its own."""
        return b""

    def join(self, entries: Iterable[bytes]) -> bytes:
        """Return encoded entries as one part of the body."""
        return self.cut(b"".join(entries))

    def encode_skipped(self, room: str, count: int) -> bytes:
        """Return the notice as a part of the body."""
        return self.cut(self._form.encode_skipped(room, count))

    def other_log(self) -> bytes:
        """Return the notice as a part of the body."""
        return self.cut(self._form.other_log())

    @property
    def alive(self) -> bytes:
        """A keepalive that clients do not show; b"" if the form has none."""
        return self.cut(ALIVE) if isinstance(self._form, EventStreamEncoder) else b""

    @property
    def end(self) -> bytes:
        """The bytes that end the body; b"" if the end of the connection ends it."""
        return LAST_CHUNK if self.cut is chunk else b""
