"""The flood brake: a room rests for a minute after too many messages at once."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from functools import partial

from hubbub.chat.core import Core
from hubbub.chat.session import Posting, Room
from hubbub.model.entries import Braked, Draft, Edited, Entry, Polled, Said
from hubbub.text.names import key_of

WINDOW = 10.0  # seconds in which messages are counted
REST = 60  # seconds for which a room rests
SUFFIX = "~brake"  # of the id of an entry about a brake, behind the id of the message that was one too many


class Brakes:
    """Count the messages of rooms that have a limit. All nodes count; the one with the author of the last one acts."""

    def __init__(self, core: Core) -> None:
        self._core = core
        # Times of the newest messages by the id of the room; the room that spoke last comes last.
        self._times: dict[str, deque[float]] = {}

    def note(self, room: Room, entries: Sequence[Entry], postings: Sequence[Posting | None]) -> None:
        """Count the stored messages of a room, with corrections and polls, and let it rest if there were too many."""
        for entry, posting in zip(entries, postings, strict=True):
            rights = room.state.rights.get((key_of(entry.nick), entry.host), "")
            if type(entry.body) in (Said, Edited, Polled) and "o" not in rights:
                self._count(room, entry, posting is not None)

    def _count(self, room: Room, entry: Entry, own: bool) -> None:
        times = self._times[room.id] = self._times.pop(room.id, deque())
        times.append(entry.time)
        # Rooms in which nobody speaks any more cost no memory.
        while self._times[oldest := next(iter(self._times))][-1] < entry.time - WINDOW:
            del self._times[oldest]
        while len(times) > room.state.flood + 1 or times[0] < entry.time - WINDOW:
            times.popleft()
        if len(times) > room.state.flood and room.state.brake_ends <= entry.time:
            del self._times[room.id]
            if own:
                self._publish(room, entry, REST)
                self._core.later(REST, partial(self._end, room, entry))

    def _end(self, room: Room, entry: Entry) -> None:
        # An operator may have ended it, and a later one may have begun since.
        if 0 < room.state.brake_ends <= entry.time + REST + WINDOW:
            self._publish(room, entry, 0)

    def _publish(self, room: Room, entry: Entry, seconds: int) -> None:
        id = f"{entry.id}{SUFFIX}{seconds or ''}"
        draft = Draft(room.name, entry.nick, Braked(seconds), id, entry.host, must_store=True, room_id=room.id)
        self._core.pipeline.add(Posting(draft))
