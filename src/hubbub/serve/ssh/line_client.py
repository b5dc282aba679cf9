"""A session over ssh without a terminal: the lines of nc, without the prompts."""

from __future__ import annotations

from hubbub.chat.hub import Hub
from hubbub.config import Settings
from hubbub.errors import Refused
from hubbub.serve.connection import Connection
from hubbub.serve.line_client import LineClient
from hubbub.serve.ssh.channel import SshChannel
from hubbub.text.names import LOBBY


class SshLineClient(LineClient):
    """A client whose name or account the login over ssh has told.

    Args:
        hub: the hub.
        settings: the settings in force.
        channel: the channel.

    """

    wire_name = "ssh"
    prompt = b""
    __slots__ = ("_channel",)

    def __init__(self, hub: Hub, settings: Settings, channel: SshChannel) -> None:
        super().__init__(hub, settings, 0.0)
        self._channel = channel

    def begin(self, connection: Connection) -> None:
        """Enter the chat, or wait for a name."""
        self.connect(connection, "ssh")
        identity = self._channel.peer.identity
        if identity.account:
            try:
                self._hub.account_users.log_in(self._session, identity.account, self._logged_in)
            except Refused as refused:
                self._logged_in(refused)
        elif identity.wished:
            self._ask_for(identity.wished)

    def _logged_in(self, refused: Refused | None) -> None:
        if refused:
            self._end(refused.text)
        elif not self._session.rooms:
            self._hub.rooms.join(self._session, LOBBY)

    def resized(self) -> None:
        """Do nothing: there is no window."""

    def signalled(self, name: str) -> None:
        """Do nothing: a program that ends closes the channel."""
