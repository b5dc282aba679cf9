"""A client on a WebSocket: it sends JSON requests, and the server sends events and entries."""

from __future__ import annotations

import hashlib
import logging
import secrets
from collections.abc import Iterable, Mapping
from functools import partial

from msgspec.structs import replace
from websockets.frames import CloseCode

from hubbub.chat.hub import Hub
from hubbub.chat.operations import waiting
from hubbub.chat.rooms import resuming
from hubbub.chat.session import Session
from hubbub.chat.turns import ClientStep, StepTable
from hubbub.config import Settings
from hubbub.errors import Refused
from hubbub.model.access import Action
from hubbub.model.events import (
    ClassShown,
    Event,
    Goodbye,
    LoggedIn,
    MembersListed,
    Notice,
    Refusal,
    RoomsListed,
    SettingsListed,
)
from hubbub.serve.sockets.connection import STOPPING, Connection
from hubbub.serve.web import requests
from hubbub.serve.web.credentials import Visitor
from hubbub.text import refusals
from hubbub.text.names import LOBBY
from hubbub.wire.reader_state import State
from hubbub.wire.web import frames, websocket
from hubbub.wire.web import requests as wire
from hubbub.wire.web.websocket import FrameReader, FrameSignal, close_frame

log = logging.getLogger("hubbub")

PING_AFTER = 20.0  # seconds without input after which the server sends a ping
PONG_WITHIN = 10.0  # seconds that the peer has to answer it


Tokens = dict[str, "WebSocketClient"]  # the client that now has a session, by the session's secret resume token


class WebSocketClient:
    """A client on a WebSocket: runs its requests, and sends it the session's events.

    Args:
        hub: the hub.
        settings: the settings in force.
        tokens: the resume tokens of all WebSocket sessions.
        reader: the reader of the peer's frames.
        now: the current time, in seconds on the connection's clock.
        visitor: the facts about the peer.

    """

    wire_name = "websocket"

    def __init__(
        self, hub: Hub, settings: Settings, tokens: Tokens, reader: FrameReader, now: float, visitor: Visitor
    ) -> None:
        self._hub = hub
        self._settings = settings
        self._tokens = tokens
        self._reader = reader
        self._opened = now
        self._visitor = visitor
        self._welcomed = False
        self._connection: Connection
        self._session: Session
        self._token = secrets.token_urlsafe(24)
        self._pinged_at = 0.0  # time of the unanswered ping; 0: none
        self._renamed: dict[str, str] = {}  # the present names of rooms of the hello, by those that the peer knows
        self._replaced = False  # another connection has taken over the session
        self._code = CloseCode.POLICY_VIOLATION  # the close code after a goodbye
        self._asked = ""  # the label of the request that is running
        self._label = ""  # the label of the request being answered, until an event with this label is sent
        self._answer = ""  # the name of the type of event that answers this request, if it is no other

    # --- the connection's calls -----------------------------------------------------------------------------

    def begin(self, connection: Connection) -> None:
        """Connect a session to the hub. The server sends nothing before the client's hello."""
        self._connection = connection
        if self._welcomed:  # it goes on with the session of another client
            self._session.client, self._session.sink = self, connection
            self._tokens[self._token] = self
            return
        host = f"~web@{connection.cloak}.web"
        self._session = self._hub.connect(self, connection, frames.FORM, host, connection.origin)
        self._session.client_steps = _STEPS
        self._session.secure = self._visitor.encrypted
        if self._visitor.account:
            self._hub.holders.hold(self._session, self._visitor.account.grant)
        self._session.browser = self._visitor.browser

    def feed(self, data: bytes) -> None:
        """Buffer received bytes. Any input answers a ping."""
        self._pinged_at = 0.0
        self._reader.feed(data)

    def next_item(self) -> str | bytes | FrameSignal | None:
        """Return the next message or signal, or None. Answer pings unless paused."""
        item = self._reader.next_item()
        if not self._session.paused and (pong := self._reader.take_pong()):
            self._connection.write(pong)
        return item

    @property
    def is_idle(self) -> bool:
        """Whether no frame waits, and no request is still running."""
        return not (self._session.pending or self._reader.waiting)

    def ready(self) -> bool:
        """End the answer of a finished request, and return whether the next message may be processed."""
        self._end_answer()
        return self._hub.session_ready(self._session) and not self._session.paused

    def handle(self, item: str | bytes | FrameSignal) -> None:
        """Run the request in a message. Refuse binary messages; the end of the frames makes the user leave."""
        if item is FrameSignal.END:
            self._hub.depart(self._session)
        elif isinstance(item, bytes):
            self._hub.refuse(self._session, refusals.BINARY_FRAME())
        elif isinstance(item, str):
            self._code = CloseCode.NORMAL_CLOSURE  # if this request ends the session
            self._request(item)
            self._end_answer()
            if not self._session.closed:
                self._code = CloseCode.POLICY_VIOLATION

    def ended(self) -> bool:
        """Let the user leave, unless another connection has taken over the session."""
        if not self._replaced:
            self._hub.depart(self._session)
        return True

    def connection_lost(self) -> None:
        """Let the user leave and forget the resume token, unless another connection has taken over the session."""
        if self._replaced:
            return
        if self._tokens.get(self._token) is self:
            del self._tokens[self._token]
        if self._session.user:
            log.info("%s (%s) has left", self._session.nick, self._connection.peer)
        self._hub.depart(self._session)

    def pause(self) -> None:
        """Stop the hub's output to this session because the peer does not read."""
        if not self._replaced:
            self._hub.pause(self._session)

    def resume(self) -> None:
        """Send a pong that waited, and let the hub write again."""
        if not self._replaced:
            if pong := self._reader.take_pong():
                self._connection.write(pong)
            self._hub.resume(self._session)

    def shut_down(self) -> None:
        """Send a notice that the server is stopping, and close with code 1001 (going away)."""
        self._connection.finish(frames.encode("notice", lines=[STOPPING]) + close_frame(CloseCode.GOING_AWAY, STOPPING))

    def ask_sign_of_life(self) -> bool:
        """Send a ping, unless the peer does not read. Return whether it was sent."""
        if self._session.paused or self._replaced:
            return False
        self._connection.write(websocket.PING)
        return True

    def check_deadlines(self, now: float, quiet: float) -> float:
        """Disconnect a peer that gives no name in time or does not answer a ping; send the ping when it is due.

        Return the seconds until the next check; 0 or less if the client has ended.
        """
        if self._session.closed or self._replaced:
            return 0
        if self._session.user is None:
            left = self._settings.name_timeout - (now - self._opened)
            if left <= 0:
                self._end(CloseCode.POLICY_VIOLATION, "No name was given in time.")
            return left
        if not self.ready():
            return PING_AFTER  # a pong could not be read at the moment
        if quiet < PING_AFTER:
            return PING_AFTER - quiet
        if not self._pinged_at:
            self._pinged_at = now
            self._connection.write(websocket.PING)
        left = self._pinged_at + PONG_WITHIN - now
        if left <= 0:
            self._end(CloseCode.INTERNAL_ERROR, "No answer to a ping.")
        return left

    # --- handing the peer over ------------------------------------------------------------------------------

    def state(self) -> State | None:
        """Return all that it knows of its peer besides the session, as plain data; None if it cannot be moved now.

        It can be moved when its user is in the chat, and no request waits for something that only this process can end.
        """
        if not self._welcomed or self._replaced or self._session.closed or not waiting.can_move(self._session):
            return None
        answering = self._asked, self._label, self._answer
        return {"token": self._token, "reader": self._reader.state(), "answering": answering}

    def restore(self, state: State, session: Session) -> None:
        """Go on, in a new client, with the state and the session of another one, before `begin` on its connection."""
        self._session, self._token, self._welcomed = session, state["token"], True
        self._asked, self._label, self._answer = state["answering"]
        self._reader.restore(state["reader"])

    # --- the hub's calls ------------------------------------------------------------------------------------

    def send_event(self, event: Event) -> None:
        """Send an event as JSON. A goodbye closes the connection.

        The first event that answers the current request, or a refusal, carries the request's label.
        """
        if isinstance(event, Goodbye):
            self._connection.finish(self._reader.last_words or close_frame(self._code))
            return
        if self._session.user and not self._welcomed:  # the rooms of an account are shown at once
            self._welcome()
        if self._label and isinstance(event, _ANSWERING) and not event.label:
            if isinstance(event, Refusal) or type(event).__name__ == self._answer:
                event = replace(event, label=self._label)
        if self._label and getattr(event, "label", "") == self._label:
            self._label = ""
        self._connection.write(frames.render(event))
        if isinstance(event, LoggedIn):
            self._hub.private_history.catch_up(self._session)

    def resume_input(self) -> None:
        """End the answer of a finished request, and process waiting input: the session is ready again."""
        self._end_answer()
        self._connection.resume_input()

    @property
    def session(self) -> Session:
        """The session in the chat."""
        return self._session

    # --- internals --------------------------------------------------------------------------------------------

    def _end(self, code: int, reason: str) -> None:
        """Close with a code and a reason even if the peer does not read. The user leaves."""
        self._connection.finish(close_frame(code, reason))
        self._hub.depart(self._session)

    def _request(self, data: str) -> None:
        try:
            request = wire.parse(data)
        except wire.BadFrame as error:
            self._hub.refuse(self._session, refusals.BAD_FRAME(fault=error), error.label)
            return
        if request.label and not isinstance(request, wire.Say):
            self._begin_answer(request)
        try:
            if isinstance(request, wire.Hello):
                self._hello(request)
            elif self._session.user is None:
                raise refusals.NO_NAME()
            else:
                requests.run(self._hub, self._session, request)
        except Refused as refusal:
            self._hub.refuse(self._session, refusal, request.label)

    def _begin_answer(self, request: wire.Request) -> None:
        """Mark in the session's reply queue where the answer to a request begins."""
        self._asked = request.label
        answer = _ANSWERS.get(type(request))
        self._session.replies.append(ClientStep("begin", (request.label, answer.__name__ if answer else "")))
        self._session.flush()

    def _mark_begin(self, label: str, answer: str) -> None:
        self._label, self._answer = label, answer

    def _end_answer(self) -> None:
        """Send `done` once the request's operations are finished, unless another event with its label was sent."""
        if not self._asked or self._session.pending or self._session.closed:
            return
        self._asked = ""
        self._session.replies.append(ClientStep("end"))
        self._session.flush()

    def _mark_end(self) -> None:
        if self._label:
            self._connection.write(frames.encode("done", label=self._label))
        self._label = ""

    # --- the hello ------------------------------------------------------------------------------------------

    def _hello(self, request: wire.Hello) -> None:
        if self._session.user is not None:
            raise refusals.NAMED_ALREADY()
        known = self._hub.log.log_id
        rooms: dict[str, int | None] = dict(request.rooms)
        talk = self._tokens.get(request.resume)
        if talk and talk._session.closed:
            talk = None
        if request.log and request.log != known:  # the sequence numbers belong to another log
            rooms = dict.fromkeys(rooms)
        elif request.ids:
            rooms = self._by_present_names(rooms, request, talk._session if talk else self._session)
        if talk:
            self._resume(talk, rooms)
            return
        if len(request.resume) >= len(self._token):
            self._token = request.resume  # the session has ended, but the token still identifies the user
        self._session.user_id = hashlib.blake2b(self._token.encode(), digest_size=9).hexdigest()
        if request.password or self._visitor.account:
            self._log_in(request, rooms)
            return
        (room, after), *others = rooms.items() or [(LOBBY, None)]
        entered = ClientStep("entered", (others, request.keys))
        self._hub.naming.enter(self._session, request.name.strip(), room, after, entered, request.keys.get(room, ""))

    def _by_present_names(
        self, rooms: dict[str, int | None], request: wire.Hello, session: Session
    ) -> dict[str, int | None]:
        """Return the rooms of a hello by the names that they have now, and note those that were renamed meanwhile.

        A room in which nobody is keeps the name of the request, and so does one of which the peer may not know.
        """
        present: dict[str, int | None] = {}
        for name, after in rooms.items():
            room = self._hub.loaded.by_id.get(request.ids.get(name, ""))
            if room and room.id not in session.rooms and not self._hub.may(session, Action.LIST, room):
                room = None
            if room and room.name != name:
                self._renamed[name] = room.name
                if key := request.keys.pop(name, ""):
                    request.keys[room.name] = key
            present[room.name if room else name] = after
        return present

    def _entered(
        self, others: Iterable[tuple[str, int | None]], keys: Mapping[str, str], refusal: Refused | None
    ) -> None:
        """Welcome the peer when it has its name, and let it join the other rooms of its hello; or send the refusal."""
        if refusal:
            self._hub.refuse(self._session, refusal)
            return
        log.info("%s (%s) has joined", self._session.nick, self._connection.peer)
        self._welcome()
        self._join(others, keys)

    def _log_in(self, request: wire.Hello, rooms: dict[str, int | None]) -> None:
        """Let the owner of an account in, show them their rooms, and join those of the request."""
        accounts, users = self._hub.nicks.accounts, self._hub.account_users
        # The owner is in loaded rooms alone. One of them may be renamed before the session has its user.
        loaded = self._hub.loaded
        self._session.seen = {loaded[name].id: seq for name, seq in rooms.items() if name in loaded and seq is not None}

        def outcome(refusal: Refused | None) -> None:
            if refusal:
                self._hub.refuse(self._session, refusal, request.label)
                return
            log.info("%s (%s) has joined", self._session.nick, self._connection.peer)
            self._welcome()
            has = {room.name for room in self._session.rooms.values()}
            wanted = [(room, seq) for room, seq in rooms.items() if room not in has]
            self._join(wanted, request.keys)
            if not rooms:
                self._hub.rooms.enter_first(self._session)

        if request.password:
            start = partial(accounts.log_in, request.name.strip(), request.password)
            self._hub.credentials.check(self._session, start, outcome)
        elif proven := self._visitor.account:
            account = accounts.find(proven.name)  # it may have changed since the handshake
            if account is None or account.id != proven.id or not account.is_open(self._hub.clock()):
                raise refusals.ACCOUNT_CLOSED(name=proven.name)
            users.log_in(self._session, account, outcome)

    def _join(self, rooms: Iterable[tuple[str, int | None]], keys: Mapping[str, str]) -> None:
        for room, after in rooms:
            try:
                self._hub.rooms.join(self._session, room, after, keys.get(room, ""))
            except Refused as refusal:
                self._hub.refuse(self._session, refusal, room=room)

    def _welcome(self) -> None:
        if self._welcomed:
            return
        self._welcomed = True
        self._connection.on_timer()  # replaces the deadline for a name
        self._tokens[self._token] = self
        fields = {
            "nick": self._session.nick,
            "tag": self._session.id_prefix,
            "log": self._hub.log.log_id,
            "edit_minutes": self._hub.limits.edit_minutes,
        }
        label = {"label": self._label} if self._label else {}
        self._label = ""
        self._connection.write(frames.encode("welcome", **fields, resume=self._token, **label))
        for room, to in self._renamed.items():
            self._connection.write(frames.encode("left", room=room, to=to))

    def _resume(self, talk: WebSocketClient, rooms: dict[str, int | None]) -> None:
        """Take over the session of another connection, and close that connection."""
        new, self._session, self._token = self._session, talk._session, talk._token
        talk._replaced = True
        resuming.replace(self._hub, self._session, new)
        talk._connection.finish(close_frame(websocket.REPLACED, "The session continues in another connection."))
        log.info("%s (%s) has reconnected", self._session.nick, self._connection.peer)
        self._welcome()
        resuming.go_on(self._hub, self._session, rooms)


_ANSWERS: dict[type[wire.Request], type[Event]] = {
    wire.AskRooms: RoomsListed,
    wire.AskMembers: MembersListed,
    wire.AskSettings: SettingsListed,
    wire.AskClass: ClassShown,
    wire.ClientCommand: Notice,
}
_ANSWERING = Refusal | MembersListed | RoomsListed | SettingsListed | ClassShown | Notice
_STEPS: StepTable = {
    "begin": WebSocketClient._mark_begin,
    "end": WebSocketClient._mark_end,
    "entered": WebSocketClient._entered,
}
