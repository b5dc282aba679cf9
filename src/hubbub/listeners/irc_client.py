"""The dialogue with an IRC client, from its registration to its end. What commands do is in irc_*.py."""

from __future__ import annotations

import logging
from functools import partial
from typing import Any

from hubbub.core.hub import Hub
from hubbub.core.model import Event, Goodbye
from hubbub.core.users import User
from hubbub.errors import Refused
from hubbub.listeners import irc_commands, irc_metadata, irc_registration
from hubbub.listeners.connection import Connection
from hubbub.listeners.irc_events import EVENTS
from hubbub.listeners.irc_network import IrcNetwork
from hubbub.listeners.irc_replies import IrcReplies
from hubbub.wire import irc as wire
from hubbub.wire.irc_encoder import SHOWING, form_of
from hubbub.wire.irc_numerics import REFUSALS

log = logging.getLogger("hubbub")

PING_AFTER = 120.0  # seconds of silence after which a client is asked whether it is there
PONG_WITHIN = 60.0
STRAYS = 3  # commands that a client may send too early before it is taken for something else and ended


class IrcClient(IrcReplies):
    """One IRC client.

    Args:
        hub: the hub.
        network: what all IRC clients share.
        now: seconds on the connection's clock.

    """

    is_irc = True
    wire_name = "irc"

    def __init__(self, hub: Hub, network: IrcNetwork, now: float) -> None:
        super().__init__(hub, network)
        self.settings = network.settings
        self.username = ""
        self.real = ""
        self.away = ""  # before it is registered
        self.strays = 0  # commands before it is registered that need that
        self.negotiating = False
        self.version = 0  # of CAP LS, the highest asked for
        self.password = ""
        self.registered = False
        self.monitored: dict[str, str] = {}  # nicks as typed, by folded nick
        self.markers: dict[str, str] = {}
        self.metadata = irc_metadata.MetadataSubscriptions()
        self.batch: Any = None  # a multi-line message that is coming in
        self._reader = wire.Reader()
        self._opened = now
        self._pinged = False
        self._reason = "Connection closed"

    # --- the connection's calls -----------------------------------------------------------------------------------

    def begin(self, connection: Connection) -> None:
        """Wait for it to speak."""
        self.connection = connection
        self.network.unregistered.add(self)
        self.session = self.hub.connect(self, connection, form_of(frozenset()), address=connection.origin)
        self.session.preserves_spaces = True
        self.session.keeps_history = True
        self.session.secure = connection.encrypted

    def feed(self, data: bytes) -> None:
        """Keep bytes that came in."""
        self._pinged = False
        self._reader.feed(data)

    def next_item(self) -> wire.Message | wire.Broken | None:
        """Return the next message."""
        return self._reader.next_message()

    def ready(self) -> bool:
        """Whether the next message may be taken."""
        self.go_on_with_it()
        return self.hub.session_ready(self.session)

    def handle(self, item: wire.Message | wire.Broken) -> None:
        """Do what a message asks for, between the marks of its label."""
        label = item.label if isinstance(item, wire.Broken) else item.tags.get("label", "")
        label = label if "labeled-response" in self.caps and len(label) <= wire.MAX_LABEL else ""
        self.begin_command("" if label and irc_commands.continues_batch(self, item) else label)
        if isinstance(item, wire.Broken):
            self._broken(item)
        else:
            irc_commands.run(self, item)
        self.end_command()

    def ended(self) -> bool:
        """End: it says nothing more."""
        self.hub.depart(self.session, "Connection closed")
        return True

    def connection_lost(self) -> None:
        """Forget it."""
        self.network.unregistered.discard(self)
        self.network.clients.discard(self)
        for nick in self.monitored.values():
            self.network.unwatch(nick, self)
        if self.registered:
            log.info("%s (%s) has left", self.session.nick, self.connection.peer)
        self.hub.depart(self.session, self._reason)

    def pause(self) -> None:
        """Let the hub write nothing."""
        self.hub.pause(self.session)

    def resume(self) -> None:
        """Let the hub write again."""
        self.hub.resume(self.session)

    def shut_down(self) -> None:
        """Say that the server stops, and close."""
        self.connection.finish(wire.line("", "ERROR", "The server is shutting down"))

    def ask_sign_of_life(self) -> bool:
        """Ask for a PONG, unless the client does not read."""
        if self.session.paused or self.session.closed:
            return False
        self.emit(wire.line("", "PING", self.network.name))
        return True

    def check_deadlines(self, now: float, quiet: float) -> float:
        """End clients that do not register in time, or answer no PING."""
        if self.session.closed:  # its goodbye waits until its leave is stored
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
        """Show an event; after a goodbye, close."""
        if isinstance(event, Goodbye):
            self.write()
            self.connection.finish()
        elif teller := EVENTS.get(type(event)):
            teller(self, event)

    def resume_input(self) -> None:
        """Take the next message."""
        self.go_on_with_it()
        self.connection.resume_input()

    # --- registration, and the end --------------------------------------------------------------------------------

    def refuse_name(self, refusal: Refused, name: str) -> None:
        """Say that a name cannot be had."""
        shown = name if name and " " not in name and not name.startswith(":") else "*"
        if refusal.code in REFUSALS:
            self.numeric(REFUSALS[refusal.code], shown)
        else:  # the other nodes could not be asked
            self.reply("437", self.nick or "*", shown, refusal.text)

    def want(self, name: str) -> None:
        """Note what a client wants to be called once it is registered; nobody holds a name before that."""
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
        """Let the client in once it has said all that is needed."""
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
        """Let the client in under the name that it wanted, or ask for another one."""
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
        irc_registration.welcome(self)

    def _not_called(self, refusal: Refused) -> None:
        name, self.wanted = self.wanted, ""
        self.refuse_name(refusal, name)

    def take_caps(self, caps: frozenset[str]) -> None:
        """Use these capabilities from now on."""
        irc_metadata.on_caps_changed(self, caps)
        self.caps = caps
        self.hub.set_encoder(self.session, form_of(caps & SHOWING))

    def end(self, reason: str, quit: str | None = None) -> None:
        """Say why, and close, whether the client reads or not.

        The others see the same; or `quit`, if it asked for that. Ending a client that has left already does nothing.
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
        """Count what a client sends before it is registered and may not; end what seems to be no IRC client."""
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
        if not self.registered and not irc_commands.is_early(item.verb):
            self.count_stray()
