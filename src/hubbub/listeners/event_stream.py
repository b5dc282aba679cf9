"""A room that is followed over HTTP: a session that watches, in a body without an end."""

from __future__ import annotations

from hubbub.core.hub import Hub
from hubbub.core.model import Event
from hubbub.errors import Refused
from hubbub.listeners.connection import Connection
from hubbub.wire.http import StreamEncoder

ALIVE = 20.0  # seconds between two signs of life


class EventStreamClient:
    """A stream to one peer: the hub's outlet for a session that watches a room.

    Args:
        hub: the hub.
        form: how entries look.
        room: the room's name.
        after: the number that the peer was given last; None for what comes from now on.
        other: whether the peer has asked for what follows a number of another log.

    """

    wire_name = "stream"

    def __init__(self, hub: Hub, encoder: StreamEncoder, room: str, after: int | None, other: bool) -> None:
        self._hub = hub
        self._form = encoder
        self._room = room
        self._after = after
        self._other = other
        self._connection: Connection
        self._alive_at = 0.0  # when the last sign of life was sent

    # --- the connection's calls -----------------------------------------------------------------------------

    def begin(self, connection: Connection) -> None:
        """Follow the room."""
        self._connection = connection
        if self._other:
            connection.write(self._form.other_log())
        host = f"~api@{connection.cloak}.api"
        self._session = self._hub.connect(self, connection, self._form, host, connection.origin)
        try:
            self._hub.rooms.watch(self._session, self._room, self._after)
        except Refused:
            self._end()

    def feed(self, data: bytes) -> None:
        """Do nothing: the answer to the request before has no end, so there is none to another."""

    def next_item(self) -> None:
        """Return nothing: the peer has nothing to say."""

    def ready(self) -> bool:
        """Whether anything may be taken."""
        return True

    def handle(self, item: object) -> None:
        """Do nothing: there are no items."""

    def ended(self) -> bool:
        """End: the peer is gone."""
        self._end()
        return True

    def connection_lost(self) -> None:
        """Leave."""
        self._hub.depart(self._session)

    def pause(self) -> None:
        """Let the hub write nothing."""
        self._hub.pause(self._session)

    def resume(self) -> None:
        """Let the hub write again."""
        self._hub.resume(self._session)

    def shut_down(self) -> None:
        """End: the server stops."""
        self._end()

    def ask_sign_of_life(self) -> bool:
        """Return that there is nothing to ask."""
        return False

    def check_deadlines(self, now: float, quiet: float) -> float:
        """Send a sign of life, now and then."""
        self._alive_at = self._alive_at or now  # when it began
        if now - self._alive_at >= ALIVE and not self._session.paused:
            self._alive_at = now
            if alive := self._form.alive:
                self._connection.write(alive)
        return ALIVE

    # --- the hub's calls ------------------------------------------------------------------------------------

    def send_event(self, event: Event) -> None:
        """End: a stream is told nothing but that it cannot go on."""
        self._end()

    def resume_input(self) -> None:
        """Do nothing: there is no next command."""

    def _end(self) -> None:
        self._connection.finish(self._form.end)
        self._hub.depart(self._session)
