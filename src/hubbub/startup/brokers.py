"""The choice of the log, its index and the cluster by the settings, and their construction."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct

from hubbub.chat.core import Index
from hubbub.cluster.port import Cluster
from hubbub.cluster.solo import Solo
from hubbub.config import Settings
from hubbub.errors import SettingsError
from hubbub.storage.key_value import KeyValueStore
from hubbub.storage.memory import MemoryBroker
from hubbub.storage.ports import Log
from hubbub.storage.retention import Retention
from hubbub.storage.sqlite.broker import SqliteBroker
from hubbub.storage.sqlite.schema import COPY

if TYPE_CHECKING:
    from hubbub.cluster.nats.broker import JetStreamBroker
    from hubbub.cluster.nats.link.client import NatsCredentials

DAY = 24 * 60 * 60
MIB = 1024 * 1024


class Backend(Struct, frozen=True, eq=False):
    """The storage of a server and its place among other nodes.

    Args:
        log: the log.
        index: the search index; None if the settings switch it off.
        key_values: the small durable facts beside the log; usable once the log has started.
        cluster: the other nodes.

    """

    log: Log
    index: Index | None
    key_values: KeyValueStore
    cluster: Cluster


def backend(settings: Settings) -> Backend:
    """Return the parts that the settings select. Raises SettingsError if they select two logs."""
    if settings.ephemeral and settings.broker:
        raise SettingsError("Use either the setting broker or ephemeral, not both.")
    if settings.broker:
        return clustered(stream(settings), Path(settings.data) / COPY if settings.search == "on" else None)
    if settings.ephemeral:
        return alone(MemoryBroker(time.time))
    return alone(SqliteBroker(Path(settings.data), time.time, keep(settings)))


def alone(log: MemoryBroker | SqliteBroker) -> Backend:
    """Return the parts of a node without others."""
    return Backend(log, log, log.key_values, Solo())


def clustered(log: JetStreamBroker, copy: Path | None) -> Backend:
    """Return the parts of a node in a cluster; `copy` is the folder of its search index, None for no search."""
    from hubbub.cluster.nats.cluster import NatsCluster
    from hubbub.cluster.nats.log.searching import StreamSearch

    index = StreamSearch(log, copy) if copy else None
    return Backend(log, index, log.key_values, NatsCluster(log, index))


def stream(settings: Settings) -> JetStreamBroker:
    """Return the log of a cluster."""
    # Only clusters need the library nats-py, so it is imported here.
    from hubbub.cluster.nats.broker import JetStreamBroker

    return JetStreamBroker(access(settings), time.time, settings.replicas, keep(settings))


def access(settings: Settings) -> NatsCredentials:
    """Return the addresses of the NATS servers and the credentials from the settings."""
    from hubbub.cluster.nats.link.client import NatsCredentials

    return NatsCredentials(
        settings.broker,
        settings.nats_creds,
        settings.nats_nkey,
        settings.nats_ca,
        settings.nats_cert,
        settings.nats_key,
    )


def keep(settings: Settings) -> Retention:
    """Return the retention of the log from the settings: days become seconds, MiB become bytes."""
    return Retention(settings.keep_days * DAY, settings.keep_entries, settings.keep_size * MIB)
