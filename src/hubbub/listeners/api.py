"""The API: asking the log and saying something over plain HTTP, and following a room in a stream.

A route is a row of ROUTES: from it come the path, the check of the query, and docs/openapi.json.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from math import ceil
from typing import Any
from urllib.parse import quote, unquote

import msgspec
from aiohttp import web

from hubbub.core import commands, names
from hubbub.core.access import HIDDEN, Action
from hubbub.core.hub import Hub
from hubbub.core.list_pages import ListPart
from hubbub.core.model import (
    LOBBY,
    Acknowledged,
    After,
    AllRooms,
    Entry,
    Event,
    Latest,
    MembersListed,
    Query,
    Refusal,
    RoomList,
    Search,
)
from hubbub.core.model import LogPage as Found
from hubbub.core.throttle import Throttle
from hubbub.core.viewer import Viewer
from hubbub.errors import BrokerError, Busy, Closed, Refused
from hubbub.listeners.connection import Shared
from hubbub.listeners.event_stream import EventStreamClient
from hubbub.listeners.http import Call
from hubbub.listeners.socket_writer import SocketWriter
from hubbub.wire import http as wire
from hubbub.wire import line
from hubbub.wire.negotiation import decode, preferred

PREFIX = "/api/v1"
BODY = 10.0  # seconds that a body may take to come in
ANSWER = 30.0  # seconds that the log may take to answer
OUTCOME = 15.0  # seconds after which it is said of a post that its outcome is not known
PATIENCE = 1.0  # seconds that a request waits because of the rate; one that had to wait longer is refused
ADDRESSES = 1024  # whose rates are remembered at once
JSON, TEXT, EVENTS = "application/json", "text/plain", "text/event-stream"
STATUS = {  # of refusals; 400 for the others
    "name-taken": HTTPStatus.CONFLICT,
    "text-too-long": HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    "charset-unknown": HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    "not-stored": HTTPStatus.SERVICE_UNAVAILABLE,
    "broker": HTTPStatus.SERVICE_UNAVAILABLE,
    "busy": HTTPStatus.SERVICE_UNAVAILABLE,
    "not-known": HTTPStatus.GATEWAY_TIMEOUT,
    "not-confirmed": HTTPStatus.GATEWAY_TIMEOUT,
    "too-slow": HTTPStatus.REQUEST_TIMEOUT,
    "too-fast": HTTPStatus.TOO_MANY_REQUESTS,
    "too-many-new-rooms": HTTPStatus.TOO_MANY_REQUESTS,
    "too-many": HTTPStatus.SERVICE_UNAVAILABLE,
    "not-found": HTTPStatus.NOT_FOUND,
    "closed": HTTPStatus.FORBIDDEN,
    "banned": HTTPStatus.FORBIDDEN,
    "method": HTTPStatus.METHOD_NOT_ALLOWED,
}


@dataclass(frozen=True, slots=True)
class Route:
    """A row: what is asked by which query, and what is answered."""

    method: str
    path: str
    summary: str
    query: type[msgspec.Struct]
    answer: type[msgspec.Struct]
    run: Callable[[Api, Call, Any, str], Awaitable[web.StreamResponse]]
    status: int = 200

    @property
    def pattern(self) -> re.Pattern[str]:
        """What a path of this route looks like, escaped as it came."""
        return re.compile(re.escape(PREFIX + self.path).replace(r"\{room\}", "(?P<room>[^/]+)"))


@dataclass(slots=True)
class _Asker:
    """The peer that waits for a search."""

    address: str
    closed: bool = False


class _Waiting(SocketWriter):
    """The outlet of a session that waits for one outcome, and is written nothing."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(None)
        self.outcome: asyncio.Future[Event] = loop.create_future()

    def send_event(self, event: Event) -> None:
        """Note the outcome."""
        if isinstance(event, Acknowledged | Refusal) and not self.outcome.done():
            self.outcome.set_result(event)

    def resume_input(self) -> None:
        """Do nothing: there is no next command."""


class Api:
    """Answers what is asked under PREFIX.

    Args:
        hub: the hub.
        shared: the server's.

    """

    def __init__(self, hub: Hub, shared: Shared) -> None:
        self._hub = hub
        self._shared = shared
        self._throttles: dict[str, Throttle] = {}
        self._routes = [(route.pattern, route) for route in ROUTES]
        forms: dict[str, wire.TextEncoder | wire.EventStreamEncoder] = {
            TEXT: wire.TextEncoder(),
            EVENTS: wire.EventStreamEncoder(lambda: hub.broker.log_id),
        }
        # By media type, and whether the client takes chunks. Forms are compared by identity: each is made once.
        self._forms = {
            (kind, cut is wire.chunk): wire.StreamEncoder(form, cut)
            for kind, form in forms.items()
            for cut in (wire.chunk, wire.whole)
        }

    async def answer(self, call: Call) -> web.StreamResponse:
        """Answer a request."""
        path, method = call.request.rel_url.raw_path, call.request.method
        found = {route.method: (route, match) for pattern, route in self._routes if (match := pattern.fullmatch(path))}
        if not found:
            return problem("not-found", "No such endpoint. See docs/openapi.json.")
        if method == "HEAD" and "GET" in found:
            method = "GET"
        if method not in found:
            allowed = ", ".join(sorted({*found, "HEAD"} if "GET" in found else found))
            return problem("method", f"{method} is not possible here; {allowed} are.", {"Allow": allowed})
        route, match = found[method]
        try:
            if (delay := self._delay(call.origin)) > PATIENCE:
                later = {"Retry-After": str(ceil(delay))}
                return problem("too-fast", "Too many requests came from your address.", later)
            await asyncio.sleep(delay)
            query = msgspec.convert(dict(call.request.query), route.query, strict=False)
            room = names.check_room(unquote(match["room"])) if "{room}" in route.path else ""
            return await route.run(self, call, query, room)
        except msgspec.ValidationError as error:
            return problem("query-invalid", wire.explain(error, route.query))
        except Refused as refusal:
            return problem(refusal.code, refusal.text)
        except Closed as error:
            return problem(error.code, f"{error}.")
        except Busy as error:
            return problem("busy", f"Not done: {error}; try again in a while.", {"Retry-After": "1"})
        except BrokerError as error:
            return problem("broker", f"The log cannot be read: {error}.")

    def _delay(self, where: str) -> float:
        """Return the seconds until the rate of an address allows another request.

        A request that need not wait longer than PATIENCE is charged, another one costs nothing.
        """
        settings = self._shared.settings
        if settings.no_limits:
            return 0.0
        now = self._shared.clock()
        throttle = self._throttles.pop(where, None) or Throttle(settings.rate, settings.burst, now)
        self._throttles[where] = throttle  # the last one to be forgotten
        if len(self._throttles) > ADDRESSES:
            del self._throttles[next(iter(self._throttles))]
        delay = throttle.charge(1, now)
        if delay > PATIENCE:
            throttle.charge(-1, now)
        return delay

    async def _read(self, query: Query | AllRooms) -> Any:
        answer: asyncio.Future[Any] = self._shared.loop.create_future()
        self._hub.read(query, lambda result: None if answer.done() else answer.set_result(result))
        try:
            result = await asyncio.wait_for(answer, ANSWER)
        except TimeoutError:
            raise BrokerError("it does not answer") from None
        if isinstance(result, BrokerError):
            raise result
        return result

    def _viewer(self, call: Call) -> Viewer:
        return self._hub.stranger(self._host(call), call.origin)

    def _host(self, call: Call) -> str:
        return f"~api@{self._shared.cloak(call.origin)}.api"

    async def _may(self, call: Call, action: Action, room: str) -> bool:
        """Return whether somebody may see something of a room; no if it is to seem that there is no such room.

        Raises:
            Refused: it may not.
            BrokerError: the log cannot be read.

        """
        hub, awake = self._hub, self._hub.rooms.loaded
        waiting = _Waiting(self._shared.loop)
        session = hub.connect(waiting, waiting, self._forms[TEXT, False], self._host(call), call.origin)
        came: asyncio.Future[None] = self._shared.loop.create_future()
        try:
            hub.rooms.visit(session, [room], lambda: None if came.done() else came.set_result(None))
            await asyncio.wait_for(came, ANSWER)
            if room not in awake:
                raise BrokerError("it does not answer")
            hub.check(session, action, awake[room])
        except TimeoutError:
            raise BrokerError("it does not answer") from None
        except Refused as refusal:
            if refusal.code == HIDDEN:
                return False
            raise
        finally:
            hub.depart(session)
        return True

    # --- one method a route ---------------------------------------------------------------------------------------

    async def messages(self, call: Call, query: wire.MessagesQuery, room: str) -> web.Response:
        """Answer with messages of a room."""
        after = None if query.after is None else wire.place(query.after, self._hub.broker.log_id)
        viewer = self._viewer(call)
        if after is None:
            return self._page(call, await self._read(Latest(room, query.last, query.before, viewer=viewer)))
        upto = query.before - 1 if query.before else (1 << 62) - 1
        return self._page(call, await self._read(After(room, after, upto, query.last, True, viewer=viewer)))

    async def search(self, call: Call, query: wire.SearchQuery, room: str) -> web.Response:
        """Answer with messages of a room, or of all, that hold words."""
        words = commands.words_of(query.q)
        asker = _Asker(call.origin)
        search = Search(words, query.last, room or None, query.before, viewer=self._viewer(call), asker=asker)
        try:
            found = await self._read(search)
        finally:  # also if the peer goes, which ends this
            asker.closed = True
        return self._page(call, found)

    def _page(self, call: Call, page: Found) -> web.Response:
        if plain(call):
            return self._lines(page.entries, note=page.note)
        return self._numbered(answer(wire.Page([wire.shown(entry) for entry in page.entries], page.more, page.note)))

    def _lines(self, entries: list[Entry] | Any, status: int = 200, note: str = "") -> web.Response:
        now = self._hub.clock()
        lines = [line.stamped(entry, now) for entry in entries] + ([line.notice(note)] if note else [])
        text = "".join(f"{one}\n" for one in lines)
        return self._numbered(web.Response(text=text, status=status))

    def _numbered(self, response: web.Response) -> web.Response:
        """Say to which log the numbers in an answer belong."""
        response.headers["Hubbub-Log"] = self._hub.broker.log_id
        return response

    async def rooms(self, call: Call, query: wire.RoomsQuery, _: str) -> web.Response:
        """Answer with the rooms."""
        viewer = self._viewer(call)
        stored: RoomList = await self._read(AllRooms(query.limit, query.after or "", viewer=viewer))
        listed = commands.rooms_of(self._hub, stored, viewer, part=ListPart(query.after, query.limit))
        # The liveliest are followed by nothing: all rooms are read by name, from the beginning.
        follow = listed.rooms[-1].name if query.after is not None and listed.rooms else ""
        headers = _next(call, follow, query.limit) if listed.more else {}
        if plain(call):
            lines = (f"{room.name} ({room.members}) {room.topic}".rstrip() for room in listed.rooms)
            return web.Response(text="".join(line + "\n" for line in lines), headers=headers)
        rooms = [wire.RoomInfo(room.name, room.members, room.topic) for room in listed.rooms]
        return answer(wire.RoomPage(rooms, listed.more), headers=headers)

    async def members(self, call: Call, query: wire.MembersQuery, room: str) -> web.Response:
        """Answer with the people in a room."""
        seen = await self._may(call, Action.SEE_MEMBERS, room)
        part = ListPart(query.after, query.limit)
        listed = commands.members_of(self._hub, room, part) if seen else MembersListed(room, ())
        headers = _next(call, listed.nicks[-1], query.limit) if listed.more else {}
        if plain(call):
            return web.Response(text="".join(f"{nick}\n" for nick in listed.nicks), headers=headers)
        page = wire.MemberPage(room, list(listed.nicks), listed.more, listed.watching)
        return answer(page, headers=headers)

    async def post(self, call: Call, query: wire.PostQuery, room: str) -> web.Response:
        """Say something, and answer when it is stored."""
        text = await self._text(call)
        if len(text.encode()) > wire.MAX_BODY:
            raise _too_long()
        waiting = _Waiting(self._shared.loop)
        session = self._hub.connect(waiting, waiting, self._forms[TEXT, False], self._host(call), call.origin)
        try:
            self._hub.post(session, query.name, room, text, "r")
            outcome = await asyncio.wait_for(waiting.outcome, OUTCOME)
        except TimeoutError:
            return problem("not-known", "It is not known whether this was sent; look before you send it again.")
        finally:
            self._hub.depart(session)
        if not isinstance(outcome, Acknowledged):
            assert isinstance(outcome, Refusal)
            later = {"Retry-After": "60"} if outcome.code == "too-many-new-rooms" else None
            return problem(outcome.code, outcome.text, later)
        return self._posted(call, outcome.entry)

    def _posted(self, call: Call, entry: Entry) -> web.Response:
        if plain(call):
            return self._lines([entry], 201)
        posted = wire.Posted(*entry)
        if not entry.prev and entry.room != LOBBY and not commands.members_of(self._hub, entry.room).nicks:
            posted.people = 0
        return self._numbered(answer(posted, 201))

    async def _text(self, call: Call) -> str:
        """Return the text that a request's body says."""
        request = call.request
        body = await call.dialogue.read(request, wire.MAX_READ, min(BODY, self._shared.settings.name_timeout))
        if body is None:
            raise _too_long()
        text = decode(body, request.charset or "")
        if text is None:
            raise Refused("charset-unknown", f"The charset {request.charset} is not known here; UTF-8 is.")
        return _message(text) if request.content_type == JSON else text

    async def stream(self, call: Call, query: wire.StreamQuery, room: str) -> web.StreamResponse:
        """Follow a room."""
        await self._may(call, Action.WATCH, room)
        # A client that prefers JSON wants what a program can read.
        lines = preferred(call.request.headers.get("Accept", ""), (EVENTS, JSON, TEXT)) == TEXT
        kind = TEXT if lines else EVENTS
        form = self._forms[kind, call.request.version >= (1, 1)]
        headers = {
            "Content-Type": f"{kind}; charset=utf-8",
            "Cache-Control": "no-store",
            "X-Accel-Buffering": "no",  # so that nginx passes on each part at once
        }
        if call.request.method == "HEAD":
            return web.Response(headers=headers)
        known = self._hub.broker.log_id
        after, other = None, False
        if mark := self._mark(call, query):
            after = wire.place(mark, known)
            other = after is None
        if form.cut is wire.chunk:
            headers["Transfer-Encoding"] = "chunked"
        stream = EventStreamClient(self._hub, form, room, after, other)
        await call.give_way(stream, "200 OK", headers | {"Connection": "close"})

    @staticmethod
    def _mark(call: Call, query: wire.StreamQuery) -> str:
        """Return where a client wants to go on; a header that comes from elsewhere means nothing."""
        last = call.request.headers.get("Last-Event-ID", "")
        return last if wire.is_mark(last) else query.after or ""


def plain(call: Call) -> bool:
    """Return whether a client prefers lines as in a terminal."""
    return preferred(call.request.headers.get("Accept", ""), (JSON, TEXT)) == TEXT


def _too_long() -> Refused:
    return Refused("text-too-long", f"Not sent: a message has at most {wire.MAX_BODY} bytes.")


def _message(text: str) -> str:
    """Return the text of a JSON body. Raises Refused."""
    try:
        return msgspec.json.decode(text, type=wire.MessageBody).text
    except msgspec.ValidationError:
        raise Refused("body-invalid", 'The JSON body must have a text, as in {"text": "hello"}.') from None
    except (msgspec.DecodeError, RecursionError):
        raise Refused("body-invalid", "The body is not JSON, though the Content-Type says so.") from None


def _next(call: Call, after: str, limit: int) -> dict[str, str]:
    """Return the header that says where a list goes on (RFC 8288): relative, so that it is right behind a proxy."""
    path = call.request.rel_url.raw_path.rpartition("/")[2]
    return {"Link": f'<{path}?after={quote(after, safe="")}&limit={limit}>; rel="next"'}


def answer(what: msgspec.Struct, status: int = 200, headers: Mapping[str, str] | None = None) -> web.Response:
    """Return an answer."""
    return web.Response(body=msgspec.json.encode(what) + b"\n", content_type=JSON, status=status, headers=headers)


def problem(code: str, text: str, headers: Mapping[str, str] | None = None) -> web.Response:
    """Return why something was not done."""
    status = HTTPStatus(STATUS.get(code, HTTPStatus.BAD_REQUEST))
    body = msgspec.json.encode(wire.Problem(status.value, status.phrase, text, code)) + b"\n"
    return web.Response(body=body, content_type="application/problem+json", status=status, headers=headers)


ROUTES = (
    Route("GET", "/rooms", "List the rooms.", wire.RoomsQuery, wire.RoomPage, Api.rooms),
    Route("GET", "/search", "Search in all rooms.", wire.SearchQuery, wire.Page, Api.search),
    Route("GET", "/rooms/{room}/messages", "Read messages.", wire.MessagesQuery, wire.Page, Api.messages),
    Route("POST", "/rooms/{room}/messages", "Say the body's text.", wire.PostQuery, wire.Posted, Api.post, 201),
    Route("GET", "/rooms/{room}/search", "Search in a room.", wire.SearchQuery, wire.Page, Api.search),
    Route(
        "GET", "/rooms/{room}/members", "List the people in a room.", wire.MembersQuery, wire.MemberPage, Api.members
    ),
    Route("GET", "/rooms/{room}/stream", "Follow a room.", wire.StreamQuery, wire.LogEntry, Api.stream),
)
