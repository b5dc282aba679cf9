"""The conversation with an IRC client: messages become commands, and the hub's events become messages."""

from __future__ import annotations

import logging

from msgspec import structs

from hubbub.chat.hub import Hub
from hubbub.chat.operations import waiting
from hubbub.chat.session import Session
from hubbub.chat.turns import ClientStep
from hubbub.model.events import Event, Goodbye
from hubbub.serve.irc.client import IrcClient
from hubbub.serve.irc.commands import table
from hubbub.serve.irc.commands.history import Multiline
from hubbub.serve.irc.events import EVENTS
from hubbub.serve.irc.network import IrcNetwork
from hubbub.serve.sockets.connection import Connection
from hubbub.serve.sockets.framed_connection import FramedConnection
from hubbub.wire.irc import lines as wire
from hubbub.wire.irc.encoder import form_of
from hubbub.wire.reader_state import State, give, taken

log = logging.getLogger("hubbub")

PING_AFTER = 120.0  # seconds of silence after which the server sends a PING
PONG_WITHIN = 60.0  # seconds that the client then has to send anything
_MOVED = (  # the fields of a registered client that are plain data
    "username", "real", "version", "is_behind_gateway", "confirmation", "monitored", "reason", "_refs", "_pinged",
    "label", "_held", "_after", "_collected",
)  # fmt: skip


class IrcProtocol(IrcClient):
    """An IRC client as its connection and the hub see it.

    Args:
        hub: the hub.
        network: the state that all IRC clients share.
        now: the current time, in seconds on the connection's clock.

    """

    wire_name = "irc"

    def __init__(self, hub: Hub, network: IrcNetwork[IrcClient], now: float) -> None:
        super().__init__(hub, network)
        self._reader = wire.Reader()
        self._opened = now
        self._pinged = False

    # --- the connection's calls -----------------------------------------------------------------------------------

    def begin(self, connection: Connection | FramedConnection) -> None:
        """Connect a session to the hub. The server sends nothing before the client does."""
        self.connection = connection
        if self.registered:  # it goes on with the session of another client
            self.session.client, self.session.sink = self, connection
            self.network.clients.add(self)
            for nick in self.monitored.values():
                self.network.watch(nick, self)
            return
        self.network.unregistered.add(self)
        self.session = self.hub.connect(self, connection, form_of(frozenset()), address=connection.origin)
        self.session.client_steps, self.session.client_operations = table.STEPS, table.OPERATIONS
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

    @property
    def is_idle(self) -> bool:
        """Whether no message waits, and no command is still running."""
        return not (self.session.pending or self.continuation or self.label or self._reader.waiting)

    def ready(self) -> bool:
        """Continue the current command, and return whether the next message may be processed."""
        if self.continuation or self.label:
            self.go_on_with_it()
        return self.hub.session_ready(self.session)

    def handle(self, item: wire.Message | wire.Broken) -> None:
        """Run the command of a message. Its answer is labelled if the message has a label (IRCv3 labeled-response)."""
        label = item.label if isinstance(item, wire.Broken) else item.tags.get("label", "")
        # A label without the capability is ignored, as the specification demands.
        label = label if "labeled-response" in self.caps and len(label) <= wire.MAX_LABEL else ""
        self.begin_command("" if label and table.continues_batch(self, item) else label)
        if isinstance(item, wire.Broken):
            self._broken(item)
        else:
            table.run(self, item)
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
        self.hub.depart(self.session, self.reason)

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
        # The goodbye follows when the leave is stored, and needs no deadline here.
        if self.session.closed:
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
        # One PING is enough: any input counts as its answer, and an unanswered one ends the connection.
        if self.registered and not self._pinged:
            self._pinged = True
            self.emit(wire.line("", "PING", self.network.name))
        return left

    # --- handing the peer over ------------------------------------------------------------------------------------

    def state(self) -> State | None:
        """Return all that it knows of its peer besides the session, as plain data; None if it cannot be moved now.

        It can be moved when it is registered, neither a login nor a registration of a name is under way, no command
        waits for something that only this process can end, and the remaining steps of a command have no secret.
        """
        if not self.registered or self.session.closed or not waiting.can_move(self.session):
            return None
        if self.exchange or self.registering:
            return None
        if any(step.kind in table.SECRET_STEPS for step in self.continuation):
            return None
        return {
            "fields": taken(self, _MOVED),
            "caps": sorted(self.caps),
            "shown_modes": sorted(self.shown_modes),
            "markers": dict(self.markers.of("")),
            "subscribed": list(self.metadata.subscribed),
            "continuation": [(step.kind, list(step.args)) for step in self.continuation],
            "batch": self.batch and structs.asdict(self.batch),
            "reader": self._reader.state(),
        }

    def restore(self, state: State, session: Session) -> None:
        """Go on, in a new client, with the state and the session of another one, before `begin` on its connection."""
        give(self, state["fields"])
        self.session, self.registered = session, True
        self.caps, self.shown_modes = frozenset(state["caps"]), frozenset(state["shown_modes"])
        self.markers.merge("", state["markers"])
        self.metadata.subscribed = dict.fromkeys(state["subscribed"])
        self.continuation.extend(ClientStep(kind, tuple(args)) for kind, args in state["continuation"])
        self.batch = state["batch"] and Multiline(**state["batch"])
        self._reader.restore(state["reader"])

    # --- the hub's calls ------------------------------------------------------------------------------------------

    def send_event(self, event: Event) -> None:
        """Write an event as IRC messages. A goodbye closes the connection."""
        if isinstance(event, Goodbye):
            self.write()
            self.connection.finish(b"" if self.has_error else self.closing("Disconnected by the server"))
        elif teller := EVENTS.get(type(event)):
            teller(self, event)

    def resume_input(self) -> None:
        """Continue the current command and the input: the session is ready again."""
        if self.continuation or self.label:
            self.go_on_with_it()
        self.connection.resume_input()

    def _broken(self, item: wire.Broken) -> None:
        if item.why is wire.IrcFault.TOO_LONG:
            self.numeric(417)
        elif item.verb == "NICK":
            self.reply(
                "432", self.nick, "*", "Your nick is not UTF-8. Set your client to UTF-8, or choose another nick."
            )
        else:
            self.fail(item.verb, "INVALID_UTF8", "Message rejected, it is not UTF-8")
        if not self.registered and not table.is_early(item.verb):
            self.count_stray()
