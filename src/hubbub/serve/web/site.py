"""The web server: the check of requests, the page, the WebSocket, and the health check and metrics for operators."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from functools import partial
from types import MappingProxyType
from typing import Any

from aiohttp import web
from multidict import CIMultiDictProxy
from websockets.frames import Opcode

from hubbub.chat.hub import Hub
from hubbub.errors import BrokerError, Refused
from hubbub.serve.accept.address import contains, network, origin
from hubbub.serve.irc.client import IrcClient
from hubbub.serve.irc.network import IrcNetwork
from hubbub.serve.sockets.connection import ClientProtocol, Connection, Shared
from hubbub.serve.stats import Stats
from hubbub.serve.web import page_files
from hubbub.serve.web.account_pages import AccountPages
from hubbub.serve.web.api import transcripts
from hubbub.serve.web.api.context import ApiContext
from hubbub.serve.web.api.router import ApiRouter
from hubbub.serve.web.api.routes import PREFIX
from hubbub.serve.web.credentials import browser_of
from hubbub.serve.web.http import Call, HttpClient, dialogue_of, server
from hubbub.serve.web.irc_client import MAX_MESSAGE, OPCODES, IrcWebSocketClient
from hubbub.serve.web.metrics import exposition
from hubbub.serve.web.websocket_client import Tokens, WebSocketClient
from hubbub.text.cleaning import clean
from hubbub.wire.web import forwarded, site, websocket
from hubbub.wire.web import requests as wire
from hubbub.wire.web.http import ENCRYPTED, HEADERS
from hubbub.wire.web.statuses import status_of
from hubbub.wire.web.websocket import SUBPROTOCOL

log = logging.getLogger("hubbub")

PART = 0.5  # seconds that a stopping server gives its peers to receive the last bytes
PROBE = 2.0  # seconds after which a broker that has not committed counts as failed
WARNINGS = 16  # maximum number of different refusals that are logged
SHOWN = 100  # characters of a header that are logged
PATH = 2048  # maximum characters of a path; a name may take twelve for each of its characters
CHANGED = "A proxy in front of this server changes the Host of requests. It must pass it on: see docs/operations.md."
FOR_THIS_MACHINE = (
    "This is for requests of HTTP/1.1 from this machine, with a Host such as localhost and not through a proxy. "
    "--metrics-listen answers all others: see docs/operations.md."
)
IRC = "/irc"  # the path of IRC over a WebSocket
Probe = Callable[[Callable[[BrokerError | None], None]], None]
Handler = Callable[[Call], Awaitable[web.StreamResponse]]


class Web:
    """The web server.

    Args:
        hub: the hub.
        irc: the state that all IRC clients share.
        shared: the state that all connections share.
        probe: checks whether the broker can commit, and calls back with None or the error.
        readings: returns the stats that /metrics shows.

    """

    def __init__(
        self, hub: Hub, irc: IrcNetwork[IrcClient], shared: Shared, probe: Probe, readings: Callable[[], Stats]
    ) -> None:
        self._hub = hub
        self._irc_network = irc
        self._probe = probe
        self._readings = readings
        self._shared = shared
        self._files = page_files.files()
        self._names = _names(shared.settings.host)
        self._trusted = [network(text) for text in shared.settings.trust_proxy]
        self._irc_origins = frozenset(origin.lower().removesuffix("/") for origin in shared.settings.irc_origin)
        self._told: set[str] = set()
        self._tokens = Tokens()
        api = ApiContext(hub, shared)
        self._api = ApiRouter(api)
        transcript = partial(transcripts.transcript_for, api)
        self._account_pages = AccountPages(hub, shared, self._tokens, self._trusts, transcript)
        self._paths: dict[str, Handler] = {
            "/ws": self._websocket,
            IRC: self._irc,
            "/healthz": self._for_operators(self._health),
            "/metrics": self._for_operators(self._metrics),
        }
        self._server = server(partial(self._serve, self._find))
        self._operators = server(partial(self._serve, self._find_for_operators))
        self._listeners: list[asyncio.Server] = []

    async def start_metrics(self, sockets: Sequence[socket.socket]) -> None:
        """Serve /healthz and /metrics on these sockets to every peer, and nothing else."""

        def protocol() -> Connection:
            dialogue = HttpClient(self._operators, self._shared, HEADERS)
            return Connection(self._shared, dialogue, None, lambda connection: None)

        loop = self._shared.loop
        self._listeners = [await loop.create_server(protocol, sock=sock) for sock in sockets]

    async def stop(self) -> None:
        """Close the metrics listeners, and shut down the HTTP connections within PART seconds each."""
        for listener in self._listeners:
            listener.close()
        await self._server.shutdown(PART)
        await self._operators.shutdown(PART)

    def client(self, encrypted: bool) -> HttpClient:
        """Return the client for a new connection that speaks HTTP."""
        return HttpClient(self._server, self._shared, ENCRYPTED if encrypted else HEADERS)

    # --- requests -------------------------------------------------------------------------------------------

    async def _serve(self, find: Handler, request: web.BaseRequest) -> web.StreamResponse:
        """Answer a request. An exception of the handler is logged and answered as an internal error."""
        dialogue = dialogue_of(request)
        connection = dialogue.connection
        peer, where = self._client(connection, request.headers)
        call = Call(request, dialogue, peer, where, self._is_encrypted(connection, request.headers))

        async def found(request: web.BaseRequest) -> web.StreamResponse:
            try:
                return await find(call)
            except Refused as refused:
                return text(status_of(refused), refused.text)
            except ConnectionError:  # the peer has gone
                raise
            except Exception:
                log.exception("A request for %s could not be answered", clean(request.path))
                return text(500, "Something went wrong. The server's log has the details.")

        return await dialogue.answer(request, found)

    def _client(self, connection: Connection, headers: CIMultiDictProxy[str]) -> tuple[Any, str]:
        """Return the socket address of the client behind a request, and the address under which it is counted."""
        peer = connection.peer
        if not self._trusts(peer[0]):
            return peer, connection.origin
        hops = forwarded.hops(headers.getall("X-Forwarded-For", ()), headers.getall("Forwarded", ()))
        host = forwarded.client(peer[0], hops, self._trusts)
        return (peer, connection.origin) if host == peer[0] else ((host, 0), origin(host))

    def _is_encrypted(self, connection: Connection, headers: CIMultiDictProxy[str]) -> bool:
        """Return whether the connection of the client behind a request is encrypted, as far as it is known."""
        said = forwarded.is_encrypted(headers.getall("X-Forwarded-Proto", ()))
        return connection.encrypted if said is None or not self._trusts(connection.peer[0]) else said

    def _trusts(self, host: str) -> bool:
        return any(contains(trusted, host) for trusted in self._trusted)

    async def _find(self, call: Call) -> web.StreamResponse:
        """Return the response to a request, or refuse the request before its body is read."""
        request = call.request
        path = request.rel_url.raw_path
        if len(path) > PATH:
            return text(414, "There is no such page: its address is too long.")
        file = self._files.get(path)
        if refusal := self._refuse(request, path, public=file is not None):
            return refusal
        if path.startswith(f"{PREFIX}/"):
            return await self._api.answer(call)
        if path.startswith("/api/"):
            return await self._account_pages.answer(call)
        handler = partial(page_files.send, file) if file else self._paths.get(path)
        if handler is None:
            return text(404, "There is no such page.")
        if request.method not in ("GET", "HEAD"):
            return text(405, f"{request.method} is not allowed here.", Allow="GET, HEAD")
        return await handler(call)

    def _refuse(self, request: web.BaseRequest, path: str, public: bool) -> web.StreamResponse | None:
        """Refuse a request without a host or for another host, of a foreign page, or with an encoded body.

        Args:
            request: the request.
            path: its path.
            public: whether the response is the same for every client. Then the request's origin does not matter.

        """
        host = request.headers.get("Host", "")
        if not host and request.version >= (1, 1):
            return text(400, "The request lacks a Host.")
        if host and not site.is_ours(host, self._names):
            self._tell("Refused a request for the host %s: name it with --host, if it is this server's", host)
            return text(421, "This server is not known by that name; see --host.")
        invited = path == IRC and request.headers.get("Origin", "").lower() in self._irc_origins
        if not invited and (refusal := self._refuse_foreign_page(request, host, public, navigable=path == "/")):
            return refusal
        if request.headers.get("Content-Encoding", "identity").lower() != "identity":
            return text(415, "Encoded bodies are not taken.", **{"Accept-Encoding": "identity"})
        if request.headers.get("Transfer-Encoding", "chunked").lower() != "chunked":
            return text(501, "Of the transfer codings, only chunked is known here.")
        return None

    def _refuse_foreign_page(
        self, request: web.BaseRequest, host: str, public: bool, navigable: bool
    ) -> web.StreamResponse | None:
        """Refuse a request that a page of another site makes.

        Args:
            request: the request.
            host: its Host header.
            public: whether the response is the same for every client. Then the request's origin does not matter.
            navigable: whether links from other sites to this path are allowed.

        """
        origin = request.headers.get("Origin")
        if not public and site.is_foreign(origin, host):
            self._tell(
                "Refused a request: its Origin is %s, its Host %s; a proxy must pass on the Host unchanged",
                origin,
                host,
            )
            ours = (
                request.headers.get("Sec-Fetch-Site") == "same-origin"
            )  # says the browser: then a proxy has changed it
            return text(403, CHANGED if ours else "Requests from other sites are refused.")
        if site.is_cross_site(request.headers, navigable):
            return text(403, "Requests from other sites are refused.")
        return None

    def _tell(self, sentence: str, *values: str | None) -> None:
        """Log why a request is refused: each message once, and at most WARNINGS messages."""
        line = sentence % tuple(clean(value or "")[:SHOWN] for value in values)
        if line not in self._told and len(self._told) < WARNINGS:
            self._told.add(line)
            log.warning("%s", line)

    # --- health and metrics -----------------------------------------------------------------------------------

    async def _find_for_operators(self, call: Call) -> web.StreamResponse:
        """Return the response to a request at the address of --metrics-listen."""
        handler = {"/healthz": self._health, "/metrics": self._metrics}.get(call.request.rel_url.raw_path)
        if handler is None:
            return text(404, "There is no such page.")
        if call.request.method not in ("GET", "HEAD"):
            return text(405, f"{call.request.method} is not allowed here.", Allow="GET, HEAD")
        return await handler(call)

    def _for_operators(self, handler: Handler) -> Handler:
        """Return a handler that answers only requests from this machine, and refuses those that a proxy relays.

        A proxy cannot always be distinguished from curl. So all requests are refused if the settings name a proxy.
        """
        settings = self._shared.settings
        proxied = bool(settings.host or settings.trust_proxy)

        async def guarded(call: Call) -> web.StreamResponse:
            request = call.request
            peer = call.dialogue.connection.peer
            here = site.is_loopback(peer[0]) and site.is_loopback(site.host_name(request.headers.get("Host", "")))
            old = request.version < (1, 1)  # as nginx asks
            if proxied or old or not here or forwarded.is_forwarded(request.headers):
                return text(403, FOR_THIS_MACHINE)
            return await handler(call)

        return guarded

    async def _health(self, call: Call) -> web.Response:
        """Return whether the broker can commit. A broker that does not answer within PROBE seconds has failed."""
        outcome: asyncio.Future[BrokerError | None] = self._shared.loop.create_future()
        self._probe(lambda result: None if outcome.done() else outcome.set_result(result))
        try:
            error = await asyncio.wait_for(outcome, PROBE)
        except TimeoutError:
            return web.json_response({"status": "failing", "reason": "the log does not answer"}, status=503)
        if error:
            return web.json_response({"status": "failing", "reason": str(error)}, status=503)
        return web.json_response({"status": "ok"})

    async def _metrics(self, call: Call) -> web.Response:
        """Return the stats in the format that the request accepts."""
        body, kind = exposition(self._readings(), call.request.headers.get("Accept", ""))
        return web.Response(body=body, headers={"Content-Type": kind})

    # --- the WebSocket ----------------------------------------------------------------------------------------

    async def _websocket(self, call: Call) -> web.StreamResponse:
        request = call.request
        browser, headers = browser_of(request.headers.get("Host", ""), request.cookies, call.encrypted)
        visitor = (await self._account_pages.visitor(call))._replace(browser=browser)

        def client(_: str) -> WebSocketClient:
            reader = websocket.FrameReader(wire.MAX_FRAME, _quiet)
            now = self._shared.clock()
            return WebSocketClient(self._hub, self._shared.settings, self._tokens, reader, now, visitor)

        return await self._upgrade(call, (), client, headers)

    async def _irc(self, call: Call) -> web.StreamResponse:
        def client(subprotocol: str) -> IrcWebSocketClient:
            reader = websocket.FrameReader(MAX_MESSAGE, _quiet)
            opcode = OPCODES.get(subprotocol, Opcode.TEXT)
            return IrcWebSocketClient(self._hub, self._irc_network, reader, opcode, self._shared.clock())

        return await self._upgrade(call, OPCODES, client)

    async def _upgrade(
        self,
        call: Call,
        subprotocols: Collection[str],
        client: Callable[[str], ClientProtocol],
        more: Mapping[str, str] = MappingProxyType({}),
    ) -> web.StreamResponse:
        """Accept a WebSocket handshake, and hand the connection over.

        Args:
            call: the request.
            subprotocols: the supported subprotocols.
            client: returns the client that continues with the chosen subprotocol, "" if none was chosen.
            more: headers of the answer that accepts the handshake.

        """
        request = call.request
        try:
            headers = websocket.accept(request.method, request.path, request.headers.items(), subprotocols, _quiet)
        except websocket.BadHandshake:
            headers = {"Upgrade": "websocket", "Connection": "Upgrade"}
            return text(426, "This is a WebSocket; see docs/protocol.md.", **headers)
        if not call.dialogue.is_quiet:
            return text(400, "A frame must not come before the answer to the handshake.")
        await call.give_way(client(headers.get(SUBPROTOCOL, "")), "101 Switching Protocols", {**headers, **more})


# The logger for the websockets library. It is disabled, because the library logs faults of peers only.
_quiet = logging.getLogger("hubbub.websockets")
_quiet.disabled = True


def text(status: int, sentence: str, **headers: str) -> web.Response:
    """Return a response with one sentence of plain text."""
    return web.Response(status=status, text=f"{sentence}\n", headers=headers)


def _names(named: Sequence[str]) -> frozenset[str]:
    """Return the host names of this server: those of --host and the machine's own.

    The machine's own names are safe, because no attacker can register them.
    """
    own = socket.gethostname().lower().removesuffix(".local")
    short = own.partition(".")[0]
    return frozenset(host.lower().removesuffix(".") for host in (*named, own, short, f"{short}.local", f"{own}.local"))
