"""The state of a room as a message of the stream of states: the state of a room's log up to one of its messages.

This module does no I/O. JetStream cannot be read backwards, so a node stores the state of each room now and then, and
reads only the messages after it. The ids of redacted entries are part of the state; many of them are stored as separate
parts of PART_CHARS, so that no message is larger than the servers allow.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import msgspec

from hubbub.cluster.nats.log.batches import end_of, entry, line, message_of
from hubbub.cluster.nats.log.packed_entries import UNKNOWN, PackedEntry, checked
from hubbub.cluster.nats.subjects import first_name
from hubbub.model.conversation import can_have_log
from hubbub.model.entries import Entry, Joined, Kind, Redacted, Said, TopicSet
from hubbub.model.queries import OpenedRoom
from hubbub.model.room.state import RoomState, Topic

PART_CHARS = 128 * 1024  # characters of redacted ids that are stored as a message of their own


class StateMessage(msgspec.Struct, frozen=True):
    """The form in which a state is stored. An entry of the room's snapshot is a pair of its number and the entry."""

    key: str  # last token of the room's subject: its first name, encoded
    name: str  # current name, which a rename changes
    upto: int = 0  # the message up to which the log was read
    ruling: int = 0  # number of the last message that changed the state
    topic: str = ""
    opened: tuple[int, PackedEntry] | None = None  # the first join
    scripted: bool = False  # whether scripts said something before the first join
    closed: str | None = None  # mode letters that close the room; None in a state from an older version
    titled: tuple[int, PackedEntry] | None = None
    modes: list[tuple[int, PackedEntry]] = []
    gone: dict[str, None] = {}  # ids of redacted entries that are not in separate parts
    sealed: int = 0  # number of separate parts that were written
    sum: int | None = None  # checksum of message `upto`, None if unknown


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(StateMessage)


class StreamState:
    """The state of a room up to a message of its log.

    Args:
        stored: the state as it was stored; for a new room with the key and the name alone.

    """

    __slots__ = ("_room", "_stored", "gone", "key", "ruling", "sealed", "sum", "upto")

    def __init__(self, stored: StateMessage) -> None:
        self.key = stored.key
        self.upto = stored.upto
        self.ruling = stored.ruling
        self.gone = dict(stored.gone)
        self.sealed = stored.sealed
        self.sum = stored.sum
        self._stored = stored
        # Made when it is needed: a list of all rooms needs only the name, the topic and the letters of each.
        self._room: RoomState | None = None

    @property
    def room(self) -> RoomState:
        """The state as the model has it."""
        if self._room is None:
            stored = self._stored
            self._room = RoomState(stored.name, _entries(stored), stored.key)
            if stored.topic and not stored.titled:  # as an older version stored it
                self._room.topic = Topic(stored.topic)
        return self._room

    @property
    def name(self) -> str:
        """The name of the room after its last rename."""
        return self._room.name if self._room else self._stored.name

    @property
    def topic(self) -> str:
        """The topic of the room, "" for none."""
        return self._room.topic.text if self._room else self._stored.topic

    @property
    def letters(self) -> str:
        """The mode letters that close the room."""
        if self._room is None and self._stored.closed is not None:
            return self._stored.closed
        return self.room.closed

    def fold(self, made: Entry) -> bool:
        """Apply an entry to the state; return whether it changed anything. Entries must be applied in their order."""
        if type(made.body) is Said:
            return False
        changed = self.room.apply(made)
        if isinstance(made.body, Redacted):
            self.gone[made.body.target] = None
            changed = True
        if changed:
            self.ruling = message_of(made.seq)
        return changed

    def cut(self, last: int) -> None:
        """Drop the part of the state that comes from messages after `last`: the log ends there."""
        kept = [one for one in self.room.snapshot() if one.seq <= end_of(last)]
        topic = self.room.topic
        self._room = RoomState(self.name, kept, self.key)
        if not topic.by:  # of a state from an older version, whose entry is not known
            self._room.topic = topic
        self.upto, self.ruling = last, min(last, self.ruling)

    def snapshot(self, room: str) -> list[Entry]:
        """Return the entries that the state results from, as entries of a room with this name."""
        return [msgspec.structs.replace(one, room=room) for one in self.room.snapshot()]

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

    def opened(self, room: str, latest: Sequence[Entry], recent: Sequence[Entry]) -> OpenedRoom:
        """Return the room for the hub."""
        return OpenedRoom(end_of(self.upto), self.snapshot(room), latest, recent, self.key)

    def encode(self) -> bytes:
        """Return the message data of the state for the stream of states."""
        room = self.room
        made = [(one, (one.seq, line(one, one.time))) for one in room.snapshot()]
        first = next((pair for pair in made if isinstance(pair[0].body, Joined)), None)
        message = StateMessage(
            self.key,
            room.name,
            self.upto,
            self.ruling,
            room.topic.text,
            first[1] if first else None,
            bool(first and first[0].prev),
            room.closed,
            next((packed for one, packed in made if isinstance(one.body, TopicSet)), None),
            [packed for one, packed in made if not isinstance(one.body, Joined | TopicSet)],
            self.gone,
            self.sealed,
            self.sum,
        )
        return _encoder.encode(message)


def _entries(stored: StateMessage) -> Iterator[Entry]:
    """Yield the entries of a stored snapshot, in their order."""
    if stored.opened:
        yield entry(stored.name, stored.opened[0], int(stored.scripted), stored.opened[1])
    kept = [*stored.modes, *([stored.titled] if stored.titled else [])]
    for number, one in sorted(kept, key=lambda pair: pair[0]):
        yield entry(stored.name, number, 0, one)


def new_state(key: str, name: str) -> StreamState:
    """Return the state of a room before its first entry."""
    return StreamState(StateMessage(key, name))


def read_state(data: bytes) -> StreamState | None:
    """Return the checked state of a message; None if hubbub did not write the message."""
    try:
        stored = _decoder.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    if not (can_have_log(stored.name) and can_have_log(first_name(stored.key)) and 0 <= stored.ruling <= stored.upto):
        return None
    return StreamState(
        msgspec.structs.replace(
            stored,
            topic=checked(PackedEntry(Kind.TOPIC, 0.0, UNKNOWN, stored.topic, "-"), 0.0).text,
            opened=_checked(stored.opened) if stored.opened else None,
            titled=_checked(stored.titled) if stored.titled else None,
            modes=[_checked(one) for one in stored.modes],
        )
    )


def _checked(one: tuple[int, PackedEntry]) -> tuple[int, PackedEntry]:
    return one[0], checked(one[1], 0.0)


# --- redacted ids in parts of their own -------------------------------------------------------------------------------


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
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return SnapshotPart([], 0)
