"""HTTP: the page, and the WebSocket that it and programs speak. aiohttp parses; deliveries pass it by."""

from __future__ import annotations

import asyncio
import hashlib
import ipaddress
import logging
import socket
from collections.abc import Awaitable, Callable, Sequence
from importlib import resources
from typing import Any, cast

from aiohttp import web
from aiohttp.web_protocol import RequestHandler

from hubbub.core.hub import Hub
from hubbub.errors import BrokerError
from hubbub.listeners.address import is_loopback
from hubbub.listeners.api import Api
from hubbub.listeners.connection import Shared
from hubbub.listeners.metrics import exposition
from hubbub.listeners.readings import Readings
from hubbub.listeners.stream import Stream
from hubbub.listeners.talk import Talk
from hubbub.wire import web as wire

log = logging.getLogger("hubbub")

PART = 0.5  # seconds that a stopping server gives its peers to take the last bytes
HEAD = 10.0  # seconds in which a peer's first request must have come
PROBE = 2.0  # seconds after which a broker that has not committed is said to fail
HEARTBEAT = 20.0  # seconds between two pings; who does not answer within half of that is gone
TYPES = {"html": "text/html", "js": "text/javascript", "css": "text/css", "svg": "image/svg+xml", "txt": "text/plain"}
HEADERS = {
    "Server": "hubbub",
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
}


Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
Probe = Callable[[Callable[[BrokerError | None], None]], None]


class HttpConnection(RequestHandler):
    """One peer that speaks HTTP: aiohttp's, with an ear for what the transport says."""

    def __init__(
        self, manager: web.Server, shared: Shared, sock: socket.socket | None, gone: Callable[[Any], None]
    ) -> None:
        super().__init__(manager, loop=shared.loop, keepalive_timeout=60, lingering_time=2)
        self._deadlines = shared.deadlines
        self._patience = min(HEAD, shared.settings.name_timeout)
        self.slot = 0
        self.sock = sock  # None if it is encrypted
        self._told = gone
        self.talk: Talk | Stream | None = None  # what the hub writes to past aiohttp
        self.peer: Any = None
        self.origin = ""
        self.made = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self.made = True
        super().connection_made(transport)
        self._deadlines.set(self, self._patience)

    def connection_lost(self, exc: BaseException | None) -> None:
        """Forget the peer."""
        super().connection_lost(exc)
        self.asked()
        if self.talk:
            self.talk.lost()
        self._told(self)

    def asked(self) -> None:
        """Note that it has sent a request; how long it may take to the next is aiohttp's business."""
        self._deadlines.clear(self)

    def tick(self) -> None:
        """Close: it has sent no whole request in time."""
        if self.transport:
            self.transport.abort()

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
        probe: whether the broker can commit; calls back with None or the reason.
        readings: what /metrics shows.

    """

    def __init__(self, hub: Hub, shared: Shared, probe: Probe, readings: Callable[[], Readings]) -> None:
        self._hub = hub
        self._probe = probe
        self._readings = readings
        self._shared = shared
        self._files = _files()
        ours = socket.gethostname().lower().removesuffix(".local")  # no attacker can point that anywhere
        self._hosts = frozenset(host.lower() for host in (*shared.settings.host, ours, f"{ours}.local"))
        self._talks: set[Talk] = set()
        self._api = Api(hub, shared)
        app = web.Application(middlewares=[self._guard], client_max_size=wire.MAX_FRAME)
        app.router.add_get("/", self._file)
        app.router.add_get("/page/{name:.+}", self._file)
        app.router.add_get("/ws", self._websocket)
        app.router.add_get("/healthz", self._for_operators(self._health))
        app.router.add_get("/metrics", self._for_operators(self._metrics))
        self._api.add_to(app)
        self._operators: web.AppRunner | None = None
        self._runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=PART)

    async def start(self) -> None:
        """Make ready to take connections."""
        await self._runner.setup()

    async def start_metrics(self, sockets: Sequence[socket.socket]) -> None:
        """Answer /healthz and /metrics to everybody on these sockets, and nothing else."""
        app = web.Application()
        app.router.add_get("/healthz", self._health)
        app.router.add_get("/metrics", self._metrics)
        self._operators = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=PART)
        await self._operators.setup()
        for sock in sockets:
            await web.SockSite(self._operators, sock).start()

    async def stop(self) -> None:
        """Close what is open."""
        await self._runner.cleanup()
        if self._operators:
            await self._operators.cleanup()

    def farewell(self) -> None:
        """Tell everybody that the server stops."""
        self._api.farewell()
        for talk in list(self._talks):
            talk.farewell()

    def protocol(
        self, sock: socket.socket | None, peer: Any, origin: str, gone: Callable[[Any], None]
    ) -> HttpConnection:
        """Return the protocol of a new connection."""
        connection = HttpConnection(cast(web.Server, self._runner.server), self._shared, sock, gone)
        connection.peer, connection.origin = peer, origin
        return connection

    @web.middleware
    async def _guard(
        self, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        """Refuse whom a foreign page sends: by a name that is not ours (DNS rebinding), or from its own origin."""
        cast(HttpConnection, request.protocol).asked()
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

    def _for_operators(self, handler: Handler) -> Handler:
        """Answer only who asks on this machine, and is no reverse proxy that asks for somebody else."""

        async def guarded(request: web.Request) -> web.StreamResponse:
            here = is_loopback(cast(HttpConnection, request.protocol).origin)
            if not here or request.headers.keys() & {"Forwarded", "X-Forwarded-For"}:
                return web.Response(status=403, text="This is answered on loopback only; see --metrics-listen.\n")
            return await handler(request)

        return guarded

    async def _health(self, request: web.Request) -> web.Response:
        """Answer whether the broker commits."""
        outcome: asyncio.Future[BrokerError | None] = self._shared.loop.create_future()
        self._probe(lambda result: None if outcome.done() else outcome.set_result(result))
        try:
            error = await asyncio.wait_for(outcome, PROBE)
        except TimeoutError:
            return web.json_response({"status": "failing", "reason": "the log does not answer"}, status=503)
        if error:
            return web.json_response({"status": "failing", "reason": str(error)}, status=503)
        return web.json_response({"status": "ok"})

    async def _metrics(self, request: web.Request) -> web.Response:
        """Answer with what is counted, in the form that is asked for."""
        body, kind = exposition(self._readings(), request.headers.get("Accept", ""))
        return web.Response(body=body, headers={"Content-Type": kind})

    @property
    def counts(self) -> dict[str, int]:
        """How many connections there are of each kind."""
        talks, streams = len(self._talks), len(self._api.streams)
        server = self._runner.server
        http = len(server.connections) if server else 0
        return {"websocket": talks, "stream": streams, "http": max(0, http - talks - streams)}

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
