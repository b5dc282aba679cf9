"""The parts of a chat server, connected with each other according to the settings."""

from __future__ import annotations

import asyncio
import logging
import secrets
import socket
import time
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from hubbub.accounts.guessing import Guesses
from hubbub.accounts.records.codes import new_letters
from hubbub.accounts.registry import AccountRegistry
from hubbub.accounts.stores.barred_store import barred_store
from hubbub.accounts.stores.marker_store import marker_store
from hubbub.accounts.stores.mention_store import StoredMentions
from hubbub.accounts.stores.positions import StoredPositions
from hubbub.accounts.stores.stay_store import StayStore
from hubbub.chat.hub import Hub
from hubbub.chat.operations.table import OPERATIONS
from hubbub.chat.rooms.delivery import Limits
from hubbub.config import Settings
from hubbub.errors import BrokerError
from hubbub.model.entries import Entry, Kind, Said
from hubbub.model.notices.push import Network, Push
from hubbub.model.rates.budget import Budget
from hubbub.serve import qr
from hubbub.serve.accept.acceptor import Acceptor
from hubbub.serve.accept.address import bind_all, network, show
from hubbub.serve.accept.dispatcher import Caller
from hubbub.serve.accept.tls import Certificate
from hubbub.serve.irc.network import IrcNetwork
from hubbub.serve.late_wire import LateWire, load
from hubbub.serve.line.line_client import LineClient
from hubbub.serve.line.telnet_client import TelnetClient
from hubbub.serve.probe import Probes
from hubbub.serve.sockets.connection import ClientProtocol, Shared
from hubbub.serve.sockets.timer_wheel import TimerWheel
from hubbub.serve.stats import Stats, Timing
from hubbub.startup import brokers
from hubbub.startup.accounts import opened_accounts, read_all
from hubbub.startup.cloaks import Cloaks, new_secret, stored_secret
from hubbub.startup.logins import Logins
from hubbub.startup.ssh_wire import SshOpening, speaks_ssh
from hubbub.storage.stored_lists import stored_join_codes, stored_questions
from hubbub.wire.sniff import Wire

if TYPE_CHECKING:
    from hubbub.serve.irc.client import IrcClient
    from hubbub.serve.pushing import PushSender
    from hubbub.serve.web.site import Web

log = logging.getLogger("hubbub")

STORE = 1.0  # seconds that a stopping server waits until the rooms of those who stay are stored
DAY = 86_400.0  # seconds
WIRES = ("line", "irc", "websocket", "stream", "http", "ssh", "arriving")  # labels of the connection counts


def limits(settings: Settings) -> Limits:
    """Return the core's limits according to the settings."""
    return Limits(
        history=settings.history,
        edit_minutes=settings.edit_minutes,
        max_behind=settings.max_behind,
        max_rooms=settings.max_rooms,
        write_bytes=settings.buffer // 2,
        recent=settings.memory * 1024 * 1024,
    )


def budget(settings: Settings) -> Budget:
    """Return the budget of each address according to the settings."""
    if settings.no_limits:
        return Budget(time.monotonic)
    return Budget(
        time.monotonic,
        lines=settings.address_lines,
        connections=settings.address_connections,
        joins=settings.address_joins,
        rooms=settings.address_rooms,
    )


class App:
    """The parts of a chat server, connected with each other.

    Args:
        loop: the running event loop.
        settings: the settings in force.

    """

    def __init__(self, loop: asyncio.AbstractEventLoop, settings: Settings) -> None:
        self.settings = settings
        self.backend = brokers.backend(settings)
        self.log, self.cluster = self.backend.log, self.backend.cluster
        self._commit, self._fan_out, self.lag = Timing(), Timing(), Timing()
        boot = f"{secrets.token_hex(5)}-"
        self.hub = Hub(self.log, time.time, boot, loop, limits(settings), time.monotonic)
        self.hub.add_operations(OPERATIONS)
        self.hub.index = self.backend.index or self.hub.index
        self.hub.qr = qr.half_blocks
        # The port tells nodes on the same machine apart.
        self.hub.node_name = f"{socket.gethostname()}:{settings.listen[0].rpartition(':')[2]}"
        self.hub.pipeline.on_commit, self.hub.pipeline.on_fan_out = self._commit.note, self._fan_out.note
        self.cloaks = Cloaks()
        logins = Logins(loop, settings, self.hub)
        self.hub.check_login, self.hub.cloak = logins.login, self.cloaks.cloak
        self.shared = Shared(loop, settings, time.monotonic, TimerWheel(loop, time.monotonic), cloak=self.cloaks.cloak)
        self.hub.budget = self.shared.budget = budget(settings)
        self.hub.later = loop.call_later
        self.hub.pushes.encrypted_only = not settings.push_allow
        if settings.push == "yes":
            self.hub.pushes.send = partial(
                self._push, loop, [network(text, "--push-allow") for text in settings.push_allow]
            )
        self.hub.probe = Probes(self.shared).ask
        self.network: IrcNetwork[IrcClient] = IrcNetwork(self.hub, settings)
        self.network.verify_gateway = logins.verify_gateway
        self.wires: dict[Wire, Callable[[Caller], ClientProtocol]] = {
            Wire.LINE: lambda caller: LineClient(self.hub, settings, caller.since, caller.prompted),
            Wire.TELNET: lambda caller: TelnetClient(self.hub, settings, caller.since),
        }
        self._late = {Wire.IRC: LateWire("IRC"), Wire.HTTP: LateWire("web")}
        if speaks_ssh(settings):
            self._late[Wire.SSH] = LateWire("ssh")
        self.wires |= self._late
        self.certificate: Certificate | None = None
        self._sender: PushSender | None = None  # of notifications; None until the first one
        self.web: Web | None = None  # None until its first client comes
        self.ssh: SshOpening | None = None  # None if there is no ssh wire, and at first
        self.accounts: AccountRegistry  # once they are loaded
        self.stays: StayStore  # the same
        self.front: Acceptor
        self._tasks: asyncio.TaskGroup  # that sets up connections, and loads wires

    def _push(
        self,
        loop: asyncio.AbstractEventLoop,
        allowed: Sequence[Network],
        url: str,
        push: Push,
        done: Callable[[bool], None],
    ) -> None:
        """Send a notification. The library for that is loaded when it is needed, because it takes long."""
        from hubbub.serve.pushing import PushSender

        self._sender = self._sender or PushSender(loop, allowed)
        self._sender.send(url, push, done)

    def load_secret(self) -> None:
        """Load the secret that cloaks are made with: the cluster's, or the one in the data folder.

        An ephemeral server makes a new secret at each start.

        Raises:
            SettingsError: the secret in the data folder cannot be used.

        """
        if self.settings.ephemeral:
            self.cloaks.secret = new_secret()
        else:
            self.cloaks.secret = self.cluster.secret or stored_secret(Path(self.settings.data))

    async def load_accounts(self) -> None:
        """Read the accounts, and follow their changes. Raises SettingsError."""
        self.accounts = await opened_accounts(self.settings, self.backend.key_values, self.cloaks.secret)
        self.hub.use_accounts(self.accounts)
        await read_all(marker_store(self.backend.key_values, self.hub.read_markers, self.accounts.find).load)
        await read_all(barred_store(self.backend.key_values, self.hub.memories, time.time).load)
        self.hub.mentions.store = StoredMentions(self.backend.key_values)
        self.hub.positions = StoredPositions(self.backend.key_values, asyncio.get_running_loop().call_later)
        self.accounts.sweep()
        self.hub.staying.seconds = self.settings.stay_days * DAY
        self.stays = StayStore(self.backend.key_values)
        await read_all(partial(self.hub.staying.begin, self.stays))
        await read_all(stored_questions(self.backend.key_values, self.hub.questions).load)
        await read_all(stored_join_codes(self.backend.key_values, self.hub.rooms.codes).load)
        self.hub.rooms.codes.new_letters = new_letters
        self.hub.rooms.codes.guesses = Guesses(time.monotonic, lambda name: False, not self.settings.no_limits)
        self.hub.taking_back.begin()

    async def store_stays(self) -> None:
        """Store for the last time who stays in which rooms: all sessions end now."""
        self.hub.staying.end()
        await until(lambda: self.stays.idle, STORE)

    def probe(self, done: Callable[[BrokerError | None], None]) -> None:
        """Check whether the log can commit and knows of no damage to its log; call `done` with the error or None."""

        def tried(error: BrokerError | None) -> None:
            done(error or (BrokerError(self.log.health) if self.log.health else None))

        self.log.probe(tried)

    def start_storage(self) -> None:
        """Let the log deliver to the hub. Raises SettingsError."""
        pipeline = self.hub.pipeline
        self.log.start(self._log_messages if self.settings.log_messages else pipeline.committed, pipeline.failed)
        self.cluster.start()

    def _log_messages(self, entries: Sequence[Entry]) -> None:
        for entry in entries:
            if isinstance(body := entry.body, Said):
                log.info("* %s %s" if body.style is Kind.ACTION else "%s: %s", entry.nick, body.text)
        self.hub.pipeline.committed(entries)

    def readings(self) -> Stats:
        """Return the current counts and timings."""
        hub = self.hub
        return Stats(
            connections=self._connections(),
            users=len({id(user) for user in hub.users.values()}),
            rooms=len(hub.rooms.loaded),
            behind=hub.delivery.stalled,
            waiting=len(hub.pipeline),
            entries=hub.pipeline.entries,
            deliveries=hub.delivery.delivered,
            not_stored=hub.pipeline.not_stored,
            turned_away=self.front.admission.turned_away,
            commit=self._commit,
            fan_out=self._fan_out,
            lag=self.lag,
            cluster=self.cluster.figures(),
        )

    def _connections(self) -> dict[str, int]:
        """Return the numbers of connections by their protocol. Those over ssh are sessions, not connections."""
        names = Counter(name for connection in self.shared.connections if (name := connection.client.wire_name))
        names["arriving"] += len(self.front.dispatcher.arrivals)
        return dict.fromkeys(WIRES, 0) | names

    def accept(self, tasks: asyncio.TaskGroup) -> Acceptor:
        """Return the acceptor, which does not listen yet; `tasks` sets up its connections."""
        self._tasks = tasks
        self.front = Acceptor(
            self.shared, tasks, self.wires, lambda: self.certificate.context if self.certificate else None
        )
        return self.front

    async def open_wires(self) -> None:
        """Let the wires that nc does not need be loaded when their first clients come, and read the keys of ssh.

        Their code takes more time and memory than all else at the start, and many servers never see a client of some of
        them. If the settings name an address for metrics, the web is loaded now.
        """
        self._late[Wire.IRC].load_when_needed(self._tasks, self._load_irc)
        if self.settings.metrics_listen:
            web = await self._load_web()
            sockets = bind_all(self.settings.metrics_listen, self.settings.buffer)
            await web.start_metrics(sockets)
            log.info("Metrics are at http://%s/metrics", show(sockets[0].getsockname()))
        else:
            self._late[Wire.HTTP].load_when_needed(self._tasks, self._load_web)
        if Wire.SSH in self._late:
            self.ssh = SshOpening(self.hub, self.shared, self.backend.key_values, self._late[Wire.SSH])
            await self.ssh.begin(self._tasks)

    async def _load_irc(self) -> None:
        await load("hubbub.serve.irc.protocol")
        from hubbub.serve.irc.protocol import IrcProtocol

        self._late[Wire.IRC].open(lambda caller: IrcProtocol(self.hub, self.network, caller.since))

    async def _load_web(self) -> Web:
        await load("hubbub.serve.web.site")
        from hubbub.serve.web.site import Web

        web = self.web = Web(self.hub, self.network, self.shared, self.probe, self.readings)
        self._late[Wire.HTTP].open(lambda caller: web.client(caller.encrypted))
        return web


async def until(done: Callable[[], bool], seconds: float) -> None:
    """Wait at most some seconds until a condition holds."""
    end = time.monotonic() + seconds
    while not done() and time.monotonic() < end:  # noqa: ASYNC110 - once in the server's life
        await asyncio.sleep(0.005)
