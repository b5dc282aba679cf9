"""Build the chat server from its parts, run it, and shut it down in order."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import hashlib
import hmac
import io
import logging
import os
import resource
import secrets
import signal
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from hubbub import brokers
from hubbub.chat.budget import Budget
from hubbub.chat.delivery import Limits
from hubbub.chat.hub import Hub
from hubbub.chat.session import Session
from hubbub.config import Settings
from hubbub.errors import BrokerError, SettingsError, reason
from hubbub.files import make_private, write_file_durably
from hubbub.model.entries import Entry, Kind, Said
from hubbub.model.events import Notice
from hubbub.passwords import Attempts, is_operator, verify
from hubbub.serve import service_manager, ways
from hubbub.serve.accept.acceptor import Acceptor
from hubbub.serve.accept.address import bind_all, show, wire_of
from hubbub.serve.accept.dispatcher import Caller, Wires
from hubbub.serve.accept.tls import LOOK, SELF_SIGNED, Certificate
from hubbub.serve.connection import ClientProtocol, Shared
from hubbub.serve.echo import EchoClient
from hubbub.serve.irc.client import IrcClient
from hubbub.serve.irc.network import IrcNetwork
from hubbub.serve.irc.protocol import IrcProtocol
from hubbub.serve.line_client import LineClient
from hubbub.serve.probe import Probes
from hubbub.serve.stats import Stats, Timing
from hubbub.serve.timer_wheel import TimerWheel
from hubbub.serve.watchdog import Watchdog
from hubbub.text.cleaning import SHOWN, clean
from hubbub.wire.sniff import Wire

if TYPE_CHECKING:
    from hubbub.serve.web.site import Web

log = logging.getLogger("hubbub")

SECRET_BYTES = 32
FREE = 60.0  # seconds between two attempts to release unused memory
SETTLE = 2.0  # seconds that a stopping server waits until the last messages are stored and delivered
PART = 1.5  # seconds that a stopping server gives its peers to receive the last bytes
# A second signal within this many seconds counts as the first one: `make`, for example, sends its child a signal that
# the child has received from the terminal already.
ECHO = 0.2
GRACE = 0.05  # seconds for which a stopping server still reads arrived input
WIRES = ("line", "irc", "websocket", "stream", "http")  # labels of the connection counts
# Seconds before a wrong password is reported. The connection waits meanwhile, which slows down guessing.
WRONG_AFTER = 2.0


def echo_wires(settings: Settings) -> Wires:
    """Return the wires of the echo server, which takes all input for lines."""
    return {Wire.LINE: lambda caller: EchoClient(settings)}


def _wants_tls(settings: Settings) -> bool:
    fixed = any(wire_of(address) is Wire.TLS for address in settings.listen)
    return fixed or settings.tls == SELF_SIGNED or bool(settings.tls_cert or settings.tls_key)


def _announce(what: str, addresses: Sequence[tuple[str, Wire | None]]) -> None:
    for address, wire in addresses:
        log.info("%s server running on %s%s", what, address, f" ({wire} only)" if wire and what == "Chat" else "")


def _tell_ways(settings: Settings, addresses: Sequence[tuple[str, Wire | None]], encrypts: bool) -> None:
    """Log how to join, and the page's address as a QR code if the settings ask for it."""
    clear = settings.plaintext == "yes"
    found = ways.doors(addresses, ways.own_addresses())
    for line in ways.lines(found, clear, encrypts, settings.host):
        log.info("%s", line)
    if settings.qr and (url := ways.url(found, clear, settings.host)):
        import segno

        code = io.StringIO()
        segno.make(url, micro=False).terminal(out=code, compact=True)
        log.info("%s", code.getvalue().rstrip("\n"))


async def _keep_up(hub: Hub, certificate: Certificate | None) -> None:
    """Check for a changed certificate every LOOK seconds, and release unused memory every FREE seconds."""
    # glibc returns free memory between used blocks to the system only on request.
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    free_at = time.monotonic() + FREE
    while True:
        await asyncio.sleep(LOOK)
        if certificate:
            certificate.look()
        if time.monotonic() >= free_at:
            free_at += FREE
            if hub.delivery.expire() and trim:
                trim(0)


def _secret(folder: Path) -> bytes:
    """Return the secret in the data folder. Create it if there is none.

    Raises:
        SettingsError: the secret cannot be read or written, or has the wrong size. Cloaks are made with it, and bans
            and room operators depend on cloaks, so the server must not start with another secret by accident.

    """
    file = folder / "secret"
    try:
        if not file.exists():
            write_file_durably(file, secrets.token_bytes(SECRET_BYTES))
        found = file.read_bytes()
    except OSError as error:
        raise SettingsError(f"The file {file} cannot be read or written: {reason(error)}.") from None
    if len(found) != SECRET_BYTES:
        raise SettingsError(
            f"The file {file} is damaged: it has {len(found)} bytes instead of {SECRET_BYTES}. Restore it from a "
            "backup, or delete it; bans by address then end, and room operators lose their rights."
        )
    make_private(file)
    return found


def limits(settings: Settings) -> Limits:
    """Return the core's limits according to the settings."""
    return Limits(
        history=settings.history,
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
        self.broker = brokers.broker(settings)
        self._commit, self._fan_out, self.lag = Timing(), Timing(), Timing()
        boot = f"{secrets.token_hex(5)}-"
        self.hub = Hub(self.broker, time.time, boot, loop, limits(settings), time.monotonic)
        self.hub.pipeline.on_commit, self.hub.pipeline.on_fan_out = self._commit.note, self._fan_out.note
        self.hub.check_login, self.hub.cloak = self._login, self._cloak
        self._attempts = Attempts(time.monotonic, self._check, not settings.no_limits)
        self._loop = loop
        # Hashing a password is slow on purpose, so it runs on a thread, one password at a time.
        self._checker = ThreadPoolExecutor(1, "hubbub-passwords")
        self.shared = Shared(loop, settings, time.monotonic, TimerWheel(loop, time.monotonic), self._cloak)
        self.hub.budget = self.shared.budget = budget(settings)
        self.hub.later = loop.call_later
        self.hub.probe = Probes(self.shared).ask
        self._secret = b""
        self._key = secrets.token_bytes(32)
        # A fast digest of the web gateways' password, after it was verified once with the slow hash; b"" before.
        self._gateway = b""
        self.network: IrcNetwork[IrcClient] = IrcNetwork(self.hub, settings)
        self.network.verify_gateway = self._verify_gateway
        self.wires: dict[Wire, Callable[[Caller], ClientProtocol]] = {
            Wire.LINE: lambda caller: LineClient(self.hub, settings, caller.since, caller.prompted),
            Wire.IRC: lambda caller: IrcProtocol(self.hub, self.network, caller.since),
        }
        self.certificate: Certificate | None = None
        self.web: Web | None = None  # None until it is loaded
        self.front: Acceptor

    def _check(self, name: str, password: str, done: Callable[[bool], None]) -> None:
        """Check on a thread whether a name and password are an operator's; then call `done` with the result."""
        work = self._loop.run_in_executor(self._checker, is_operator, self.settings.operator, name, password)

        def checked(outcome: asyncio.Future[bool]) -> None:
            done(not outcome.cancelled() and outcome.result())

        work.add_done_callback(checked)

    def _verify_gateway(self, password: str, done: Callable[[bool], None]) -> None:
        """Check whether a password is that of the web gateways; then call `done` with the result.

        A password that was verified before is accepted at once. Another one is checked on a thread.
        """
        digest = hashlib.blake2b(password.encode(), key=self._key).digest()
        if hmac.compare_digest(digest, self._gateway):
            done(True)
            return
        work = self._loop.run_in_executor(self._checker, verify, self.settings.webirc_password, password)

        def checked(outcome: asyncio.Future[bool]) -> None:
            right = not outcome.cancelled() and outcome.result()
            if right:
                self._gateway = digest
            done(right)

        work.add_done_callback(checked)

    def _login(self, session: Session, name: str, password: str, done: Callable[[bool], None]) -> None:
        """Check a login as operator of the server, log it, and call `done` with the result.

        A failure is reported after WRONG_AFTER seconds, unless the server runs without limits.
        """
        late = 0.0 if self.settings.no_limits else WRONG_AFTER
        who, name = f"{session.nick} ({session.address})", clean(name[:SHOWN])
        if refused := self._attempts.refusal(session.address):
            log.warning("%s may not try to log in as operator %s: %s", who, name, refused.text)
            self.hub.reply(session, Notice((refused.text.rstrip("."),)))
            self._loop.call_later(late, done, False)
            return

        def checked(right: bool) -> None:
            if right:
                log.info("%s has logged in as operator %s", who, name)
                done(True)
            else:
                log.warning("%s gave a wrong name or password for operator %s", who, name)
                self._loop.call_later(late, done, False)

        self._attempts.add(session.address, name, password, checked)

    def load_secret(self) -> None:
        """Load the secret that cloaks are made with: the cluster's, or the one in the data folder.

        An ephemeral server makes a new secret at each start.

        Raises:
            SettingsError: the secret in the data folder cannot be used.

        """
        if self.settings.ephemeral:
            self._secret = secrets.token_bytes(SECRET_BYTES)
        else:
            self._secret = self.broker.secret or _secret(Path(self.settings.data))

    def _cloak(self, address: str) -> str:
        """Return the public form of an address: a keyed hash of 10 hexadecimal digits."""
        return hashlib.blake2b(address.encode(), key=self._secret, digest_size=5).hexdigest()

    def probe(self, done: Callable[[BrokerError | None], None]) -> None:
        """Check whether the broker can commit and knows of no damage to its log; call `done` with the error or None."""

        def tried(error: BrokerError | None) -> None:
            done(error or (BrokerError(self.broker.health) if self.broker.health else None))

        self.broker.probe(tried)

    def start_broker(self) -> None:
        """Let the broker deliver to the hub. Raises SettingsError."""
        pipeline = self.hub.pipeline
        self.broker.start(self._log_messages if self.settings.log_messages else pipeline.committed, pipeline.failed)

    def _log_messages(self, entries: Sequence[Entry]) -> None:
        for entry in entries:
            if isinstance(body := entry.body, Said):
                log.info("* %s %s" if body.style is Kind.ACTION else "%s: %s", entry.nick, body.text)
        self.hub.pipeline.committed(entries)

    def readings(self) -> Stats:
        """Return the current counts and timings."""
        hub = self.hub
        return Stats(
            connections=dict.fromkeys(WIRES, 0)
            | Counter(connection.client.wire_name for connection in self.shared.connections)
            | {"arriving": len(self.front.dispatcher.arrivals)},
            users=len({id(user) for user in hub.users.values()}),
            rooms=len(hub.rooms.loaded),
            behind=len(hub.delivery.behind),
            waiting=len(hub.pipeline),
            entries=hub.pipeline.entries,
            deliveries=hub.delivery.delivered,
            not_stored=hub.pipeline.not_stored,
            turned_away=self.front.admission.turned_away,
            commit=self._commit,
            fan_out=self._fan_out,
            lag=self.lag,
            broker=self.broker.figures(),
        )

    def accept(self, tasks: asyncio.TaskGroup) -> Acceptor:
        """Return the acceptor, which does not listen yet; `tasks` sets up its connections."""
        self.front = Acceptor(
            self.shared, tasks, self.wires, lambda: self.certificate.context if self.certificate else None
        )
        return self.front

    async def open_web(self) -> Web:
        """Load the web server, and start the metrics listener if the settings name its address."""
        # The import takes half of the start time. By now the sockets listen, so clients can wait in the kernel's queue.
        from hubbub.serve.web.site import Web

        web = self.web = Web(self.hub, self.shared, self.probe, self.readings)
        self.wires[Wire.HTTP] = lambda caller: web.client(caller.encrypted)
        if self.settings.metrics_listen:
            sockets = bind_all(self.settings.metrics_listen, self.settings.buffer)
            await web.start_metrics(sockets)
            log.info("Metrics are at http://%s/metrics", show(sockets[0].getsockname()))
        return web


async def serve(settings: Settings) -> None:
    """Run the chat server until SIGTERM or SIGINT.

    Raises:
        SettingsError: the server cannot start.
        BrokerError: the log cannot be written any more.

    """
    loop = asyncio.get_running_loop()
    stop = _stop_on_signals(loop)
    _prepare_process()
    house = App(loop, settings)
    hub, shared = house.hub, house.shared
    broken: list[str] = []

    def end(reason: str) -> None:
        broken.append(reason)
        stop.set()

    house.broker.broken = end
    try:
        async with contextlib.AsyncExitStack() as ending, asyncio.TaskGroup() as tasks:
            front = house.accept(tasks)
            await house.broker.connect()
            await house.broker.meet(hub)
            # The data folder is created after everything else that may fail, so no other failure leaves a new folder.
            # No connection is accepted before the next await.
            addresses = front.listen()
            certificate = house.certificate = Certificate(settings) if _wants_tls(settings) else None
            house.start_broker()
            ending.push_async_callback(house.broker.stop, 1.0)
            house.load_secret()
            _announce("Chat", addresses)
            if settings.metrics_listen or any(wire_of(address) is not Wire.LINE for address in settings.listen):
                await house.open_web()
            # The watchdog starts late, because loading the web server blocks the loop while no user is connected.
            ending.enter_context(Watchdog(house.lag.note))
            _tell_ways(settings, addresses, certificate is not None)
            if certificate:
                log.info("The certificate's SHA-256 fingerprint is %s", certificate.fingerprint)
                loop.add_signal_handler(signal.SIGHUP, certificate.reload)
            upkeep = tasks.create_task(_keep_up(hub, certificate))
            service_manager.tell("READY=1")
            await stop.wait()
            service_manager.tell("STOPPING=1")
            upkeep.cancel()
            front.close()
            await asyncio.sleep(GRACE)  # time to read arrived input
            await _settle(hub, shared)
            await house.broker.give_up()
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
    stop = _stop_on_signals(loop)
    _prepare_process()
    # The echo server needs no rate limit: it stops reading from a peer that does not read.
    settings = msgspec.structs.replace(settings, rate=0.0)
    shared = Shared(loop, settings, time.monotonic, TimerWheel(loop, time.monotonic))
    try:
        with Watchdog(lambda lag: None):
            async with asyncio.TaskGroup() as tasks:
                front = Acceptor(shared, tasks, echo_wires(settings))
                _announce("Echo", front.listen())
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


async def _settle(hub: Hub, shared: Shared) -> None:
    """Process all received input, and wait at most SETTLE seconds until it is stored and delivered."""
    for connection in list(shared.connections):
        connection.take_last_input()
    await _until(lambda: hub.settled and not any(connection.waiting for connection in shared.connections), SETTLE)


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


def _stop_on_signals(loop: asyncio.AbstractEventLoop) -> asyncio.Event:
    stop = asyncio.Event()
    first = 0.0

    def on_signal() -> None:
        nonlocal first
        if not stop.is_set():
            first = loop.time()
            stop.set()
        elif loop.time() - first > ECHO:
            os._exit(1)  # a second signal ends the process at once

    numbers = [signal.SIGTERM, signal.SIGINT]
    if signal.getsignal(signal.SIGHUP) is signal.SIG_DFL:  # closed terminal; nohup ignores SIGHUP
        numbers.append(signal.SIGHUP)
    for number in numbers:
        loop.add_signal_handler(number, on_signal)
    return stop


def _prepare_process() -> None:
    """Raise the limit of open files to the maximum, and select the batch scheduling policy.

    A batch process that wakes up does not preempt the process that runs on its core. So it shares a core with the
    process that woke it, and no other core is woken for each write. As measured, this takes a quarter less CPU time per
    delivery at the same latency.
    """
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(OSError, ValueError):  # a service manager may forbid the change
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    if hasattr(os, "SCHED_BATCH") and os.sched_getscheduler(0) == os.SCHED_OTHER:
        with contextlib.suppress(OSError):  # some sandboxes forbid it
            os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
