"""The parts of a room's state, and the entries that they come from: these are stored as a snapshot of the state.

Of two entries that set the same part, the later one is in force. An entry stays as long as a part comes from it,
reduced to the changes that are still in force. So a snapshot has a bounded size however often the state was changed.
"""

from __future__ import annotations

from collections.abc import Mapping

from msgspec.structs import replace

from hubbub.model.entries import Entry, ModeChange, ModesChanged, Polled, TopicSet
from hubbub.model.room.masks.mask_lists import LISTS
from hubbub.model.room.masks.masks import MUTE, NOBODY, read_mask
from hubbub.model.room.modes import PREFIXES
from hubbub.model.room.rights import Holder, holder_of, holder_text

# A part of the state: a mode letter with its subject, "join", "topic" or "brake" with "", "pin" with the id of a
# message, "poll" with the id of a poll, or "hand" with a holder.
Part = tuple[str, str]
JOIN, TOPIC, BRAKE = ("join", ""), ("topic", ""), ("brake", "")


class StateParts:
    """The entries that the parts of a state come from."""

    __slots__ = ("_made", "_sources", "touched")

    def __init__(self) -> None:
        self._sources: dict[Part, int] = {}  # the numbers of the entries that the parts of the state come from
        # By its number, each of these entries, with its parts and the changes that made them.
        self._made: dict[int, tuple[Entry, dict[Part, ModeChange | None]]] = {}
        # The numbers of the entries whose share in the snapshot has changed, if somebody keeps a copy of the snapshot.
        self.touched: set[int] | None = None

    def __contains__(self, part: Part) -> bool:
        return part in self._sources

    def source(self, part: Part) -> Entry:
        """Return the entry that a part comes from, which must be there."""
        return self._made[self._sources[part]][0]

    def snapshot(self) -> list[Entry]:
        """Return the entries that the state results from, in their order, without the parts that are overruled."""
        return [_reduced(*self._made[seq]) for seq in sorted(self._made)]

    def share(self, seq: int) -> Entry | None:
        """Return the entry with this number as the snapshot has it, None if it is not in it."""
        made = self._made.get(seq)
        return _reduced(*made) if made else None

    def keep(self, part: Part, entry: Entry, change: ModeChange | None = None) -> None:
        """Note that a part comes from an entry: from one of its changes, if it has several."""
        self.drop(part)
        self._sources[part] = entry.seq
        self._made.setdefault(entry.seq, (entry, {}))[1][part] = change
        if self.touched is not None:
            self.touched.add(entry.seq)

    def drop(self, part: Part) -> None:
        """Note that a part is not set any more; do nothing if it is not."""
        seq = self._sources.pop(part, None)
        if seq is None:
            return
        del self._made[seq][1][part]
        if not self._made[seq][1]:
            del self._made[seq]
        if self.touched is not None:
            self.touched.add(seq)


def _reduced(entry: Entry, parts: Mapping[Part, ModeChange | None]) -> Entry:
    """Return an entry of a snapshot: reduced to these changes, and a rename as the change of rights that it caused."""
    body, changes = entry.body, [change for change in parts.values() if change]
    if changes and not (isinstance(body, ModesChanged) and body.changes == tuple(changes)):
        body = ModesChanged(tuple(changes), body.until if isinstance(body, ModesChanged) else 0.0)
    return replace(entry, body=body, tags=entry.tags if isinstance(body, TopicSet | Polled) else "")


def pin_part(target: str) -> Part:
    """Return the part of a pinned message."""
    return "pin", target


def poll_part(id: str) -> Part:
    """Return the part of an open poll."""
    return "poll", id


def hand_part(holder: Holder) -> Part:
    """Return the part of a raised hand or a turn to speak."""
    return "hand", holder_text(holder)


def part_of(change: ModeChange) -> Part:
    """Return the part of the state that a change sets: of two changes of the same part, the later one is in force."""
    if change.letter in PREFIXES:
        return change.letter, holder_text(holder_of(change.param))
    if change.letter in LISTS:
        mask = change.param.removeprefix(MUTE)
        read = read_mask(mask)
        folded = mask if read is NOBODY else read.folded
        return change.letter, f"{MUTE}{folded}" if mask != change.param else folded
    return change.letter, ""
