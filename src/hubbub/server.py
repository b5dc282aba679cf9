"""Build the chat server from its parts, run it, and shut it down in order."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
import signal
import socket
import time
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from hubbub import process
from hubbub.accounts.guessing import Guesses
from hubbub.accounts.records.codes import new_letters
from hubbub.accounts.registry import AccountRegistry
from hubbub.accounts.stores.barred_store import barred_store
from hubbub.accounts.stores.marker_store import marker_store
from hubbub.accounts.stores.mention_store import StoredMentions
from hubbub.accounts.stores.positions import StoredPositions
from hubbub.accounts.stores.stay_store import StayStore
from hubbub.chat.hub import Hub
from hubbub.chat.rooms.delivery import Limits
from hubbub.config import Settings
from hubbub.errors import BrokerError
from hubbub.model.entries import Entry, Kind, Said
from hubbub.model.notices.push import Network, Push
from hubbub.model.rates.budget import Budget
from hubbub.serve import qr, service_manager, ways
from hubbub.serve.accept.acceptor import Acceptor
from hubbub.serve.accept.address import bind_all, network, show, wire_of
from hubbub.serve.accept.dispatcher import Caller, Wires
from hubbub.serve.accept.tls import LOOK, SELF_SIGNED, Certificate
from hubbub.serve.echo import EchoClient
from hubbub.serve.irc.network import IrcNetwork
from hubbub.serve.late_wire import LateWire, load
from hubbub.serve.line.line_client import LineClient
from hubbub.serve.line.telnet_client import TelnetClient
from hubbub.serve.probe import Probes
from hubbub.serve.sockets.connection import ClientProtocol, Shared
from hubbub.serve.sockets.timer_wheel import TimerWheel
from hubbub.serve.stats import Stats, Timing
from hubbub.serve.watchdog import Watchdog
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

FREE = 60.0  # seconds between two attempts to release unused memory
SETTLE = 2.0  # seconds that a stopping server waits until the last messages are stored and delivered
STORE = 1.0  # seconds that a stopping server waits until the rooms of those who stay are stored
PART = 1.5  # seconds that a stopping server gives its peers to receive the last bytes
SWEEP = 3600.0  # seconds between two searches for expired tokens, cookies and codes
DAY = 86_400.0  # seconds
GRACE = 0.05  # seconds for which a stopping server still reads arrived input
WIRES = ("line", "irc", "websocket", "stream", "http", "ssh", "arriving")  # labels of the connection counts


def echo_wires(settings: Settings) -> Wires:
    """Return the wires of the echo server, which takes all input for lines."""
    return {Wire.LINE: lambda caller: EchoClient(settings)}


def _wants_tls(settings: Settings) -> bool:
    fixed = any(wire_of(address) is Wire.TLS for address in settings.listen)
    return fixed or settings.tls == SELF_SIGNED or bool(settings.tls_cert or settings.tls_key or settings.tls_client_ca)


def _announce(what: str, addresses: Sequence[tuple[str, Wire | None]]) -> None:
    for address, wire in addresses:
        log.info("%s server running on %s%s", what, address, f" ({wire} only)" if wire and what == "Chat" else "")


def _tell_ways(
    settings: Settings, addresses: Sequence[tuple[str, Wire | None]], certificate: Certificate | None
) -> str:
    """Log how to join, and the page's address as a QR code if the settings ask for it; return that address."""
    clear = settings.plaintext == "yes"
    found = ways.doors(addresses, ways.own_addresses())
    for line in ways.lines(found, ways.Speaks(clear, certificate is not None, speaks_ssh(settings)), settings.host):
        log.info("%s", line)
    url = ways.url(found, clear, settings.host)
    if settings.qr and url:
        log.info("%s", "\n".join(qr.half_blocks(url)))
    if certificate:
        log.info("The certificate's SHA-256 fingerprint is %s", certificate.fingerprint)
    return url


async def _keep_up(house: App, certificate: Certificate | None) -> None:
    """Check for a changed certificate, and do what the house needs from time to time, each in its own interval."""
    # glibc returns free memory between used blocks to the system only on request.
    import ctypes

    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    free_at, sweep_at = time.monotonic() + FREE, time.monotonic() + SWEEP
    while True:
        await asyncio.sleep(LOOK)
        if certificate:
            certificate.look()
        if house.ssh and house.ssh.key_file:
            house.ssh.key_file.look()
        if time.monotonic() >= free_at:
            free_at += FREE
            if house.hub.delivery.expire() and trim:
                trim(0)
            house.hub.staying.expire()
        if time.monotonic() >= sweep_at:
            sweep_at += SWEEP
            house.accounts.sweep()
            house.hub.memories.expire(time.time())


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
        self.hub.index = self.backend.index or self.hub.index
        self.hub.qr = qr.half_blocks
        # The port tells nodes on the same machine apart.
        self.hub.node_name = f"{socket.gethostname()}:{settings.listen[0].rpartition(':')[2]}"
        self.hub.pipeline.on_commit, self.hub.pipeline.on_fan_out = self._commit.note, self._fan_out.note
        self.cloaks = Cloaks()
        logins = Logins(loop, settings, self.hub)
        self.hub.check_login, self.hub.cloak = logins.login, self.cloaks.cloak
        self.shared = Shared(loop, settings, time.monotonic, TimerWheel(loop, time.monotonic), self.cloaks.cloak)
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
        late = (Wire.IRC, Wire.HTTP, Wire.SSH) if speaks_ssh(settings) else (Wire.IRC, Wire.HTTP)
        self._late = {wire: LateWire() for wire in late}
        self.wires |= self._late
        self.certificate: Certificate | None = None
        self._sender: PushSender | None = None  # of notifications; None until the first one
        self.web: Web | None = None  # None until it is loaded
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
        await _until(lambda: self.stays.idle, STORE)

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

    async def open_wires(self) -> Web:
        """Load the wires that are not needed at once, and start the metrics listener if the settings name its address.

        By now the server listens, so this takes no time from anyone: the imports take longer than all else at the
        start.
        """
        await load("hubbub.serve.irc.protocol", "hubbub.serve.web.site")
        from hubbub.serve.irc.protocol import IrcProtocol
        from hubbub.serve.web.site import Web

        web = self.web = Web(self.hub, self.network, self.shared, self.probe, self.readings)
        self._late[Wire.IRC].open(lambda caller: IrcProtocol(self.hub, self.network, caller.since))
        self._late[Wire.HTTP].open(lambda caller: web.client(caller.encrypted))
        if self.settings.metrics_listen:
            sockets = bind_all(self.settings.metrics_listen, self.settings.buffer)
            await web.start_metrics(sockets)
            log.info("Metrics are at http://%s/metrics", show(sockets[0].getsockname()))
        if Wire.SSH in self._late:
            self.ssh = SshOpening(self.hub, self.shared, self.backend.key_values, self._late[Wire.SSH])
            await self.ssh.begin(self._tasks)
        return web


async def serve(settings: Settings) -> None:
    """Run the chat server until SIGTERM or SIGINT.

    Raises:
        SettingsError: the server cannot start.
        BrokerError: the log cannot be written any more.

    """
    loop = asyncio.get_running_loop()
    stop = process.stop_on_signals(loop)
    process.prepare_process()
    house = App(loop, settings)
    hub, shared = house.hub, house.shared
    broken: list[str] = []

    def end(reason: str) -> None:
        broken.append(reason)
        stop.set()

    house.log.broken = end
    try:
        async with contextlib.AsyncExitStack() as ending, asyncio.TaskGroup() as tasks:
            front = house.accept(tasks)
            await house.cluster.connect()
            await house.cluster.meet(hub)
            # The data folder is created after everything else that may fail, so no other failure leaves a new folder.
            # No client can connect before the folder is known to be free, and none is accepted before the next await.
            ending.callback(front.close)
            addresses = front.bind()
            certificate = house.certificate = Certificate(settings) if _wants_tls(settings) else None
            if certificate:  # before anybody can see that the server runs, and have it reload
                loop.add_signal_handler(signal.SIGHUP, certificate.reload)
            house.start_storage()
            ending.push_async_callback(house.cluster.leave)
            ending.push_async_callback(house.log.stop, 1.0)
            house.load_secret()
            await house.load_accounts()
            front.listen()
            _announce("Chat", addresses)
            if settings.metrics_listen or any(wire_of(address) is not Wire.LINE for address in settings.listen):
                await house.open_wires()
            ending.enter_context(Watchdog(house.lag.note))
            hub.page_url = _tell_ways(settings, addresses, certificate)
            upkeep = tasks.create_task(_keep_up(house, certificate))
            service_manager.tell("READY=1")
            await stop.wait()
            service_manager.tell("STOPPING=1")
            upkeep.cancel()
            front.close()
            await asyncio.sleep(GRACE)  # time to read arrived input
            await _settle(house)
            await house.cluster.give_up()
            # Without a cluster, no user remains to be shown who leaves. In a cluster, the users of other nodes remain.
            hub.closing = not settings.broker
            await _part(shared)
            if house.web:
                await house.web.stop()
            if broken:
                raise BrokerError(f"The server stops, because {broken[0]}.")
    # No `except*`: before Python 3.11.4 an exception raised in one is wrapped in a group again.
    except BaseExceptionGroup as group:
        raise _single(group) from None


async def echo(settings: Settings) -> None:
    """Run the echo server until SIGTERM or SIGINT. Raise SettingsError if it cannot start."""
    loop = asyncio.get_running_loop()
    stop = process.stop_on_signals(loop)
    process.prepare_process()
    # The echo server needs no rate limit: it stops reading from a peer that does not read.
    settings = msgspec.structs.replace(settings, rate=0.0)
    shared = Shared(loop, settings, time.monotonic, TimerWheel(loop, time.monotonic))
    try:
        with Watchdog(lambda lag: None):
            async with asyncio.TaskGroup() as tasks:
                front = Acceptor(shared, tasks, echo_wires(settings))
                addresses = front.bind()
                front.listen()
                _announce("Echo", addresses)
                await stop.wait()
                front.close()
                await _part(shared)
    # No `except*`: before Python 3.11.4 an exception raised in one is wrapped in a group again.
    except BaseExceptionGroup as group:
        raise _single(group) from None


def _single(group: BaseException) -> BaseException:
    while isinstance(group, BaseExceptionGroup):
        group = group.exceptions[0]
    return group


async def _settle(house: App) -> None:
    """Process all received input, wait at most SETTLE seconds until it is stored and delivered, and store who stays."""
    hub, shared = house.hub, house.shared
    for connection in list(shared.connections):
        connection.take_last_input()
    await _until(lambda: hub.settled and not any(connection.waiting for connection in shared.connections), SETTLE)
    await house.store_stays()


async def _part(shared: Shared) -> None:
    """Tell all clients that the server is stopping, and close their connections.

    Connections that are still open after PART seconds are aborted.
    """
    for connection in list(shared.connections):
        connection.client.shut_down()
    await _until(lambda: not shared.connections, PART)
    for connection in list(shared.connections):
        connection.abort()
    await _until(lambda: not shared.connections, 0.2)


async def _until(done: Callable[[], bool], seconds: float) -> None:
    end = time.monotonic() + seconds
    while not done() and time.monotonic() < end:  # noqa: ASYNC110 - once in the server's life
        await asyncio.sleep(0.005)
