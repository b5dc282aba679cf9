"""Requests to the hub that coroutines wait for, each with a deadline: those of the HTTP API, and commands over ssh."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from typing import Any, NamedTuple

from hubbub.chat.hub import Hub
from hubbub.chat.session import Room, Session
from hubbub.chat.users.accounts import Accounts
from hubbub.errors import BrokerError, Refused
from hubbub.model.access import HIDDEN, Action
from hubbub.model.accounts.account import Account
from hubbub.model.client import Encoder
from hubbub.model.entries import Entry
from hubbub.model.events import Acknowledged, Event, Refusal
from hubbub.model.queries import AllRooms, Query
from hubbub.model.viewer import Viewer
from hubbub.serve.sockets.socket_writer import SocketWriter
from hubbub.text import refusals
from hubbub.text.refusals import told

ANSWER = 30.0  # seconds that the log may take to answer
OUTCOME = 15.0  # seconds after which the outcome of an act is reported as unknown
LABEL = "r"  # of the one request of a session


class Requester(NamedTuple):
    """The peer that a request comes from.

    Args:
        host: its host, as entries have it.
        origin: its address.
        account: the account that it acts for; None for a guest.

    """

    host: str
    origin: str
    account: Account | None = None


def check_bearer(accounts: Accounts, bearer: Account | None, scopes: Sequence[str], room: str = "") -> None:
    """Raise Refused unless a request of the API or a command over ssh may do something.

    Args:
        accounts: knows what people without an account may do.
        bearer: the account that the request acts for; None for a guest.
        scopes: the kinds of the request: "read" or "say", and perhaps "private".
        room: the room that it is about, or `@` and a name; "" for all rooms, of which the viewer leaves out those that
            a token is not for, and for one that is checked later.

    """
    if bearer is None:
        if "private" in scopes:
            raise refusals.NOT_LOGGED_IN()
        if accounts.guests == "no":
            raise refusals.ACCOUNT_REQUIRED()
        return
    permit = bearer.permit
    for scope in scopes:
        if scope not in permit.scopes or (scope == "private" and not permit.reads_private):
            raise refusals.TOKEN_SCOPE(scope=scope)
    if room and permit.rooms and room not in permit.rooms:
        raise refusals.TOKEN_ROOM(room=room)


class _WaitingClient(SocketWriter):
    """The client and sink of a session that waits for one outcome. Its output is discarded."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(None)
        self.outcome: asyncio.Future[Acknowledged | Refusal] = loop.create_future()

    async def known(self) -> Acknowledged | Refusal:
        """Return the outcome. Raises Refused if it is not known in time."""
        try:
            return await asyncio.wait_for(self.outcome, OUTCOME)
        except TimeoutError:
            raise refusals.NOT_KNOWN() from None

    def send_event(self, event: Event) -> None:
        """Store the outcome: the first acknowledgement or refusal."""
        if isinstance(event, Acknowledged | Refusal) and not self.outcome.done():
            self.outcome.set_result(event)

    def resume_input(self) -> None:
        """Do nothing: no input waits."""


class Visit(NamedTuple):
    """A session that looks at a room, or acts there."""

    session: Session
    room: Room
    waiting: _WaitingClient

    async def stored(self) -> Entry | None:
        """Return the entry that the session has published here, once it is stored; None if it has published none.

        Raises:
            Refused: it was not stored, or that is not known in time.

        """
        if not self.session.next_id:
            return None
        outcome = await self.waiting.known()
        if isinstance(outcome, Refusal):
            raise told(outcome.code, outcome.text, outcome.offer)
        return outcome.entry


class HubRequests:
    """The hub as coroutines use it.

    Args:
        hub: the hub.
        loop: the running event loop.
        encoder: the encoder of the sessions that act; its output is discarded.

    """

    def __init__(self, hub: Hub, loop: asyncio.AbstractEventLoop, encoder: Encoder) -> None:
        self._hub = hub
        self._loop = loop
        self._encoder = encoder

    def viewer(self, requester: Requester) -> Viewer:
        """Return the viewer that stands for a requester in queries."""
        if requester.account:
            return self._hub.viewer_for(requester.account, requester.origin)
        return self._hub.stranger(requester.host, requester.origin)

    async def read(self, query: Query | AllRooms) -> Any:
        """Return the answer to a query. Raises BrokerError."""
        return await self.answer(partial(self._hub.read, query))

    async def answer(self, ask: Callable[[Callable[[Any], None]], None]) -> Any:
        """Return the answer to a question that calls back. Raises BrokerError if it is an error, or does not come."""
        waiting: asyncio.Future[Any] = self._loop.create_future()
        ask(lambda result: None if waiting.done() else waiting.set_result(result))
        try:
            result = await asyncio.wait_for(waiting, ANSWER)
        except TimeoutError:
            raise BrokerError("it does not answer") from None
        if isinstance(result, BrokerError):
            raise result
        return result

    async def may(self, requester: Requester, action: Action, room: str) -> bool:
        """Return whether a requester may perform an action in a room; False if the room must seem not to exist.

        Raises:
            Refused: the requester may not.
            BrokerError: the log cannot be read.

        """
        async with self.visit(requester, room) as visit:
            try:
                self._hub.check(visit.session, action, visit.room)
            except Refused as refusal:
                if refusal.code == HIDDEN:
                    return False
                raise
        return True

    @asynccontextmanager
    async def visit(self, requester: Requester, room: str) -> AsyncIterator[Visit]:
        """Give a session of a requester that looks at a room, or acts there with LABEL, without being in it.

        Raises:
            BrokerError: the log cannot be read.

        """
        rooms = self._hub.rooms
        with self._session(requester) as (session, waiting):
            await self.answer(partial(rooms.visit, session, [room]))
            if room not in rooms.loaded:
                raise BrokerError("it does not answer")
            session.label = LABEL
            yield Visit(session, rooms.loaded[room], waiting)

    async def act(self, requester: Requester, start: Callable[[Session], None]) -> Acknowledged | Refusal:
        """Let a session of a requester begin an act with LABEL, and return the outcome.

        Raises:
            Refused: `start` does, or the outcome is not known in time.

        """
        with self._session(requester) as (session, waiting):
            start(session)
            return await waiting.known()

    @contextmanager
    def _session(self, requester: Requester) -> Iterator[tuple[Session, _WaitingClient]]:
        """Give a session for one request, with the client that waits for its outcome."""
        waiting = _WaitingClient(self._loop)
        session = self._hub.connect(waiting, waiting, self._encoder, requester.host, requester.origin)
        session.acts_for = requester.account
        try:
            yield session, waiting
        finally:
            self._hub.depart(session)
