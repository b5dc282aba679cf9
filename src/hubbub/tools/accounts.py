"""The accounts of a server or cluster, for the commands that change them beside it or while it is stopped."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sqlite3
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import IO, Any

from msgspec.structs import replace

from hubbub.accounts.registry import AccountRegistry
from hubbub.config import Settings
from hubbub.errors import BrokerError, Refused, SettingsError, reason
from hubbub.model.accounts.account import Account
from hubbub.model.entries import HISTORY, Entry
from hubbub.startup import brokers
from hubbub.startup.accounts import opened_accounts
from hubbub.startup.cloaks import stored_secret
from hubbub.storage.key_value import KeyValueStore
from hubbub.storage.sqlite.broker import lock
from hubbub.storage.sqlite.key_value import Act, Ask, SqliteKeyValue
from hubbub.storage.sqlite.schema import FILE
from hubbub.storage.sqlite.store import Store
from hubbub.storage.sqlite.turns import Beside
from hubbub.tools.exported_lines import Output


class MessagesOf(Output):
    """The output of an export that holds only the messages of one account.

    Args:
        file: the file.
        account: the account.

    """

    def __init__(self, file: IO[bytes], account: Account) -> None:
        super().__init__(file, private=True)
        self._host = account.host

    def begin(self) -> None:
        """Write no header: the output is no export of a log."""

    def write(self, entries: list[Entry]) -> None:
        """Write the messages and polls of the account."""
        super().write([entry for entry in entries if entry.host == self._host and isinstance(entry.body, HISTORY)])


# Whoever may change the files may register anybody, and is slowed by nothing.
OPERATOR: dict[str, Any] = {
    "register": "open",
    "no_limits": True,
    "auth_command": "",
    "auth_socket": "",
    "auth_header": "",
}


async def ask(method: Callable[..., None], *values: object, **named: object) -> Any:
    """Return the result that a method of the accounts gives to its `done`. Raises SettingsError for a refusal."""
    answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
    method(*values, done=answer.set_result, **named)
    outcome = await answer
    if isinstance(outcome, Refused):
        raise SettingsError(outcome.text)
    return outcome


@contextlib.asynccontextmanager
async def opened(settings: Settings) -> AsyncIterator[AccountRegistry]:
    """Yield the accounts of the server or cluster that the settings name.

    Raises:
        SettingsError: they cannot be reached.

    """
    if settings.ephemeral:
        raise SettingsError("An ephemeral server keeps its accounts in its memory; people register there themselves.")
    async with _of_cluster(settings) if settings.broker else _of_folder(Path(settings.data)) as (store, secret):
        yield await opened_accounts(replace(settings, **OPERATOR), store, secret)


@contextlib.asynccontextmanager
async def _of_cluster(settings: Settings) -> AsyncIterator[tuple[KeyValueStore, bytes]]:
    # Only clusters need the library nats-py, so it is imported here.
    from hubbub.cluster.nats import streams

    broker = brokers.stream(settings)
    await broker.attach()
    try:
        yield broker.key_values, await streams.patiently(lambda: streams.secret(broker.link))
    finally:
        await broker.stop(1.0)


@contextlib.asynccontextmanager
async def _of_folder(folder: Path) -> AsyncIterator[tuple[KeyValueStore, bytes]]:
    if not (folder / FILE).exists():
        raise SettingsError(f"There is no log in {folder}. Start the server once, or name its folder with --data.")
    with _connection(folder) as file:
        loop = asyncio.get_running_loop()

        def run(do: Callable[[Act], Any]) -> Ask:
            def answer(act: Act, done: Callable[[Any], None]) -> None:
                try:
                    result = do(act)
                except BrokerError as error:
                    result = error
                loop.call_soon(done, result)

            return answer

        yield SqliteKeyValue(run(file.look_up), run(file.change), loop.call_later), stored_secret(folder)


@contextlib.contextmanager
def _connection(folder: Path) -> Any:
    """Yield the log itself while no server runs; else a connection beside that of the server."""
    with contextlib.ExitStack() as ending:
        try:
            held = lock(folder)
        except SettingsError:
            try:
                file: Beside | Store = Beside(folder, folder / FILE)
            except OSError as error:
                raise SettingsError(f"The data folder {folder} cannot be written: {reason(error)}.") from None
            except sqlite3.Error as error:
                raise SettingsError(f"The log in {folder} cannot be opened: {error}.") from None
        else:
            ending.callback(os.close, held)
            file = Store(folder, write=True)
        ending.callback(file.close)
        yield file
