"""The dialogue over a WebSocket: JSON requests in, events and entries out."""

from __future__ import annotations

import hashlib
import logging
import secrets
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from websockets.frames import CloseCode

from hubbub.config import Settings
from hubbub.core import commands, direct, moderation, names, resuming
from hubbub.core.hub import Hub
from hubbub.core.list_pages import ListPart
from hubbub.core.model import (
    LOBBY,
    After,
    Event,
    Goodbye,
    Latest,
    MembersListed,
    QueryResult,
    Refusal,
    RoomsListed,
    Search,
)
from hubbub.core.session import Session
from hubbub.core.viewer import Viewer
from hubbub.errors import Refused
from hubbub.listeners.connection import STOPPING, Connection
from hubbub.wire import web as wire
from hubbub.wire import websocket
from hubbub.wire.websocket import FrameReader, FrameSignal, close_frame

log = logging.getLogger("hubbub")

PING_AFTER = 20.0  # seconds without input after which a peer is asked whether it is there
PONG_WITHIN = 10.0  # seconds that it has to answer


Tokens = dict[str, "WebSocketClient"]  # by the secret of a session: the dialogue in which it goes on


class WebSocketClient:
    """What is talked about over a WebSocket: the hub's outlet for its session.

    Args:
        hub: the hub.
        settings: the settings in force.
        tokens: of all WebSockets.
        reader: of the peer's frames.
        now: seconds on the connection's clock.

    """

    wire_name = "websocket"

    def __init__(self, hub: Hub, settings: Settings, tokens: Tokens, reader: FrameReader, now: float) -> None:
        self._hub = hub
        self._settings = settings
        self._tokens = tokens
        self._reader = reader
        self._opened = now
        self._connection: Connection
        self._session: Session
        self._token = secrets.token_urlsafe(24)
        self._pinged_at = 0.0  # when a ping was sent that is not answered; 0: there is none
        self._replaced = False  # its session goes on in another connection
        self._code = CloseCode.POLICY_VIOLATION  # that it is closed with after a goodbye
        self._asked = ""  # the label of a request that is being done
        self._label = ""  # the label of the request that is being answered, as long as nothing with it was sent
        self._answer: type[Event] | None = None  # the event that this request is answered by

    # --- the connection's calls -----------------------------------------------------------------------------

    def begin(self, connection: Connection) -> None:
        """Wait for a hello."""
        self._connection = connection
        host = f"~web@{connection.cloak}.web"
        self._session = self._hub.connect(self, connection, wire.FORM, host, connection.origin)
        self._session.secure = connection.encrypted

    def feed(self, data: bytes) -> None:
        """Keep bytes that came in."""
        self._pinged_at = 0.0
        self._reader.feed(data)

    def next_item(self) -> str | FrameSignal | None:
        """Return the next message, or what came instead; answer pings."""
        item = self._reader.next_item()
        if not self._session.paused and (pong := self._reader.take_pong()):
            self._connection.write(pong)
        return item

    def ready(self) -> bool:
        """Whether the next message may be taken."""
        self._end_answer()
        return self._hub.session_ready(self._session) and not self._session.paused

    def handle(self, item: str | FrameSignal) -> None:
        """Do what a message asks for."""
        if item is FrameSignal.END:
            self._hub.depart(self._session)
        elif item is FrameSignal.BINARY:
            self._refuse("bad-frame", "Frames are text.")
        elif isinstance(item, str):
            self._code = CloseCode.NORMAL_CLOSURE  # if that ends it
            self._request(item)
            self._end_answer()
            if not self._session.closed:
                self._code = CloseCode.POLICY_VIOLATION

    def ended(self) -> bool:
        """Leave: the peer is gone."""
        if not self._replaced:
            self._hub.depart(self._session)
        return True

    def connection_lost(self) -> None:
        """Leave."""
        if self._replaced:
            return
        if self._tokens.get(self._token) is self:
            del self._tokens[self._token]
        if self._session.user:
            log.info("%s (%s) has left", self._session.nick, self._connection.peer)
        self._hub.depart(self._session)

    def pause(self) -> None:
        """Let the hub write nothing."""
        if not self._replaced:
            self._hub.pause(self._session)

    def resume(self) -> None:
        """Let the hub write again."""
        if not self._replaced:
            if pong := self._reader.take_pong():
                self._connection.write(pong)
            self._hub.resume(self._session)

    def shut_down(self) -> None:
        """Say that the server stops, and close."""
        self._connection.finish(wire.encode("notice", lines=[STOPPING]) + close_frame(CloseCode.GOING_AWAY, STOPPING))

    def ask_sign_of_life(self) -> bool:
        """Ask for a pong, unless the peer does not read."""
        if self._session.paused or self._replaced:
            return False
        self._connection.write(websocket.PING)
        return True

    def check_deadlines(self, now: float, quiet: float) -> float:
        """End it with a peer that gives no name in time, or answers no ping."""
        if self._session.closed or self._replaced:
            return 0
        if self._session.user is None:
            left = self._settings.name_timeout - (now - self._opened)
            if left <= 0:
                self._end(CloseCode.POLICY_VIOLATION, "No name was given in time.")
            return left
        if not self.ready():
            return PING_AFTER  # nothing is read from it just now
        if quiet < PING_AFTER:
            return PING_AFTER - quiet
        if not self._pinged_at:
            self._pinged_at = now
            self._connection.write(websocket.PING)
        left = self._pinged_at + PONG_WITHIN - now
        if left <= 0:
            self._end(CloseCode.INTERNAL_ERROR, "No answer to a ping.")
        return left

    # --- the hub's calls ------------------------------------------------------------------------------------

    def send_event(self, event: Event) -> None:
        """Send an event; after a goodbye, close."""
        if isinstance(event, Goodbye):
            self._connection.finish(self._reader.last_words or close_frame(self._code))
            return
        if self._label and isinstance(event, Refusal | MembersListed | RoomsListed) and not event.label:
            if isinstance(event, Refusal) or type(event) is self._answer:
                event = replace(event, label=self._label)
        if self._label and getattr(event, "label", "") == self._label:
            self._label = ""
        self._connection.write(wire.render(event))

    def resume_input(self) -> None:
        """Take the next message."""
        self._end_answer()
        self._connection.resume_input()

    # --- its own --------------------------------------------------------------------------------------------

    def _end(self, code: int, reason: str) -> None:
        """Say why, and close, whether the peer reads or not."""
        self._connection.finish(close_frame(code, reason))
        self._hub.depart(self._session)

    def _refuse(self, code: str, text: str, label: str = "") -> None:
        self._hub.reply(self._session, Refusal(code, text, label))

    def _request(self, data: str) -> None:
        try:
            request = wire.parse(data)
        except wire.BadFrame as error:
            self._refuse("bad-frame", f"That is not a request: {error}.", error.label)
            return
        if request.label and not isinstance(request, wire.Say):
            self._begin_answer(request)
        try:
            if self._session.user is None and not isinstance(request, wire.Hello):
                raise Refused("no-name", "Say hello first.")
            _REQUESTS[type(request)](self, request)
        except Refused as refusal:
            self._hub.reply(self._session, Refusal(refusal.code, refusal.text, request.label, offer=refusal.offer))

    def _begin_answer(self, request: wire.Request) -> None:
        """Mark in the session's turn where the answer to a request begins."""
        self._asked = request.label

        def begin() -> None:
            self._label, self._answer = request.label, _ANSWERS.get(type(request))

        self._session.replies.append(begin)
        self._session.flush()

    def _end_answer(self) -> None:
        """Say that a request is done, once it is, unless it was answered by something else."""
        if not self._asked or self._session.pending_operations or self._session.closed:
            return
        self._asked = ""

        def end() -> None:
            if self._label:
                self._connection.write(wire.encode("done", label=self._label))
            self._label = ""

        self._session.replies.append(end)
        self._session.flush()

    # --- what a peer asks for -------------------------------------------------------------------------------

    def _hello(self, request: wire.Hello) -> None:
        if self._session.user is not None:
            raise Refused("named-already", "You have a name; /nick takes another.")
        known = self._hub.broker.log_id
        rooms: dict[str, int | None] = dict(request.rooms)
        if request.log and request.log != known:  # these numbers are about another log
            rooms = dict.fromkeys(rooms)
        talk = self._tokens.get(request.resume)
        if talk and not talk._session.closed:
            self._resume(talk, rooms)
            return
        if len(request.resume) >= len(self._token):
            self._token = request.resume  # its session has ended, but it is the same user who comes
        self._session.user_id = hashlib.blake2b(self._token.encode(), digest_size=9).hexdigest()
        (room, after), *others = rooms.items() or [(LOBBY, None)]

        def entered(refusal: Refused | None) -> None:
            if refusal:
                self._refuse(refusal.code, refusal.text)
                return
            log.info("%s (%s) has joined", self._session.nick, self._connection.peer)
            self._welcome()
            for room, after in others:
                try:
                    self._hub.rooms.join(self._session, room, after, request.keys.get(room, ""))
                except Refused as refusal:
                    self._hub.reply(self._session, Refusal(refusal.code, refusal.text, room=room))

        self._hub.naming.enter(self._session, request.name.strip(), room, after, entered, request.keys.get(room, ""))

    def _welcome(self) -> None:
        self._connection.on_timer()  # the deadline was that for a name
        self._tokens[self._token] = self
        fields = {"nick": self._session.nick, "tag": self._session.id_prefix, "log": self._hub.broker.log_id}
        label = {"label": self._label} if self._label else {}
        self._label = ""
        self._connection.write(wire.encode("welcome", **fields, resume=self._token, **label))

    def _resume(self, talk: WebSocketClient, rooms: dict[str, int | None]) -> None:
        """Go on with the session of another connection, which is closed."""
        new, self._session, self._token = self._session, talk._session, talk._token
        talk._replaced = True
        resuming.replace(self._hub, self._session, new)
        talk._connection.finish(close_frame(websocket.REPLACED, "The session goes on in another connection."))
        log.info("%s (%s) has reconnected", self._session.nick, self._connection.peer)
        self._welcome()
        resuming.go_on(self._hub, self._session, rooms)

    def _say(self, request: wire.Say) -> None:
        if len(request.text.encode("utf-8", "replace")) > wire.MAX_TEXT:
            raise Refused("text-too-long", f"Not sent: a message has at most {wire.MAX_TEXT} bytes.")
        self._hub.say(self._session, request.text, request.room, label=request.label)

    def _command(self, request: wire.ClientCommand) -> None:
        rooms = self._hub.rooms
        if request.room.startswith("@"):
            rooms.focus(self._session, "")
        elif request.room:
            rooms.focus(self._session, rooms.of(self._session, request.room).name)
        commands.run(self._hub, self._session, request.line)

    def _msg(self, request: wire.Msg) -> None:
        if request.user:
            direct.check_present(self._hub, request.to, request.user)
        direct.send_private(self._hub, self._session, request.to, request.text, label=request.label)

    def _redact(self, request: wire.Redact) -> None:
        def refuse(refusal: Refused) -> None:
            self._refuse(refusal.code, refusal.text, request.label)

        room = self._hub.rooms.of(self._session, request.room)
        self._session.label = request.label
        try:
            moderation.redact(self._hub, self._session, room, request.id, request.reason, refuse)
        finally:
            self._session.label = ""

    def _history(self, request: wire.History) -> None:
        room = names.check_room(request.room)
        if request.after is None:
            query: Latest | After = Latest(room, request.limit, request.before, every=True, viewer=self._viewer)
        else:
            query = After(room, request.after, (1 << 62) - 1, request.limit, viewer=self._viewer)
        self._hub.ask(self._session, query, lambda page: QueryResult(request.label, page))

    @property
    def _viewer(self) -> Viewer:
        return self._hub.viewer(self._session)

    def _find(self, request: wire.Find) -> None:
        room = names.check_room(request.room) if request.room else None
        words = commands.words_of(request.words)
        query = Search(words, request.limit, room, request.before, viewer=self._viewer, asker=self._session)
        self._hub.ask(self._session, query, lambda page: QueryResult(request.label, page))


def _part(request: wire.AskRooms | wire.AskMembers) -> ListPart:
    return ListPart(request.after, request.limit)


_ANSWERS: dict[type[wire.Request], type[Event]] = {wire.AskRooms: RoomsListed, wire.AskMembers: MembersListed}
_REQUESTS: dict[type[wire.Request], Callable[[WebSocketClient, Any], None]] = {
    wire.Hello: WebSocketClient._hello,
    wire.Say: WebSocketClient._say,
    wire.ClientCommand: WebSocketClient._command,
    wire.Join: lambda talk, request: talk._hub.rooms.join(talk._session, request.room, request.after, request.key),
    wire.Leave: lambda talk, request: talk._hub.rooms.leave(talk._session, request.room),
    wire.Msg: WebSocketClient._msg,
    wire.Redact: WebSocketClient._redact,
    wire.History: WebSocketClient._history,
    wire.Find: WebSocketClient._find,
    wire.AskRooms: lambda talk, request: commands.list_rooms(talk._hub, talk._session, part=_part(request)),
    wire.AskMembers: lambda talk, request: commands.list_members(
        talk._hub, talk._session, request.room, _part(request)
    ),
}
