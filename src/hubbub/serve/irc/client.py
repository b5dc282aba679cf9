"""An IRC client's connection, from registration to the end. The commands are in the other irc_*.py files."""

from __future__ import annotations

import logging
from functools import partial
from typing import Any

from hubbub.chat.hub import Hub
from hubbub.chat.users import User
from hubbub.errors import Refused
from hubbub.model.events import Event, Goodbye
from hubbub.serve.connection import Connection
from hubbub.serve.irc import commands, metadata, registration
from hubbub.serve.irc.events import EVENTS
from hubbub.serve.irc.network import IrcNetwork
from hubbub.serve.irc.replies import IrcReplies
from hubbub.wire.irc import lines as wire
from hubbub.wire.irc.encoder import SHOWING, form_of
from hubbub.wire.irc.numerics import REFUSALS

log = logging.getLogger("hubbub")

PING_AFTER = 120.0  # seconds of silence after which the server sends a PING
PONG_WITHIN = 60.0  # seconds that the client then has to send anything
STRAYS = 3  # commands that need registration and come before it; at this number the client is disconnected


class IrcClient(IrcReplies):
    """One IRC client.

    Args:
        hub: the hub.
        network: the state that all IRC clients share.
        now: the current time, in seconds on the connection's clock.

    """

    is_irc = True
    wire_name = "irc"

    def __init__(self, hub: Hub, network: IrcNetwork, now: float) -> None:
        super().__init__(hub, network)
        self.settings = network.settings
        self.username = ""
        self.real = ""
        self.away = ""  # the away message set before registration
        self.strays = 0  # commands sent before registration that need it
        self.negotiating = False
        self.version = 0  # the highest CAP LS version that the client asked for
        self.password = ""
        self.registered = False
        self.monitored: dict[str, str] = {}  # nicks as typed, by folded nick
        self.markers: dict[str, str] = {}
        self.metadata = metadata.MetadataSubscriptions()
        self.batch: Any = None  # the multi-line message that is being received
        self._reader = wire.Reader()
        self._opened = now
        self._pinged = False
        self._reason = "Connection closed"

    # --- the connection's calls -----------------------------------------------------------------------------------

    def begin(self, connection: Connection) -> None:
        """Connect a session to the hub. The server sends nothing before the client does."""
        self.connection = connection
        self.network.unregistered.add(self)
        self.session = self.hub.connect(self, connection, form_of(frozenset()), address=connection.origin)
        self.session.preserves_spaces = True
        self.session.keeps_history = True
        self.session.secure = connection.encrypted

    def feed(self, data: bytes) -> None:
        """Buffer received bytes. Any input answers a PING."""
        self._pinged = False
        self._reader.feed(data)

    def next_item(self) -> wire.Message | wire.Broken | None:
        """Return the next message, complete or malformed, or None."""
        return self._reader.next_message()

    def ready(self) -> bool:
        """Continue the current command, and return whether the next message may be processed."""
        self.go_on_with_it()
        return self.hub.session_ready(self.session)

    def handle(self, item: wire.Message | wire.Broken) -> None:
        """Run the command of a message. Its answer is labelled if the message has a label (IRCv3 labeled-response)."""
        label = item.label if isinstance(item, wire.Broken) else item.tags.get("label", "")
        label = label if "labeled-response" in self.caps and len(label) <= wire.MAX_LABEL else ""
        self.begin_command("" if label and commands.continues_batch(self, item) else label)
        if isinstance(item, wire.Broken):
            self._broken(item)
        else:
            commands.run(self, item)
        self.end_command()

    def ended(self) -> bool:
        """Let the user leave: the client has closed its side."""
        self.hub.depart(self.session, "Connection closed")
        return True

    def connection_lost(self) -> None:
        """Remove the client from the network's lists, and let the user leave."""
        self.network.unregistered.discard(self)
        self.network.clients.discard(self)
        for nick in self.monitored.values():
            self.network.unwatch(nick, self)
        if self.registered:
            log.info("%s (%s) has left", self.session.nick, self.connection.peer)
        self.hub.depart(self.session, self._reason)

    def pause(self) -> None:
        """Stop the hub's output to this session because the client does not read."""
        self.hub.pause(self.session)

    def resume(self) -> None:
        """Let the hub write to this session again."""
        self.hub.resume(self.session)

    def shut_down(self) -> None:
        """Send an ERROR that the server is stopping, and close."""
        self.connection.finish(wire.line("", "ERROR", "The server is shutting down"))

    def ask_sign_of_life(self) -> bool:
        """Send a PING, unless the client does not read. Return whether it was sent."""
        if self.session.paused or self.session.closed:
            return False
        self.emit(wire.line("", "PING", self.network.name))
        return True

    def check_deadlines(self, now: float, quiet: float) -> float:
        """Disconnect a client that does not register in time or does not answer a PING; send the PING when it is due.

        Return the seconds until the next check; 0 or less if the client has ended.
        """
        if self.session.closed:  # the goodbye follows once the leave is stored
            return 0
        if not self.registered:
            left, why = self.settings.name_timeout - (now - self._opened), "Registration timed out"
        elif quiet < PING_AFTER:
            return PING_AFTER - quiet
        else:
            left, why = PING_AFTER + PONG_WITHIN - quiet, f"Ping timeout: {quiet:.0f} seconds"
        if left <= 0:
            self.session.unheard = quiet
            self.end(why)
            return left
        if self.registered and not self._pinged:
            self._pinged = True
            self.emit(wire.line("", "PING", self.network.name))
        return left

    # --- the hub's calls ------------------------------------------------------------------------------------------

    def send_event(self, event: Event) -> None:
        """Write an event as IRC messages. A goodbye closes the connection."""
        if isinstance(event, Goodbye):
            self.write()
            self.connection.finish()
        elif teller := EVENTS.get(type(event)):
            teller(self, event)

    def resume_input(self) -> None:
        """Continue the current command and the input: the session is ready again."""
        self.go_on_with_it()
        self.connection.resume_input()

    # --- registration, and the end --------------------------------------------------------------------------------

    def refuse_name(self, refusal: Refused, name: str) -> None:
        """Send the numeric for a refused nick: 437 if the other nodes could not be asked, else that of the refusal."""
        shown = name if name and " " not in name and not name.startswith(":") else "*"
        if refusal.code in REFUSALS:
            self.numeric(REFUSALS[refusal.code], shown)
        else:  # the other nodes could not be asked
            self.reply("437", self.nick or "*", shown, refusal.text)

    def want(self, name: str) -> None:
        """Note the nick that the client asks for, and register it if possible. The nick is reserved at registration."""
        try:
            self.wanted = self.hub.directory.check_free(name)
        except Refused as refusal:
            if not self.hub.naming.make_free(self.session, name, refusal, partial(self._want_again, name)):
                self.refuse_name(refusal, name)
            return
        self.register()

    def _want_again(self, name: str) -> None:
        try:
            self.wanted = self.hub.directory.check_free(name)
        except Refused as refusal:
            self.refuse_name(refusal, name)
        else:
            self.register()

    def register(self) -> None:
        """Register the client once NICK and USER have come and CAP negotiation is over.

        A wrong server password disconnects the client. A nick that is taken by now is refused.
        """
        if self.registered or self.negotiating or not self.wanted or not self.username:
            return
        if self.settings.irc_password and self.password != self.settings.irc_password:
            self.numeric(464)
            self.end("Password incorrect")
            return
        try:
            user, nick = self.hub.directory.claim(self.wanted)
        except Refused as refusal:
            self._not_called(refusal)
        else:
            self.hub.naming.reserve(self.session, nick, partial(self._come_in, user))

    def _come_in(self, user: User, refusal: Refused | None) -> None:
        """Complete the registration with the reserved nick, or send the refusal of the nick."""
        if refusal or self.session.closed:
            self.hub.directory.release_all(user)
            if refusal and not self.session.closed:
                self._not_called(refusal)
            return
        self.user = user
        self.registered = True
        self.network.unregistered.discard(self)
        self.network.clients.add(self)
        self.session.host = f"~{self.username}@{self.connection.cloak}.irc"
        self.user.real = self.real
        self.user.away = self.away
        self.hub.naming.attach(self.session, self.user)
        log.info("%s (%s) has joined", self.nick, self.connection.peer)
        self.connection.on_timer()
        registration.welcome(self)

    def _not_called(self, refusal: Refused) -> None:
        name, self.wanted = self.wanted, ""
        self.refuse_name(refusal, name)

    def take_caps(self, caps: frozenset[str]) -> None:
        """Replace the client's capabilities, and the encoder of its session to match."""
        metadata.on_caps_changed(self, caps)
        self.caps = caps
        self.hub.set_encoder(self.session, form_of(caps & SHOWING))

    def end(self, reason: str, quit: str | None = None) -> None:
        """Send an ERROR with the reason, and close the connection even if the client does not read.

        Do nothing if the client has left already.

        Args:
            reason: shown to the client, and to the other users if there is no `quit`.
            quit: the message of the client's own QUIT, shown to the other users; None if it did not ask to leave.

        """
        if self.session.closed:
            return
        asked = quit is not None
        self._reason = quit if quit is not None else reason
        self.network.unregistered.discard(self)
        host = self.session.host.rpartition("@")[2] or "unknown"
        last = wire.line("", "ERROR", f"Closing Link: {host} ({reason})")
        if self.session.paused:
            self.write()
            self.connection.finish(last)
        else:
            self.send(last)
            self.end_answer()
            self.session.label = ""
        self.hub.depart(self.session, self._reason, asked)

    def count_stray(self) -> None:
        """Count a command that needs registration and came before it.

        After STRAYS of them, disconnect: the peer is probably no IRC client.
        """
        self.strays += 1
        if self.strays >= STRAYS:
            self.end("Register first, by NICK and USER")

    def _broken(self, item: wire.Broken) -> None:
        if item.why is wire.IrcFault.TOO_LONG:
            self.numeric(417)
        elif item.verb == "NICK":
            self.reply("432", self.nick, "*", "Your nick is not UTF-8. Set your client to UTF-8, or take another nick.")
        else:
            self.fail(item.verb, "INVALID_UTF8", "Message rejected, it is not UTF-8")
        if not self.registered and not commands.is_early(item.verb):
            self.count_stray()
