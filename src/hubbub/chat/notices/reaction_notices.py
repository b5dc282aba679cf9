"""Notices about reactions: the author of a message is told of them in few lines, however many they are."""

from __future__ import annotations

from functools import partial

from hubbub.chat.core import Core
from hubbub.chat.session import Room, User
from hubbub.model.entries import Entry, Reacted, Said
from hubbub.model.events import ReactionsAdded
from hubbub.model.ignoring import hides

PAUSE = 5.0  # minimum seconds between two notices about one message


class ReactionNotices:
    """Tell the authors of recent messages on this node about reactions."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._waiting: dict[str, list[tuple[str, str]]] = {}  # by message: reactions with nicks, of the present pause

    def note(self, room: Room, entry: Entry, body: Reacted) -> None:
        """Tell the author of a message about a reaction to it now, or at the end of the pause."""
        message = next((one for one in reversed(room.latest) if one.id == body.target), None)
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
        self._tell(room, message, author)

    def _tell(self, room: Room, message: Entry, author: User) -> None:
        found = self._waiting.pop(message.id)
        if not found:
            return
        assert isinstance(message.body, Said)
        reactions = " ".join(dict.fromkeys(reaction for reaction, _ in found))
        event = ReactionsAdded(room.name, message.body.text, reactions, tuple(dict.fromkeys(nick for _, nick in found)))
        for session in author.sessions:
            if not session.paused:
                session.client.send_event(event)
        self._waiting[message.id] = []
        self._core.later(PAUSE, partial(self._tell, room, message, author))
