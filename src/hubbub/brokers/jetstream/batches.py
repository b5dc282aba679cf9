"""How a room's log looks in a stream: a message is a pack of entries that one node published together.

Pure. A message has the stream's number; its entries count up to the last of its STEP numbers, so that the number
before an entry is known without reading the message before it: the entry numbers of a room rise and are not dense.

JetStream cannot be read backwards, and knows no state of a room. So each pack tells what its node knew of the room
when it was published: up to where it had seen all (`after`), where the newest WINDOW entries begin (`back`), which
message was the last that changed the room's state (`ruling`), and the latest time of an entry (`high`). It also has
the checksum of the message `after` (`sum`): nodes that have seen another message there notice it.

Not only hubbub may write to the stream. So everything is checked when it is decoded, and what cannot be shown keeps its
place and shows nothing.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from operator import itemgetter
from typing import Any, TypeVar

import msgspec

from hubbub.brokers.jetstream.packed_entries import UNKNOWN, PackedEntry, checked, when
from hubbub.brokers.keys import room_of
from hubbub.core.model import LOBBY, Draft, Entry, Kind, RoomState
from hubbub.core.names import is_room, key_of
from hubbub.core.room_modes import PREFIXES, ModeChange, RoomModes, closed_after, parse, write
from hubbub.core.state_entries import MAX_RULING, compact
from hubbub.core.text import fold_text

STEP = 1024  # numbers that a message has for its entries: products with it stay exact in JavaScript for 8e12 messages
MAX_ENTRIES = 512
MAX_BYTES = 256 * 1024  # of text in a pack; the server's own default for a message is 1 MiB
PART_CHARS = 128 * 1024  # of ids of what was taken back: from then on they are a message of their own
WINDOW = 64  # entries that the hint `back` reaches back
T = TypeVar("T", Draft, Entry)
# What changes a room's state. Of the joins, only its first; of the renames, those of people who may do something.
RULING = frozenset({Kind.JOIN, Kind.TOPIC, Kind.MODE, Kind.RENAME, Kind.REDACT, Kind.ROOM_RENAMED})


class EntryBatch(msgspec.Struct, frozen=True):
    """A message of the stream. `after`, `back` and `ruling` are numbers of messages, 0 for none."""

    entries: list[PackedEntry]
    after: int = 0
    back: int = 0
    ruling: int = 0
    high: float = 0.0  # the latest time of an entry of the room, up to the end of this pack; 0 if that is not known
    sum: int | None = None  # of the message `after`, None if that is not known

    @property
    def reached(self) -> float:
        """The latest time of an entry of the room up to here, as far as its node knew: it rises from pack to pack."""
        return max([self.high, *(one.time for one in self.entries)])


class _Newer(msgspec.Struct):
    """A pack of which not every entry is known."""

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
    """Return the message of a pack."""
    return _encoder.encode(pack)


def decode(data: bytes, number: int, stored: float) -> EntryBatch:
    """Return the pack of a message, checked; an empty one for what hubbub did not write.

    An entry of a kind that only newer versions know keeps its place, and shows nothing.

    Args:
        data: what is in the message.
        number: the message's.
        stored: when the servers stored it, in epoch seconds; 0 if that is not known.

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
    if len(pack.entries) > MAX_ENTRIES:  # they would have numbers of other messages
        return EntryBatch([])
    after, back, ruling = (hint if 0 <= hint <= number else 0 for hint in (pack.after, pack.back, pack.ruling))
    lines = [checked(one, stored) for one in pack.entries]
    return EntryBatch(lines, min(after, number - 1), back, ruling, when(pack.high, stored), pack.sum)


def checksum(data: bytes) -> int:
    """Return what tells two messages apart."""
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
    """Return a draft, or an entry, as it is stored."""
    return PackedEntry(what.kind, time, what.nick, what.text, what.id, what.host, what.tags)


def entry(room: str, number: int, prev: int, one: PackedEntry) -> Entry:
    """Return what is stored as an entry of a room."""
    return Entry(room, number, prev, one.time, one.kind, one.nick, one.text, one.id, one.host, one.tags)


def cut(drafts: Sequence[T], same: Callable[[T], Any]) -> Sequence[T]:
    """Return the first of some drafts that fit in one pack: of one sort, as many as its bounds allow, at least one."""
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
    """What the entries of a room up to message `upto` made of it."""

    key: str  # in the subject of its messages: its first name, encoded
    name: str  # its name now: a room may be renamed
    upto: int = 0
    ruling: int = 0  # the last message that changed it
    topic: str = ""
    opened: tuple[int, PackedEntry] | None = None  # with the entry's number
    scripted: bool = False  # something was said before that: by scripts
    closed: str | None = None  # the letters that close it; None in what older versions have noted
    titled: tuple[int, PackedEntry] | None = None
    modes: list[tuple[int, PackedEntry]] = []
    gone: dict[str, None] = {}  # ids of what was taken back, but for those that are in parts of their own
    sealed: int = 0  # of these parts: how many there have been
    sum: int | None = None  # the checksum of message `upto`, None if that is not known

    def fold(self, made: Entry) -> bool:
        """Let an entry take effect; return whether it changed anything. It must follow all others."""
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
        """Forget what is behind a message: the log ends there."""
        end = end_of(last)
        self.upto, self.ruling = last, min(last, self.ruling)
        self.modes = [one for one in self.modes if one[0] <= end]
        self.closed = None
        if self.titled and self.titled[0] > end:
            self.titled, self.topic = None, ""
        if self.opened and self.opened[0] > end:
            self.opened = None

    def _taken_along(self, made: Entry) -> list[ModeChange]:
        """Return what somebody's rename changes: what he may do goes with him to his new name."""
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
        """Return the entries that made the room's rules, as RoomState has them."""
        first = [entry(room, number, int(self.scripted), one) for number, one in filter(None, [self.opened])]
        kept = sorted((one for one in (self.titled, *self.modes) if one), key=itemgetter(0))
        return [*first, *(entry(room, number, 0, one) for number, one in kept)]

    @property
    def letters(self) -> str:
        """The letters that close the room."""
        if self.closed is None:
            self.closed = RoomModes(self.name, self.rules(self.name)).closed
        return self.closed

    def _compact(self) -> None:
        """Forget what was overruled of the modes."""
        kept = compact(self.name, self.rules(self.name))
        self.modes = [(one.seq, line(one, one.time)) for one in kept if one.kind is Kind.MODE]

    def sealable(self) -> list[str]:
        """Return the oldest ids of what was taken back that make a part of its own; none if they are too few yet."""
        ids = []
        size = 0
        for id in self.gone:
            ids.append(id)
            size += len(id)
            if size >= PART_CHARS:
                return ids
        return []

    def seal(self, ids: Iterable[str]) -> None:
        """Note that these ids are in a part of their own."""
        self.sealed += 1
        for id in ids:
            self.gone.pop(id, None)

    def seen(self, room: str, latest: Sequence[Entry], recent: Sequence[Entry]) -> RoomState:
        """Return what the hub is told of the room."""
        return RoomState(end_of(self.upto), self.topic, latest, self.rules(room), recent)

    def encode(self) -> bytes:
        """Return it for the stream of states."""
        return _encoder.encode(self)


_state_decoder = msgspec.json.Decoder(RoomSnapshot)


def read_state(data: bytes) -> RoomSnapshot | None:
    """Return a state, checked; None for what hubbub did not write."""
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
    """Ids of what was taken back in a room, and a message behind all of it."""

    ids: list[str]
    upto: int


_part_decoder = msgspec.json.Decoder(SnapshotPart)


def encode_part(part: SnapshotPart) -> bytes:
    """Return a part for the stream of states."""
    return _encoder.encode(part)


def decode_part(data: bytes) -> SnapshotPart:
    """Return a part; an empty one for what hubbub did not write."""
    try:
        return _part_decoder.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return SnapshotPart([], 0)
