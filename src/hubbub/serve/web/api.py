"""The HTTP API: reading and searching the log, sending messages, and following a room in a stream.

Each row of ROUTES defines a route: its path, the check of its query, and its part of docs/openapi.json.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from math import ceil
from typing import Any
from urllib.parse import unquote

import msgspec
from aiohttp import web

from hubbub.chat import messages
from hubbub.chat.commands import slash
from hubbub.chat.hub import Hub
from hubbub.chat.messages import Which
from hubbub.chat.private import direct
from hubbub.chat.private.private_history import ConversationList
from hubbub.chat.session import Session
from hubbub.chat.users.accounts import Accounts
from hubbub.errors import BrokerError, Busy, Closed, Refused
from hubbub.model import searching
from hubbub.model.access import Action
from hubbub.model.account import Account
from hubbub.model.conversation import MARK
from hubbub.model.entries import Entry
from hubbub.model.events import Acknowledged, MembersListed
from hubbub.model.queries import LAST, After, AllRooms, Latest, RoomList
from hubbub.model.queries import LogPage as Found
from hubbub.model.throttle import Throttle
from hubbub.model.viewer import Viewer
from hubbub.serve.hub_requests import LABEL, HubRequests, Requester
from hubbub.serve.sockets.connection import Shared
from hubbub.serve.web import transcripts
from hubbub.serve.web.credentials import bearer_of, check_bearer
from hubbub.serve.web.event_stream import EventStreamClient
from hubbub.serve.web.http import Call
from hubbub.serve.web.polls import Polls
from hubbub.serve.web.responses import JSON, TEXT, answer, link_to_next, message_in, plain, problem
from hubbub.text import names, refusals
from hubbub.text.list_pages import ListPart
from hubbub.wire.line import encoder
from hubbub.wire.web import http as wire
from hubbub.wire.web.negotiation import decode, preferred
from hubbub.wire.web.shown_entry import LogEntry, Posted, shown

PREFIX = "/api/v1"
BODY = 10.0  # seconds in which a body must arrive
PATIENCE = 1.0  # seconds that a request may wait for the rate limit; with a longer wait it is refused
PIECE = 1000  # messages of a transcript that are read at a time
ADDRESSES = 1024  # maximum number of addresses whose rates are remembered
EVENTS = "text/event-stream"
PRIVATE = "/private"  # begins the paths that are about private conversations


@dataclass(frozen=True, slots=True)
class Route:
    """A route: method, path, summary, the types of its query and answer, its handler, and its success status.

    The handler gets the room that the path names, `@` and a name for a private conversation, or "".
    """

    method: str
    path: str
    summary: str
    query: type[msgspec.Struct]
    answer: type[msgspec.Struct]
    run: Callable[[Api, Call, Any, str], Awaitable[web.StreamResponse]]
    status: int = 200

    @property
    def pattern(self) -> re.Pattern[str]:
        """The pattern for percent-encoded paths of this route."""
        return re.compile(re.sub(r"\\{(\w+)\\}", r"(?P<\1>[^/]+)", re.escape(PREFIX + self.path)))

    @property
    def scopes(self) -> tuple[str, ...]:
        """The scopes that a token needs."""
        scope = "read" if self.method == "GET" else "say"
        return (scope, "private") if self.path.startswith(PRIVATE) else (scope,)


@dataclass(slots=True)
class _Asker:
    """The client that waits for a search; `closed` once it no longer waits."""

    address: str
    closed: bool = False


class Api:
    """Answers the requests under PREFIX.

    Args:
        hub: the hub.
        shared: the state that all connections share.

    """

    def __init__(self, hub: Hub, shared: Shared) -> None:
        self._hub = hub
        self._shared = shared
        self._throttles: dict[str, Throttle] = {}
        self._routes = [(route.pattern, route) for route in ROUTES]
        forms: dict[str, wire.TextEncoder | wire.EventStreamEncoder] = {
            TEXT: wire.TextEncoder(),
            EVENTS: wire.EventStreamEncoder(lambda: hub.log.log_id),
        }
        # By media type, and whether the client supports chunked encoding. Encoders are compared by identity, so each is
        # made only once.
        self._forms = {
            (kind, cut is wire.chunk): wire.StreamEncoder(form, cut)
            for kind, form in forms.items()
            for cut in (wire.chunk, wire.whole)
        }
        self._requests = HubRequests(hub, shared.loop, self._forms[TEXT, False])
        self._polls = Polls(hub, self._requests)

    async def answer(self, call: Call) -> web.StreamResponse:
        """Return the response to a request. Refusals and errors become problem documents (RFC 9457)."""
        path, method = call.request.rel_url.raw_path, call.request.method
        found = {route.method: (route, match) for pattern, route in self._routes if (match := pattern.fullmatch(path))}
        if not found:
            return problem(refusals.NOT_FOUND())
        if method == "HEAD" and "GET" in found:
            method = "GET"
        if method not in found:
            allowed = ", ".join(sorted({*found, "HEAD"} if "GET" in found else found))
            return problem(refusals.METHOD(method=method, allowed=allowed), {"Allow": allowed})
        route, match = found[method]
        try:
            if (delay := self._delay(call.origin)) > PATIENCE:
                later = {"Retry-After": str(ceil(delay))}
                return problem(refusals.TOO_FAST(), later)
            await asyncio.sleep(delay)
            bearer = await bearer_of(self._accounts, call.request.headers, call.login_peer)
            query = msgspec.convert(dict(call.request.query), route.query, strict=False)
            room = _room_in(match.groupdict())
            check_bearer(self._accounts, bearer, route.scopes, room)
            call = replace(call, bearer=bearer)
            return await route.run(self, call, query, room)
        except msgspec.ValidationError as error:
            return problem(wire.explain(error, route.query))
        except Refused as refused:
            return problem(refused)
        except Closed as error:
            return problem(error.refused)
        except Busy as error:
            return problem(refusals.BUSY(reason=error), {"Retry-After": "1"})
        except BrokerError as error:
            return problem(refusals.LOG_UNREADABLE(reason=error))

    def _delay(self, where: str) -> float:
        """Return the seconds until the rate of an address allows another request.

        A request with a delay of at most PATIENCE seconds is charged. Another one is refused and costs nothing.
        """
        settings = self._shared.settings
        if settings.no_limits:
            return 0.0
        now = self._shared.clock()
        throttle = self._throttles.pop(where, None) or Throttle(settings.rate, settings.burst, now)
        self._throttles[where] = throttle  # now the newest entry
        if len(self._throttles) > ADDRESSES:
            del self._throttles[next(iter(self._throttles))]
        delay = throttle.charge(1, now)
        if delay > PATIENCE:
            throttle.charge(-1, now)
        return delay

    @property
    def _accounts(self) -> Accounts:
        return self._hub.nicks.accounts

    def _requester(self, call: Call) -> Requester:
        if account := call.bearer:
            return Requester(account.host, call.origin, account)
        return Requester(f"~api@{self._shared.cloak(call.origin)}.api", call.origin)

    def _viewer(self, call: Call) -> Viewer:
        return self._requests.viewer(self._requester(call))

    # --- one method a route ---------------------------------------------------------------------------------------

    async def messages(self, call: Call, query: wire.MessagesQuery, room: str) -> web.Response:
        """Return messages of a room."""
        after = None if query.after is None else wire.place(query.after, self._hub.log.log_id)
        viewer, room = self._viewer(call), self._log_of(call, room)
        if after is None:
            return self._page(call, await self._requests.read(Latest(room, query.last, query.before, viewer=viewer)))
        upto = query.before - 1 if query.before else LAST
        return self._page(call, await self._requests.read(After(room, after, upto, query.last, True, viewer=viewer)))

    async def transcript(self, call: Call, query: wire.TranscriptQuery, room: str) -> web.Response:
        """Return all messages of a room as a file."""
        return await self.transcript_for(call, room, query.format, self._viewer(call))

    async def transcript_for(self, call: Call, room: str, form: str, viewer: Viewer) -> web.Response:
        """Return all messages of a room that a viewer may read; each page of the log is a request of the client."""

        async def read(seq: int) -> Found:
            await asyncio.sleep(self._delay(call.origin))
            page: Found = await self._requests.read(After(room, seq, LAST, PIECE, True, viewer=viewer))
            return page

        first = await self._requests.read(After(room, 0, LAST, PIECE, True, viewer=viewer))
        return self._numbered(transcripts.response(form, room, first, read))

    async def search(self, call: Call, query: wire.SearchQuery, room: str) -> web.Response:
        """Return the messages of a room, or of all rooms, that contain the given words."""
        asked = searching.parse(query.q, self._hub.clock())
        asker = _Asker(call.origin)
        room = self._log_of(call, room)
        search = asked.query(query.last, room or None, self._viewer(call), asker, query.before)
        try:
            found = await self._requests.read(search)
        finally:  # also if the client leaves, which cancels this task
            asker.closed = True
        return self._page(call, found)

    def _log_of(self, call: Call, room: str) -> str:
        """Return the name in the log of a room, or of a private conversation of the caller. Raises Refused."""
        if not room.startswith(MARK):
            return room
        return self._hub.private_history.between(self._owner(call), room).name

    @staticmethod
    def _owner(call: Call) -> Account:
        """Return the account of a call that needs a token, which it has: its scopes were checked."""
        assert call.bearer is not None
        return call.bearer

    def _page(self, call: Call, page: Found) -> web.Response:
        page = self._hub.private_history.shown_to(call.bearer, page)
        if plain(call):
            return self._lines(page.entries, note=page.note)
        return self._numbered(answer(wire.Page([shown(entry) for entry in page.entries], page.more, page.note)))

    def _lines(self, entries: list[Entry] | Any, status: int = 200, note: str = "") -> web.Response:
        now = self._hub.clock()
        lines = [encoder.stamped(entry, now) for entry in entries] + ([encoder.notice(note)] if note else [])
        text = "".join(f"{one}\n" for one in lines)
        return self._numbered(web.Response(text=text, status=status))

    def _numbered(self, response: web.Response) -> web.Response:
        """Add the header with the id of the log that the numbers in a response belong to."""
        response.headers["Hubbub-Log"] = self._hub.log.log_id
        return response

    async def rooms(self, call: Call, query: wire.RoomsQuery, _: str) -> web.Response:
        """Return a list of rooms."""
        viewer = self._viewer(call)
        stored: RoomList = await self._requests.read(AllRooms(query.limit, query.after or "", viewer=viewer))
        listed = slash.rooms_of(self._hub, stored, viewer, part=ListPart(query.after, query.limit))
        # The list of the liveliest rooms has no next page. The list of all rooms is read by name, from the beginning.
        follow = listed.rooms[-1].name if query.after is not None and listed.rooms else ""
        headers = link_to_next(call, follow, query.limit) if listed.more else {}
        if plain(call):
            lines = (f"{room.name} ({room.members}) {room.topic}".rstrip() for room in listed.rooms)
            return web.Response(text="".join(encoder + "\n" for encoder in lines), headers=headers)
        rooms = [wire.RoomInfo(room.name, room.members, room.topic) for room in listed.rooms]
        return answer(wire.RoomPage(rooms, listed.more), headers=headers)

    async def conversations(self, call: Call, query: wire.ConversationsQuery, _: str) -> web.Response:
        """Return a list of the private conversations of the caller."""
        part = ListPart(query.after, query.limit)
        ask = partial(self._hub.private_history.list_of, self._owner(call), self._viewer(call), part)
        listed: ConversationList = await self._requests.answer(ask)
        follow = listed.end if query.after is not None else ""
        headers = link_to_next(call, follow, query.limit) if listed.more else {}
        if plain(call):
            return web.Response(text="".join(f"{name}\n" for name, _ in listed.last), headers=headers)
        talks = [wire.ConversationInfo(name, last) for name, last in listed.last]
        return answer(wire.ConversationPage(talks, listed.more), headers=headers)

    async def mentions(self, call: Call, query: wire.MentionsQuery, _: str) -> web.Response:
        """Return the newest messages that mention the caller, in rooms that the token is for."""
        if call.bearer is None:
            raise refusals.NOT_LOGGED_IN()
        collect = self._hub.mentions.collect
        ask = partial(collect, call.bearer.id, query.last, self._viewer(call), query.unread)
        return self._page(call, await self._requests.answer(ask))

    async def delete(self, call: Call, query: wire.DeleteQuery, room: str) -> web.Response:
        """Delete a message of the caller in a private conversation, and return the entry that says so."""
        conversation = self._hub.private_history.between(self._owner(call), room)

        def start(session: Session) -> None:
            session.label = LABEL
            messages.redact(
                self._hub, session, conversation, Which(id=query.id), partial(refuse, session), query.reason
            )

        def refuse(session: Session, refused: Refused) -> None:
            self._hub.refuse(session, refused, LABEL)

        outcome = await self._requests.act(self._requester(call), start)
        if not isinstance(outcome, Acknowledged):
            return problem(outcome)
        if plain(call):
            return self._lines([outcome.entry])
        return self._numbered(answer(shown(outcome.entry)))

    async def members(self, call: Call, query: wire.MembersQuery, room: str) -> web.Response:
        """Return a list of a room's members."""
        seen = await self._requests.may(self._requester(call), Action.SEE_MEMBERS, room)
        part = ListPart(query.after, query.limit)
        listed = slash.members_of(self._hub, room, part) if seen else MembersListed(room, ())
        headers = link_to_next(call, listed.nicks[-1], query.limit) if listed.more else {}
        if plain(call):
            return web.Response(text="".join(f"{nick}\n" for nick in listed.nicks), headers=headers)
        page = wire.MemberPage(room, list(listed.nicks), listed.more, listed.watching)
        return answer(page, headers=headers)

    async def send(self, call: Call, query: wire.SendQuery, name: str) -> web.Response:
        """Send a private message, and return it once it is stored; if it is not kept, once it is delivered."""
        self._owner(call)
        text = await self._text(call)
        outcome = await self._requests.act(
            self._requester(call),
            lambda session: direct.send_private(self._hub, session, name.removeprefix(MARK), text, label=LABEL),
        )
        if not isinstance(outcome, Acknowledged):
            return problem(outcome)
        if plain(call):
            return self._lines([outcome.entry], 201)
        return self._numbered(answer(shown(outcome.entry), 201))

    async def post(self, call: Call, query: wire.PostQuery, room: str) -> web.Response:
        """Send a message to a room, and return the stored entry once it is stored."""
        text = await self._text(call)
        if not (query.name or call.bearer):
            raise refusals.QUERY_MISSING(field="name")
        outcome = await self._requests.act(
            self._requester(call), lambda session: self._hub.post(session, query.name, room, text, LABEL)
        )
        if not isinstance(outcome, Acknowledged):
            later = {"Retry-After": "60"} if outcome.code == "too-many-new-rooms" else None
            return problem(outcome, later)
        return self._posted(call, outcome.entry)

    def _posted(self, call: Call, entry: Entry) -> web.Response:
        if plain(call):
            return self._lines([entry], 201)
        posted = shown(entry, Posted)
        if slash.opened_empty(self._hub, entry):
            posted = msgspec.structs.replace(posted, people=0)
        return self._numbered(answer(posted, 201))

    async def polls(self, call: Call, query: wire.PollQuery, room: str) -> web.Response:
        """Return the open polls of a room."""
        found = await self._polls.listed(self._requester(call), room)
        if plain(call):
            return web.Response(text="".join(f"{poll.line}\n" for poll in found))
        return answer(wire.PollPage(found))

    async def ask(self, call: Call, query: wire.PollQuery, room: str) -> web.Response:
        """Open a poll of the caller."""
        return self._poll(call, await self._polls.ask(self._member(call), room, await self._text(call)), 201)

    async def vote(self, call: Call, query: wire.VoteQuery, room: str) -> web.Response:
        """Let the caller vote in a poll."""
        return self._poll(call, await self._polls.vote(self._member(call), room, query.id, await self._text(call)))

    async def end(self, call: Call, query: wire.EndQuery, room: str) -> web.Response:
        """End a poll of the caller, or any poll of a room of which the caller is an operator."""
        return self._poll(call, await self._polls.end(self._member(call), room, query.id))

    def _member(self, call: Call) -> Requester:
        """Return the caller of an act for which a person needs to be in the room. Raises Refused without a token."""
        if call.bearer is None:
            raise refusals.NOT_LOGGED_IN()
        return self._requester(call)

    @staticmethod
    def _poll(call: Call, poll: wire.PollInfo, status: int = 200) -> web.Response:
        return web.Response(text=f"{poll.line}\n", status=status) if plain(call) else answer(poll, status)

    async def _text(self, call: Call) -> str:
        """Return the text in a request's body. Raise Refused if the body is too long or cannot be decoded."""
        request = call.request
        body = await call.dialogue.read(request, wire.MAX_READ, min(BODY, self._shared.settings.name_timeout))
        if body is None:
            raise refusals.TEXT_TOO_LONG(limit=wire.MAX_BODY)
        text = decode(body, request.charset or "")
        if text is None:
            raise refusals.CHARSET_UNKNOWN(charset=request.charset)
        text = message_in(text) if request.content_type == JSON else text
        if len(text.encode()) > wire.MAX_BODY:
            raise refusals.TEXT_TOO_LONG(limit=wire.MAX_BODY)
        return text

    async def stream(self, call: Call, query: wire.StreamQuery, room: str) -> web.StreamResponse:
        """Hand the connection over to a stream of a room's entries."""
        await self._requests.may(self._requester(call), Action.WATCH, room)
        # A client that prefers JSON is a program, so it gets events, not lines.
        lines = preferred(call.request.headers.get("Accept", ""), (EVENTS, JSON, TEXT)) == TEXT
        kind = TEXT if lines else EVENTS
        form = self._forms[kind, call.request.version >= (1, 1)]
        headers = {
            "Content-Type": f"{kind}; charset=utf-8",
            "Cache-Control": "no-store",
            "X-Accel-Buffering": "no",  # makes nginx forward each part at once
        }
        if call.request.method == "HEAD":
            return web.Response(headers=headers)
        known = self._hub.log.log_id
        after, other = None, False
        if mark := self._mark(call, query):
            after = wire.place(mark, known)
            other = after is None
        if form.cut is wire.chunk:
            headers["Transfer-Encoding"] = "chunked"
        stream = EventStreamClient(self._hub, form, room, after, other)
        if call.bearer:
            stream.act_for(call.bearer)
        await call.give_way(stream, "200 OK", headers | {"Connection": "close"})

    @staticmethod
    def _mark(call: Call, query: wire.StreamQuery) -> str:
        """Return the mark after which a client continues, "" for none. Ignore a Last-Event-ID that is no mark."""
        last = call.request.headers.get("Last-Event-ID", "")
        return last if wire.is_mark(last) else query.after or ""


def _room_in(path: Mapping[str, str]) -> str:
    """Return the room that a path names, `@` and a name for a private conversation, or "". Raises Refused."""
    if name := path.get("name"):
        return f"{MARK}{unquote(name).removeprefix(MARK)}"
    return names.check_room(unquote(path["room"])) if "room" in path else ""


ROUTES = (
    Route("GET", "/rooms", "List the rooms.", wire.RoomsQuery, wire.RoomPage, Api.rooms),
    Route("GET", "/search", "Search in all rooms.", wire.SearchQuery, wire.Page, Api.search),
    Route("GET", "/mentions", "Read the messages that mention you.", wire.MentionsQuery, wire.Page, Api.mentions),
    Route("GET", "/rooms/{room}/messages", "Read messages.", wire.MessagesQuery, wire.Page, Api.messages),
    Route("POST", "/rooms/{room}/messages", "Send a message.", wire.PostQuery, Posted, Api.post, 201),
    Route(
        "GET",
        "/rooms/{room}/transcript",
        "Download all messages of a room.",
        wire.TranscriptQuery,
        wire.Page,
        Api.transcript,
    ),
    Route("GET", "/rooms/{room}/search", "Search in a room.", wire.SearchQuery, wire.Page, Api.search),
    Route(
        "GET", "/rooms/{room}/members", "List the people in a room.", wire.MembersQuery, wire.MemberPage, Api.members
    ),
    Route("GET", "/rooms/{room}/polls", "List the open polls of a room.", wire.PollQuery, wire.PollPage, Api.polls),
    Route(
        "POST",
        "/rooms/{room}/polls",
        "Ask a room: QUESTION | ANSWER | ANSWER.",
        wire.PollQuery,
        wire.PollInfo,
        Api.ask,
        201,
    ),
    Route(
        "POST",
        "/rooms/{room}/votes",
        "Vote in a poll: the number of an answer, or its words.",
        wire.VoteQuery,
        wire.PollInfo,
        Api.vote,
    ),
    Route("DELETE", "/rooms/{room}/polls", "End a poll.", wire.EndQuery, wire.PollInfo, Api.end),
    Route("GET", "/rooms/{room}/stream", "Follow a room.", wire.StreamQuery, LogEntry, Api.stream),
    Route(
        "GET",
        PRIVATE,
        "List your private conversations.",
        wire.ConversationsQuery,
        wire.ConversationPage,
        Api.conversations,
    ),
    Route("GET", f"{PRIVATE}/{{name}}/messages", "Read private messages.", wire.MessagesQuery, wire.Page, Api.messages),
    Route(
        "POST",
        f"{PRIVATE}/{{name}}/messages",
        "Send a private message.",
        wire.SendQuery,
        LogEntry,
        Api.send,
        201,
    ),
    Route(
        "DELETE",
        f"{PRIVATE}/{{name}}/messages",
        "Delete a private message of yours.",
        wire.DeleteQuery,
        LogEntry,
        Api.delete,
    ),
    Route(
        "GET",
        f"{PRIVATE}/{{name}}/search",
        "Search in a private conversation.",
        wire.SearchQuery,
        wire.Page,
        Api.search,
    ),
)
