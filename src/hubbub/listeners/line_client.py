"""The dialogue with who types lines: nc, telnet, and every pipe."""

from __future__ import annotations

import logging
from itertools import chain

from hubbub.config import Settings
from hubbub.core import commands
from hubbub.core.bounds import NAME_CHARS
from hubbub.core.hub import Hub
from hubbub.core.model import Event, Goodbye, Notice, Refusal
from hubbub.core.session import Session
from hubbub.core.text import beginning, clean
from hubbub.errors import Refused
from hubbub.listeners.connection import STOPPING, Connection
from hubbub.wire import line as wire
from hubbub.wire.incoming import Incoming
from hubbub.wire.line import PROMPT, RAW, TELNET, LineReader, LineSignal

log = logging.getLogger("hubbub")

NAME_TRIES = 5
# A refused name is told after a pause: a line that comes within it was sent before anybody could read the refusal, so
# it comes from a program, and is no other name. The name of such a program is tried again for a while, because its
# holder may be another run of it that is about to end.
READING_PAUSE_SECONDS = 0.25
NAME_RETRY_SECONDS = 3.0
MAX_LINES_TOLD = 10  # lines of a pipe that are named when they were not sent
WARNING = 60.0  # seconds before the idle timeout at which it is announced
UNFINISHED = "[the line was cut off here]"


class LineClient:
    """One peer at the line wire: asks for a name, then takes lines and shows entries.

    Args:
        hub: the hub.
        settings: the settings in force.
        opened: when the peer came, in seconds on the connection's clock.
        prompted: whether it was asked for a name already.

    """

    wire_name = "line"
    __slots__ = (
        "_asking", "_connection", "_early", "_hub", "_incoming", "_name", "_opened", "_prompted", "_reader",
        "_refusals", "_refused", "_refused_at", "_session", "_settings", "_warned",
    )  # fmt: skip

    def __init__(self, hub: Hub, settings: Settings, opened: float, prompted: bool = False) -> None:
        self._hub = hub
        self._settings = settings
        self._incoming = Incoming()
        self._reader = LineReader(settings.line_limit)
        self._connection: Connection
        self._session: Session
        self._opened = opened
        self._prompted = prompted
        self._warned = False
        self._name = ""  # that was asked for last
        self._asking = False  # whether the name is free is not known yet
        self._refusals = 0
        self._refused: Refused | None = None  # why the name was refused, until the peer is told
        self._refused_at = 0.0  # when, on the connection's clock; 0.0 until the next tick
        self._early: list[str] = []  # lines that were sent before the refusal could be read

    # --- the connection's calls -----------------------------------------------------------------------------

    def begin(self, connection: Connection) -> None:
        """Ask for a name."""
        self._connection = connection
        self._session = self._hub.connect(self, connection, RAW, f"~nc@{connection.cloak}.nc", connection.origin)
        self._session.secure = connection.encrypted
        if not self._prompted:
            connection.write(PROMPT.encode())

    def feed(self, data: bytes) -> None:
        """Keep bytes that came in; answer telnet's negotiation."""
        self._warned = False
        telnet = self._reader.telnet
        self._reader.feed(self._incoming.feed(data, telnet is not None and telnet.spoken))
        telnet = self._reader.telnet
        if self._session.encoder is RAW and (self._incoming.ends_crlf or (telnet and telnet.spoken)):
            self._hub.set_encoder(self._session, TELNET)
        if telnet and not self._session.paused:
            self._connection.write(telnet.take_replies())

    def next_item(self) -> str | LineSignal | None:
        """Return the next line or signal."""
        if self._early and self._refused is None:
            return self._early.pop(0)
        return self._reader.next_line()

    def ready(self) -> bool:
        """Whether the next line may be taken; of those that came early, only as many as would be named."""
        return (self._refused is None or len(self._early) <= MAX_LINES_TOLD) and self._hub.session_ready(self._session)

    def handle(self, item: str | LineSignal) -> None:
        """Do what a line says."""
        session = self._session
        try:
            if isinstance(item, LineSignal):
                self._signal(item)
            elif session.user is None and self._refused is not None:
                self._keep_early(item)
            elif session.user is None:
                self._ask_for(item.strip())
            else:
                commands.run(self._hub, session, item)
        except Refused as refusal:
            self._hub.reply(session, Refusal(refusal.code, refusal.text))

    def ended(self) -> bool:
        """Take the line that was cut off, and leave once it was given all that it was still to be given."""
        rest = self._reader.end()
        if rest.strip() and (self._session.user or self._refused):
            # Said, but not as if it were whole; and no command is run that may have been meant otherwise.
            if commands.parse(rest):
                self._hub.reply(self._session, Notice(("Not done: the command was cut off",)))
            else:
                self.handle(f"{rest.rstrip()} {UNFINISHED}")
        if self._early:
            return False
        if self._refused is not None:
            self._tell_refusal(self._refused)
        if self._hub.has_unsettled(self._session):
            return False
        self._hub.depart(self._session)
        return True

    def connection_lost(self) -> None:
        """Leave."""
        self._hub.depart(self._session)
        if self._session.user:
            log.info("%s (%s) has left", self._session.nick, self._connection.peer)

    def pause(self) -> None:
        """Let the hub write nothing."""
        self._hub.pause(self._session)

    def resume(self) -> None:
        """Let the hub write again."""
        if self._reader.telnet is not None:
            self._connection.write(self._reader.telnet.take_replies())
        self._hub.resume(self._session)

    def shut_down(self) -> None:
        """Say that the server stops, and close."""
        self._connection.finish(wire.encode(wire.notice(STOPPING), self._end_of_line))

    def ask_sign_of_life(self) -> bool:
        """Return that there is nothing to ask: nc shows all that it is sent."""
        return False

    def check_deadlines(self, now: float, quiet: float) -> float:
        """End the dialogue with a peer that gives no name, or says nothing for too long."""
        if self._session.closed:
            return 0
        if self._refused is not None:
            return self._try_again(now)
        if self._session.user is None:
            left = self._settings.name_timeout - (now - self._opened)
            if left <= 0:
                self._end("\nDisconnected: no name was given in time.")
            return left
        timeout = self._settings.idle_timeout
        if not timeout:
            return WARNING
        left = timeout - quiet
        if left <= 0:
            self._end("Disconnected: idle timeout.")
        elif timeout > 2 * WARNING and left > WARNING:
            return left - WARNING
        elif timeout > 2 * WARNING and not self._warned:
            self._warned = True
            self._hub.reply(self._session, Notice((f"Say something within {left:.0f} s, or you will be disconnected",)))
        return left

    # --- the hub's calls ------------------------------------------------------------------------------------

    def send_event(self, event: Event) -> None:
        """Show an event; after a goodbye, close."""
        if isinstance(event, Goodbye):
            self._connection.finish()
        else:
            telnet = self._reader.telnet
            self._connection.write(wire.render(event, self._end_of_line, telnet.width if telnet else 0))

    def resume_input(self) -> None:
        """Take the next line."""
        self._connection.resume_input()

    # --- its own --------------------------------------------------------------------------------------------

    @property
    def _end_of_line(self) -> str:
        return "\r\n" if self._session.encoder is not RAW else "\n"

    def _ask_for(self, name: str) -> None:
        self._name = name
        self._asking = True
        try:
            self._hub.naming.enter(self._session, name, outcome=self._entered)
        except Refused as refusal:
            if name == "/quit":
                self._hub.depart(self._session)
            else:
                self._entered(refusal)

    def _entered(self, refusal: Refused | None) -> None:
        self._asking = False
        first, self._refused = self._refused is None, refusal
        if refusal is None:
            log.info("%s (%s) has joined", self._session.nick, self._connection.peer)
            self._connection.on_timer()  # the deadline was that for a name
            if self._early:
                self._connection.process_input()
        elif first:
            self._refused_at = 0.0
            self._connection.on_timer()

    def _keep_early(self, line: str) -> None:
        """Keep a line that was sent before the refusal could be read, while the name may still become free."""
        if line.strip() == "/quit" and not self._early:
            self._hub.depart(self._session)
        elif line.strip():
            self._early.append(line)

    def _try_again(self, now: float) -> float:
        """Ask for the refused name again, or say at last that it is refused; return seconds until the next look."""
        self._refused_at = self._refused_at or now
        if self._asking:
            return READING_PAUSE_SECONDS
        refused = self._refused
        waited = now - self._refused_at
        hopeless = bool(self._early) and refused and refused.code == "name-invalid"
        patience = NAME_RETRY_SECONDS if self._early else READING_PAUSE_SECONDS
        if refused and (hopeless or waited >= patience):
            self._tell_refusal(refused)
        elif waited and refused and refused.code != "name-invalid":
            self._ask_for(self._name)
        return READING_PAUSE_SECONDS

    def _tell_refusal(self, refused: Refused) -> None:
        """Say why there is no name; and of lines that came early that they are not sent: they are no names."""
        self._refused = None
        if self._early:
            self._end("\n".join([refused.text, *self._not_sent()]))
            return
        self._refusals += 1
        if self._refusals >= NAME_TRIES:
            self._end(f"{refused.text}\nDisconnected: no valid name after {NAME_TRIES} tries.")
        else:
            self._connection.write(wire.encode(refused.text, self._end_of_line) + PROMPT.encode())

    def _not_sent(self) -> list[str]:
        """Return a sentence for each line that came early, as far as they were read; at most MAX_LINES_TOLD."""
        sentences: list[str] = []
        for line in chain(self._early, iter(self._reader.next_line, None)):
            if len(sentences) == MAX_LINES_TOLD:
                return [*sentences, "Not sent: all that followed."]
            if isinstance(line, str) and line.strip():
                sentences.append(f"Not sent: {beginning(clean(line.strip()))}")
        return sentences

    def _signal(self, signal: LineSignal) -> None:
        if signal is LineSignal.QUIT:
            self._hub.depart(self._session, asked=True)
        elif signal is LineSignal.TOO_LONG:
            if self._session.user is None and self._refused is None:
                self._entered(Refused("name-invalid", f"Names have at most {NAME_CHARS} characters."))
                return
            limit = self._settings.line_limit
            raise Refused("line-too-long", f"Not sent: a line has at most {limit} bytes.")
        else:
            line = clean(self._reader.pending)
            self._hub.reply(self._session, Notice((f"Your line so far: {line}" if line else "Your line is empty",)))

    def _end(self, sentence: str) -> None:
        """Say why, and close; whether the peer reads or not."""
        self._connection.finish(wire.encode(sentence, self._end_of_line))
        self._hub.depart(self._session)
