"""The choice of the broker by the settings, and its construction."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

from hubbub.config import Settings
from hubbub.errors import SettingsError
from hubbub.storage.memory import MemoryBroker
from hubbub.storage.ports import Broker
from hubbub.storage.retention import Retention
from hubbub.storage.sqlite.broker import SqliteBroker
from hubbub.storage.sqlite.store import COPY

if TYPE_CHECKING:
    from hubbub.cluster.nats.broker import JetStreamBroker
    from hubbub.cluster.nats.connection import NatsCredentials

DAY = 24 * 60 * 60
MIB = 1024 * 1024


def broker(settings: Settings) -> Broker:
    """Return the broker that the settings select. Raises SettingsError if they select two."""
    if settings.ephemeral and settings.broker:
        raise SettingsError("Use either the setting broker or ephemeral, not both.")
    if settings.ephemeral:
        return MemoryBroker(time.time)
    if settings.broker:
        return cluster(settings, Path(settings.data) / COPY if settings.search == "on" else None)
    return SqliteBroker(Path(settings.data), time.time, keep(settings))


def cluster(settings: Settings, copy: Path | None = None) -> JetStreamBroker:
    """Return the broker of a cluster; `copy` is the folder of its search index, None for no search."""
    # Only clusters need the library nats-py, so it is imported here.
    from hubbub.cluster.nats.broker import JetStreamBroker

    return JetStreamBroker(access(settings), time.time, settings.replicas, keep(settings), copy)


def access(settings: Settings) -> NatsCredentials:
    """Return the addresses of the NATS servers and the credentials from the settings."""
    from hubbub.cluster.nats.connection import NatsCredentials

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
