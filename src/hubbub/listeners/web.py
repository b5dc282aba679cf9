"""HTTP: the page, and the WebSocket that it and programs speak. aiohttp parses; deliveries pass it by."""

from __future__ import annotations

import asyncio
import hashlib
import ipaddress
import logging
import socket
from collections.abc import Awaitable, Callable
from importlib import resources
from typing import Any, cast

from aiohttp import WSMsgType, web
from aiohttp.web_protocol import RequestHandler

from hubbub.core import commands, names
from hubbub.core.hub import Hub
from hubbub.core.model import (
    After,
    Answer,
    Event,
    Goodbye,
    Latest,
    Refusal,
    Search,
)
from hubbub.core.throttle import Throttle
from hubbub.errors import Refused
from hubbub.listeners.connection import Shared
from hubbub.listeners.outflow import Outflow
from hubbub.wire import web as wire

log = logging.getLogger("hubbub")

PART = 0.5  # seconds that a stopping server gives its peers to take the last bytes
HEARTBEAT = 20.0  # seconds between two pings; who does not answer within half of that is gone
TYPES = {"html": "text/html", "js": "text/javascript", "css": "text/css", "svg": "image/svg+xml", "txt": "text/plain"}
HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
}


class HttpConnection(RequestHandler):
    """One peer that speaks HTTP: aiohttp's, with an ear for what the transport says."""

    def __init__(
        self,
        manager: web.Server,
        loop: asyncio.AbstractEventLoop,
        sock: socket.socket | None,
        gone: Callable[[Any], None],
    ) -> None:
        super().__init__(manager, loop=loop, keepalive_timeout=60, lingering_time=2)
        self.sock = sock  # None if it is encrypted
        self._told = gone
        self.talk: Talk | None = None
        self.peer: Any = None
        self.origin = ""
        self.made = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self.made = True
        super().connection_made(transport)

    def connection_lost(self, exc: BaseException | None) -> None:
        """Forget the peer."""
        super().connection_lost(exc)
        self._told(self)

    def pause_writing(self) -> None:
        """Let the hub write nothing: the peer does not read."""
        super().pause_writing()
        if self.talk:
            self.talk.pause()

    def resume_writing(self) -> None:
        """Let the hub write again."""
        super().resume_writing()
        if self.talk:
            self.talk.resume()


class Web:
    """The web server.

    Args:
        hub: the hub.
        shared: the server's.

    """

    def __init__(self, hub: Hub, shared: Shared) -> None:
        self._hub = hub
        self._shared = shared
        self._files = _files()
        self._hosts = frozenset(host.lower() for host in shared.settings.host)
        self._talks: set[Talk] = set()
        app = web.Application(middlewares=[self._guard], client_max_size=wire.MAX_FRAME)
        app.router.add_get("/", self._file)
        app.router.add_get("/page/{name:.+}", self._file)
        app.router.add_get("/ws", self._websocket)
        self._runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=PART)

    async def start(self) -> None:
        """Make ready to take connections."""
        await self._runner.setup()

    async def stop(self) -> None:
        """Close what is open."""
        await self._runner.cleanup()

    def farewell(self) -> None:
        """Tell everybody that the server stops."""
        for talk in list(self._talks):
            talk.farewell()

    def protocol(
        self, sock: socket.socket | None, peer: Any, origin: str, gone: Callable[[Any], None]
    ) -> HttpConnection:
        """Return the protocol of a new connection."""
        connection = HttpConnection(cast(web.Server, self._runner.server), self._shared.loop, sock, gone)
        connection.peer, connection.origin = peer, origin
        return connection

    @web.middleware
    async def _guard(
        self, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        """Refuse whom a foreign page sends: by a name that is not ours (DNS rebinding), or from its own origin."""
        if not self._is_ours(request.host):
            return web.Response(status=421, text="This server is not known by that name; see --host.\n")
        origin = request.headers.get("Origin")
        if origin is not None and origin.partition("://")[2].lower() != request.host.lower():
            return web.Response(status=403, text="Requests from other sites are refused.\n")
        try:
            response = await handler(request)
        except web.HTTPException as error:
            error.headers.update(HEADERS)
            raise
        if not response.prepared:
            response.headers.update(HEADERS)
        return response

    def _is_ours(self, host: str) -> bool:
        name = host.rpartition(":")[0] if not host.endswith("]") and ":" in host else host
        name = name.removeprefix("[").removesuffix("]").lower()
        if name == "localhost" or name in self._hosts:
            return True
        try:
            ipaddress.ip_address(name)  # a name that an attacker may point here is none
        except ValueError:
            return False
        return True

    async def _file(self, request: web.Request) -> web.Response:
        found = self._files.get(request.match_info.get("name", "index.html"))
        if found is None:
            raise web.HTTPNotFound
        body, kind, tag = found
        headers = {"ETag": tag, "Cache-Control": "no-cache"}
        if request.headers.get("If-None-Match") == tag:
            return web.Response(status=304, headers=headers)
        return web.Response(body=body, content_type=kind, charset="utf-8", headers=headers)

    async def _websocket(self, request: web.Request) -> web.StreamResponse:
        socket = web.WebSocketResponse(heartbeat=HEARTBEAT, max_msg_size=wire.MAX_FRAME, compress=False)
        if not socket.can_prepare(request):
            return web.Response(status=426, text="This is the WebSocket; see docs/protocol.md.\n")
        await socket.prepare(request)
        talk = Talk(self._hub, self._shared, cast(HttpConnection, request.protocol), socket)
        self._talks.add(talk)
        try:
            await talk.run()
        finally:
            self._talks.discard(talk)
            talk.end()
        return socket


class Talk(Outflow):
    """What is talked about over a WebSocket: the hub's outlet for its session.

    Args:
        hub: the hub.
        shared: the server's.
        connection: the HTTP connection that it was.
        answer: aiohttp's side of it; deliveries pass it by.

    """

    def __init__(self, hub: Hub, shared: Shared, connection: HttpConnection, answer: web.WebSocketResponse) -> None:
        super().__init__(connection.sock)
        self._hub = hub
        self._settings = shared.settings
        self._clock = shared.clock
        self._socket = answer
        self._connection = connection
        self.transport = cast(asyncio.Transport, connection.transport)
        plain = connection.sock is not None
        self.transport.set_write_buffer_limits(0 if plain else shared.settings.buffer // 2, 0)
        self._left = self.transport.get_write_buffer_size() > 0  # the answer to its handshake
        self._again = asyncio.Event()
        self._over = False
        settings = shared.settings
        self._throttle = Throttle(0 if settings.no_limits else settings.rate, settings.burst, shared.clock())
        self._session = hub.connect(self, self, wire.FORM)
        connection.talk = self

    # --- the connection's calls -----------------------------------------------------------------------------------

    def pause(self) -> None:
        """Let the hub write nothing."""
        self._left = True
        self._hub.pause(self._session)

    def resume(self) -> None:
        """Let the hub write again."""
        self._left = False
        self._hub.resume(self._session)

    # --- the hub's calls ------------------------------------------------------------------------------------------

    def tell(self, event: Event) -> None:
        """Send an event; after a goodbye, close."""
        if isinstance(event, Goodbye):
            self._over = True
            self._again.set()
            # The reader waits for a frame that need not come.
            self._connection._loop.call_soon(self.transport.close)
        else:
            self.write(wire.render(event))

    def go_on(self) -> None:
        """Take the next frame."""
        self._again.set()

    # --- its own --------------------------------------------------------------------------------------------------

    def farewell(self) -> None:
        """Say that the server stops, and close."""
        self.write(wire.encode("notice", lines=["The server is shutting down"]))
        self.stop()
        self.transport.close()

    def end(self) -> None:
        """Leave."""
        self.stop()
        self._connection.talk = None
        if self._session.user and not self._session.gone:
            log.info("%s (%s) has left", self._session.nick, self._connection.peer)
        self._hub.depart(self._session)

    async def run(self) -> None:
        """Take frames until there are no more."""
        while not self._over:
            wait = None if self._session.user else self._settings.name_timeout
            try:
                message = await self._socket.receive(wait)
            except TimeoutError:
                await self._socket.close(message=b"no name was given in time")
                return
            if message.type is WSMsgType.TEXT:
                await self._turn()
                self._take(message.data)
            elif message.type is WSMsgType.BINARY:
                self._refuse("bad-frame", "Frames are text.")
            else:
                return

    async def _turn(self) -> None:
        """Wait until the rate and the hub allow the next frame; what comes meanwhile is not read."""
        while delay := self._throttle.delay(self._clock()):  # noqa: ASYNC110 - a rate is a matter of time
            await asyncio.sleep(delay)
        while not (self._over or self._hub.ready(self._session)):
            self._again.clear()
            await self._again.wait()

    def _refuse(self, code: str, text: str, label: str = "") -> None:
        self._hub.reply(self._session, Refusal(code, text, label))

    def _take(self, data: str) -> None:
        try:
            request = wire.parse(data)
        except wire.BadFrame as error:
            self._refuse("bad-frame", f"That is no request: {error}.")
            return
        if self._over:
            return
        try:
            if self._session.user is None and not isinstance(request, wire.Hello):
                raise Refused("no-name", "Say hello first.")
            _REQUESTS[type(request)](self, request)
        except Refused as refusal:
            self._refuse(refusal.code, refusal.text, getattr(request, "label", ""))

    def _hello(self, request: wire.Hello) -> None:
        if self._session.user is not None:
            raise Refused("named-already", "You have a name; /nick takes another.")
        self._hub.enter(self._session, request.name.strip())
        log.info("%s (%s) has joined", self._session.nick, self._connection.peer)
        self.write(wire.encode("welcome", nick=self._session.nick, tag=self._session.tag))

    def _say(self, request: wire.Say) -> None:
        if len(request.text.encode("utf-8", "replace")) > wire.MAX_TEXT:
            raise Refused("text-too-long", f"Not sent: a message has at most {wire.MAX_TEXT} bytes.")
        self._hub.say(self._session, request.text, request.room, label=request.label)

    def _command(self, request: wire.Command) -> None:
        if request.room:
            self._hub.rooms.focus(self._session, self._hub.rooms.of(self._session, request.room).name)
        commands.run(self._hub, self._session, request.line)

    def _history(self, request: wire.History) -> None:
        room = names.check_room(request.room)
        if request.after is None:
            query: Latest | After = Latest(room, request.limit, request.before, every=True)
        else:
            query = After(room, request.after, (1 << 62) - 1, request.limit)
        self._hub.ask(self._session, query, lambda page: Answer(request.label, page))

    def _find(self, request: wire.Find) -> None:
        room = names.check_room(request.room) if request.room else None
        if len(request.words.split()) > commands.MAX_WORDS:
            raise Refused("too-many-words", f"A search has at most {commands.MAX_WORDS} words.")
        query = Search(request.words, request.limit, room, request.before)
        self._hub.ask(self._session, query, lambda page: Answer(request.label, page))


_REQUESTS: dict[type[wire.Request], Callable[[Talk, Any], None]] = {
    wire.Hello: Talk._hello,
    wire.Say: Talk._say,
    wire.Command: Talk._command,
    wire.Join: lambda talk, request: talk._hub.rooms.join(talk._session, request.room),
    wire.Leave: lambda talk, request: talk._hub.rooms.leave(talk._session, request.room),
    wire.Msg: lambda talk, request: talk._hub.whisper(talk._session, request.to, request.text),
    wire.History: Talk._history,
    wire.Find: Talk._find,
    wire.AskRooms: lambda talk, request: commands.list_rooms(talk._hub, talk._session),
    wire.AskMembers: lambda talk, request: commands.list_members(talk._hub, talk._session, request.room),
}


def _files() -> dict[str, tuple[bytes, str, str]]:
    """Return the page's files by name: content, type, tag."""
    found = {}
    top = resources.files("hubbub") / "page"
    for prefix, folder in (("", top), ("vendor/", top / "vendor")):
        for file in folder.iterdir():
            kind = TYPES.get(file.name.rpartition(".")[2])
            if file.is_file() and kind:
                body = file.read_bytes()
                found[prefix + file.name] = body, kind, f'"{hashlib.sha256(body).hexdigest()[:20]}"'
    return found
