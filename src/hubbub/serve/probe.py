"""Check whether a peer is still there: a connection whose other end has vanished looks like an idle one.

The kernel sends the peer's kernel a keepalive probe. Behind a proxy or a gateway, only the proxy's kernel would answer,
so there the protocol's own ping counts, if it has one. A peer that is there answers within a round trip.
"""

from __future__ import annotations

import contextlib
import socket
import struct
from collections.abc import Callable

from hubbub.chat.session import Session
from hubbub.serve.accept.address import KEEPALIVE, origin
from hubbub.serve.sockets.connection import Connection, Shared
from hubbub.serve.sockets.framed_connection import FramedConnection
from hubbub.serve.sockets.peer_socket import ConnectionState

PATIENCE = 6.0  # seconds after which a peer that has not answered counts as gone
LOOK = 0.1  # seconds between two checks for the answer
TICK = 0.02  # inaccuracy of the kernel's time of the last answer, in seconds
_ACK = struct.Struct("56xI")  # milliseconds since the last ACK of the peer's kernel, in the kernel's tcp_info

Answer = Callable[[bool], None]


class Probes:
    """Probes peers. A peer is probed once at a time; further questions about it wait for the same result.

    Args:
        shared: the state that all connections share.

    """

    def __init__(self, shared: Shared) -> None:
        self._shared = shared
        self._asking: dict[Connection, list[Answer]] = {}

    def ask(self, session: Session, answer: Answer) -> None:
        """Probe a session's peer, and call `answer` with whether it is there.

        A peer that is there takes about a round trip. One that is gone takes at most PATIENCE seconds.
        """
        connection = session.sink.connection if isinstance(session.sink, FramedConnection) else session.sink
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
        elif connection.is_lost:  # it leaves once its last lines are processed
            self._look_again(connection, answers, since, True)
        elif _has_answered(connection, answers and not connection.waiting, since, elapsed):
            self._tell(connection, True)
        else:
            self._look_again(connection, answers, since, False)

    def _look_again(self, connection: Connection, answers: bool, since: float, otherwise: bool) -> None:
        """Check again after LOOK seconds; once PATIENCE seconds have passed, answer `otherwise`."""
        if self._shared.clock() - since >= PATIENCE:
            self._tell(connection, otherwise)
        else:
            self._shared.loop.call_later(LOOK, self._look, connection, answers, since)

    def _tell(self, connection: Connection, there: bool) -> None:
        _keep_alive(connection, *KEEPALIVE)
        for answer in self._asking.pop(connection):
            answer(there)


def _is_relayed(connection: Connection) -> bool:
    """Return whether the socket's other end is a proxy or a gateway and not the peer itself."""
    with contextlib.suppress(OSError):
        return origin(connection.socket.getpeername()[0]) != connection.origin
    return False


def _has_answered(connection: Connection, answers: bool, since: float, elapsed: float) -> bool:
    """Return whether a peer has answered since a time. Systems without TCP_INFO cannot tell; there return True.

    Args:
        connection: the peer's connection.
        answers: whether the peer's answer to the protocol's own ping counts, and not that of its kernel.
        since: when the probe was sent, in seconds on the server's clock.
        elapsed: seconds since then.

    """
    if answers:
        return connection.heard_at > since
    with contextlib.suppress(OSError, AttributeError, struct.error):
        info = connection.socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _ACK.size)
        return bool(_ACK.unpack(info)[0] / 1000 < elapsed - TICK)
    return True


def _keep_alive(connection: Connection, idle: int, interval: int) -> None:
    """Set the keepalive times of a connection: seconds of silence before a probe, and between two probes."""
    with contextlib.suppress(OSError, AttributeError):
        # The idle time comes last: setting it starts the clock.
        connection.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, interval)
        connection.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, idle)
