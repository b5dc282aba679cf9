"""An IRC client: its state, and its end. The commands (commands.py) work on it, and protocol.py drives it."""

from __future__ import annotations

from typing import Any

from hubbub.chat.hub import Hub
from hubbub.chat.users.accounts import ScramLogin
from hubbub.chat.users.read_markers import ReadMarkers
from hubbub.model.accounts.account import Account
from hubbub.serve.irc.metadata_values import MetadataSubscriptions
from hubbub.serve.irc.network import IrcNetwork
from hubbub.serve.irc.replies import IrcReplies
from hubbub.wire.irc import lines as wire
from hubbub.wire.irc.sasl import SaslReader

STRAYS = 3  # commands that need registration and come before it; at this number the client is disconnected


class SaslExchange:
    """A login by AUTHENTICATE that is under way.

    Args:
        mechanism: the name of the mechanism.
        scram: the server's side, for the mechanism SCRAM-SHA-256.

    """

    def __init__(self, mechanism: str, scram: ScramLogin | None) -> None:
        self.mechanism = mechanism
        self.scram = scram
        self.reader = SaslReader()


class IrcClient(IrcReplies):
    """The state of one IRC client.

    Args:
        hub: the hub.
        network: the state that all IRC clients share.

    """

    is_irc = True

    def __init__(self, hub: Hub, network: IrcNetwork[IrcClient]) -> None:
        super().__init__(hub, network.name)
        self.network = network
        self.settings = network.settings
        self.username = ""
        self.real = ""
        self.away = ""  # the away message set before registration
        self.strays = 0  # commands sent before registration that need it
        self.negotiating = False
        self.version = 0  # the highest CAP LS version that the client asked for
        self.password = ""
        self.asked = ""  # the nick that the client asked for last before registration, whether it may have it or not
        self.exchange: SaslExchange | None = None
        self.account: Account | None = None  # that the client has logged in to before registration
        # The name and the password of a registration that waits for an invitation.
        self.registering: tuple[str, str] | None = None
        self.registered = False
        self.is_behind_gateway = False  # it has spoken WEBIRC: the connection is that of a gateway
        self.shown_modes: frozenset[str] = frozenset()  # its user's modes that it was sent last
        self.confirmation = ""  # the code that closes its account
        self.monitored: dict[str, str] = {}  # nicks as typed, by folded nick
        self.markers = ReadMarkers()  # of a guest, until it disconnects
        self.metadata = MetadataSubscriptions()
        self.batch: Any = None  # the multi-line message that is being received
        self.has_error = False  # an ERROR was sent
        self.reason = "Connection closed"  # shown to the other users when the client leaves

    @property
    def modes(self) -> frozenset[str]:
        """The modes of its user, with those that only the server sets: o for a server operator, r with an account."""
        user = self.user
        letters = user.modes if user else frozenset()
        return letters.union("o" if self.session.operator else "", "r" if user and user.account else "")

    def mode_line(self) -> bytes:
        """Return the MODE message about what has changed since the client was sent its modes last; b"" for nothing."""
        now, before, self.shown_modes = self.modes, self.shown_modes, self.modes
        signs = {"+": "".join(sorted(now - before)), "-": "".join(sorted(before - now))}
        text = "".join(sign + letters for sign, letters in signs.items() if letters)
        return self.event(self.session, "MODE", self.nick, text) if text else b""

    def closing(self, reason: str) -> bytes:
        """Return the ERROR that is the last message to a client."""
        host = self.session.host.rpartition("@")[2] or "unknown"
        return wire.line("", "ERROR", f"Closing Link: {host} ({reason})")

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
        self.reason = quit if quit is not None else reason
        self.network.unregistered.discard(self)
        last = self.closing(reason)
        self.has_error = True
        if self.session.paused:
            self.write()
            self.connection.finish(last)
        else:
            self.send(last)
            self.end_answer()
            self.session.label = ""
        self.hub.depart(self.session, self.reason, asked)

    def count_stray(self) -> None:
        """Count a command that needs registration and came before it.

        After STRAYS of them, disconnect: the peer is probably no IRC client.
        """
        self.strays += 1
        if self.strays >= STRAYS:
            self.end("Register first, with NICK and USER")
