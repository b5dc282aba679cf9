"""Notices about votes: few counts for pages, and few lines for the author of a poll, however many the votes are."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from hubbub.chat.classroom.ballots import polled
from hubbub.chat.core import Core
from hubbub.chat.session import Room
from hubbub.model.entries import Voted
from hubbub.model.events import PollCounted
from hubbub.model.messages import polls

PAGES = 1.0  # minimum seconds between two counts of one poll for pages
TERMINALS = 5.0  # and between two lines about it for its author


class PollNotices:
    """Show the counts of polls to pages, and to their authors in words, however many votes there are."""

    def __init__(self, core: Core) -> None:
        self._pages = _Pauses(core, PAGES, partial(_count, core, False))
        self._terminals = _Pauses(core, TERMINALS, partial(_count, core, True))

    def note(self, room: Room, body: Voted) -> None:
        """Show the counts of a poll after a vote, now or at the end of the pause."""
        if body.target in room.state.polls:
            self._pages.note(room, body.target)
            self._terminals.note(room, body.target)


class _Pauses:
    """Call a function at once, and then once at the end of each pause in which there was something new."""

    def __init__(self, core: Core, pause: float, call: Callable[[Room, str], None]) -> None:
        self._core = core
        self._pause = pause
        self._call = call
        self._new: dict[str, bool] = {}  # by poll: whether there was a vote since the last call

    def note(self, room: Room, id: str) -> None:
        if id in self._new:
            self._new[id] = True
            return
        self._new[id] = False
        self._call(room, id)
        self._core.later(self._pause, partial(self._end, room, id))

    def _end(self, room: Room, id: str) -> None:
        if self._new.pop(id):
            self.note(room, id)


def _count(core: Core, tells: bool, room: Room, id: str) -> None:
    """Send the counts of a poll to all sessions in the room, or in words to those of its author."""
    poll = room.state.polls.get(id)
    if poll is None:
        return
    body = polled(poll)
    counts, guests = polls.counts(poll, body), polls.guests(poll, body)
    event = PollCounted(room.name, id, counts, guests, polls.result(poll, body), tells)
    author = core.nicks.find(poll.nick) if tells else None
    told = author.sessions if author and author.wrote(poll) else ()
    for session in list(told if tells else room.sessions):
        session.tell(event)
