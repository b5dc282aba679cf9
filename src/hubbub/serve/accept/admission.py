"""How many connections there are, in all and from each address, and the polite end of those that are too many."""

from __future__ import annotations

import contextlib
import math
import socket
from collections import Counter

from hubbub.errors import Refused
from hubbub.model.rates.budget import scopes
from hubbub.serve.sockets.connection import Shared
from hubbub.text import refusals

# Refused connections that may be open at the same time to receive the reason. Further ones are closed without it.
TURNED_AWAY = 64
FAREWELL = 2.0  # seconds that a refused client has to read the reason


class Admission:
    """Counts the connections, and refuses those beyond the limits.

    Args:
        shared: the state that all connections share.

    """

    def __init__(self, shared: Shared) -> None:
        self._shared = shared
        self.count = 0  # present connections
        self.by_address: Counter[str] = Counter()
        self.turned_away = 0  # connections refused since the start
        self.leaving: set[socket.socket] = set()  # refused ones that are still open
        shared.recount = self.recount

    def enter(self, where: str, new: bool = True) -> Refused | None:
        """Count a connection from an address, if the limits allow it.

        Args:
            where: the address.
            new: whether the connection is also charged to the address's budget of new connections.

        Returns:
            The refusal; None if the connection is counted.

        """
        settings = self._shared.settings
        if not settings.no_limits:
            if self.count >= settings.max_connections:
                return refusals.SERVER_FULL()
            if any(self.by_address[scope] >= times * settings.max_per_address for scope, times in scopes(where)):
                return refusals.TOO_MANY()
            if new and (seconds := self._shared.budget.connections.take(where)):
                return refusals.TOO_OFTEN(seconds=math.ceil(seconds))
        self._count_in(where)
        return None

    def _count_in(self, where: str) -> None:
        self.count += 1
        for scope, _ in scopes(where):
            self.by_address[scope] += 1

    def leave(self, where: str) -> None:
        """Remove a connection from the count of an address."""
        self.count -= 1
        for scope, _ in scopes(where):
            self.by_address[scope] -= 1
            if not self.by_address[scope]:
                del self.by_address[scope]

    def recount(self, before: str, after: str) -> Refused | None:
        """Move a connection from the count of one address to that of another.

        Return the refusal (then the connection stays in the old count); None if it was moved.
        """
        self.leave(before)
        if refused := self.enter(after):
            self._count_in(before)
        return refused

    def turn_away(self, sock: socket.socket, refusal: bytes) -> None:
        """Send the last bytes to a socket that is not counted, and close it."""
        self.turned_away += 1
        self.shut_down(sock, refusal)

    def shut_down(self, sock: socket.socket, last: bytes) -> None:
        """Send the last bytes to a socket that is not counted, and close it after FAREWELL seconds.

        If TURNED_AWAY sockets are waiting for their close already, close it at once without sending.
        """
        if len(self.leaving) >= TURNED_AWAY:
            sock.close()
            return
        with contextlib.suppress(OSError):
            sock.send(last)
            # A close would reset a connection with unread input, and the peer would lose the last bytes.
            sock.shutdown(socket.SHUT_WR)
        self.leaving.add(sock)
        self._shared.loop.call_later(FAREWELL, self._let_go, sock)

    def _let_go(self, sock: socket.socket) -> None:
        self.leaving.discard(sock)
        sock.close()

    def close(self) -> None:
        """Close the refused connections that are still open."""
        for sock in self.leaving:
            sock.close()
        self.leaving.clear()
