"""Searches of a node in a cluster: in its copy of the stream, for viewers that may read the rooms of the results."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from hubbub.cluster.nats.broker import JetStreamBroker
from hubbub.cluster.nats.log import reading
from hubbub.cluster.nats.log.search_index import SearchIndex
from hubbub.model.access import Action, may
from hubbub.model.queries import LogPage, Search
from hubbub.model.viewer import SYSTEM
from hubbub.storage.ports import readable
from hubbub.storage.search_scheduler import SearchScheduler


class StreamSearch:
    """The search index of a node.

    Args:
        stream: the log.
        folder: the folder of this node's copy of it.

    """

    def __init__(self, stream: JetStreamBroker, folder: Path) -> None:
        self._stream = stream
        self.copy = SearchIndex(stream.link, folder)
        self._searches = SearchScheduler(lambda query, done: stream.ask(partial(self._find, query), done), 1)
        self.begin, self.run, self.close = self.copy.begin, self.copy.run, self.copy.close
        stream.as_changed = self.copy.as_changed

    @property
    def behind(self) -> int:
        """The number of messages of the stream that are not in the copy yet; negative after the stream lost some."""
        return self.copy.last - self.copy.upto

    def search(self, query: Search, done: Callable[[Any], None]) -> None:
        """Search in the copy when the turn of the asker's address comes; call `done` later with the result."""
        self._searches.ask(query, done)

    async def _find(self, query: Search) -> LogPage:
        """Search in the copy, and keep the entries of rooms that the viewer may read.

        The rooms' states say which rooms are closed, even after retention has deleted the entries that closed them.
        """
        if not query.words.strip() and not query.narrows:
            return LogPage(())
        known = [feed.state for feed in self._stream.following.feeds.values()]
        rooms = {state.name: state for state in await reading.states_of(self._stream.link, known)}

        @cache
        def reads(room: str) -> bool:
            return room in rooms and may(query.viewer, Action.READ, rooms[room].room) is None

        asked = next((one for one in rooms.values() if query.room_id == one.key), None) or rooms.get(query.room or "")
        if asked and query.room and not readable(query.viewer, asked.room):
            return LogPage(())
        only = frozenset(room for room in query.viewer.only if reads(room))
        if query.viewer.only and not only:
            return LogPage(())
        viewer = SYSTEM._replace(account=query.viewer.account, only=only)
        # The copy may be of a version that gave the rooms no ids.
        room = asked.name if asked and query.room else query.room
        page = await self.copy.search(replace(query, viewer=viewer, room=room, room_id=""))
        return replace(page, entries=[entry for entry in page.entries if reads(entry.room)])
