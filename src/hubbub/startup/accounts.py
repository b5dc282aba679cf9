"""Open the accounts of a server with its settings: the rules, the threads, and the program of the house."""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from hubbub.accounts.logins import Policy
from hubbub.accounts.registry import AccountRegistry
from hubbub.accounts.workers import Workers
from hubbub.config import Settings
from hubbub.errors import BrokerError, SettingsError
from hubbub.storage.key_value import KeyValueStore

if TYPE_CHECKING:
    from hubbub.accounts.house import HouseProgram

log = logging.getLogger("hubbub")

HASHES_WAITING = 64  # passwords that wait to be hashed; the next one is refused


async def opened_accounts(settings: Settings, store: KeyValueStore, secret: bytes) -> AccountRegistry:
    """Return the accounts in a store, when all are read.

    Args:
        settings: the settings in force.
        store: the key-value store of the log.
        secret: the secret of the server or cluster.

    Raises:
        SettingsError: they cannot be read, or the program of the house cannot be asked.

    """
    loop = asyncio.get_running_loop()
    # One core stays free for the chat, whose p99 doubles otherwise; each further hash at once takes 19 MiB.
    cores = max(1, (os.cpu_count() or 1) - 1)
    workers = Workers(cores, HASHES_WAITING, loop.call_soon_threadsafe, "hubbub-passwords")
    rules = Policy(
        settings.register,
        settings.guests,
        settings.plaintext_passwords == "yes",
        settings.free_names,
        not settings.no_limits,
    )
    accounts = AccountRegistry(store, secret, workers, rules, time.time, time.monotonic)
    accounts.house = _house(settings, loop)
    if settings.register != "closed" and (accounts.house or settings.auth_header):
        log.warning(
            "Anybody can register the name of a person of the house before that person comes, and would share the "
            "account with them: use --register closed"
        )
    for part in (accounts.vault.directory, accounts.vault.tokens, accounts.vault.cookies):
        part.later = loop.call_later
    await read_all(accounts.load)
    return accounts


async def read_all(begin: Callable[[Callable[[BrokerError | None], None]], None]) -> None:
    """Call `begin`, which reads a part of the accounts, and wait until it calls back. Raises SettingsError."""
    loaded: asyncio.Future[BrokerError | None] = asyncio.get_running_loop().create_future()
    begin(loaded.set_result)
    if error := await loaded:
        raise SettingsError(f"The accounts cannot be read: {error}.")


def _split(command: str) -> list[str]:
    import shlex  # most servers have no such command

    try:
        return shlex.split(command)
    except ValueError:
        raise SettingsError("The setting auth_command has a quote that is not closed.") from None


def _house(settings: Settings, loop: asyncio.AbstractEventLoop) -> HouseProgram | None:
    """Return the program of the house; None if there is none."""
    if settings.auth_command and settings.auth_socket:
        raise SettingsError("Use either the setting auth_command or auth_socket, not both.")
    command = _split(settings.auth_command) if settings.auth_command else []
    if not command and not settings.auth_socket:
        return None
    from hubbub.accounts import house  # most servers have none

    workers = Workers(house.THREADS, house.WAITING, loop.call_soon_threadsafe, "hubbub-house")
    return house.HouseProgram(workers, command, settings.auth_socket)
