"""HTTP on a connection: aiohttp reads requests and writes answers, the connection is ours.

aiohttp's protocol is given a transport that stands for the connection. So everything that holds for a connection holds
for HTTP too: back-pressure both ways, the deadline for a peer that does not read, the orderly end. What aiohttp says
about bytes that are no request is replaced by an answer of ours. A handler may give the connection to another dialogue:
the WebSocket, or a stream.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, NoReturn, cast

from aiohttp import web

from hubbub.errors import Refused
from hubbub.listeners.connection import TICK, ClientProtocol, Connection, ConnectionState, Shared
from hubbub.wire import http as wire

log = logging.getLogger("hubbub")

HEAD = 10.0  # seconds in which a peer's first request must have come
IDLE = 60.0  # seconds that a connection is kept between two requests
HELD = 1.0  # seconds between two looks at a peer whose requests wait
HALF = 1.0  # seconds that an answer may take after the peer has ended its side: it may have gone
READ = 16 * 1024  # bytes of a body that are read ahead
LINE = 16 * 1024  # bytes of a request's first line: the words of a search may have twelve for each character

Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


def server(handler: Handler) -> web.Server:
    """Return aiohttp's server for a handler: it makes a protocol for each connection; to be called on the loop."""
    return web.Server(
        handler,
        handler_cancellation=True,  # work ends with the connection that asked for it
        auto_decompress=False,  # no body is worth that before the request is accepted
        keepalive_timeout=IDLE,
        lingering_time=0,  # the connection lingers itself
        tcp_keepalive=False,  # the socket has it
        access_log=None,
        read_bufsize=READ,
        max_line_size=LINE,
        logger=_logger(),
    )


def _logger() -> logging.Logger:
    """Return aiohttp's log. It is about faults of peers: those of ours are caught, and logged, before it sees them."""
    faults = logging.getLogger("aiohttp.server")
    faults.addFilter(_as_debug)
    return faults


def _as_debug(record: logging.LogRecord) -> bool:
    record.levelno, record.levelname, record.exc_info = logging.DEBUG, "DEBUG", None
    return log.isEnabledFor(logging.DEBUG)


def dialogue_of(request: web.BaseRequest) -> HttpClient:
    """Return the dialogue on whose connection a request came. Raises ConnectionError when that is closed."""
    if request.transport is None:
        raise ConnectionResetError("the peer has gone")
    return cast(_Transport, request.transport).dialogue


class HttpClient:
    """One peer that speaks HTTP.

    Args:
        server: makes aiohttp's protocol.
        shared: the server's.
        headers: of every answer.

    """

    wire_name = "http"

    def __init__(self, server: web.Server, shared: Shared, headers: Mapping[str, str]) -> None:
        self.connection: Connection
        self.headers = headers
        self._ending = False  # the peer sends nothing more, or the server stops: no request follows
        self._shared = shared
        self._protocol: asyncio.Protocol = server()
        self._transport = _Transport(self)
        self._since = shared.clock()  # when the connection began, or the peer ended its side
        self._asked = False  # a whole request has come
        self._answers = 0  # requests that are being answered
        self._replies = False  # an answer is being written
        self._tail = b""  # the last bytes that came in
        self._body: tuple[web.BaseRequest, asyncio.Timeout] | None = None  # that is being read

    # --- the connection's calls -----------------------------------------------------------------------------

    def begin(self, connection: Connection) -> None:
        """Wait for a request."""
        self.connection = connection
        connection.peer = connection.peer or connection.transport.get_extra_info("peername")
        self._protocol.connection_made(self._transport)

    def feed(self, data: bytes) -> None:
        """Let aiohttp have what came in; it keeps at most a few requests and the beginning of a body."""
        self._tail = (self._tail + data)[-4:]
        self._protocol.data_received(data)

    def next_item(self) -> None:
        """Return nothing: `feed` has taken it."""

    def ready(self) -> bool:
        """Whether aiohttp takes more, or the peer is gone, and with it the reason to take anything."""
        return not self._transport.held or self.connection.transport.is_closing()

    def handle(self, item: object) -> None:
        """Do nothing: there are no items."""

    def ended(self) -> bool:
        """Let the answer that is under way be given, if that does not take long; then close."""
        if self.connection.transport.is_closing():
            self.connection.finish()
            return True
        if not self._ending:
            self._end()
            if self._body:
                self._cut_off(*self._body)
        return False

    def connection_lost(self) -> None:
        """End what is under way: the peer is gone."""
        self._protocol.connection_lost(None)

    def pause(self) -> None:
        """Let aiohttp wait: the peer does not read."""
        self._protocol.pause_writing()

    def resume(self) -> None:
        """Let it write again."""
        self._protocol.resume_writing()

    def shut_down(self) -> None:
        """Close, after the answer that is under way."""
        if self._answers:
            self._end()
        else:
            self.connection.finish()

    def ask_sign_of_life(self) -> bool:
        """Return that there is nothing to ask."""
        return False

    def check_deadlines(self, now: float, quiet: float) -> float:
        """Close when no request came in time, or the peer has ended its side and no answer is ready."""
        if self._ending:
            if not self._replies and now - self._since >= HALF:
                self.connection.finish()
            return HALF
        if self._transport.held and self.connection.is_reset:
            self.connection.abort()
            return 0.0
        if self._asked:
            return HELD if self._transport.held else TICK
        left = min(HEAD, self._shared.settings.name_timeout) - (now - self._since)
        if left <= 0:
            self.connection.abort()
        return left

    # --- the handler's calls --------------------------------------------------------------------------------

    async def answer(self, request: web.BaseRequest, find: Handler) -> web.StreamResponse:
        """Find the answer to a request, and write it; what aiohttp writes at any other time is about no request."""
        self._asked = True
        self._answers += 1
        try:
            response = await find(request)
            response.headers.update(self.headers)
            unread = request.body_exists and not request.content.is_eof()
            if unread or self._ending:
                response.force_close()
            self._replies = True
            await response.prepare(request)
            await response.write_eof()
        finally:
            self._replies = False
            self._answers -= 1
        return response

    async def read(self, request: web.BaseRequest, limit: int, seconds: float) -> bytes | None:
        """Return a request's body; None if it has more than `limit` bytes: then not all of it was read.

        Raises:
            Refused: it did not come in time, or not whole.

        """
        if (request.content_length or 0) > limit:
            return None
        if request.headers.get("Expect", "").lower() == "100-continue" and request.version >= (1, 1):
            self.connection.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        body = b""
        try:
            async with asyncio.timeout(seconds) as patience:
                self._body = request, patience
                if self._ending:
                    self._cut_off(*self._body)
                while len(body) <= limit and (part := await request.content.readany()):
                    body += part
        except TimeoutError:
            if not self._ending:
                raise Refused("too-slow", "The message took too long to come in.") from None
            raise Refused("body-broken", "The request's body was cut off.") from None
        except web.RequestPayloadError:
            raise Refused("body-broken", "The request's body is not valid HTTP.") from None
        finally:
            self._body = None
        return body if len(body) <= limit else None

    @staticmethod
    def _cut_off(request: web.BaseRequest, patience: asyncio.Timeout) -> None:
        """Wait no more for a body of which no more will come."""
        if not request.content.is_eof():
            patience.reschedule(0)

    async def give_way(self, dialogue: ClientProtocol, answer: bytes) -> NoReturn:
        """Write the head of an answer, and let another dialogue have the connection. The request's handler ends."""
        self._transport.detach()
        self.connection.write(answer)
        self.connection.hand_over(dialogue)
        self._protocol.connection_lost(None)  # cancels the handler
        await asyncio.sleep(HEAD)
        raise AssertionError("the handler was not cancelled")

    def _end(self) -> None:
        """Answer no further request, and wait a little for the answer that is under way."""
        self._ending = True
        self._since = self._shared.clock()
        self._shared.deadlines.advance(self.connection, HALF)

    def hold(self) -> None:
        """Look now and then whether the peer is gone: while the socket is not read, nothing else would tell."""
        if self.connection.state is ConnectionState.OPEN:
            self._shared.deadlines.advance(self.connection, HELD)

    @property
    def is_quiet(self) -> bool:
        """Whether nothing came in behind the head of the request."""
        return self._tail == b"\r\n\r\n"

    # --- aiohttp's calls ------------------------------------------------------------------------------------

    def write(self, data: bytes) -> None:
        """Write what is a part of an answer of ours; else refuse what came in, and close."""
        if self._answers:
            self.connection.write(data)
        else:
            refusal = wire.refusal("400 Bad Request", "That is not a valid HTTP request.", self.headers)
            self.connection.finish(refusal)


@dataclass(frozen=True, slots=True)
class Call:
    """A request that is being answered.

    `peer` is the socket address of the client, as far as it is known, `origin` what counts as its address: behind a
    proxy they are not those of the connection.
    """

    request: web.BaseRequest
    dialogue: HttpClient
    peer: Any
    origin: str

    async def give_way(self, dialogue: ClientProtocol, status: str, headers: Mapping[str, str]) -> NoReturn:
        """Write the head of an answer, and let another dialogue have the connection. The request's handler ends.

        Raises:
            Refused: there are too many connections from the client's address.

        """
        if refusal := self.dialogue.connection.set_origin(self.peer, self.origin):
            raise Refused("too-many", refusal)
        await self.dialogue.give_way(dialogue, wire.head(status, {**self.dialogue.headers, **headers}))


class _Transport(asyncio.Transport):
    """What aiohttp takes for the transport."""

    def __init__(self, dialogue: HttpClient) -> None:
        super().__init__()
        self.dialogue = dialogue
        self.held = False  # aiohttp takes no more bytes for now
        self._detached = False

    def detach(self) -> None:
        """Let nothing through any more."""
        self._detached = True

    def write(self, data: bytes | bytearray | memoryview) -> None:
        if not self._detached:
            self.dialogue.write(bytes(data))

    def is_closing(self) -> bool:
        return self._detached or self.dialogue.connection.state is not ConnectionState.OPEN

    def close(self) -> None:
        if not self._detached:
            self.dialogue.connection.finish()

    abort = close

    def pause_reading(self) -> None:
        self.held = True
        self.dialogue.hold()

    def resume_reading(self) -> None:
        self.held = False
        if not self._detached:
            self.dialogue.connection.resume_input()

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """Return what the connection's transport knows; the socket is kept from aiohttp: its options are set."""
        if name == "socket":
            return default
        return self.dialogue.connection.transport.get_extra_info(name, default)

    def get_write_buffer_size(self) -> int:
        return self.dialogue.connection.transport.get_write_buffer_size()
