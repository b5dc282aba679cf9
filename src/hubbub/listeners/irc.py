"""The dialogue with an IRC client: registration, the order of answers, labels. What commands do is in irc_*.py.

An answer keeps its place: it goes through the session's turn, so a PONG comes after everything that the client said
before was given to the others. With labeled-response, what comes between two marks in the turn is the answer.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

from hubbub.core.hub import Hub
from hubbub.core.model import (
    SAID,
    Answer,
    Entry,
    Event,
    Goodbye,
    Invited,
    Joined,
    Left,
    Moved,
    Named,
    Notice,
    Past,
    Private,
    Refusal,
    Stored,
)
from hubbub.core.room import Room
from hubbub.core.session import Session
from hubbub.core.text import fold
from hubbub.core.users import User
from hubbub.errors import Refused
from hubbub.listeners import irc_commands, irc_metadata
from hubbub.listeners.connection import Connection
from hubbub.listeners.irc_network import Network
from hubbub.wire import irc as wire
from hubbub.wire.irc_form import RENAMING, SHOWING, channel, form_of, stamp, tagged
from hubbub.wire.irc_numerics import TEXTS

log = logging.getLogger("hubbub")

PING_AFTER = 120.0  # seconds of silence after which a client is asked whether it is there
PONG_WITHIN = 60.0
CODES = {  # what is refused, as a numeric; the room or what else it is about comes before the text
    "name-taken": 433,
    "name-invalid": 432,
    "room-invalid": 403,
    "too-many-rooms": 405,
    "not-in-room": 442,
    "banned": 474,
    "invite-only": 473,
    "bad-key": 475,
    "room-full": 471,
    "moderated": 404,
    "muted": 404,
    "slow-mode": 404,
    "not-allowed": 404,
    "no-such-name": 401,
    "not-operator": 482,
    "no-text": 412,
}


class IrcDialogue:
    """One IRC client.

    Args:
        hub: the hub.
        network: what all IRC clients share.
        now: seconds on the connection's clock.

    """

    is_irc = True

    def __init__(self, hub: Hub, network: Network, now: float) -> None:
        self.hub = hub
        self.network = network
        self.settings = network.settings
        self.caps: frozenset[str] = frozenset()
        self.session: Session
        self.connection: Connection
        self.user: User | None = None  # who holds the nick; the session has it once it is registered
        self.username = ""
        self.real = ""
        self.away = ""  # before it is registered
        self.negotiating = False
        self.version = 0  # of CAP LS, the highest asked for
        self.password = ""
        self.registered = False
        self.monitored: dict[str, str] = {}  # nicks as typed, by folded nick
        self.markers: dict[str, str] = {}
        self.metadata = irc_metadata.Own()
        self.batch: Any = None  # a multi-line message that is coming in
        self.label = ""  # of the command that is being done
        self.rest: deque[Callable[[], None]] = deque()  # of the command that is being done: each waits for the last
        self._resting = False  # a part of that is being done
        self._held = ""  # the label of a command that goes on in the next messages
        self._after: list[bytes] = []  # what comes after that answer, though it came up within it
        self._written: list[bytes] | None = None  # what the message that is being done has brought
        self._collected: list[bytes] | None = None  # the answer to a labelled command, so far
        self._reader = wire.Reader()
        self._opened = now
        self._pinged = False
        self._refs = 0
        self._reason = "Connection closed"

    # --- the connection's calls -----------------------------------------------------------------------------------

    def begin(self, connection: Connection) -> None:
        """Wait for it to speak."""
        self.connection = connection
        self.network.unregistered.add(self)
        self.session = self.hub.connect(self, connection, form_of(frozenset()), address=connection.origin)
        self.session.exact = True

    def feed(self, data: bytes) -> None:
        """Keep bytes that came in."""
        self._pinged = False
        self._reader.feed(data)

    def next_item(self) -> wire.Message | wire.Broken | None:
        """Return the next message."""
        return self._reader.next_message()

    def ready(self) -> bool:
        """Whether the next message may be taken."""
        self._go_on_with_it()
        return self.hub.ready(self.session)

    def take(self, item: wire.Message | wire.Broken) -> None:
        """Do what a message asks for, between the marks of its label."""
        label = item.label if isinstance(item, wire.Broken) else item.tags.get("label", "")
        label = label if "labeled-response" in self.caps and len(label) <= wire.MAX_LABEL else ""
        if label and not irc_commands.continues_batch(self, item):
            self.label = label
            self.session.label = "irc"
            self.later(self._begin_answer)
        self._written = []
        if isinstance(item, wire.Broken):
            self._broken(item)
        else:
            irc_commands.run(self, item)
        self.session.label = ""
        self._go_on_with_it()
        self._write()

    def _write(self) -> None:
        """Write what the message has brought at once."""
        lines, self._written = self._written, None
        if lines:
            self.connection.write(b"".join(lines))

    def hold_answer(self) -> None:
        """Answer later: the command goes on in the next messages. What is said until then is no part of the answer."""
        self._held, self.label = self.label, ""
        if self._held:
            self.later(self._drop_answer)

    def go_on_answering(self) -> None:
        """Answer the command that was held, unless another one is being answered."""
        if self._held and not self.label:
            self.label, self._held = self._held, ""
            self.session.label = "irc"
            self.later(self._begin_answer)

    def _go_on_with_it(self) -> None:
        """Do the rest of a command, as far as the hub is ready; end the answer to a labelled one after it."""
        if self._resting:
            return
        self._resting = True
        while self.rest and not self.session.waiting and not self.session.gone:
            self.rest.popleft()()
        self._resting = False
        if self.label and not self.session.waiting:
            self.later(partial(self._end_answer, self.label))
            self.label = ""

    def ended(self) -> bool:
        """End: it says nothing more."""
        self.hub.depart(self.session, "Connection closed")
        return True

    def lost(self) -> None:
        """Forget it."""
        self.network.unregistered.discard(self)
        self.network.clients.discard(self)
        for nick in self.monitored.values():
            self.network.unwatch(nick, self)
        if self.registered and not self.session.gone:
            log.info("%s (%s) has left", self.session.nick, self.connection.peer)
        elif self.user and not self.registered:
            self.hub.directory.drop(self.user)
        self.hub.depart(self.session, self._reason)

    def pause(self) -> None:
        """Let the hub write nothing."""
        self.hub.pause(self.session)

    def resume(self) -> None:
        """Let the hub write again."""
        self.hub.resume(self.session)

    def farewell(self) -> None:
        """Say that the server stops, and close."""
        self.connection.finish(wire.line("", "ERROR", "The server is shutting down"))

    def tick(self, now: float, quiet: float) -> float:
        """End it with who does not register, or does not answer."""
        if not self.registered:
            left = self.settings.name_timeout - (now - self._opened)
            if left <= 0:
                self.end("Registration timed out")
            return left
        if quiet < PING_AFTER:
            return PING_AFTER - quiet
        if not self._pinged:
            self._pinged = True
            self.emit(wire.line("", "PING", self.network.name))
        elif quiet >= PING_AFTER + PONG_WITHIN:
            self.end(f"Ping timeout: {quiet:.0f} seconds")
        return PING_AFTER + PONG_WITHIN - quiet

    # --- the hub's calls ------------------------------------------------------------------------------------------

    def tell(self, event: Event) -> None:
        """Show an event; after a goodbye, close."""
        if isinstance(event, Goodbye):
            self._write()
            self.connection.finish()
        elif teller := _EVENTS.get(type(event)):
            teller(self, event)

    def go_on(self) -> None:
        """Take the next message."""
        self._go_on_with_it()
        self.connection.go_on()

    # --- answers --------------------------------------------------------------------------------------------------

    @property
    def nick(self) -> str:
        """What the client is called, "*" before it has a name."""
        return self.user.nick if self.user else "*"

    @property
    def source(self) -> str:
        """Who it is, as IRC writes it."""
        return f"{self.nick}!{self.session.host}"

    def later(self, act: Callable[[], Event | None]) -> None:
        """Do something in the session's turn: after what it said before was given to the others."""
        self.session.turn.append(act)
        self.session.flush()

    def send(self, *lines: bytes) -> None:
        """Answer, in the session's turn."""
        self.later(partial(self.emit, *lines))

    def reply(self, verb: str, *params: str) -> None:
        """Answer with a message of the server."""
        self.send(self.line(verb, *params))

    def line(self, verb: str, *params: str) -> bytes:
        """Return a message of the server. What cannot stand in the middle of a line is a `*` there."""
        middle = [word if word and " " not in word and word[0] != ":" else "*" for word in params[:-1]]
        return wire.line(self.network.name, verb, *middle, *params[-1:], tags=self.time)

    @property
    def time(self) -> dict[str, str]:
        """The time as a tag, if the client reads that."""
        return {"time": stamp(self.hub.clock())} if "server-time" in self.caps else {}

    def numeric(self, code: int, *params: str) -> None:
        """Answer with a numeric; its usual text comes last."""
        text = TEXTS.get(code)
        self.reply(f"{code:03d}", self.nick, *params, *([text] if text else []))

    def fail(self, verb: str, code: str, *params: str) -> None:
        """Answer with a standard reply: the last parameter is for people (IRCv3 standard-replies)."""
        self.reply("FAIL", verb, code, *params)

    def notice(self, text: str) -> None:
        """Let the server say something."""
        self.reply("NOTICE", self.nick, text)

    def emit(self, *lines: bytes) -> None:
        """Write lines now, or add them to the answer that is being collected. What shows nothing is no line."""
        lines = tuple(filter(None, lines))
        if self._collected is not None:
            self._collected += lines
        elif self._written is not None:
            self._written += lines
        elif lines:
            self.connection.write(b"".join(lines))

    def new_ref(self) -> str:
        """Return a name for a batch."""
        self._refs += 1
        return f"r{self._refs:x}"

    def begin_batch(self, kind: str, *params: str) -> str:
        """Open a batch in the answer, and return its name; "" if the client reads none."""
        if "batch" not in self.caps:
            return ""
        ref = self.new_ref()
        self.send(wire.line(self.network.name, "BATCH", f"+{ref}", kind, *params))
        return ref

    def end_batch(self, ref: str) -> None:
        """Close it."""
        if ref:
            self.send(wire.line(self.network.name, "BATCH", f"-{ref}"))

    def _begin_answer(self) -> None:
        self._collected = []

    def _drop_answer(self) -> None:
        self._collected = None

    def _end_answer(self, label: str) -> None:
        lines, self._collected = self._collected or [], None
        tag = f"label={wire.escape(label)}".encode()
        if not lines:
            lines = [wire.line(self.network.name, "ACK")]
        opened = _batch(lines[0], b"+")
        if len(lines) > 1 and not (opened and opened == _batch(lines[-1], b"-")):
            outer = self.new_ref()
            batch = f"batch={outer}".encode()
            lines = [line if line.startswith(b"@batch=") else _add_tag(line, batch) for line in lines]
            lines.insert(0, wire.line(self.network.name, "BATCH", f"+{outer}", "labeled-response"))
            lines.append(wire.line(self.network.name, "BATCH", f"-{outer}"))
        self.emit(_add_tag(lines[0], tag), *lines[1:], *self._after)
        self._after = []

    # --- registration, and the end --------------------------------------------------------------------------------

    def claim(self, name: str) -> None:
        """Hold a name before the client is registered; answer if that cannot be."""
        had = self.user.keys if self.user else ()
        try:
            user, nick = self.hub.directory.claim(name, self.user)
        except Refused as refusal:
            self.refuse_name(refusal, name)
            return

        def held(refusal: Refused | None) -> None:
            if refusal or self.session.gone:
                if self.user and not self.session.gone:
                    self.hub.directory.keep(user, user.nick, ())
                else:
                    self.hub.directory.drop(user)
                if refusal and not self.session.gone:
                    self.refuse_name(refusal, name)
                return
            self.user = user
            self.hub.directory.keep(user, nick, ())
            self.register()

        if fold(nick) in had:
            held(None)
        else:
            self.hub.naming.hold(self.session, nick, held)

    def refuse_name(self, refusal: Refused, name: str) -> None:
        """Say that a name cannot be had."""
        shown = name if name and " " not in name and not name.startswith(":") else "*"
        if refusal.code in CODES:
            self.numeric(CODES[refusal.code], shown)
        else:  # the other nodes could not be asked
            self.emit(self.line("433", self.nick or "*", shown, refusal.text))

    def register(self) -> None:
        """Let the client in once it has said all that is needed."""
        if self.registered or self.negotiating or not self.user or not self.username:
            return
        if self.settings.irc_password and self.password != self.settings.irc_password:
            self.numeric(464)
            self.end("Password incorrect")
            return
        self.registered = True
        self.network.unregistered.discard(self)
        self.network.clients.add(self)
        self.session.host = f"~{self.username}@{self.connection.cloak}.irc"
        self.user.real = self.real
        self.user.away = self.away
        self.hub.naming.attach(self.session, self.user)
        log.info("%s (%s) has joined", self.nick, self.connection.peer)
        self.connection.tick()
        irc_commands.welcome(self)

    def take_caps(self, caps: frozenset[str]) -> None:
        """Use these capabilities from now on."""
        irc_metadata.recap(self, caps)
        self.caps = caps
        self.hub.set_form(self.session, form_of(caps & SHOWING))

    def end(self, reason: str, quit: str | None = None) -> None:
        """Say why, and close; whether the client reads or not. The others are told `quit`, or the same."""
        quit = reason if quit is None else quit
        self._reason = quit
        if self.user and not self.registered:
            self.hub.directory.drop(self.user)
            self.user = None
        host = self.session.host.rpartition("@")[2] or "unknown"
        if self.registered:
            log.info("%s (%s) has left", self.nick, self.connection.peer)
        last = wire.line("", "ERROR", f"Closing Link: {host} ({reason})")
        if self.session.paused:
            self._write()
            self.connection.finish(last)
        else:
            self.send(last)
            if self.label:
                self.later(partial(self._end_answer, self.label))
                self.label = self.session.label = ""
        self.hub.depart(self.session, self._reason)

    def _broken(self, item: wire.Broken) -> None:
        if item.why is wire.Signal.TOO_LONG:
            self.numeric(417)
        else:
            self.fail(item.verb, "INVALID_UTF8", "Message rejected, it is not UTF-8")

    # --- what the hub tells ---------------------------------------------------------------------------------------

    @property
    def form(self) -> Any:
        """How entries look to it."""
        return self.session.form

    def _joined(self, event: Joined, again: bool = False) -> None:
        room = self.hub.rooms.awake.get(event.room)
        if room is None or room.name not in self.session.rooms:
            return
        name = channel(room.name)
        whole = [name, "*", self.user.real if self.user else ""] if "extended-join" in self.caps else [name]
        tags = self.form.tags(Entry(room.name, 0, 0, self.hub.clock(), irc_commands.JOIN, "", "", ""))
        lines = [tagged(tags, wire.line(self.source, "JOIN", *whole))]
        self.emit(*lines, *irc_commands.greeting(self, room), *irc_metadata.greeting(self, room))
        if not again:
            irc_metadata.introduce(self, room)
        if self.user and self.user.away:
            data = wire.line(self.source, "AWAY", self.user.away)
            for member in room.people:
                other = self.network.client(member)
                if other and other is not self and "away-notify" in other.caps:
                    other.send(data)

    def _moved(self, event: Moved) -> None:
        room = self.hub.rooms.awake.get(event.to)
        if RENAMING in self.caps or room is None:
            return
        why = event.entry.text.partition(" ")[2]
        self.emit(wire.line(self.source, "PART", channel(event.room), *([why] if why else [])))
        self._joined(Joined(event.to, event.entry.seq, room.topic, False), again=True)

    def _left(self, event: Left) -> None:
        if event.kick:
            self.emit(self.form.render(event.kick))

    def _stored(self, event: Stored) -> None:
        entry = event.entry
        if entry.kind in SAID or entry.kind is irc_commands.SIGNAL:
            shown = "echo-message" in self.caps and event.label != "quiet"
        else:
            shown = entry.kind is not irc_commands.JOIN
        again = "~" in entry.id and not entry.id.endswith("~0")  # the same in another room
        if shown and not again:
            self.emit(*self.form.lines(entry))

    def _past(self, event: Past) -> None:
        if "draft/chathistory" not in self.caps:
            self.emit(*irc_commands.replay(self, event.entries))

    def _refusal(self, event: Refusal) -> None:
        about = [channel(event.room)] if event.room else []
        code = CODES.get(event.code)
        if code and (about or code == 412):
            text = TEXTS[code] if code in (471, 473, 474, 475) else event.text
            self.emit(self.line(f"{code:03d}", self.nick, *about, text))
        else:
            self.emit(self.line("NOTICE", *(about or [self.nick]), event.text))

    def _private(self, event: Private) -> None:
        if event.entry:
            lines = self.form.lines(event.entry)
            if event.entry.id.startswith(self.session.tag):  # to itself: after the echo, and no part of an answer
                self._after += lines
                self.later(self._give_after)
            else:
                self.connection.write(b"".join(lines))

    def _give_after(self) -> None:
        if self._collected is None:
            lines, self._after = self._after, []
            self.emit(*lines)

    def _named(self, event: Named) -> None:
        if not self.session.rooms:
            self.emit(wire.line(f"{event.before}!{self.session.host}", "NICK", event.nick))

    def members(self, room: Room) -> Iterable[Session]:
        """Return the members of a room that are seen."""
        return room.people


def _batch(line: bytes, sign: bytes) -> bytes:
    """Return the name of the batch that a line opens (+) or closes (-), b"" for another line."""
    words = line.split(b" ")
    words = words[1:] if words[0].startswith(b"@") else words
    if len(words) > 2 and words[1] == b"BATCH" and words[2].startswith(sign):
        return words[2].strip()[1:]
    return b""


def _add_tag(line: bytes, tag: bytes) -> bytes:
    return b"@" + tag + b";" + line[1:] if line.startswith(b"@") else b"@" + tag + b" " + line


_EVENTS: dict[type[Any], Callable[[IrcDialogue, Any], None]] = {
    Joined: IrcDialogue._joined,
    Left: IrcDialogue._left,
    Moved: IrcDialogue._moved,
    Stored: IrcDialogue._stored,
    Past: IrcDialogue._past,
    Refusal: IrcDialogue._refusal,
    Private: IrcDialogue._private,
    Named: IrcDialogue._named,
    Answer: lambda client, event: None,
    Notice: lambda client, event: client.emit(
        *(wire.line(client.network.name, "NOTICE", client.nick, text) for text in event.lines)
    ),
    Invited: lambda client, event: client.emit(
        wire.line(f"{event.nick}!{event.host}", "INVITE", client.nick, channel(event.room))
    ),
}
