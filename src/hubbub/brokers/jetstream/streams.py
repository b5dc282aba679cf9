"""The two streams: the log of all rooms, and what is true now (states of rooms, names, nodes). Made and read here."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Any, NamedTuple, TypeVar

from hubbub.brokers.base import new_log_id
from hubbub.brokers.jetstream.connection import FULL, NatsConnection, Rejected, Taken
from hubbub.brokers.jetstream.messages import GONE, NatsMessage
from hubbub.brokers.retention import Retention
from hubbub.errors import BrokerError, SettingsError

LOG = "HUBBUB"
NOW = "HUBBUB_STATE"
ROOM = "hubbub.room."  # + key: a room's packs
LIVE = "hubbub.live."  # + key: the same, as they were stored, with their numbers
STATE = "hubbub.state.room."  # + name: where a room's log is, and what its entries made of it
GONE_IDS = "hubbub.state.gone."  # + key and a number: ids of what was taken back there, the oldest
NAME = "hubbub.state.name."  # + name: who holds it
NODE = "hubbub.state.node."  # + node: its lease
SECRET = "hubbub.state.secret"  # what cloaks are made with: the same on every node
IDENTITY = "hubbub.state.log"  # the log's identity, and when the stream was made that has it
SECRET_BYTES = 32
PROBE = "hubbub.state.probe"

PAGE = 256  # messages that are asked for at once
PAGE_BYTES = 1024 * 1024
FORGET_IDS = 300  # seconds in which a message that comes again is known; longer than anybody tries
LAG = 0.025  # seconds after which a replica that lags behind is asked again
TRIES = 80
AGAIN = 0.1  # seconds after which something is tried again that could not be done
START = 10.0  # seconds in which servers that have just started must have chosen a leader

NO_STREAM = 10059  # err_code
IN_USE = 10058  # the stream is there, with other settings
TOO_MANY_COPIES = frozenset({10005, 10074})
NOT_ENABLED = frozenset({10039, 10076})

T = TypeVar("T")


async def set_up(link: NatsConnection, replicas: int, keep: Retention) -> None:
    """Make the streams if they are not there. Raises SettingsError."""
    log = {
        "name": LOG,
        "subjects": [f"{ROOM}*"],
        "republish": {"src": f"{ROOM}*", "dest": f"{LIVE}{{{{wildcard(1)}}}}"},
        "duplicate_window": int(min(FORGET_IDS, keep.age or FORGET_IDS) * 1e9),
        "max_age": int(keep.age * 1e9),
        "max_msgs": keep.count or -1,
        "max_bytes": keep.size or -1,
    }
    now = {"name": NOW, "subjects": ["hubbub.state.>"], "max_msgs_per_subject": 1, "allow_msg_ttl": True}
    common = {"storage": "file", "retention": "limits", "discard": "old", "allow_direct": True}
    for config in (log, now):
        await _make(link, {**common, **config, "num_replicas": replicas or 1}, bool(replicas))


async def are_there(link: NatsConnection) -> bool:
    """Return whether the streams have been made. Raises BrokerError."""
    for name in (LOG, NOW):
        try:
            await link.ask(f"STREAM.INFO.{name}")
        except Rejected as refusal:
            if refusal.code == NO_STREAM:
                return False
            raise BrokerError(GONE) from refusal
    return True


async def _make(link: NatsConnection, config: dict[str, Any], insists: bool) -> None:
    name = config["name"]
    loop = asyncio.get_running_loop()
    end = loop.time() + START
    while True:
        try:
            await link.ask(f"STREAM.CREATE.{name}", config)
            return
        except Rejected as refusal:
            if refusal.code == IN_USE:
                await patiently(lambda: _adapt(link, config, insists))
                return
            if refusal.code in TOO_MANY_COPIES:
                text = f"The NATS servers cannot keep {config['num_replicas']} copies: so many servers must be there."
            elif refusal.code in NOT_ENABLED:
                text = "The NATS server has no JetStream: it must be switched on."
            elif refusal.code in FULL:
                text = "The NATS server has no space left for the log."
            else:
                text = f"The stream {name} cannot be made: {refusal}."
            raise SettingsError(text) from None
        except BrokerError:
            if loop.time() > end:
                raise SettingsError("JetStream does not answer: it must be switched on, with a leader.") from None
            await asyncio.sleep(AGAIN)


async def patiently(store: Callable[[], Awaitable[T]]) -> T:
    """Return what comes of storing something; a stream that is new, or has no leader yet, is given time.

    For some ms after one server has made a stream, others still say that there is nobody who stores. Raises
    SettingsError.
    """
    loop = asyncio.get_running_loop()
    end = loop.time() + START
    while True:
        try:
            return await store()
        except BrokerError as error:
            if loop.time() > end:
                raise SettingsError(f"The NATS servers store nothing: {error}.") from None
            await asyncio.sleep(AGAIN)


async def secret(link: NatsConnection) -> bytes:
    """Return what all nodes share, made by the first one.

    Raises:
        BrokerError: it cannot be had.
        SettingsError: it is not what was written once.

    """
    while True:
        if found := await link.last(NOW, SECRET):
            if len(found.data) != SECRET_BYTES:
                raise SettingsError(
                    f"The secret on NATS is damaged: it has {len(found.data)} bytes, not {SECRET_BYTES}."
                )
            return found.data
        with contextlib.suppress(Taken):
            await link.replace(SECRET, secrets.token_bytes(SECRET_BYTES), 0)


async def log_id(link: NatsConnection, created: str) -> str:
    """Return the identity of the log that was made then: the same on every node, made by the first one.

    Raises BrokerError.
    """
    while True:
        found = await link.last(NOW, IDENTITY)
        if found and (noted := _identity(found)) and noted[1] == created:
            return noted[0]
        with contextlib.suppress(Taken):  # the log is new, though what was noted beside it may be old
            await link.replace(IDENTITY, f"{new_log_id()} {created}".encode(), found.number if found else 0)


async def renew_log_id(link: NatsConnection, known: str) -> None:
    """Give the log another identity than the one that is known: it has lost its end. Raises BrokerError."""
    found = await link.last(NOW, IDENTITY)
    noted = _identity(found) if found else None
    if found and noted and noted[0] == known:
        with contextlib.suppress(Taken):  # another node has done it
            await link.replace(IDENTITY, f"{new_log_id()} {noted[1]}".encode(), found.number)


def _identity(found: NatsMessage) -> tuple[str, str] | None:
    """Return the identity that is noted, and when the stream was made that has it; None if it cannot be read."""
    known, _, created = found.data.decode("utf-8", "replace").partition(" ")
    return (known, created) if known.isascii() and known.isalnum() and len(known) <= 32 else None


async def _adapt(link: NatsConnection, config: dict[str, Any], insists: bool) -> None:
    """See that a stream that is there will do, and give it our bounds."""
    name = config["name"]
    have = (await link.ask(f"STREAM.INFO.{name}"))["config"]
    for what in ("subjects", "republish", "max_msgs_per_subject"):
        want, has = config.get(what), have.get(what)
        if isinstance(want, dict) and isinstance(has, dict):
            want, has = want["dest"], has.get("dest")
        if what in config and want != has:
            raise SettingsError(f"The stream {name} is there already, and not hubbub's: in {what} it differs.")
    if insists and have["num_replicas"] != config["num_replicas"]:
        text = f"The stream {name} has {have['num_replicas']} copies, not {config['num_replicas']}"
        raise SettingsError(f"{text}; nats stream edit changes that.")
    wanted = {key: config[key] for key in ("max_age", "max_msgs", "max_bytes", "duplicate_window") if key in config}
    if any(have.get(key) != value for key, value in wanted.items()):
        try:
            await link.ask(f"STREAM.UPDATE.{name}", {**have, **wanted})
        except Rejected as refusal:
            raise SettingsError(f"The bounds of the stream {name} cannot be set: {refusal}.") from None


async def forward(
    link: NatsConnection, stream: str, subject: str, start: int, known: int
) -> AsyncGenerator[list[NatsMessage], None]:
    """Yield the messages of a subject from number `start` on, in pages; at least up to number `known`.

    A replica that lags behind is asked again. Raises BrokerError.
    """
    tries = 0
    while True:
        question = {"seq": start, "next_by_subj": subject, "batch": PAGE, "max_bytes": PAGE_BYTES}
        page = await link.batch(stream, question)
        if page:
            tries = 0
            yield page
            start = page[-1].number + 1
        elif start > known:
            return
        else:
            tries += 1
            if tries > TRIES:
                raise BrokerError(GONE)
            if tries > 1 and await is_empty(link, stream, subject, start):
                return
            await asyncio.sleep(LAG)


class StreamLog(NamedTuple):
    """The log as a stream: when it was made, and its first and last message, whether that is still there or not."""

    created: str
    first: int
    last: int


async def log(link: NatsConnection) -> StreamLog:
    """Return what the servers say of the log. Raises BrokerError."""
    found = await link.ask(f"STREAM.INFO.{LOG}")
    try:
        return StreamLog(str(found["created"]), int(found["state"]["first_seq"]), int(found["state"]["last_seq"]))
    except (LookupError, TypeError, ValueError) as error:
        raise BrokerError(GONE) from error


async def is_empty(link: NatsConnection, stream: str, subject: str, start: int) -> bool:
    """Return whether a subject has no message from number `start` on: it fell to the bounds of the stream, say.

    Raises BrokerError.
    """
    last = await link.last(stream, subject)
    return last is None or last.number < start
