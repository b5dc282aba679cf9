"""The line wire: clients that send plain lines, such as nc, telnet and pipes."""

from __future__ import annotations

import logging
from collections.abc import Callable
from itertools import chain

from hubbub.chat.commands import slash
from hubbub.chat.hub import Hub
from hubbub.chat.operations import waiting
from hubbub.chat.session import Session
from hubbub.chat.turns import ClientStep, StepTable
from hubbub.config import Settings
from hubbub.errors import Refused
from hubbub.model.events import Event, Goodbye, LoggedIn, Notice
from hubbub.serve.line.password_prompt import PasswordPrompt, RegistrationPrompt, SecretPrompt
from hubbub.serve.sockets.connection import STOPPING, Connection
from hubbub.serve.terminal.edited_terminal import EditedTerminal
from hubbub.serve.terminal.peer_screen import PeerScreen
from hubbub.text import refusals
from hubbub.text.bounds import NAME_CHARS
from hubbub.text.cleaning import beginning, clean
from hubbub.text.typed.secret_lines import holds_password, without_password
from hubbub.wire.line import encoder as wire
from hubbub.wire.line.encoder import PROMPT, RAW, TELNET
from hubbub.wire.line.incoming import Incoming
from hubbub.wire.line.reader import LineReader, LineSignal
from hubbub.wire.line.telnet import Telnet
from hubbub.wire.reader_state import State

log = logging.getLogger("hubbub")

NAME_TRIES = 5
# The refusal of a name is sent after a pause. A line that arrives during the pause was sent before anyone could read
# the refusal, so it comes from a program and is not another try at a name. A program's name is tried again for
# NAME_RETRY_SECONDS, because its holder may be a previous run of the same program that is about to end.
READING_PAUSE_SECONDS = 0.25
NAME_RETRY_SECONDS = 3.0
MAX_LINES_TOLD = 10  # lines of a program that are listed as not sent
WARNING = 60.0  # seconds between the warning and the idle timeout
UNFINISHED = "[the line was cut off here]"


class LineClient:
    """A client on the line wire: asks for a name, then runs the lines it receives and shows the room's entries.

    Args:
        hub: the hub.
        settings: the settings in force.
        opened: when the peer was accepted, in seconds on the connection's clock.
        prompted: whether the peer was sent the prompt for a name already.

    """

    wire_name = "line"
    prompt = PROMPT  # for a name
    __slots__ = (
        "_asking", "_connection", "_early", "_hub", "_incoming", "_name", "_opened", "_password",
        "_prompted", "_reader", "_refusals", "_refused", "_refused_at", "_saved", "_screen", "_session", "_settings",
        "_warned", "next_item", "resume_input",
    )  # fmt: skip

    def __init__(self, hub: Hub, settings: Settings, opened: float, prompted: bool = False) -> None:
        self._hub = hub
        self._settings = settings
        self._incoming = Incoming()
        self._reader: LineReader | EditedTerminal
        self._connection: Connection
        self._screen: PeerScreen
        self._session: Session
        self._opened = opened
        self._prompted = prompted
        self._warned = False
        self._name = ""  # the last name that the peer asked for
        self._asking = False  # the hub has not answered yet whether the name is free
        self._refusals = 0
        self._refused: Refused | None = None  # the refusal of the name that is not sent yet
        self._refused_at = 0.0  # its time on the connection's clock; 0.0 until the next timer call
        self._early: tuple[str, ...] = ()  # lines sent before the refusal could be read
        self.next_item: Callable[[], str | LineSignal | None]
        self._password: SecretPrompt | None = None  # while the peer is asked for a password
        self._saved: State | None = None  # the state of the reader with which it begins

    # --- the connection's calls -----------------------------------------------------------------------------

    def begin(self, connection: Connection) -> None:
        """Connect a session to the hub, and send the prompt for a name unless the sniffer has sent it."""
        self.connect(connection, "nc")
        if not self._prompted:
            self._screen.output.ask(self.prompt)

    def connect(self, connection: Connection, kind: str) -> None:
        """Connect a session to the hub; `kind` stands in its public host for the kind of client."""
        self._connection = connection
        self.resume_input = connection.resume_input
        reader = LineReader(self._settings.line_limit)
        if self._saved is None:
            host = f"~{kind}@{connection.cloak}.{kind}"
            self._session = self._hub.connect(self, connection, RAW, host, connection.origin)
            self._session.client_steps, self._session.secure = _STEPS, connection.encrypted
        else:  # it goes on with the session of another client
            self._session.client, self._session.sink = self, connection
            reader.restore(self._saved)
        self._screen = PeerScreen(self._hub, self._session, connection, reader, self._settings.line_limit)
        self._use_reader()

    def feed(self, data: bytes) -> None:
        """Buffer received bytes, and answer telnet option negotiation in them.

        The first telnet command, or the first line that ends in CR LF, switches the output to CR LF line ends.
        """
        self._warned = False
        telnet = self._reader.telnet
        self._reader.feed(self._incoming.feed(data, telnet is not None and telnet.spoken))
        telnet = self._reader.telnet
        if self._session.encoder is RAW and (self._incoming.ends_crlf or (telnet and telnet.spoken)):
            self._hub.set_encoder(self._session, TELNET)
        if telnet:
            self._follow(telnet)

    def _follow(self, telnet: Telnet) -> None:
        """Answer what a telnet client negotiates, and let it send keys or lines, as it has agreed to."""
        if not self._session.paused:
            self._connection.write(telnet.take_replies())
        asked = self._session.user is None and not (self._asking or self._refused)
        if self._screen.follow(telnet, self.prompt if asked else ""):
            self._use_reader()

    def _use_reader(self) -> None:
        """Read lines from the reader of the screen, which is another one now."""
        self._reader = self._screen.reader
        if not self._early:
            self.next_item = self._reader.next_line
        if self._password:
            self._password.reader, self._password.output = self._reader, self._screen.output

    @property
    def is_idle(self) -> bool:
        """Whether no line waits, and no command is still running."""
        return not (self._session.pending or self._early or self._reader.waiting)

    def ready(self) -> bool:
        """Return whether the next line may be processed.

        While a refusal waits, only as many lines are read ahead as the message about unsent lines lists. Keys are shown
        when they are processed, so none is processed while the peer does not read.
        """
        if self._session.paused and self._screen.reads_keys:
            return False
        return (self._refused is None or len(self._early) <= MAX_LINES_TOLD) and self._hub.session_ready(self._session)

    def handle(self, item: str | LineSignal) -> None:
        """Process a line: a name before the user has one, else a message or a command. Send refusals to the peer."""
        session = self._session
        try:
            if isinstance(item, LineSignal):
                self._signal(item)
            elif self._password:
                self._password.answer(item.strip())
            elif session.user is None and self._refused is not None:
                self._keep_early(item)
            elif session.user is None:
                self._ask_for(item.strip())
            elif "/" in item:
                slash.run(self._hub, session, item)
            else:  # no command
                self._hub.say(session, item)
        except Refused as refusal:
            self._hub.refuse(session, refusal)

    def ended(self) -> bool:
        """Process an unfinished last line, and leave once the peer was sent everything that it waits for."""
        rest = self._reader.end()
        if rest.strip() and (self._session.user or self._refused):
            # A message is sent with a mark that it is incomplete. A command is not run: the rest may change its effect.
            if slash.parse(rest):
                self._hub.reply(self._session, Notice(("Not done: the command was cut off",)))
            else:
                self.handle(f"{rest.rstrip()} {UNFINISHED}")
        if self._early:
            return False
        if self._refused is not None:
            self._tell_refusal(self._refused.text)
        if self._hub.has_unsettled(self._session):
            return False
        self._hub.depart(self._session)
        return True

    def connection_lost(self) -> None:
        """Let the user leave, and log it."""
        self._hub.depart(self._session)
        if self._session.user:
            log.info("%s (%s) has left", self._session.nick, self._connection.peer)

    def pause(self) -> None:
        """Stop the hub's output to this session because the peer does not read."""
        self._hub.pause(self._session)

    def resume(self) -> None:
        """Send the telnet replies that waited, and let the hub write again."""
        if self._reader.telnet is not None:
            self._connection.write(self._reader.telnet.take_replies())
        self._hub.resume(self._session)

    def shut_down(self) -> None:
        """Send a notice that the server is stopping, and close."""
        self._connection.finish(
            self._screen.output.farewell() + wire.encode(wire.notice(STOPPING), self._screen.end_of_line)
        )

    def ask_sign_of_life(self) -> bool:
        """Send nothing and return False: nc would show every byte to its user."""
        return False

    def check_deadlines(self, now: float, quiet: float) -> float:
        """Disconnect a peer that gives no name in time or exceeds the idle timeout; warn it WARNING seconds before.

        Also retry a refused name, or send its refusal, when the time for that has come. Return the seconds until the
        next check; 0 or less if the client has ended.
        """
        if self._session.closed:
            return 0
        if self._refused is not None:
            return self._try_again(now)
        if self._session.user is None:
            self._opened = self._opened or now
            left = self._settings.name_timeout - (now - self._opened)
            if left <= 0:
                missing = "password" if self._password else "name"
                self._end(f"\nDisconnected: no {missing} was given in time.")
            return left
        timeout = self._settings.idle_timeout
        if not timeout or self._session.user.account:
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

    # --- handing the peer over ------------------------------------------------------------------------------

    def state(self) -> State | None:
        """Return all that it knows of its peer besides the session, as plain data; None if it cannot be moved now.

        It can be moved when its user is in the chat, the terminal shows its own input, and no command waits for
        something that only this process can end.
        """
        reader = self._reader
        asks = self._asking or self._refused or self._early or self._password
        if asks or not self._session.user or self._session.closed or not waiting.can_move(self._session):
            return None
        if not isinstance(reader, LineReader):
            return None
        return {"incoming": self._incoming.state(), "reader": reader.state(), "warned": self._warned}

    def restore(self, state: State, session: Session) -> None:
        """Go on, in a new client, with the state and the session of another one, before `begin` on its connection."""
        self._session, self._saved, self._prompted = session, state["reader"], True
        self._incoming.restore(state["incoming"])
        self._warned = state["warned"]

    # --- the hub's calls ------------------------------------------------------------------------------------

    def send_event(self, event: Event) -> None:
        """Write an event to the peer as text lines. A goodbye closes the connection."""
        if isinstance(event, Goodbye):
            self._connection.finish(self._screen.output.farewell())
        else:
            self._screen.show(event)
            if isinstance(event, LoggedIn):
                self._hub.private_history.catch_up(self._session)

    # --- internals --------------------------------------------------------------------------------------------

    def _ask_for(self, name: str) -> None:
        self._name = name
        self._asking = True
        try:
            self._hub.naming.enter(self._session, name, outcome=ClientStep("entered"))
        except Refused as refusal:
            if name == "/quit":
                self._hub.depart(self._session)
            elif refusal.code == "name-registered":
                account = self._hub.nicks.accounts.find(name)
                self._ask_for_password(PasswordPrompt, account.name if account else name)
            elif refusal.code == "account-required" and self._may_register():
                self._offer_registration(name)
            else:
                self._entered(refusal)

    def _may_register(self) -> bool:
        """Return whether a peer may register a name now; not a program, which has sent lines already."""
        if self._early or self._reader.has_line():
            return False
        accounts, peer = self._hub.nicks.accounts, self._hub.credentials.peer(self._session)
        return accounts.registration != "closed" and accounts.takes_passwords(peer)

    def _offer_registration(self, name: str) -> None:
        try:
            nick = self._hub.nicks.unregistered(name)
        except Refused as refusal:
            self._entered(refusal)
        else:
            self._ask_for_password(RegistrationPrompt, nick)

    def _ask_for_password(self, prompt: type[SecretPrompt], name: str) -> None:
        self._asking, self._refused = False, None
        self._password = prompt(self._hub, self._session, name, self._reader, self._screen.output, self._password_given)
        self._start_deadline()

    def _start_deadline(self) -> None:
        """Give the peer the whole time for its next answer."""
        self._opened = 0.0
        self._connection.on_timer()

    def _password_given(self, refusal: str | None) -> None:
        """End the prompt for a password: the session is logged in, or is asked for another name."""
        self._password = None
        if refusal is None:
            log.info("%s (%s) has logged in", self._session.nick, self._connection.peer)
            self._connection.on_timer()
        elif refusal and self._reader.has_line():
            self._end("\n".join([refusal, *self._not_sent()]))
        else:
            self._tell_refusal(refusal)
            self._start_deadline()

    def _entered(self, refusal: Refused | None) -> None:
        self._asking = False
        first, self._refused = self._refused is None, refusal
        if refusal is None:
            log.info("%s (%s) has joined", self._session.nick, self._connection.peer)
            self._connection.on_timer()  # replaces the deadline for a name
            if self._early:
                self._connection.process_input()
        elif first:
            self._refused_at = 0.0
            self._connection.on_timer()

    def _keep_early(self, line: str) -> None:
        """Keep a line that was sent before the refusal could be read: the name may still become free.

        Empty lines are ignored. `/quit` as the first line disconnects.
        """
        if line.strip() == "/quit" and not self._early:
            self._hub.depart(self._session)
        elif line.strip():
            self._early += (line,)
            self.next_item = self._next_early

    def _next_early(self) -> str | LineSignal | None:
        """Return the next line or signal, or None: once the name is not refused any more, the lines that were kept."""
        if self._refused is None and self._early:
            line, *rest = self._early
            self._early = tuple(rest)
            return line
        if self._refused is None:
            self.next_item = self._reader.next_line
        return self._reader.next_line()

    def _try_again(self, now: float) -> float:
        """Ask for the refused name again, or send its refusal. Return the seconds until the next check.

        Before the refusal, a person waits READING_PAUSE_SECONDS, a program NAME_RETRY_SECONDS. A program whose name is
        not valid gets its refusal at once.
        """
        self._refused_at = self._refused_at or now
        if self._asking:
            return READING_PAUSE_SECONDS
        refused = self._refused
        waited = now - self._refused_at
        hopeless = bool(self._early) and refused and refused.code == "name-invalid"
        patience = NAME_RETRY_SECONDS if self._early else READING_PAUSE_SECONDS
        if refused and (hopeless or waited >= patience):
            self._tell_refusal(refused.text)
        elif waited and refused and refused.code != "name-invalid":
            self._ask_for(self._name)
        return READING_PAUSE_SECONDS

    def _tell_refusal(self, refusal: str) -> None:
        """Send the refusal of the name or password, then ask for a name again or disconnect.

        A program that has sent lines already is disconnected with a list of the unsent lines, because they are not
        names. Another peer is disconnected after NAME_TRIES refusals.
        """
        self._refused = None
        if self._early:
            self._end("\n".join([refusal, *self._not_sent()]))
            return
        self._refusals += 1
        if self._refusals >= NAME_TRIES:
            self._end(f"{refusal}\nDisconnected: no valid name after {NAME_TRIES} tries.")
        else:
            self._screen.output.ask(
                refusal.replace("\n", self._screen.end_of_line) + self._screen.end_of_line * bool(refusal) + self.prompt
            )

    def _not_sent(self) -> list[str]:
        """Return a sentence for each line that was received and not sent, for at most MAX_LINES_TOLD lines."""
        sentences: list[str] = []
        for line in chain(self._early, iter(self._reader.next_line, None)):
            if len(sentences) == MAX_LINES_TOLD or line is LineSignal.KEYS:
                return [*sentences, "Not sent: all that followed."]
            if isinstance(line, str) and line.strip():
                text = clean(line.strip())
                sentences.append(f"Not sent: {without_password(text) if holds_password(text) else beginning(text)}")
        return sentences

    def _signal(self, signal: LineSignal) -> None:
        if signal is LineSignal.QUIT:
            self._hub.depart(self._session, asked=True)
        elif signal is LineSignal.INTERRUPT:
            self._interrupted()
        elif signal is LineSignal.TOO_LONG:
            if self._password:
                self._password.answer("")
                return
            if self._session.user is None and self._refused is None:
                self._entered(refusals.NAME_TOO_LONG(limit=NAME_CHARS))
                return
            raise refusals.LINE_TOO_LONG(limit=self._settings.line_limit)
        # A password is not shown.
        elif signal is LineSignal.REPRINT and self._password is None:
            line = clean(self._reader.pending)
            self._hub.reply(self._session, Notice((f"Your line so far: {line}" if line else "Your line is empty",)))

    def _interrupted(self) -> None:
        """Leave if the user is not in the chat yet; tell the others how one leaves."""
        if self._password:
            self._password.answer("")
        elif self._session.user is None:
            self._hub.depart(self._session)
        else:
            self._hub.reply(self._session, Notice(("Ctrl-D or /quit leaves the chat",)))

    def _end(self, sentence: str) -> None:
        """Send the reason, and close the connection even if the peer does not read. The user leaves."""
        self._connection.finish(self._screen.output.farewell() + wire.encode(sentence, self._screen.end_of_line))
        self._hub.depart(self._session)


_STEPS: StepTable = {"entered": lambda client, refusal: client._entered(refusal)}  # of the class of the client
