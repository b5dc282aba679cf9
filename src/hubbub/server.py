"""Run the chat server, and shut it down in order; startup/app.py has its parts."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import time
from collections.abc import Sequence

import msgspec

from hubbub import process
from hubbub.config import Settings
from hubbub.errors import BrokerError
from hubbub.serve import qr, service_manager, ways
from hubbub.serve.accept.acceptor import Acceptor
from hubbub.serve.accept.address import wire_of
from hubbub.serve.accept.dispatcher import Wires
from hubbub.serve.accept.tls import LOOK, SELF_SIGNED, Certificate
from hubbub.serve.echo import EchoClient
from hubbub.serve.sockets.connection import Shared
from hubbub.serve.sockets.timer_wheel import TimerWheel
from hubbub.serve.watchdog import Watchdog
from hubbub.startup.app import App, until
from hubbub.startup.ssh_wire import speaks_ssh
from hubbub.wire.sniff import Wire

log = logging.getLogger("hubbub")

FREE = 60.0  # seconds between two attempts to release unused memory
SETTLE = 2.0  # seconds that a stopping server waits until the last messages are stored and delivered
PART = 1.5  # seconds that a stopping server gives its peers to receive the last bytes
SWEEP = 3600.0  # seconds between two searches for expired tokens, cookies and codes
GRACE = 0.05  # seconds for which a stopping server still reads arrived input


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


async def _keep_up(house: App) -> None:
    """Check for a changed certificate, and do what the house needs from time to time, each in its own interval."""
    # glibc returns free memory between used blocks to the system only on request.
    import ctypes

    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    free_at, sweep_at = time.monotonic() + FREE, time.monotonic() + SWEEP
    while True:
        await asyncio.sleep(LOOK)
        if house.certificate:
            house.certificate.look()
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
    broken: list[str] = []

    def end(reason: str) -> None:
        broken.append(reason)
        stop.set()

    house.log.broken = end
    try:
        async with contextlib.AsyncExitStack() as ending, asyncio.TaskGroup() as tasks:
            house.accept(tasks)
            await _start(house, ending)
            upkeep = tasks.create_task(_keep_up(house))
            service_manager.tell("READY=1")
            await stop.wait()
            service_manager.tell("STOPPING=1")
            upkeep.cancel()
            await _stop(house)
            if broken:
                raise BrokerError(f"The server stops, because {broken[0]}.")
    # No `except*`: before Python 3.11.4 an exception raised in one is wrapped in a group again.
    except BaseExceptionGroup as group:
        raise _single(group) from None


async def _start(house: App, ending: contextlib.AsyncExitStack) -> None:
    """Start all parts of a server in order, until it listens and has said how to join; `ending` gets their ends.

    Raises:
        SettingsError: the server cannot start.

    """
    settings, front = house.settings, house.front
    await house.cluster.connect()
    await house.cluster.meet(house.hub)
    # The data folder is created after everything else that may fail, so no other failure leaves a new folder.
    # No client can connect before the folder is known to be free, and none is accepted before the next await.
    ending.callback(front.close)
    addresses = front.bind()
    certificate = house.certificate = Certificate(settings) if _wants_tls(settings) else None
    if certificate:  # before anybody can see that the server runs, and have it reload
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, certificate.reload)
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
    house.hub.page_url = _tell_ways(settings, addresses, certificate)


async def _stop(house: App) -> None:
    """Take the last input of all clients, and part from them."""
    house.front.close()
    await asyncio.sleep(GRACE)  # time to read arrived input
    await _settle(house)
    await house.cluster.give_up()
    # Without a cluster, no user remains to be shown who leaves. In a cluster, the users of other nodes remain.
    house.hub.closing = not house.settings.broker
    await _part(house.shared)
    if house.web:
        await house.web.stop()


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
    await until(lambda: hub.settled and not any(connection.waiting for connection in shared.connections), SETTLE)
    await house.store_stays()


async def _part(shared: Shared) -> None:
    """Tell all clients that the server is stopping, and close their connections.

    Connections that are still open after PART seconds are aborted.
    """
    for connection in list(shared.connections):
        connection.client.shut_down()
    await until(lambda: not shared.connections, PART)
    for connection in list(shared.connections):
        connection.abort()
    await until(lambda: not shared.connections, 0.2)
