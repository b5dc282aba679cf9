"""The two streams of a cluster: the log of all rooms, and the current state (of rooms, names and nodes).

This module makes both streams and reads them.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Any, NamedTuple, TypeVar

from hubbub.cluster.nats.link.connection import NatsConnection
from hubbub.cluster.nats.link.messages import GONE, NatsMessage
from hubbub.cluster.nats.link.outcomes import FULL, Rejected, Taken
from hubbub.errors import BrokerError, SettingsError
from hubbub.storage.ports import new_log_id
from hubbub.storage.retention import Retention

LOG = "HUBBUB"
NOW = "HUBBUB_STATE"
ROOM = "hubbub.room."  # + key: the entry batches of a room
LIVE = "hubbub.live."  # + key: copies of the stored batches, with their numbers
STATE = "hubbub.state.room."  # + name: the subject key and the state of a room
GONE_IDS = "hubbub.state.gone."  # + key and a number: the oldest redacted ids of a room
NAME = "hubbub.state.name."  # + name: the lease that holds it
NODE = "hubbub.state.node."  # + node: its lease
SECRET = "hubbub.state.secret"  # the key of cloaked hosts: the same on every node
IDENTITY = "hubbub.state.log"  # the log's identity, and the creation time of its stream
SECRET_BYTES = 32
PROBE = "hubbub.state.probe"

PAGE = 256  # messages of one request
PAGE_BYTES = 1024 * 1024  # bytes of one request
FORGET_IDS = 300  # seconds in which the servers recognize a repeated message; longer than any retry
LAG = 0.025  # seconds before a replica that lags behind is asked again
TRIES = 80  # requests to replicas that lag behind
AGAIN = 0.1  # seconds before a failed operation is tried again
START = 10.0  # seconds in which newly started servers must have chosen a leader

NO_STREAM = 10059  # err_code
IN_USE = 10058  # err_code: the stream exists with other settings
TOO_MANY_COPIES = frozenset({10005, 10074})  # err_codes
NOT_ENABLED = frozenset({10039, 10076})  # err_codes

T = TypeVar("T")


async def set_up(link: NatsConnection, replicas: int, keep: Retention) -> None:
    """Make the two streams if they do not exist; else check their settings and set the log's retention.

    Args:
        link: the connection.
        replicas: the copies of each stream; 0 to keep the number of an existing stream, or else make one.
        keep: the retention of the log.

    Raises:
        SettingsError: the streams cannot be made or used.

    """
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
    """Return whether both streams exist. Raises BrokerError."""
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
            # The servers of a new cluster need some seconds to elect a leader.
            if loop.time() > end:
                raise SettingsError("JetStream does not answer. It must be enabled and have a leader.") from None
            await asyncio.sleep(AGAIN)


async def patiently(store: Callable[[], Awaitable[T]]) -> T:
    """Return the result of `store`, which is retried for START seconds while it raises BrokerError.

    A new stream may have no leader yet, and for some milliseconds after one server has made a stream, other servers
    still report that no stream takes the message. Raises SettingsError.
    """
    loop = asyncio.get_running_loop()
    end = loop.time() + START
    while True:
        try:
            return await store()
        except BrokerError as error:
            if loop.time() > end:
                raise SettingsError(f"The NATS servers cannot store the log: {error}.") from None
            await asyncio.sleep(AGAIN)


async def secret(link: NatsConnection) -> bytes:
    """Return the secret of SECRET_BYTES that all nodes share; the first node makes it.

    Raises:
        BrokerError: it cannot be read or stored.
        SettingsError: it is damaged.

    """
    while True:
        if found := await link.last(NOW, SECRET):
            if len(found.data) != SECRET_BYTES:
                raise SettingsError(
                    f"The secret on NATS is damaged: it has {len(found.data)} bytes, not {SECRET_BYTES}."
                )
            return found.data
        # If another node is faster, its secret counts: the loop reads it.
        with contextlib.suppress(Taken):
            await link.replace(SECRET, secrets.token_bytes(SECRET_BYTES), 0)


async def log_id(link: NatsConnection, created: str) -> str:
    """Return the identity of the log whose stream was made at `created`; the first node makes it for all nodes.

    Raises BrokerError.
    """
    while True:
        found = await link.last(NOW, IDENTITY)
        if found and (noted := _identity(found)) and noted[1] == created:
            return noted[0]
        # A new log stream may exist beside the identity of an older one.
        with contextlib.suppress(Taken):
            await link.replace(IDENTITY, f"{new_log_id()} {created}".encode(), found.number if found else 0)


async def renew_log_id(link: NatsConnection, known: str) -> None:
    """Give the log a new identity if it still has the `known` one, because it has lost its end. Raises BrokerError."""
    found = await link.last(NOW, IDENTITY)
    noted = _identity(found) if found else None
    if found and noted and noted[0] == known:
        with contextlib.suppress(Taken):  # another node was faster
            await link.replace(IDENTITY, f"{new_log_id()} {noted[1]}".encode(), found.number)


def _identity(found: NatsMessage) -> tuple[str, str] | None:
    """Return the stored identity and the creation time of its stream; None if they cannot be read."""
    known, _, created = found.data.decode("utf-8", "replace").partition(" ")
    return (known, created) if known.isascii() and known.isalnum() and len(known) <= 32 else None


async def _adapt(link: NatsConnection, config: dict[str, Any], insists: bool) -> None:
    """Check the settings of an existing stream, and set its retention. Raises SettingsError or BrokerError.

    `insists` is whether the number of copies must be that of `config`.
    """
    name = config["name"]
    have = (await link.ask(f"STREAM.INFO.{name}"))["config"]
    for setting in ("subjects", "republish", "max_msgs_per_subject"):
        want, has = config.get(setting), have.get(setting)
        if isinstance(want, dict) and isinstance(has, dict):
            want, has = want["dest"], has.get("dest")
        if setting in config and want != has:
            raise SettingsError(f"The stream {name} exists already, but it is not hubbub's: it differs in {setting}.")
    if insists and have["num_replicas"] != config["num_replicas"]:
        text = f"The stream {name} has {have['num_replicas']} copies, not {config['num_replicas']}"
        raise SettingsError(f"{text}; change that with nats stream edit.")
    wanted = {key: config[key] for key in ("max_age", "max_msgs", "max_bytes", "duplicate_window") if key in config}
    if any(have.get(key) != value for key, value in wanted.items()):
        try:
            await link.ask(f"STREAM.UPDATE.{name}", {**have, **wanted})
        except Rejected as refusal:
            raise SettingsError(f"The bounds of the stream {name} cannot be set: {refusal}.") from None


async def forward(
    link: NatsConnection, stream: str, subject: str, start: int, known: int
) -> AsyncGenerator[list[NatsMessage], None]:
    """Yield the messages of a subject from number `start` on, in pages, at least up to the number `known`.

    A replica that lags behind is asked again. The pages end earlier if retention has deleted the rest.
    Raises BrokerError.
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
            # An empty page may come from a replica that lags behind. The leader knows whether the rest was deleted.
            if tries > 1 and await is_empty(link, stream, subject, start):
                return
            await asyncio.sleep(LAG)


class StreamLog(NamedTuple):
    """The log as a stream: its creation time and the numbers of its first and last message.

    The last number stays the same if retention deletes that message.
    """

    created: str
    first: int
    last: int


async def log(link: NatsConnection) -> StreamLog:
    """Return the creation time and the bounds of the log from the servers. Raises BrokerError."""
    found = await link.ask(f"STREAM.INFO.{LOG}")
    try:
        return StreamLog(str(found["created"]), int(found["state"]["first_seq"]), int(found["state"]["last_seq"]))
    except (LookupError, TypeError, ValueError) as error:
        raise BrokerError(GONE) from error


async def is_empty(link: NatsConnection, stream: str, subject: str, start: int) -> bool:
    """Return whether a subject has no message from number `start` on, for example because of retention.

    Raises BrokerError.
    """
    last = await link.last(stream, subject)
    return last is None or last.number < start
