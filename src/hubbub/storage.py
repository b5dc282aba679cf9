"""Which broker the settings ask for, and how it is reached."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

from hubbub.brokers.base import Broker
from hubbub.brokers.memory import MemoryBroker
from hubbub.brokers.retention import Retention
from hubbub.brokers.sqlite import SqliteBroker
from hubbub.brokers.store import COPY
from hubbub.config import Settings
from hubbub.errors import SettingsError

if TYPE_CHECKING:
    from hubbub.brokers.jetstream.broker import JetStreamBroker
    from hubbub.brokers.jetstream.connection import NatsCredentials

DAY = 24 * 60 * 60
MIB = 1024 * 1024


def broker(settings: Settings) -> Broker:
    """Return the broker that the settings ask for. Raises SettingsError if they ask for two."""
    if settings.ephemeral and settings.broker:
        raise SettingsError("The settings broker and ephemeral exclude each other.")
    if settings.ephemeral:
        return MemoryBroker(time.time)
    if settings.broker:
        return cluster(settings, Path(settings.data) / COPY if settings.search == "on" else None)
    return SqliteBroker(Path(settings.data), time.time, keep(settings))


def cluster(settings: Settings, copy: Path | None = None) -> JetStreamBroker:
    """Return the broker of many nodes; with a `copy` of the log in a folder, to search in."""
    # Only who has a cluster needs the library.
    from hubbub.brokers.jetstream.broker import JetStreamBroker

    return JetStreamBroker(access(settings), time.time, settings.replicas, keep(settings), copy)


def access(settings: Settings) -> NatsCredentials:
    """Return how the NATS servers are reached."""
    from hubbub.brokers.jetstream.connection import NatsCredentials

    return NatsCredentials(
        settings.broker,
        settings.nats_creds,
        settings.nats_nkey,
        settings.nats_ca,
        settings.nats_cert,
        settings.nats_key,
    )


def keep(settings: Settings) -> Retention:
    """Return the bounds of the log."""
    return Retention(settings.keep_days * DAY, settings.keep_entries, settings.keep_size * MIB)
