"""Whether a peer is still there: a connection whose other end has vanished looks like one that says nothing.

The kernel asks the peer's kernel, by a keepalive that it sends at once. Behind a proxy or a gateway that is only the
proxy's, so there the wire's own question counts, if it has one. A peer that is there answers within a round trip.
"""

from __future__ import annotations

import contextlib
import socket
import struct
from collections.abc import Callable

from hubbub.core.session import Session
from hubbub.listeners.address import KEEPALIVE, origin
from hubbub.listeners.connection import Connection, ConnectionState, Shared

PATIENCE = 6.0  # seconds after which a peer that has not answered is gone
LOOK = 0.1  # seconds between two looks
TICK = 0.02  # seconds by which the kernel may be wrong about when it was answered
_ACK = struct.Struct("56xI")  # of the kernel's tcp_info: milliseconds since the peer's kernel answered last

Answer = Callable[[bool], None]


class Probes:
    """Asks peers whether they are there, each at most once at a time.

    Args:
        shared: the server's.

    """

    def __init__(self, shared: Shared) -> None:
        self._shared = shared
        self._asking: dict[Connection, list[Answer]] = {}

    def ask(self, session: Session, answer: Answer) -> None:
        """Call `answer` with whether the session's peer is there: soon if it is, within PATIENCE if it is not."""
        connection = session.sink
        if not isinstance(connection, Connection):
            answer(True)
        elif connection in self._asking:
            self._asking[connection].append(answer)
        else:
            self._asking[connection] = [answer]
            _keep_alive(connection, idle=1, interval=1)
            answers = _is_relayed(connection) and connection.client.ask_sign_of_life()
            self._look(connection, answers, self._shared.clock())

    def _look(self, connection: Connection, answers: bool, since: float) -> None:
        elapsed = self._shared.clock() - since
        if connection.state is ConnectionState.CLOSED:
            self._tell(connection, False)
        elif connection.is_lost:  # its last lines are being said, then it leaves by itself
            self._look_again(connection, answers, since, True)
        elif _has_answered(connection, answers and not connection.waiting, since, elapsed):
            self._tell(connection, True)
        else:
            self._look_again(connection, answers, since, False)

    def _look_again(self, connection: Connection, answers: bool, since: float, otherwise: bool) -> None:
        """Look again in a moment; if the time is over, answer otherwise."""
        if self._shared.clock() - since >= PATIENCE:
            self._tell(connection, otherwise)
        else:
            self._shared.loop.call_later(LOOK, self._look, connection, answers, since)

    def _tell(self, connection: Connection, there: bool) -> None:
        _keep_alive(connection, *KEEPALIVE)
        for answer in self._asking.pop(connection):
            answer(there)


def _is_relayed(connection: Connection) -> bool:
    """Return whether the socket's other end is not the peer, but a proxy or a gateway that speaks for it."""
    with contextlib.suppress(OSError):
        return origin(connection.socket.getpeername()[0]) != connection.origin
    return False


def _has_answered(connection: Connection, answers: bool, since: float, elapsed: float) -> bool:
    """Return whether a peer has given a sign of life since then; of systems that cannot tell, it has."""
    if answers:
        return connection.heard_at > since
    with contextlib.suppress(OSError, AttributeError, struct.error):
        info = connection.socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _ACK.size)
        return bool(_ACK.unpack(info)[0] / 1000 < elapsed - TICK)
    return True


def _keep_alive(connection: Connection, idle: int, interval: int) -> None:
    """Let the kernel ask the peer's after so many seconds of silence, and again after so many."""
    with contextlib.suppress(OSError, AttributeError):
        # The idle time comes last: setting it starts the clock.
        connection.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, interval)
        connection.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, idle)
