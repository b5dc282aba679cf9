"""The dialogue over a WebSocket: JSON requests in, events and entries out; deliveries pass aiohttp by."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast

from aiohttp import WSMsgType, web

from hubbub.core import asides, commands, moderation, names
from hubbub.core.hub import Hub
from hubbub.core.model import LOBBY, After, Answer, Event, Goodbye, Latest, Refusal, Search
from hubbub.core.session import Session
from hubbub.core.throttle import Throttle
from hubbub.errors import Refused
from hubbub.listeners.connection import Shared
from hubbub.listeners.outflow import Outflow
from hubbub.wire import web as wire

if TYPE_CHECKING:
    from hubbub.listeners.web import HttpConnection

log = logging.getLogger("hubbub")


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
        self._hub: Hub = hub
        self._settings = shared.settings
        self._clock = shared.clock
        self._socket = answer
        self._connection = connection
        self.transport = cast(asyncio.Transport, connection.transport)
        self.attach(shared.settings.buffer // 2)
        self._again = asyncio.Event()
        self._over = False
        settings = shared.settings
        self._throttle = Throttle(0 if settings.no_limits else settings.rate, settings.burst, shared.clock())
        self._session: Session = hub.connect(
            self, self, wire.FORM, f"~web@{shared.cloak(connection.origin)}.web", connection.origin
        )
        self._session.secure = connection.sock is None
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

    def lost(self) -> None:
        """Take nothing more: the peer is gone."""
        self._over = True
        self._again.set()

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
        (room, after), *others = request.rooms.items() or [(LOBBY, None)]

        def entered(refusal: Refused | None) -> None:
            if refusal:
                self._refuse(refusal.code, refusal.text)
                return
            log.info("%s (%s) has joined", self._session.nick, self._connection.peer)
            self.write(wire.encode("welcome", nick=self._session.nick, tag=self._session.tag))
            for room, after in others:
                try:
                    self._hub.rooms.join(self._session, room, after)
                except Refused as refusal:
                    self._refuse(refusal.code, refusal.text)

        self._hub.naming.enter(self._session, request.name.strip(), room, after, entered)

    def _say(self, request: wire.Say) -> None:
        if len(request.text.encode("utf-8", "replace")) > wire.MAX_TEXT:
            raise Refused("text-too-long", f"Not sent: a message has at most {wire.MAX_TEXT} bytes.")
        self._hub.say(self._session, request.text, request.room, label=request.label)

    def _command(self, request: wire.Command) -> None:
        rooms = self._hub.rooms
        if request.room.startswith("@"):
            rooms.focus(self._session, "")
        elif request.room:
            rooms.focus(self._session, rooms.of(self._session, request.room).name)
        commands.run(self._hub, self._session, request.line)

    def _msg(self, request: wire.Msg) -> None:
        if request.user:
            asides.check_is(self._hub, request.to, request.user)
        asides.whisper(self._hub, self._session, request.to, request.text, label=request.label)

    def _redact(self, request: wire.Redact) -> None:
        def refuse(refusal: Refused) -> None:
            self._refuse(refusal.code, refusal.text, request.label)

        room = self._hub.rooms.of(self._session, request.room)
        self._session.label = request.label
        moderation.redact(self._hub, self._session, room, request.id, request.reason, refuse)
        self._session.label = ""

    def _history(self, request: wire.History) -> None:
        room = names.check_room(request.room)
        if request.after is None:
            query: Latest | After = Latest(room, request.limit, request.before, every=True, inside=self._inside)
        else:
            query = After(room, request.after, (1 << 62) - 1, request.limit, inside=self._inside)
        self._hub.ask(self._session, query, lambda page: Answer(request.label, page))

    @property
    def _inside(self) -> tuple[str, ...]:
        return tuple(self._session.rooms)

    def _find(self, request: wire.Find) -> None:
        room = names.check_room(request.room) if request.room else None
        if len(request.words.split()) > commands.MAX_WORDS:
            raise Refused("too-many-words", f"A search has at most {commands.MAX_WORDS} words.")
        query = Search(request.words, request.limit, room, request.before, self._inside)
        self._hub.ask(self._session, query, lambda page: Answer(request.label, page))


_REQUESTS: dict[type[wire.Request], Callable[[Talk, Any], None]] = {
    wire.Hello: Talk._hello,
    wire.Say: Talk._say,
    wire.Command: Talk._command,
    wire.Join: lambda talk, request: talk._hub.rooms.join(talk._session, request.room, request.after, request.key),
    wire.Leave: lambda talk, request: talk._hub.rooms.leave(talk._session, request.room),
    wire.Msg: Talk._msg,
    wire.Redact: Talk._redact,
    wire.History: Talk._history,
    wire.Find: Talk._find,
    wire.AskRooms: lambda talk, request: commands.list_rooms(talk._hub, talk._session),
    wire.AskMembers: lambda talk, request: commands.list_members(talk._hub, talk._session, request.room),
}
