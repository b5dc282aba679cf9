"""All routes of the API, in one table.

Each row of ROUTES defines a route: its path, the check of its query, its handler, and its part of docs/openapi.json.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from aiohttp import web
from msgspec import Struct

from hubbub.serve.web.api import conversations, messages, polls, rooms, streams, transcripts
from hubbub.serve.web.api.context import ApiContext
from hubbub.serve.web.http import Call
from hubbub.wire.web import api as wire
from hubbub.wire.web.shown_entry import LogEntry, Posted

PREFIX = "/api/v1"
PRIVATE = "/private"  # begins the paths that are about private conversations
ROOM = "/rooms/{room}"
PERSON = PRIVATE + "/{name}"
GET, POST, DELETE = "GET", "POST", "DELETE"


@dataclass(frozen=True, slots=True)
class Route:
    """A route: method, path, handler, the types of its query and answer, its id and summary, and its success status.

    The handler gets the room that the path names, `@` and a name for a private conversation, or "".
    """

    method: str
    path: str
    run: Callable[[ApiContext, Call, Any, str], Awaitable[web.StreamResponse]]
    query: type[Struct]
    answer: type[Struct]
    id: str
    summary: str
    status: int = 200

    @property
    def pattern(self) -> re.Pattern[str]:
        """The pattern for percent-encoded paths of this route."""
        return re.compile(re.sub(r"\\{(\w+)\\}", r"(?P<\1>[^/]+)", re.escape(PREFIX + self.path)))

    @property
    def scopes(self) -> tuple[str, ...]:
        """The scopes that a token needs."""
        scope = "read" if self.method == GET else "say"
        return (scope, "private") if self.path.startswith(PRIVATE) else (scope,)


# fmt: off
ROUTES = (
    Route(GET, "/rooms", rooms.list_rooms, wire.RoomsQuery, wire.RoomPage, "rooms", "List the rooms."),
    Route(GET, "/search", messages.search, wire.SearchQuery, wire.Page, "search-all", "Search in all rooms."),
    Route(GET, "/mentions", messages.list_mentions, wire.MentionsQuery, wire.Page,
          "mentions-all", "Read the messages that mention you."),
    Route(GET, f"{ROOM}/messages", messages.read, wire.MessagesQuery, wire.Page, "messages", "Read messages."),
    Route(POST, f"{ROOM}/messages", messages.post, wire.PostQuery, Posted, "post", "Send a message.", 201),
    Route(GET, f"{ROOM}/transcript", transcripts.download, wire.TranscriptQuery, wire.Page,
          "transcript", "Download all messages of a room."),
    Route(GET, f"{ROOM}/search", messages.search, wire.SearchQuery, wire.Page, "search", "Search in a room."),
    Route(GET, f"{ROOM}/members", rooms.list_members, wire.MembersQuery, wire.MemberPage,
          "members", "List the people in a room."),
    Route(GET, f"{ROOM}/polls", polls.list_polls, wire.PollQuery, wire.PollPage,
          "polls", "List the open polls of a room."),
    Route(POST, f"{ROOM}/polls", polls.ask, wire.PollQuery, wire.PollInfo,
          "ask", "Ask a room: QUESTION | ANSWER | ANSWER.", 201),
    Route(POST, f"{ROOM}/votes", polls.vote, wire.VoteQuery, wire.PollInfo,
          "vote", "Vote in a poll: the number of an answer, or its words."),
    Route(DELETE, f"{ROOM}/polls", polls.end, wire.EndQuery, wire.PollInfo, "end", "End a poll."),
    Route(GET, f"{ROOM}/stream", streams.follow, wire.StreamQuery, LogEntry, "stream", "Follow a room."),
    Route(GET, PRIVATE, conversations.list_conversations, wire.ConversationsQuery, wire.ConversationPage,
          "conversations-private", "List your private conversations."),
    Route(GET, f"{PERSON}/messages", messages.read, wire.MessagesQuery, wire.Page,
          "messages-private", "Read private messages."),
    Route(POST, f"{PERSON}/messages", conversations.send, wire.SendQuery, LogEntry,
          "send-private", "Send a private message.", 201),
    Route(DELETE, f"{PERSON}/messages", conversations.delete, wire.DeleteQuery, LogEntry,
          "delete-private", "Delete a private message of yours."),
    Route(GET, f"{PERSON}/search", messages.search, wire.SearchQuery, wire.Page,
          "search-private", "Search in a private conversation."),
)
# fmt: on
