"""Puts the house together, runs it, and takes it down in order."""

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
import socket
import ssl
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from hubbub import storage
from hubbub.config import Settings
from hubbub.core.budget import Budget
from hubbub.core.delivery import Limits
from hubbub.core.hub import Hub
from hubbub.core.model import Notice
from hubbub.core.session import Session
from hubbub.core.text import SHOWN, clean
from hubbub.errors import BrokerError, SettingsError, reason
from hubbub.files import make_private, write_file_durably
from hubbub.group_commit import GroupCommit
from hubbub.listeners import manager, ways
from hubbub.listeners.acceptor import Acceptor, Counted
from hubbub.listeners.address import bind_all, show, wire_of
from hubbub.listeners.connection import ClientProtocol, Connection, Shared
from hubbub.listeners.echo import EchoClient
from hubbub.listeners.irc_client import IrcClient
from hubbub.listeners.irc_network import IrcNetwork
from hubbub.listeners.line_client import LineClient
from hubbub.listeners.probe import Probes
from hubbub.listeners.sniffer import Caller
from hubbub.listeners.stats import Stats, Timing
from hubbub.listeners.timer_wheel import TimerWheel
from hubbub.listeners.tls import LOOK, SELF_SIGNED, Certificate
from hubbub.listeners.watchdog import Watchdog
from hubbub.passwords import Attempts, is_operator, verify
from hubbub.wire.sniff import Wire

if TYPE_CHECKING:
    from hubbub.listeners.web import Web

log = logging.getLogger("hubbub")

SECRET_BYTES = 32
FREE = 60.0  # seconds between two looks at what memory need not be held any more
SETTLE = 2.0  # seconds that a stopping server gives what was said to be stored and delivered
PART = 1.5  # seconds that it gives its peers to take the last bytes
ECHO = 0.2  # seconds in which a signal is the first one again: make, say, passes on what its child has got as well
GRACE = 0.05  # seconds in which a stopping server still reads what has arrived
WIRES = ("line", "irc", "websocket", "stream", "http")  # by which connections are counted
WRONG_AFTER = 2.0  # seconds until a wrong password is told, so that guessing takes time; its connection waits


class EchoProtocols:
    """What the echo server speaks: lines."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def line_client(self, caller: Caller) -> ClientProtocol:
        """Return a dialogue that echoes."""
        return EchoClient(self._settings)

    def irc_client(self, caller: Caller) -> ClientProtocol:
        """Return the same: it echoes whatever comes."""
        return self.line_client(caller)

    def http(
        self, sock: socket.socket | None, peer: Any, origin: str, gone: Callable[[Counted], None]
    ) -> Connection | None:
        """Return None: it has no web page."""
        return None

    def tls(self) -> ssl.SSLContext | None:
        """Return None: it is not encrypted."""
        return None


class ChatProtocols:
    """What the chat server speaks."""

    def __init__(self, hub: Hub, shared: Shared) -> None:
        self.web: Web | None = None  # until it is there
        self.certificate: Certificate | None = None
        self._hub = hub
        self._shared = shared
        self.network = IrcNetwork(hub, shared.settings)

    def line_client(self, caller: Caller) -> ClientProtocol:
        """Return a dialogue of chat lines."""
        return LineClient(self._hub, self._shared.settings, caller.since, caller.prompted)

    def irc_client(self, caller: Caller) -> ClientProtocol:
        """Return a dialogue with an IRC client."""
        return IrcClient(self._hub, self.network, caller.since)

    def http(
        self, sock: socket.socket | None, peer: Any, origin: str, gone: Callable[[Counted], None]
    ) -> Connection | None:
        """Return the web server's protocol."""
        return self.web.protocol(sock, peer, origin, gone) if self.web else None

    def tls(self) -> ssl.SSLContext | None:
        """Return what new connections are encrypted with, if there is a certificate."""
        return self.certificate.context if self.certificate else None


def _wants_tls(settings: Settings) -> bool:
    fixed = any(wire_of(address) is Wire.TLS for address in settings.listen)
    return fixed or settings.tls == SELF_SIGNED or bool(settings.tls_cert or settings.tls_key)


def _announce(what: str, addresses: Sequence[tuple[str, Wire | None]]) -> None:
    for address, wire in addresses:
        log.info("%s server running on %s%s", what, address, f" ({wire} only)" if wire and what == "Chat" else "")


def _tell_ways(settings: Settings, addresses: Sequence[tuple[str, Wire | None]], encrypts: bool) -> None:
    """Say how to join, and show the page's address as a QR code if that is wanted."""
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
    """Do what is due from time to time: take a new certificate, and give back memory that is not needed any more."""
    # glibc keeps free memory that lies between what is used, unless it is asked.
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
    """Return the secret that is kept in the data folder, made if there is none.

    Raises:
        SettingsError: it cannot be read or written, or is not what was written once. Cloaks are made with it, and
            bans and operators depend on them, so nobody may be let in with another one by accident.

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
            "backup, or delete it: then bans by address end, and operators of rooms lose their rights."
        )
    make_private(file)
    return found


def limits(settings: Settings) -> Limits:
    """Return the core's limits, out of the settings."""
    return Limits(
        history=settings.history,
        max_behind=settings.max_behind,
        max_rooms=settings.max_rooms,
        write_bytes=settings.buffer // 2,
        recent=settings.memory * 1024 * 1024,
    )


def budget(settings: Settings) -> Budget:
    """Return what each address may do, out of the settings."""
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
    """What a chat server is made of.

    Args:
        loop: the running loop.
        settings: the settings in force.

    """

    def __init__(self, loop: asyncio.AbstractEventLoop, settings: Settings) -> None:
        self.settings = settings
        self.broker = storage.broker(settings)
        self._commit, self._fan_out, self.lag = Timing(), Timing(), Timing()
        self.pump = GroupCommit(loop, settings.log_messages, self._commit.note, self._fan_out.note)
        boot = f"{secrets.token_hex(5)}-"
        self.hub = Hub(self.broker, time.time, boot, self.pump.wake, limits(settings), time.monotonic)
        self.pump.hub, self.pump.broker = self.hub, self.broker
        self.hub.check_login, self.hub.cloak = self._login, self._cloak
        self._attempts = Attempts(time.monotonic, self._check, not settings.no_limits)
        self._loop = loop
        self._checker = ThreadPoolExecutor(1, "hubbub-passwords")  # slow on purpose, and one at a time
        self.shared = Shared(loop, settings, time.monotonic, TimerWheel(loop, time.monotonic), self._cloak)
        self.hub.budget = self.shared.budget = budget(settings)
        self.hub.later = loop.call_later
        self.hub.probe = Probes(self.shared).ask
        self._secret = b""
        self._key = secrets.token_bytes(32)
        self._gateway = b""  # digest of the web gateways' password, once they gave it: hashing is slow on purpose
        self.front: Acceptor
        self.web: Web | None = None

    def _check(self, name: str, password: str, done: Callable[[bool], None]) -> None:
        """Look whether a name and password are an operator's, on a thread of its own; say no late."""
        work = self._loop.run_in_executor(self._checker, is_operator, self.settings.operator, name, password)

        def checked(outcome: asyncio.Future[bool]) -> None:
            done(not outcome.cancelled() and outcome.result())

        work.add_done_callback(checked)

    def verify_gateway(self, password: str, done: Callable[[bool], None]) -> None:
        """Look whether a password is that of the web gateways; at once if it was the right one before."""
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
        """Let somebody try to become an operator of the server, and log it; what is wrong is told late."""
        late = 0.0 if self.settings.no_limits else WRONG_AFTER
        who, name = f"{session.nick} ({session.address})", clean(name[:SHOWN])
        if refusal := self._attempts.refusal(session.address):
            log.warning("%s may not try to log in as operator %s: %s", who, name, refusal)
            self.hub.reply(session, Notice((refusal.rstrip("."),)))
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
        """Take the secret that cloaks are made with: the cluster's, or the one beside the log. Raises SettingsError."""
        if self.settings.ephemeral:
            self._secret = secrets.token_bytes(SECRET_BYTES)
        else:
            self._secret = self.broker.secret or _secret(Path(self.settings.data))

    def _cloak(self, address: str) -> str:
        """Return what others are shown of an address."""
        return hashlib.blake2b(address.encode(), key=self._secret, digest_size=5).hexdigest()

    def probe(self, done: Callable[[BrokerError | None], None]) -> None:
        """See whether the log can be committed to, and is whole as far as is known."""

        def tried(error: BrokerError | None) -> None:
            done(error or (BrokerError(self.broker.health) if self.broker.health else None))

        self.broker.probe(tried)

    def readings(self) -> Stats:
        """Return what was counted."""
        hub = self.hub
        return Stats(
            connections=dict.fromkeys(WIRES, 0)
            | Counter(connection.client.wire_name for connection in self.shared.connections)
            | {"arriving": self.front.arriving},
            users=len({id(user) for user in hub.users.values()}),
            rooms=len(hub.rooms.loaded),
            behind=len(hub.delivery.behind),
            waiting=hub.outbox.count,
            entries=self.pump.entries,
            deliveries=hub.delivery.delivered,
            not_stored=self.pump.not_stored,
            turned_away=self.front.turned_away,
            commit=self._commit,
            fan_out=self._fan_out,
            lag=self.lag,
            broker=self.broker.figures(),
        )

    async def open_web(self) -> Web:
        """Load and start the web server."""
        # Half of the start would be for it, so it comes when who wants to join can wait in the kernel already.
        from hubbub.listeners.web import Web

        self.web = Web(self.hub, self.shared, self.probe, self.readings)
        if self.settings.metrics_listen:
            sockets = bind_all(self.settings.metrics_listen, self.settings.buffer)
            await self.web.start_metrics(sockets)
            log.info("Metrics are on http://%s/metrics", show(sockets[0].getsockname()))
        return self.web


async def serve(settings: Settings) -> None:
    """Run the chat server until SIGTERM or SIGINT.

    Raises:
        SettingsError: it cannot start.
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
            wires = ChatProtocols(hub, shared)
            wires.network.verify_gateway = house.verify_gateway
            front = house.front = Acceptor(shared, tasks, wires)
            await house.broker.connect()
            await house.broker.meet(hub)
            # The folder comes last: no other failure leaves a new one. Nobody is accepted before the next await.
            addresses = front.listen()
            wires.certificate = certificate = Certificate(settings) if _wants_tls(settings) else None
            house.broker.start(house.pump.committed, house.pump.failed)
            ending.push_async_callback(house.broker.stop, 1.0)
            house.load_secret()
            _announce("Chat", addresses)
            web = None
            if settings.metrics_listen or any(wire_of(address) is not Wire.LINE for address in settings.listen):
                web = wires.web = await house.open_web()
            # Not before: loading the web server takes its time, and nobody is in yet.
            ending.enter_context(Watchdog(house.lag.note))
            _tell_ways(settings, addresses, certificate is not None)
            if certificate:
                log.info("The certificate's SHA-256 fingerprint is %s", certificate.fingerprint)
                loop.add_signal_handler(signal.SIGHUP, certificate.reload)
            upkeep = tasks.create_task(_keep_up(hub, certificate))
            manager.tell("READY=1")
            await stop.wait()
            manager.tell("STOPPING=1")
            upkeep.cancel()
            front.close()
            await asyncio.sleep(GRACE)  # what has arrived is read
            await _settle(hub, shared)
            await house.broker.give_up()
            hub.closing = not settings.broker  # nobody is left who needs to know who leaves; or they are elsewhere
            await _part(shared)
            if web:
                await web.stop()
            if broken:
                raise BrokerError(f"The server ends, because {broken[0]}.")
    except BaseExceptionGroup as group:  # no `except*`: before Python 3.11.4 what is raised in one is a group again
        raise _single(group) from None


async def echo(settings: Settings) -> None:
    """Run the echo server until SIGTERM or SIGINT. Raises SettingsError."""
    loop = asyncio.get_running_loop()
    stop = _stop_on_signals(loop)
    _prepare_process()
    settings = msgspec.structs.replace(settings, rate=0.0)  # a peer that reads no answers is not read: that is enough
    shared = Shared(loop, settings, time.monotonic, TimerWheel(loop, time.monotonic))
    try:
        with Watchdog(lambda lag: None):
            async with asyncio.TaskGroup() as tasks:
                front = Acceptor(shared, tasks, EchoProtocols(settings), sniffs=False)
                _announce("Echo", front.listen())
                await stop.wait()
                front.close()
                await _part(shared)
    except BaseExceptionGroup as group:  # no `except*`: before Python 3.11.4 what is raised in one is a group again
        raise _single(group) from None


def _single(group: BaseException) -> BaseException:
    while isinstance(group, BaseExceptionGroup):
        group = group.exceptions[0]
    return group


async def _settle(hub: Hub, shared: Shared) -> None:
    """Take all that was received, and wait until it is stored and delivered."""
    for connection in list(shared.connections):
        connection.take_last_input()
    await _until(lambda: hub.settled and not any(connection.waiting for connection in shared.connections), SETTLE)


async def _part(shared: Shared) -> None:
    """Tell everybody that it is over, and close all connections."""
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
            os._exit(1)  # the second one: at once

    numbers = [signal.SIGTERM, signal.SIGINT]
    if signal.getsignal(signal.SIGHUP) is signal.SIG_DFL:  # the terminal is closed; nohup would ignore that
        numbers.append(signal.SIGHUP)
    for number in numbers:
        loop.add_signal_handler(number, on_signal)
    return stop


def _prepare_process() -> None:
    """Ask the system for all files it gives, and to be scheduled as what works in batches.

    A woken batch process does not break into what runs on its core, so it and who woke it share one instead of
    waking another for each write: a quarter less CPU time for each delivery at the same latency, as measured.
    """
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(OSError, ValueError):  # a service manager sets it, and may forbid to change it
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    if hasattr(os, "SCHED_BATCH") and os.sched_getscheduler(0) == os.SCHED_OTHER:
        with contextlib.suppress(OSError):  # some sandboxes forbid it
            os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
