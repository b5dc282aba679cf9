"""Puts the house together, runs it, and takes it down in order."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import resource
import secrets
import signal
import socket
import ssl
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hubbub.brokers.base import Broker
from hubbub.brokers.memory import MemoryBroker
from hubbub.brokers.sqlite import SqliteBroker
from hubbub.config import Settings
from hubbub.core.delivery import Limits
from hubbub.core.hub import Hub
from hubbub.core.model import SAID, Draft, Entry, Kind
from hubbub.listeners.address import wire_of
from hubbub.listeners.connection import Dialogue, Shared
from hubbub.listeners.deadlines import Deadlines
from hubbub.listeners.echo import EchoDialogue
from hubbub.listeners.front import Counted, Front
from hubbub.listeners.line import LineDialogue
from hubbub.listeners.tls import LOOK, SELF_SIGNED, Certificate
from hubbub.wire.sniff import Wire

if TYPE_CHECKING:
    from hubbub.listeners.web import Web

log = logging.getLogger("hubbub")

SETTLE = 2.0  # seconds that a stopping server gives what was said to be stored and delivered
PART = 1.5  # seconds that it gives its peers to take the last bytes
RETRY = 0.25  # seconds before something is published again after the broker failed
ECHO = 0.2  # seconds in which a signal is the first one again: make, say, passes on what its child has got as well
GRACE = 0.05  # seconds in which a stopping server still reads what has arrived


class Pump:
    """Gather, commit, fan out: one batch with the broker, the next one gathering meanwhile.

    After a fan-out that took d seconds, what the next one will deliver is gathered for d seconds more: so half
    of the time is left for those who come in, and a storm of joins is a few big writes instead of millions.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, settings: Settings) -> None:
        self._loop = loop
        self._log_messages = settings.log_messages
        self._busy = False  # a batch is with the broker, or being delivered
        self._planned = False  # the next batch will be gathered by a call that is under way
        self._earliest = 0.0
        self.hub: Hub
        self.broker: Broker

    def wake(self) -> None:
        """Publish what was gathered, as soon as may be."""
        if self._busy or self._planned:
            return
        self._planned = True
        delay = self._earliest - time.perf_counter()
        if delay > 0:
            self._loop.call_later(delay, self._publish)
        else:  # not at once: what came in with it belongs to the same batch
            self._loop.call_soon(self._publish)

    def _publish(self) -> None:
        self._planned = False
        batch = self.hub.outbox.gather()
        if batch:
            self._busy = True
            self.broker.publish(batch)

    def committed(self, entries: Sequence[Entry]) -> None:
        """Deliver what is stored."""
        start = time.perf_counter()
        if self._log_messages:
            for entry in entries:
                if entry.kind in SAID:
                    form = "* %s %s" if entry.kind is Kind.ACTION else "%s: %s"
                    log.info(form, entry.nick, entry.text)
        try:
            self.hub.committed(entries)
        finally:  # even a bug there must not stand in the way of the next batch
            self._loop.call_soon(self._delivered, start)  # after the loop has flushed what was written

    def _delivered(self, start: float) -> None:
        now = time.perf_counter()
        self._earliest = now + (now - start)
        self._next()

    def failed(self, drafts: Sequence[Draft], reason: str) -> None:
        """Tell the senders, and try again a little later."""
        self._earliest = time.perf_counter() + RETRY
        try:
            self.hub.failed(drafts, reason)
        finally:
            self._next()

    def _next(self) -> None:
        self._busy = False
        if self.hub.outbox.waiting:
            self.wake()


class EchoWires:
    """What the echo server speaks: lines."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def converse(self) -> Dialogue:
        """Return a dialogue that echoes."""
        return EchoDialogue(self._settings)

    def http(
        self, sock: socket.socket | None, peer: Any, origin: str, gone: Callable[[Counted], None]
    ) -> asyncio.Protocol | None:
        """Return None: it has no web page."""
        return None

    def tls(self) -> ssl.SSLContext | None:
        """Return None: it is not encrypted."""
        return None


class ChatWires:
    """What the chat server speaks."""

    def __init__(self, hub: Hub, shared: Shared, certificate: Certificate | None) -> None:
        self.web: Web | None = None  # until it is there
        self._hub = hub
        self._shared = shared
        self._certificate = certificate

    def converse(self) -> Dialogue:
        """Return a dialogue of chat lines."""
        return LineDialogue(self._hub, self._shared.settings, self._shared.clock())

    def http(
        self, sock: socket.socket | None, peer: Any, origin: str, gone: Callable[[Counted], None]
    ) -> asyncio.Protocol | None:
        """Return the web server's protocol."""
        return self.web.protocol(sock, peer, origin, gone) if self.web else None

    def tls(self) -> ssl.SSLContext | None:
        """Return what new connections are encrypted with, if there is a certificate."""
        return self._certificate.context if self._certificate else None


def _wants_tls(settings: Settings) -> bool:
    fixed = any(wire_of(address) is Wire.TLS for address in settings.listen)
    return fixed or settings.tls == SELF_SIGNED or bool(settings.tls_cert or settings.tls_key)


def _announce(what: str, addresses: Sequence[tuple[str, Wire | None]]) -> None:
    for address, wire in addresses:
        log.info("%s server running on %s%s", what, address, f" ({wire} only)" if wire and what == "Chat" else "")


async def _look_at(certificate: Certificate) -> None:
    while True:
        await asyncio.sleep(LOOK)
        certificate.look()


def limits(settings: Settings) -> Limits:
    """Return the core's limits, out of the settings."""
    return Limits(
        history=settings.history,
        max_behind=settings.max_behind,
        max_rooms=settings.max_rooms,
        chunk=settings.buffer // 2,
        recent=settings.memory * 1024 * 1024,
    )


async def serve(settings: Settings) -> None:
    """Run the chat server until SIGTERM or SIGINT.

    Raises:
        SettingsError: it cannot start.

    """
    loop = asyncio.get_running_loop()
    stop = _stop_on_signals(loop)
    _prepare_process()
    pump = Pump(loop, settings)
    broker: Broker = MemoryBroker(time.time) if settings.ephemeral else SqliteBroker(Path(settings.data), time.time)
    hub = Hub(broker, time.time, f"{secrets.token_hex(5)}-", pump.wake, limits(settings))
    pump.hub, pump.broker = hub, broker
    shared = Shared(loop, settings, time.monotonic, Deadlines(loop, time.monotonic))
    broker.start(pump.committed, pump.failed)
    try:
        certificate = Certificate(settings) if _wants_tls(settings) else None
        async with asyncio.TaskGroup() as tasks:
            wires = ChatWires(hub, shared, certificate)
            front = Front(shared, tasks, wires)
            _announce("Chat", front.listen())
            if any(wire_of(address) is not Wire.LINE for address in settings.listen):
                # Half of the start would be for it, so it comes when who wants to join can wait in the kernel already.
                from hubbub.listeners.web import Web

                wires.web = Web(hub, shared)
                await wires.web.start()
            if certificate:
                log.info("The certificate's SHA-256 fingerprint is %s", certificate.fingerprint)
                loop.add_signal_handler(signal.SIGHUP, certificate.reload)
                looking = tasks.create_task(_look_at(certificate))
            await stop.wait()
            if certificate:
                looking.cancel()
            front.close()
            await asyncio.sleep(GRACE)  # what has arrived is read
            await _settle(hub, shared)
            hub.closing = True
            if wires.web:
                wires.web.farewell()
            await _part(shared)
            if wires.web:
                await wires.web.stop()
    except* BaseException as group:
        raise _single(group) from None
    finally:
        await broker.stop(1.0)


async def echo(settings: Settings) -> None:
    """Run the echo server until SIGTERM or SIGINT. Raises SettingsError."""
    loop = asyncio.get_running_loop()
    stop = _stop_on_signals(loop)
    _prepare_process()
    shared = Shared(loop, settings, time.monotonic, Deadlines(loop, time.monotonic))
    try:
        async with asyncio.TaskGroup() as tasks:
            front = Front(shared, tasks, EchoWires(settings), sniffs=False)
            _announce("Echo", front.listen())
            await stop.wait()
            front.close()
            await _part(shared)
    except* BaseException as group:
        raise _single(group) from None


def _single(group: BaseException) -> BaseException:
    while isinstance(group, BaseExceptionGroup):
        group = group.exceptions[0]
    return group


async def _settle(hub: Hub, shared: Shared) -> None:
    """Take all that was received, and wait until it is stored and delivered."""
    for connection in list(shared.connections):
        connection.last_call()
    await _until(lambda: hub.settled, SETTLE)


async def _part(shared: Shared) -> None:
    """Tell everybody that it is over, and close all connections."""
    for connection in list(shared.connections):
        connection.dialogue.farewell()
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
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    if hasattr(os, "SCHED_BATCH") and os.sched_getscheduler(0) == os.SCHED_OTHER:
        with contextlib.suppress(OSError):  # some sandboxes forbid it
            os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
