"""A room's entries as an endless HTTP response. The stream's session watches the room without joining it."""

from __future__ import annotations

from aiohttp import web

from hubbub.chat.hub import Hub
from hubbub.errors import Refused
from hubbub.model.access import Action
from hubbub.model.accounts.account import Account
from hubbub.model.events import Event
from hubbub.serve.sockets.connection import Connection
from hubbub.serve.web.api.context import ApiContext
from hubbub.serve.web.http import Call
from hubbub.serve.web.responses import EVENTS, JSON, TEXT
from hubbub.wire.web import api as wire
from hubbub.wire.web import streams
from hubbub.wire.web.negotiation import preferred

ALIVE = 20.0  # seconds between two keep-alive messages


class EventStreamClient:
    """A stream of one room's entries to one peer.

    Args:
        hub: the hub.
        encoder: the format of the stream.
        room: the room's name.
        after: the sequence number of the last entry that the peer has; None to start with new entries.
        other: whether the number that the peer gave belongs to another log. The stream then begins with a notice.

    """

    wire_name = "stream"
    is_idle = True  # never asked: it has no items

    def __init__(self, hub: Hub, encoder: streams.StreamEncoder, room: str, after: int | None, other: bool) -> None:
        self._hub = hub
        self._form = encoder
        self._room = room
        self._after = after
        self._other = other
        self._account: Account | None = None
        self._connection: Connection
        self._alive_at = 0.0  # time of the last keep-alive message

    def act_for(self, account: Account) -> None:
        """Follow the room for an account, as long as the token that has proven it is valid."""
        self._account = account

    # --- the connection's calls -----------------------------------------------------------------------------

    def begin(self, connection: Connection) -> None:
        """Connect a session to the hub, and watch the room. End the stream if the hub refuses that."""
        self._connection = connection
        if self._other:
            connection.write(self._form.other_log())
        host = f"~api@{connection.cloak}.api"
        self._session = self._hub.connect(self, connection, self._form, host, connection.origin)
        if self._account:
            self._session.acts_for = self._account
            self._hub.holders.hold(self._session, self._account.grant)
        try:
            self._hub.rooms.watch(self._session, self._room, self._after)
        except Refused:
            self._end()

    def feed(self, data: bytes) -> None:
        """Discard input: the response has no end, so a further request could not be answered."""

    def next_item(self) -> None:
        """Return None: all input is discarded."""

    def ready(self) -> bool:
        """Return True: input is discarded at any time."""
        return True

    def handle(self, item: object) -> None:
        """Do nothing: `next_item` never returns an item."""

    def ended(self) -> bool:
        """End the stream: the peer has closed its side."""
        self._end()
        return True

    def connection_lost(self) -> None:
        """Remove the session from the hub."""
        self._hub.depart(self._session)

    def pause(self) -> None:
        """Stop the hub's output to this session because the peer does not read."""
        self._hub.pause(self._session)

    def resume(self) -> None:
        """Let the hub write to this session again."""
        self._hub.resume(self._session)

    def shut_down(self) -> None:
        """End the stream: the server is stopping."""
        self._end()

    def ask_sign_of_life(self) -> bool:
        """Send nothing and return False: a stream's peer sends no answers."""
        return False

    def check_deadlines(self, now: float, quiet: float) -> float:
        """Send a keep-alive message every ALIVE seconds. Return the seconds until the next check."""
        self._alive_at = self._alive_at or now
        if now - self._alive_at >= ALIVE and not self._session.paused:
            self._alive_at = now
            if alive := self._form.alive:
                self._connection.write(alive)
        return ALIVE

    # --- the hub's calls ------------------------------------------------------------------------------------

    def send_event(self, event: Event) -> None:
        """End the stream: the hub sends a watching session an event only if it cannot go on."""
        self._end()

    def resume_input(self) -> None:
        """Do nothing: no input waits."""

    def _end(self) -> None:
        self._connection.finish(self._form.end)
        self._hub.depart(self._session)


async def follow(api: ApiContext, call: Call, query: wire.StreamQuery, room: str) -> web.StreamResponse:
    """Hand the connection over to a stream of a room's entries."""
    await api.requests.may(api.requester(call), Action.WATCH, room)
    # A client that prefers JSON is a program, so it gets events, not lines.
    lines = preferred(call.request.headers.get("Accept", ""), (EVENTS, JSON, TEXT)) == TEXT
    kind = TEXT if lines else EVENTS
    encoder = api.encoders[kind, call.request.version >= (1, 1)]
    headers = {
        "Content-Type": f"{kind}; charset=utf-8",
        "Cache-Control": "no-store",
        "X-Accel-Buffering": "no",  # makes nginx forward each part at once
    }
    if call.request.method == "HEAD":
        return web.Response(headers=headers)
    after, other = None, False
    if mark := _mark(call, query):
        after = wire.place(mark, api.hub.log.log_id)
        other = after is None
    if encoder.cut is streams.chunk:
        headers["Transfer-Encoding"] = "chunked"
    stream = EventStreamClient(api.hub, encoder, room, after, other)
    if call.bearer:
        stream.act_for(call.bearer)
    await call.give_way(stream, "200 OK", headers | {"Connection": "close"})


def _mark(call: Call, query: wire.StreamQuery) -> str:
    """Return the mark after which a client continues, "" for none. Ignore a Last-Event-ID that is no mark."""
    last = call.request.headers.get("Last-Event-ID", "")
    return last if wire.is_mark(last) else query.after or ""
