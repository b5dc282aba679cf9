"""The API: asking the log and saying something over plain HTTP, and following a room in a stream.

A route is a row of ROUTES: from it come the path, the check of the query, and docs/openapi.json.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, cast

import msgspec
from aiohttp import web

from hubbub.core import commands, names
from hubbub.core.hub import Hub
from hubbub.core.model import (
    After,
    AllRooms,
    Entry,
    Event,
    Latest,
    Query,
    Refusal,
    RoomList,
    Search,
    Stored,
)
from hubbub.core.model import Page as Found
from hubbub.core.throttle import Throttle
from hubbub.errors import BrokerError, Closed, Refused
from hubbub.listeners.connection import Shared
from hubbub.listeners.outflow import Outflow
from hubbub.listeners.stream import Stream
from hubbub.wire import http as wire
from hubbub.wire import line

if TYPE_CHECKING:
    from hubbub.listeners.web import HttpConnection

PREFIX = "/api/v1"
BODY = 10.0  # seconds that a body may take to come in
OUTCOME = 15.0  # seconds after which who posted is told that it is not known how that ended
ADDRESSES = 1024  # whose rates are remembered at once
PLAIN = wire.Streamed(line.RAW)
STATUS = {  # of refusals; 400 for the others
    "name-taken": HTTPStatus.CONFLICT,
    "text-too-long": HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    "not-stored": HTTPStatus.SERVICE_UNAVAILABLE,
    "broker": HTTPStatus.SERVICE_UNAVAILABLE,
    "not-known": HTTPStatus.GATEWAY_TIMEOUT,
    "not-confirmed": HTTPStatus.GATEWAY_TIMEOUT,
    "too-slow": HTTPStatus.REQUEST_TIMEOUT,
    "not-found": HTTPStatus.NOT_FOUND,
    "closed": HTTPStatus.FORBIDDEN,
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
    run: Callable[[Api, web.Request, Any], Awaitable[web.StreamResponse]]
    status: int = 200


class _Waiting(Outflow):
    """The outlet of a session that waits for one outcome, and is written nothing."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(None)
        self.outcome: asyncio.Future[Event] = loop.create_future()

    def tell(self, event: Event) -> None:
        """Note the outcome."""
        if isinstance(event, Stored | Refusal) and not self.outcome.done():
            self.outcome.set_result(event)

    def go_on(self) -> None:
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
        self.streams: set[Stream] = set()

    def add_to(self, app: web.Application) -> None:
        """Add the routes."""
        for route in ROUTES:
            app.router.add_route(route.method, PREFIX + route.path, self._handler(route))
        app.router.add_route("*", PREFIX + "/{rest:.*}", self._nothing)

    def _handler(self, route: Route) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def handle(request: web.Request) -> web.StreamResponse:
            await self._wait(request)
            try:
                query = msgspec.convert(dict(request.query), route.query, strict=False)
                return await route.run(self, request, query)
            except msgspec.ValidationError as error:
                return problem("query-invalid", explain(error))
            except Refused as refusal:
                return problem(refusal.code, refusal.text)
            except Closed as error:
                return problem("closed", f"{error}.")
            except BrokerError as error:
                return problem("broker", f"The log cannot be read: {error}.")

        return handle

    async def _nothing(self, request: web.Request) -> web.Response:
        paths = [re.escape(PREFIX + route.path).replace(r"\{room\}", "[^/]+") for route in ROUTES]
        if any(re.fullmatch(path, request.path) for path in paths):
            return problem("method", f"That is not done by {request.method}.")
        return problem("not-found", "There is no such thing in this API.")

    async def _wait(self, request: web.Request) -> None:
        """Wait until the rate of the peer's address allows another request."""
        settings = self._shared.settings
        if settings.no_limits:
            return
        now = self._shared.clock()
        where = cast("HttpConnection", request.protocol).origin
        throttle = self._throttles.pop(where, None) or Throttle(settings.rate, settings.burst, now)
        self._throttles[where] = throttle  # the last one to be forgotten
        if len(self._throttles) > ADDRESSES:
            del self._throttles[next(iter(self._throttles))]
        if delay := throttle.charge(1, now):
            await asyncio.sleep(delay)

    async def _read(self, query: Query | AllRooms) -> Any:
        answer: asyncio.Future[Any] = self._shared.loop.create_future()
        self._hub.broker.read(query, lambda result: None if answer.done() else answer.set_result(result))
        result = await answer
        if isinstance(result, BrokerError):
            raise result
        return result

    async def _check_open(self, room: str) -> None:
        """Raise Closed if a room is read by its members only."""
        await self._read(Latest(room, 1, inside=()))

    # --- one method a route ---------------------------------------------------------------------------------------

    async def messages(self, request: web.Request, query: wire.Messages) -> web.Response:
        """Answer with messages of a room."""
        room = names.check_room(request.match_info["room"])
        if query.after is None:
            return self._page(request, await self._read(Latest(room, query.last, query.before, inside=())))
        upto = query.before - 1 if query.before else (1 << 62) - 1
        return self._page(request, await self._read(After(room, query.after, upto, query.last, True, ())))

    async def search(self, request: web.Request, query: wire.Search) -> web.Response:
        """Answer with messages of a room, or of all, that hold words."""
        room = request.match_info.get("room")
        if len(query.q.split()) > commands.MAX_WORDS:
            raise Refused("too-many-words", f"A search has at most {commands.MAX_WORDS} words.")
        where = names.check_room(room) if room else None
        return self._page(request, await self._read(Search(query.q, query.last, where, query.before, ())))

    def _page(self, request: web.Request, page: Found) -> web.Response:
        if plain(request):
            return self._lines(page.entries)
        return answer(wire.Page([wire.shown(entry) for entry in page.entries], page.more))

    def _lines(self, entries: list[Entry] | Any, status: int = 200) -> web.Response:
        now = self._hub.clock()
        return web.Response(text="".join(line.stamped(entry, now) + "\n" for entry in entries), status=status)

    async def rooms(self, request: web.Request, _: wire.Nothing) -> web.Response:
        """Answer with the rooms."""
        stored: RoomList = await self._read(AllRooms(commands.MAX_LISTED, ()))
        listed = commands.rooms_of(self._hub, stored)
        if plain(request):
            return web.Response(
                text="".join(f"{room.name} ({room.members}) {room.topic}".rstrip() + "\n" for room in listed.rooms)
            )
        return answer(
            wire.RoomPage([wire.RoomInfo(room.name, room.members, room.topic) for room in listed.rooms], listed.more)
        )

    async def members(self, request: web.Request, _: wire.Nothing) -> web.Response:
        """Answer with who is in a room."""
        name = names.check_room(request.match_info["room"])
        await self._check_open(name)
        listed = commands.members_of(self._hub, name)
        if plain(request):
            return web.Response(text="".join(f"{nick}\n" for nick in listed.nicks))
        return answer(wire.MemberPage(name, list(listed.nicks), listed.more))

    async def post(self, request: web.Request, query: wire.Post) -> web.Response:
        """Say something, and answer when it is stored."""
        try:
            async with asyncio.timeout(min(BODY, self._shared.settings.name_timeout)):
                body = await request.read()
        except TimeoutError:
            return problem("too-slow", "The message took too long to come in.")
        except web.HTTPRequestEntityTooLarge:
            body = b" " * (wire.MAX_BODY + 1)
        if len(body) > wire.MAX_BODY:
            raise Refused("text-too-long", f"Not sent: a message has at most {wire.MAX_BODY} bytes.")
        waiting = _Waiting(self._shared.loop)
        origin = cast("HttpConnection", request.protocol).origin
        cloak = self._shared.cloak(origin)
        session = self._hub.connect(waiting, waiting, wire.EVENTS, f"~api@{cloak}.api", origin)
        try:
            self._hub.post(session, query.name, request.match_info["room"], body.decode("utf-8", "replace"), "r")
            outcome = await asyncio.wait_for(waiting.outcome, OUTCOME)
        except TimeoutError:
            return problem("not-known", "It is not known whether this was sent; look before you send it again.")
        finally:
            self._hub.depart(session)
        if isinstance(outcome, Refusal):
            return problem(outcome.code, outcome.text)
        entry = cast(Stored, outcome).entry
        return self._lines([entry], 201) if plain(request) else answer(wire.shown(entry), 201)

    async def stream(self, request: web.Request, query: wire.Stream) -> web.StreamResponse:
        """Follow a room."""
        room = names.check_room(request.match_info["room"])
        await self._check_open(room)
        after = query.after
        last = request.headers.get("Last-Event-ID", "")
        if last.isdecimal() and len(last) < 19:
            after = int(last)
        if request.version < (1, 1):
            raise Refused("http-too-old", "A stream needs HTTP/1.1.")
        text = plain(request)
        response = web.StreamResponse(headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"})
        response.content_type = "text/plain" if text else "text/event-stream"
        response.charset = "utf-8"
        await response.prepare(request)
        connection = cast("HttpConnection", request.protocol)
        stream = Stream(self._hub, connection, self._shared, PLAIN if text else wire.EVENTS)
        self.streams.add(stream)
        try:
            self._hub.rooms.watch(stream.session, room, after)
            await stream.run()
        finally:
            connection.talk = None
            self.streams.discard(stream)
            stream.end()
        return response

    def farewell(self) -> None:
        """End all streams: the server stops."""
        for stream in list(self.streams):
            stream.lost()


def plain(request: web.Request) -> bool:
    """Whether a peer asks for lines as in a terminal."""
    return "text/plain" in request.headers.get("Accept", "")


def explain(error: msgspec.ValidationError) -> str:
    """Turn msgspec's "Expected `int` <= 200 - at `$.last`" into a sentence."""
    text = str(error)
    if missing := re.search(r"missing required field `(\w+)`", text):
        return f"The query lacks {missing[1]}, as in ?{missing[1]}=…"
    what, _, where = text.partition(" - at `$.")
    return f"The query's {where.rstrip('`')} is not valid: {what[:1].lower()}{what[1:].replace('`', '')}."


def answer(what: msgspec.Struct, status: int = 200) -> web.Response:
    """Return an answer."""
    return web.Response(body=msgspec.json.encode(what) + b"\n", content_type="application/json", status=status)


def problem(code: str, text: str) -> web.Response:
    """Return why something was not done."""
    status = HTTPStatus(STATUS.get(code, HTTPStatus.BAD_REQUEST))
    body = msgspec.json.encode(wire.Problem(status.value, status.phrase, text, code)) + b"\n"
    return web.Response(body=body, content_type="application/problem+json", status=status)


ROUTES = (
    Route("GET", "/rooms", "List the rooms.", wire.Nothing, wire.RoomPage, Api.rooms),
    Route("GET", "/search", "Search in all rooms.", wire.Search, wire.Page, Api.search),
    Route("GET", "/rooms/{room}/messages", "Read messages.", wire.Messages, wire.Page, Api.messages),
    Route("POST", "/rooms/{room}/messages", "Say the body's text.", wire.Post, wire.LogEntry, Api.post, 201),
    Route("GET", "/rooms/{room}/search", "Search in a room.", wire.Search, wire.Page, Api.search),
    Route("GET", "/rooms/{room}/members", "List who is there.", wire.Nothing, wire.MemberPage, Api.members),
    Route("GET", "/rooms/{room}/stream", "Follow a room.", wire.Stream, wire.LogEntry, Api.stream),
)
