"""A client on an address for telnet alone."""

from __future__ import annotations

from hubbub.serve.line.line_client import LineClient
from hubbub.serve.sockets.connection import Connection
from hubbub.wire.line.encoder import TELNET
from hubbub.wire.line.telnet import Telnet


class TelnetClient(LineClient):
    """A client that the server offers to show its keys before the client has said anything.

    Some clients, such as that of Windows, negotiate nothing by themselves.
    """

    __slots__ = ()

    def begin(self, connection: Connection) -> None:
        """Connect a session to the hub, offer to show keys, and ask for a name."""
        self.connect(connection, "nc")
        if self._saved is not None:
            return
        telnet = self._reader.telnet = Telnet()
        telnet.offer_keys()
        self._hub.set_encoder(self._session, TELNET)
        self._follow(telnet)
        self._screen.output.ask(self.prompt)
