"""Listen on the configured addresses, and accept connections within the limits."""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
import ssl
from collections.abc import Callable
from typing import Any

from hubbub.errors import SettingsError, reason
from hubbub.serve.accept.address import bind_all, contains, listen, network, origin, show, wire_of
from hubbub.serve.accept.admission import Admission
from hubbub.serve.accept.dispatcher import Caller, Dispatcher, Wires
from hubbub.serve.accept.sniffer import UNSNIFFED, Sniffer
from hubbub.serve.sockets.connection import Shared
from hubbub.wire.line.encoder import encode
from hubbub.wire.sniff import Wire

log = logging.getLogger("hubbub")

# Connections accepted in one iteration of the event loop. A connection storm thus leaves time for the existing clients.
AT_ONCE = 64
RETRY = 0.5  # seconds until the next attempt to accept after file descriptors or memory ran out
REPEAT = 10.0  # seconds between two log lines about that
OUT_OF = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})


class Acceptor:
    """Listens on the configured addresses, applies the limits, and starts a connection for each client.

    Args:
        shared: the state that all connections share.
        tasks: runs the short tasks in which connections and TLS handshakes are set up.
        wires: the factories of the wires that the server speaks. If there is only one, every connection speaks it;
            else the first bytes decide.
        tls: returns the TLS context for new connections; None if the server does not serve TLS.

    """

    def __init__(
        self,
        shared: Shared,
        tasks: asyncio.TaskGroup,
        wires: Wires,
        tls: Callable[[], ssl.SSLContext | None] = lambda: None,
    ) -> None:
        self._shared = shared
        self._only = next(iter(wires)) if len(wires) == 1 else None
        self._trusted = [network(text) for text in shared.settings.trust_proxy]
        self._sockets: dict[socket.socket, Wire | None] = {}
        self._told = -REPEAT
        self.admission = Admission(shared)
        self.dispatcher = Dispatcher(shared, self.admission, tasks, wires, tls)

    def bind(self) -> list[tuple[str, Wire | None]]:
        """Take the addresses of the settings; nobody can connect before `listen`.

        Returns:
            Each address with its actual port, and the wire that it is restricted to (None for every wire).

        Raises:
            SettingsError: an address is malformed, cannot be resolved, or cannot be bound.

        """
        try:
            for address in self._shared.settings.listen:
                wire = self._only or wire_of(address)
                self._sockets |= dict.fromkeys(bind_all(address, self._shared.settings.buffer), wire)
        except SettingsError:
            self.close()
            raise
        return [(show(sock.getsockname()), wire) for sock, wire in self._sockets.items()]

    def listen(self) -> None:
        """Let clients connect. Raises SettingsError if another program was faster with an address."""
        for sock in self._sockets:
            listen(sock)
            self._shared.loop.add_reader(sock, self._accept, sock)

    def close(self) -> None:
        """Stop listening, and close the connections whose protocol is not known yet."""
        for sock in self._sockets:
            self._shared.loop.remove_reader(sock)
            sock.close()
        self._sockets.clear()
        self.admission.close()
        self.dispatcher.close()

    def _accept(self, listener: socket.socket) -> None:
        for _ in range(AT_ONCE):
            try:
                sock, peer = listener.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:
                if error.errno not in OUT_OF:
                    log.warning("A connection could not be accepted: %s", error)
                    return
                self._wait(listener, error)
                return
            sock.setblocking(False)
            self._take(sock, peer, self._sockets[listener])

    def _wait(self, listener: socket.socket, error: OSError) -> None:
        """Stop accepting for RETRY seconds because file descriptors or memory ran out.

        New connections wait in the kernel's queue meanwhile.
        """
        now = self._shared.clock()
        if now - self._told >= REPEAT:
            self._told = now
            log.warning(
                "No more connections can be accepted (%s) with %d open; retrying", reason(error), self.admission.count
            )
        self._shared.loop.remove_reader(listener)
        self._shared.loop.call_later(RETRY, self._retry, listener)

    def _retry(self, listener: socket.socket) -> None:
        if listener in self._sockets:
            self._shared.loop.add_reader(listener, self._accept, listener)

    def _take(self, sock: socket.socket, peer: Any, wire: Wire | None) -> None:
        where = origin(peer[0])
        trusted = any(contains(trusted, peer[0]) for trusted in self._trusted)
        # All clients behind a load balancer arrive from its address, so its connections cost no connection budget here.
        if refused := self.admission.enter(where, new=not trusted):
            self.admission.turn_away(sock, encode(refused.text, "\n"))
            return
        caller = Caller(peer, where, self._shared.clock(), wire)
        known = self._only or (wire if wire in UNSNIFFED else None)
        if known and not trusted:
            self.dispatcher.dispatch(known, sock, caller)
        else:
            Sniffer(self.dispatcher, caller, sock, trusted).look()
