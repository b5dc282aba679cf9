"""The format of a room's log in a stream: a message is a batch of entries that one node published together.

This module does no I/O. A message has a number in the stream, and its entries take the last of the STEP numbers that
belong to the message. So the number of the entry before a message's first one follows from the number of the message
before it, without reading that message. The entry numbers of a room rise and are not dense.

JetStream cannot be read backwards, and knows no state of a room. Therefore each batch records what its node knew of
the room at the time of publishing: the last message that the node had seen (`after`), the message that begins the
newest WINDOW entries (`back`), the last message that changed the room's state (`ruling`), and the latest time of an
entry (`high`). It also has the checksum of the message `after` (`sum`), by which other nodes notice that they have
seen a different message there.

Other programs may also write to the stream. So every message is checked when it is decoded. An entry that cannot be
shown keeps its number and has no text.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

import msgspec

from hubbub.cluster.nats.log.packed_entries import PackedEntry, checked, when
from hubbub.model import codec
from hubbub.model.entries import (
    Draft,
    Entry,
    Kind,
)

# Entry numbers that belong to a message. Products with it stay exact in JavaScript for 8e12 messages.
STEP = 1024
MAX_ENTRIES = 512  # entries of a batch
MAX_BYTES = 256 * 1024  # bytes of text in a batch; the server's default for a message is 1 MiB
WINDOW = 64  # entries that the hint `back` covers
T = TypeVar("T", Draft, Entry)


class EntryBatch(msgspec.Struct, frozen=True):
    """A message of the stream. The fields `after`, `back` and `ruling` are message numbers, 0 for none."""

    entries: list[PackedEntry]
    after: int = 0
    back: int = 0
    ruling: int = 0
    # The latest time of an entry of the room up to the end of this batch, in epoch seconds; 0 if unknown.
    high: float = 0.0
    sum: int | None = None  # checksum of the message `after`, None if unknown

    @property
    def reached(self) -> float:
        """The latest time of an entry up to the end of this batch, as its node knew it: it never falls in a room."""
        return max([self.high, *(one.time for one in self.entries)])


class _Newer(msgspec.Struct):
    """An entry batch in which some entries may have another form than this version knows."""

    entries: list[Any]
    after: int = 0
    back: int = 0
    ruling: int = 0
    high: float = 0.0
    sum: int | None = None


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(EntryBatch)
_newer_decoder = msgspec.json.Decoder(_Newer)


def encode(pack: EntryBatch) -> bytes:
    """Return the message data of an entry batch."""
    return _encoder.encode(pack)


def decode(data: bytes, number: int, stored: float) -> EntryBatch:
    """Return the checked entry batch of a message; an empty batch if hubbub did not write the message.

    An entry of another form than this version knows keeps its number and has no text.

    Args:
        data: the data of the message.
        number: the number of the message.
        stored: the time at which the servers stored it, in epoch seconds; 0 if unknown.

    """
    try:
        pack = _decoder.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        try:
            newer = _newer_decoder.decode(data)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return EntryBatch([])
        known = [_known(one) for one in newer.entries]
        pack = EntryBatch(known, newer.after, newer.back, newer.ruling, newer.high, newer.sum)
    # More entries could take numbers that belong to other messages.
    if len(pack.entries) > MAX_ENTRIES:
        return EntryBatch([])
    after, back, ruling = (hint if 0 <= hint <= number else 0 for hint in (pack.after, pack.back, pack.ruling))
    lines = [checked(one, stored) for one in pack.entries]
    return EntryBatch(lines, min(after, number - 1), back, ruling, when(pack.high, stored), pack.sum)


def checksum(data: bytes) -> int:
    """Return the CRC-32 of a message's data, which distinguishes two messages."""
    return zlib.crc32(data)


def _known(one: object) -> PackedEntry:
    try:
        return msgspec.convert(one, PackedEntry)
    except msgspec.ValidationError:
        return PackedEntry(Kind.UNKNOWN, 0.0, "", "", "")


def line(what: Draft | Entry, time: float) -> PackedEntry:
    """Return a draft or an entry in its stored form, with the given time in epoch seconds."""
    kind, text, tags = codec.stored(what.body, what.tags, what.id)
    return PackedEntry(kind, time, what.nick, text, what.id, what.host, tags)


def entry(room: str, number: int, prev: int, one: PackedEntry, room_id: str = "") -> Entry:
    """Return a stored entry as an entry of a room, with its number and the number of the entry before it."""
    texts = one.nick, one.text, one.id, one.host, one.tags
    return codec.entry_of(room, number, prev, one.time, one.kind, *texts, room_id)


def cut(drafts: Sequence[T], same: Callable[[T], Any]) -> Sequence[T]:
    """Return the first drafts that fit in one batch: all with the same result of `same`, at least one draft."""
    sort = same(drafts[0])
    size = 0
    for index, draft in enumerate(drafts):
        _, text, tags = codec.stored(draft.body, draft.tags, draft.id)
        size += len(text) * 4 + len(tags) + 200
        if index and (size > MAX_BYTES or index == MAX_ENTRIES or same(draft) != sort):
            return drafts[:index]
    return drafts


def end_of(message: int) -> int:
    """Return the number of a message's last entry; 0 for no message."""
    return message * STEP + STEP - 1 if message else 0


def message_of(number: int) -> int:
    """Return the message that holds an entry number."""
    return number // STEP


def entries(room: str, message: int, previous: int, pack: EntryBatch, room_id: str = "") -> Iterator[Entry]:
    """Yield the entries of a message, numbered; `previous` is the room's message before it."""
    prev = end_of(previous)
    number = end_of(message) - len(pack.entries)
    for one in pack.entries:
        number += 1
        yield entry(room, number, prev, one, room_id)
        prev = number
