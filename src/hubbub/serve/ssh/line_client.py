"""A session over ssh without a terminal: the lines of nc, without the prompts."""

from __future__ import annotations

import logging
from hashlib import blake2b

from hubbub.chat.hub import Hub
from hubbub.config import Settings
from hubbub.errors import Refused
from hubbub.model.events import Event, Notice
from hubbub.serve.line.line_client import LineClient
from hubbub.serve.sockets.connection import Connection
from hubbub.serve.ssh.channel import SshChannel
from hubbub.serve.ssh.frames import SessionPace
from hubbub.text.names import LOBBY, key_of

log = logging.getLogger("hubbub")

REFUSED = 1  # the exit status of a session that the server ends, so that scripts learn of unsent lines


class SshLineClient(LineClient):
    """A client whose name or account is known from its login over ssh.

    Args:
        hub: the hub.
        settings: the settings in force.
        channel: the channel.

    """

    wire_name = "ssh"
    prompt = ""
    hints = False  # programs that read the lines need none
    __slots__ = ("_channel",)

    def __init__(self, hub: Hub, settings: Settings, channel: SshChannel) -> None:
        super().__init__(hub, settings, 0.0)
        self._channel = channel

    def begin(self, connection: Connection) -> None:
        """Enter the chat, or wait for a name."""
        self.connect(connection, "ssh")
        assert self._channel.connection
        self._channel.connection.pace = SessionPace(self._hub, self._session)
        identity = self._channel.peer.identity
        if identity.key:
            self._session.ssh_key = identity.key
            self._session.browser = blake2b(identity.key.fingerprint.encode(), digest_size=16).hexdigest()
        if identity.account:
            try:
                self._hub.account_users.log_in(self._session, identity.account, self._logged_in)
            except Refused as refused:
                self._logged_in(refused)
        elif identity.guest and identity.guest.sessions:
            self._hub.naming.attach(self._session, identity.guest)
            self._entered(None)
        elif identity.wished:
            self._ask_for(identity.wished)

    def send_event(self, event: Event) -> None:
        """Write an event, behind the entries that came before it."""
        self._hub.delivery.catch_up(self._session)
        super().send_event(event)

    def _logged_in(self, refused: Refused | None) -> None:
        if refused:
            self._end(refused.text)
            return
        identity = self._channel.peer.identity
        account = identity.account
        if account and identity.wished and key_of(identity.wished) != key_of(account.name):
            told = f"Your key is that of {account.name}, so you are not {identity.wished}"
            self._hub.reply(self._session, Notice((told,)))
        if not self._session.rooms:
            self._hub.rooms.join(self._session, LOBBY)
        log.info("%s (%s) has logged in", self._session.nick, self._connection.peer)
        self._connection.on_timer()  # replaces the deadline for a name

    def _entered(self, refusal: Refused | None) -> None:
        super()._entered(refusal)
        user, accounts = self._session.user, self._hub.nicks.accounts
        if user is None or user.account:
            return
        self._channel.peer.identity.guest = user
        if self.hints:
            can_keep = self._session.ssh_key and accounts.registration == "open"
            keeps = "/register keeps the name for your key, " if can_keep else ""
            self._hub.reply(self._session, Notice((f"You are {user.nick}; {keeps}/help lists the commands",)))

    def _end(self, sentence: str) -> None:
        self._channel.set_status(REFUSED)
        super()._end(sentence)

    def state(self) -> None:
        """Return None: the keys of an ssh connection are known to the library alone, so it cannot be moved."""

    def resized(self) -> None:
        """Do nothing: there is no window."""

    def signalled(self, name: str) -> None:
        """Leave on HUP or TERM; ignore all other signals."""
        if name in ("HUP", "TERM"):
            self._hub.depart(self._session)
