"""Notices about reactions: few lines for the author of a message, however many the reactions are."""

from __future__ import annotations

from functools import partial

from hubbub.chat.core import Core
from hubbub.chat.session import Room, User
from hubbub.model.codec import text_of
from hubbub.model.entries import Entry, Reacted
from hubbub.model.events import ReactionsAdded
from hubbub.model.notices.ignoring import hides

PAUSE = 5.0  # minimum seconds between two notices about one message


class ReactionNotices:
    """Tell the authors of recent messages on this node about reactions."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._waiting: dict[str, list[tuple[str, str]]] = {}  # by message: reactions with nicks, of the present pause

    def note(self, room: Room, entry: Entry, body: Reacted) -> None:
        """Tell the author of a message about a reaction to it now, or at the end of the pause."""
        message = _find(room, body.target)
        author = self._core.nicks.find(message.nick) if message else None
        if (
            not (author and message and author.sessions and author.wrote(message))
            or author.wrote(entry)
            or hides(author.ignored, entry)
        ):
            return
        waiting = self._waiting.get(message.id)
        if waiting is not None:
            waiting.append((body.reaction, entry.nick))
            return
        self._waiting[message.id] = [(body.reaction, entry.nick)]
        self._tell(room, message.id, author)

    def _tell(self, room: Room, id: str, author: User) -> None:
        found, message = self._waiting.pop(id), _find(room, id)  # it may have been corrected or redacted meanwhile
        if not (found and message):
            return
        reactions = " ".join(dict.fromkeys(reaction for reaction, _ in found))
        event = ReactionsAdded(
            room.name, text_of(message.body), reactions, tuple(dict.fromkeys(nick for _, nick in found))
        )
        for session in author.sessions:
            session.tell(event)
        self._waiting[id] = []
        self._core.later(PAUSE, partial(self._tell, room, id, author))


def _find(room: Room, id: str) -> Entry | None:
    """Return one of the newest messages of a room by its id; None if it is not among them, or was redacted."""
    return next((one for one in reversed(room.latest) if one.id == id), None)
