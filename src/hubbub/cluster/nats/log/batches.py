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
from collections.abc import Callable, Iterable, Iterator, Sequence
from operator import itemgetter
from typing import Any, TypeVar

import msgspec

from hubbub.cluster.nats.log.packed_entries import UNKNOWN, PackedEntry, checked, when
from hubbub.cluster.nats.subjects import room_of
from hubbub.model.entries import Draft, Entry, Kind
from hubbub.model.queries import RoomState
from hubbub.model.room_modes import PREFIXES, ModeChange, RoomModes, closed_after, parse, write
from hubbub.model.state_entries import MAX_RULING, compact
from hubbub.text.cleaning import fold_text
from hubbub.text.names import LOBBY, is_room, key_of

# Entry numbers that belong to a message. Products with it stay exact in JavaScript for 8e12 messages.
STEP = 1024
MAX_ENTRIES = 512  # entries of a batch
MAX_BYTES = 256 * 1024  # bytes of text in a batch; the server's default for a message is 1 MiB
PART_CHARS = 128 * 1024  # characters of redacted ids that are stored as a message of their own
WINDOW = 64  # entries that the hint `back` covers
T = TypeVar("T", Draft, Entry)
# Kinds that change a room's state. Only the first join counts, and only the renames of users with rights.
RULING = frozenset({Kind.JOIN, Kind.TOPIC, Kind.MODE, Kind.RENAME, Kind.REDACT, Kind.ROOM_RENAMED})


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
    """An entry batch in which some entries may have kinds that this version does not know."""

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

    An entry of a kind that only newer versions know keeps its number and has no text.

    Args:
        data: the data of the message.
        number: the number of the message.
        stored: the time at which the servers stored it, in epoch seconds; 0 if unknown.

    """
    try:
        pack = _decoder.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        try:
            newer = _newer_decoder.decode(data)
        except (msgspec.MsgspecError, UnicodeDecodeError):
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
        pass
    try:
        time, nick, _, id = msgspec.convert(one[1:5], tuple[float, str, str, str])  # type: ignore[index]
    except (msgspec.ValidationError, TypeError, LookupError):
        return PackedEntry(Kind.REDACTED, 0.0, "", "", "")
    return PackedEntry(Kind.REDACTED, time, nick, "", id)


def line(what: Draft | Entry, time: float) -> PackedEntry:
    """Return a draft or an entry in its stored form, with the given time in epoch seconds."""
    return PackedEntry(what.kind, time, what.nick, what.text, what.id, what.host, what.tags)


def entry(room: str, number: int, prev: int, one: PackedEntry) -> Entry:
    """Return a stored entry as an entry of a room, with its number and the number of the entry before it."""
    return Entry(room, number, prev, one.time, one.kind, one.nick, one.text, one.id, one.host, one.tags)


def cut(drafts: Sequence[T], same: Callable[[T], Any]) -> Sequence[T]:
    """Return the first drafts that fit in one batch: all with the same result of `same`, at least one draft."""
    sort = same(drafts[0])
    size = 0
    for index, draft in enumerate(drafts):
        size += len(draft.text) * 4 + len(draft.tags) + 200
        if index and (size > MAX_BYTES or index == MAX_ENTRIES or same(draft) != sort):
            return drafts[:index]
    return drafts


def end_of(message: int) -> int:
    """Return the number of a message's last entry; 0 for no message."""
    return message * STEP + STEP - 1 if message else 0


def message_of(number: int) -> int:
    """Return the message that holds an entry number."""
    return number // STEP


def entries(room: str, message: int, previous: int, pack: EntryBatch) -> Iterator[Entry]:
    """Yield the entries of a message, numbered; `previous` is the room's message before it."""
    prev = end_of(previous)
    number = end_of(message) - len(pack.entries)
    for one in pack.entries:
        number += 1
        yield entry(room, number, prev, one)
        prev = number


# --- a room's state -------------------------------------------------------------------------------------------------


class RoomSnapshot(msgspec.Struct):
    """The state of a room that follows from its entries up to message `upto`."""

    key: str  # last token of its subject: its first name, encoded
    name: str  # current name, which a rename changes
    upto: int = 0
    ruling: int = 0  # number of the last message that changed the state
    topic: str = ""
    opened: tuple[int, PackedEntry] | None = None  # the first join, with its entry number
    scripted: bool = False  # whether scripts said something before the first join
    closed: str | None = None  # mode letters that close the room; None in a state from an older version
    titled: tuple[int, PackedEntry] | None = None
    modes: list[tuple[int, PackedEntry]] = []
    gone: dict[str, None] = {}  # ids of redacted entries that are not in separate parts
    sealed: int = 0  # number of separate parts that were written
    sum: int | None = None  # checksum of message `upto`, None if unknown

    def fold(self, made: Entry) -> bool:
        """Apply an entry to the state; return whether it changed anything. Entries must be applied in their order."""
        kind = made.kind
        if kind not in RULING or (kind is Kind.JOIN and self.opened):
            return False
        one = made.seq, line(made, made.time)
        if kind is Kind.RENAME:
            if not (changes := self._taken_along(made)):
                return False
            one = made.seq, msgspec.structs.replace(one[1], kind=Kind.MODE, text=write(changes))
            kind = Kind.MODE
        if kind is Kind.JOIN:
            self.opened, self.scripted = one, made.prev > 0
        elif kind is Kind.TOPIC:
            self.topic, self.titled = made.text, one
        elif kind is Kind.MODE:
            self.closed = closed_after(self.letters, one[1].text)
            self.modes.append(one)
            if len(self.modes) > MAX_RULING:
                self._compact()
        elif kind is Kind.REDACT:
            self.gone[made.text.partition(" ")[0]] = None
        elif kind is Kind.ROOM_RENAMED:
            self.name = made.text.partition(" ")[0]
        self.ruling = message_of(made.seq)
        return True

    def cut(self, last: int) -> None:
        """Drop the part of the state that comes from messages after `last`: the log ends there."""
        end = end_of(last)
        self.upto, self.ruling = last, min(last, self.ruling)
        self.modes = [one for one in self.modes if one[0] <= end]
        self.closed = None
        if self.titled and self.titled[0] > end:
            self.titled, self.topic = None, ""
        if self.opened and self.opened[0] > end:
            self.opened = None

    def _taken_along(self, made: Entry) -> list[ModeChange]:
        """Return the mode changes of a user's rename: the user's rights move to the new name."""
        nick = key_of(made.nick)
        letters: dict[str, bool] = {}
        if self.opened and self.name != LOBBY:
            _, first = self.opened
            letters["o"] = (key_of(first.nick), first.host) == (nick, made.host)
        for _, one in self.modes:
            if f"{nick}!" in fold_text(one.text):
                for on, letter, param in parse(one.text)[0]:
                    name, _, host = param.partition("!")
                    if letter in PREFIXES and (key_of(name), host) == (nick, made.host):
                        letters[letter] = on
        has = [letter for letter, on in letters.items() if on]
        before, now = f"{made.nick}!{made.host}", f"{made.text}!{made.host}"
        return [ModeChange(on, letter, who) for on, who in ((False, before), (True, now)) for letter in has]

    def rules(self, room: str) -> list[Entry]:
        """Return the entries that set the room's modes and topic, in the form that RoomState has."""
        first = [entry(room, number, int(self.scripted), one) for number, one in filter(None, [self.opened])]
        kept = sorted((one for one in (self.titled, *self.modes) if one), key=itemgetter(0))
        return [*first, *(entry(room, number, 0, one) for number, one in kept)]

    @property
    def letters(self) -> str:
        """The mode letters that close the room."""
        if self.closed is None:
            self.closed = RoomModes(self.name, self.rules(self.name)).closed
        return self.closed

    def _compact(self) -> None:
        """Drop the mode changes that later ones have overruled."""
        kept = compact(self.name, self.rules(self.name))
        self.modes = [(one.seq, line(one, one.time)) for one in kept if one.kind is Kind.MODE]

    def sealable(self) -> list[str]:
        """Return the oldest redacted ids that fill a separate part of PART_CHARS; an empty list if they are too few."""
        ids = []
        size = 0
        for id in self.gone:
            ids.append(id)
            size += len(id)
            if size >= PART_CHARS:
                return ids
        return []

    def seal(self, ids: Iterable[str]) -> None:
        """Record that these ids are now stored in a separate part."""
        self.sealed += 1
        for id in ids:
            self.gone.pop(id, None)

    def seen(self, room: str, latest: Sequence[Entry], recent: Sequence[Entry]) -> RoomState:
        """Return the state of the room for the hub."""
        return RoomState(end_of(self.upto), self.topic, latest, self.rules(room), recent)

    def encode(self) -> bytes:
        """Return the message data of the state for the stream of states."""
        return _encoder.encode(self)


_state_decoder = msgspec.json.Decoder(RoomSnapshot)


def read_state(data: bytes) -> RoomSnapshot | None:
    """Return the checked state of a message; None if hubbub did not write the message."""
    try:
        state = _state_decoder.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None
    if not (is_room(state.name) and is_room(room_of(state.key)) and 0 <= state.ruling <= state.upto):
        return None
    state.topic = checked(PackedEntry(Kind.TOPIC, 0.0, UNKNOWN, state.topic, "-"), 0.0).text
    state.opened, state.titled = (_checked(one) if one else None for one in (state.opened, state.titled))
    state.modes = [_checked(one) for one in state.modes]
    return state


def _checked(one: tuple[int, PackedEntry]) -> tuple[int, PackedEntry]:
    return one[0], checked(one[1], 0.0)


class SnapshotPart(msgspec.Struct):
    """Ids of redacted entries of a room, and the number of a message that comes after all of those entries."""

    ids: list[str]
    upto: int


_part_decoder = msgspec.json.Decoder(SnapshotPart)


def encode_part(part: SnapshotPart) -> bytes:
    """Return the message data of a part for the stream of states."""
    return _encoder.encode(part)


def decode_part(data: bytes) -> SnapshotPart:
    """Return the part of a message; an empty one if hubbub did not write the message."""
    try:
        return _part_decoder.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return SnapshotPart([], 0)
