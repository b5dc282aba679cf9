"""HTTP on a connection of this server: aiohttp parses the requests and writes the responses.

aiohttp's protocol gets a transport object that forwards to the Connection. So HTTP has the same back-pressure in both
directions, the same deadline for a peer that does not read, and the same orderly close as the other protocols.
aiohttp's response to malformed requests is replaced by the server's own. A request handler may hand the connection over
to another client: a WebSocket or an event stream.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, NoReturn, cast

from aiohttp import web

from hubbub.chat.users.accounts import LoginPeer
from hubbub.model.accounts.account import Account
from hubbub.serve.sockets.connection import TICK, ClientProtocol, Connection, Shared
from hubbub.serve.sockets.peer_socket import ConnectionState
from hubbub.text import refusals
from hubbub.text.addresses import is_loopback
from hubbub.wire.web import http as wire

log = logging.getLogger("hubbub")

HEAD = 10.0  # seconds that a peer has to send its first request
IDLE = 60.0  # seconds that a connection stays open between two requests
HELD = 1.0  # seconds between two checks whether a peer with waiting requests has reset the connection
# Seconds that a response may take after the peer has closed its side, because the peer may have gone.
HALF = 1.0
READ = 16 * 1024  # bytes of a body that are read ahead
# Maximum bytes of a request line. In a search, one character may take twelve bytes (percent-encoded UTF-8).
LINE = 16 * 1024

Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


def server(handler: Handler) -> web.Server:
    """Return aiohttp's server for a handler, which makes a protocol for each connection. Call it on the event loop."""
    return web.Server(
        handler,
        handler_cancellation=True,  # a handler is cancelled when its connection is lost
        auto_decompress=False,  # a body must not cost CPU time before its request is accepted
        keepalive_timeout=IDLE,
        lingering_time=0,  # Connection.finish lingers
        tcp_keepalive=False,  # set on the listening socket already
        access_log=None,
        read_bufsize=READ,
        max_line_size=LINE,
        logger=_logger(),
    )


def _logger() -> logging.Logger:
    """Return aiohttp's logger, with all its records lowered to DEBUG.

    aiohttp logs faults of peers only: the server's own exceptions are caught and logged before they reach it.
    """
    faults = logging.getLogger("aiohttp.server")
    faults.addFilter(_as_debug)
    return faults


def _as_debug(record: logging.LogRecord) -> bool:
    record.levelno, record.levelname, record.exc_info = logging.DEBUG, "DEBUG", None
    return log.isEnabledFor(logging.DEBUG)


def dialogue_of(request: web.BaseRequest) -> HttpClient:
    """Return the client that a request came from. Raise ConnectionResetError if its connection is closed."""
    if request.transport is None:
        raise ConnectionResetError("the peer has gone")
    return cast(_Transport, request.transport).dialogue


class HttpClient:
    """A peer that speaks HTTP.

    Args:
        server: aiohttp's server, which makes the protocol.
        shared: the state that all connections share.
        headers: the headers that every response gets.

    """

    wire_name = "http"
    is_idle = True  # never asked: it has no items

    def __init__(self, server: web.Server, shared: Shared, headers: Mapping[str, str]) -> None:
        self.connection: Connection
        self.headers = headers
        self._ending = False  # the peer has closed its side or the server is stopping: no request follows
        self._shared = shared
        self._protocol: asyncio.Protocol = server()
        self._transport = _Transport(self)
        self._since = shared.clock()  # time at which the connection, or `_ending`, began
        self._asked = False  # the head of a request has arrived
        self._fed = False  # bytes have arrived since the last answer began: perhaps a request that waits for its own
        self._answers = 0  # requests being answered
        self._replies = False  # a response is being written
        self._tail = b""  # the last four bytes received
        self._body: tuple[web.BaseRequest, asyncio.Timeout] | None = None  # the body being read

    # --- the connection's calls -----------------------------------------------------------------------------

    def begin(self, connection: Connection) -> None:
        """Start aiohttp's protocol, which waits for a request."""
        self.connection = connection
        connection.peer = connection.peer or connection.transport.get_extra_info("peername")
        self._protocol.connection_made(self._transport)

    def feed(self, data: bytes) -> None:
        """Pass received bytes to aiohttp, which buffers at most a few requests and the beginning of a body."""
        self._fed = True
        self._tail = (self._tail + data)[-4:]
        self._protocol.data_received(data)

    def next_item(self) -> None:
        """Return None: `feed` has passed all input to aiohttp."""

    def ready(self) -> bool:
        """Return whether aiohttp accepts more input. If the peer is gone, the input no longer matters: return True."""
        return not self._transport.held or self.connection.transport.is_closing()

    def handle(self, item: object) -> None:
        """Do nothing: `next_item` never returns an item."""

    def ended(self) -> bool:
        """Let the current response finish within HALF seconds, then close. Stop waiting for the rest of a body."""
        if self.connection.transport.is_closing():
            self.connection.finish()
            return True
        if not self._ending:
            self._end()
            if self._body:
                self._cut_off(*self._body)
        return False

    def connection_lost(self) -> None:
        """Let aiohttp cancel the running handler: the peer is gone."""
        self._protocol.connection_lost(None)

    def pause(self) -> None:
        """Make aiohttp stop writing because the peer does not read."""
        self._protocol.pause_writing()

    def resume(self) -> None:
        """Let aiohttp write again: the peer reads."""
        self._protocol.resume_writing()

    def shut_down(self) -> None:
        """Close, after the current response if there is one, or if a request may have been taken."""
        if self._answers or self._fed:
            self._end()
        else:
            self.connection.finish()

    def ask_sign_of_life(self) -> bool:
        """Send nothing and return False: HTTP has no ping."""
        return False

    def check_deadlines(self, now: float, quiet: float) -> float:
        """Close if no request came in time, or no response is ready HALF seconds after the peer has closed its side.

        Also close if the peer has reset the connection while its input is not read. Return the seconds until the next
        check; 0 or less if the client has ended.
        """
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
        """Get the response to a request from `find`, and write it.

        All that aiohttp writes while no request is being answered concerns input that is not a valid request.
        """
        self._asked = True
        self._fed = False
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
        """Return a request's body.

        Args:
            request: the request.
            limit: maximum bytes of the body.
            seconds: time in which the complete body must arrive.

        Returns:
            The body; None if it exceeds the limit. Then part of it is left unread.

        Raises:
            Refused: the body did not arrive in time, was cut off, or is not valid HTTP.

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
                raise refusals.TOO_SLOW() from None
            raise refusals.BODY_CUT_OFF() from None
        except web.RequestPayloadError:
            raise refusals.BODY_BROKEN() from None
        finally:
            self._body = None
        return body if len(body) <= limit else None

    @staticmethod
    def _cut_off(request: web.BaseRequest, patience: asyncio.Timeout) -> None:
        """Stop waiting for the rest of a body, because no more input will come."""
        if not request.content.is_eof():
            patience.reschedule(0)

    async def give_way(self, dialogue: ClientProtocol, answer: bytes) -> NoReturn:
        """Write the head of a response, and hand the connection over to another client. The handler is cancelled.

        Args:
            dialogue: the client that continues.
            answer: the head of the response.

        """
        self._transport.detach()
        self.connection.write(answer)
        self.connection.hand_over(dialogue)
        self._protocol.connection_lost(None)  # cancels the handler
        await asyncio.sleep(HEAD)
        raise AssertionError("the handler was not cancelled")

    def _end(self) -> None:
        """Accept no further request, and give the current response HALF seconds."""
        self._ending = True
        self._since = self._shared.clock()
        self._shared.deadlines.advance(self.connection, HALF)

    def hold(self) -> None:
        """Check every HELD seconds whether the peer is gone. Nothing else shows it while the socket is not read."""
        if self.connection.state is ConnectionState.OPEN:
            self._shared.deadlines.advance(self.connection, HELD)

    @property
    def is_quiet(self) -> bool:
        """Whether no input has arrived after the head of the request."""
        return self._tail == b"\r\n\r\n"

    # --- aiohttp's calls ------------------------------------------------------------------------------------

    def write(self, data: bytes) -> None:
        """Write bytes of a response. While no request is being answered, send 400 Bad Request instead, and close."""
        if self._answers:
            self.connection.write(data)
        else:
            refusal = wire.refusal("400 Bad Request", "That is not a valid HTTP request.", self.headers)
            self.connection.finish(refusal)


@dataclass(frozen=True, slots=True)
class Call:
    """A request that is being answered.

    `peer` is the client's socket address as far as it is known, and `origin` the address under which the client is
    counted. Behind a proxy they differ from those of the connection. `encrypted`: the client's connection is, as far as
    it is known. `bearer`: the account that the request acts for.
    """

    request: web.BaseRequest
    dialogue: HttpClient
    peer: Any
    origin: str
    encrypted: bool = False
    bearer: Account | None = None

    @property
    def login_peer(self) -> LoginPeer:
        """The client, as the check of a credential needs it."""
        return LoginPeer(self.origin, self.encrypted or is_loopback(self.origin))

    async def give_way(self, dialogue: ClientProtocol, status: str, headers: Mapping[str, str]) -> NoReturn:
        """Write the head of a response, and hand the connection over to another client. The handler is cancelled.

        Args:
            dialogue: the client that continues.
            status: the status line's code and phrase.
            headers: the headers in addition to those that every response gets.

        Raises:
            Refused: there are too many connections from the client's address.

        """
        if refused := self.dialogue.connection.set_origin(self.peer, self.origin):
            raise refused
        await self.dialogue.give_way(dialogue, wire.head(status, {**self.dialogue.headers, **headers}))


class _Transport(asyncio.Transport):
    """The transport object that aiohttp writes to. It forwards to the client's Connection."""

    def __init__(self, dialogue: HttpClient) -> None:
        super().__init__()
        self.dialogue = dialogue
        self.held = False  # aiohttp has paused reading
        self._detached = False

    def detach(self) -> None:
        """Ignore all further calls of aiohttp: another client has the connection."""
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
        """Return the transport's information, but not the socket: aiohttp must not change its options."""
        if name == "socket":
            return default
        return self.dialogue.connection.transport.get_extra_info(name, default)

    def get_write_buffer_size(self) -> int:
        return self.dialogue.connection.transport.get_write_buffer_size()
