"""Questions that only the operators of a room see, until one of them lets the question through.

They are no entries of the log, which all members read: they are kept beside it, the same ones on all nodes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from hubbub.chat.classroom.hands import send_to_operators
from hubbub.chat.classroom.lists import Lists
from hubbub.chat.session import Posting
from hubbub.model import ids
from hubbub.model.entries import Draft, Said

if TYPE_CHECKING:
    from hubbub.chat.core import Core
    from hubbub.model.room.room_ids import NamedRoom

IN_ROOM = 30  # open questions of a room
OF_PERSON = 3  # and of one user there
OF_HOST = 100  # and of the users of one host in all rooms: all of them are in memory on all nodes
QUESTION_BYTES = 1_000


class Question(NamedTuple):
    """A question with its number in the room, its author and its time (epoch seconds).

    `author` is the prefix of the ids of all that the author says, "" if a node of an older version stored the question.
    """

    number: int
    nick: str
    host: str
    text: str
    time: float
    author: str = ""


class Questions(Lists[Question]):
    """The open questions of all rooms, by the ids of the rooms.

    Args:
        core: the rooms and their members.
        prefix: the beginning of the ids of messages that were questions of users on other nodes; no session has it.

    """

    def __init__(self, core: Core, prefix: str) -> None:
        super().__init__()
        self._core = core
        self._prefix = prefix
        self._published = 0
        self._hosts: Counter[str] = Counter()  # open questions by the host of their author

    def of_host(self, host: str) -> int:
        """Return the number of open questions of the users of a host in all rooms."""
        return self._hosts[host]

    def note(self, key: str, values: Sequence[Question]) -> None:
        """Take over the questions of the room with this id, and tell its operators on this node about new ones."""
        room, questions, before = key, values, self.of(key)
        super().note(key, values)
        self._hosts.update(one.host for one in questions)
        for one in before:
            self._hosts[one.host] -= 1
            if not self._hosts[one.host]:
                del self._hosts[one.host]
        loaded = self._core.loaded.by_id.get(room)
        for one in questions if loaded else ():
            if loaded and one not in before:
                text = f"{one.nick} asks ({one.number}): {one.text} (/ok {one.number} lets it through)"
                send_to_operators(self._core, loaded, text)

    def publish(self, room: NamedRoom, one: Question) -> None:
        """Publish a question as a message of its author, even if that user has left."""
        self._published += 1
        # Its author may delete and correct it. An id must not begin like those of a process that may have ended.
        is_here = ids.process_of(one.author) == ids.process_of(self._prefix)
        id = ids.make_id(f"{one.author}q." if is_here else self._prefix, self._published)
        draft = Draft(room.name, one.nick, Said(one.text), id, one.host, must_store=True, room_id=room.id)
        self._core.pipeline.add(Posting(draft))
