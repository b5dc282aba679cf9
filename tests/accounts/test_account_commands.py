"""`hubbub account` and `hubbub token`, beside a running server and without one."""

from __future__ import annotations

import asyncio
import json
import os
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from msgspec import structs

from hubbub.accounts.registry import AccountRegistry
from hubbub.chat.users.accounts import LoginPeer
from hubbub.cli import main
from hubbub.config import Settings
from hubbub.errors import SettingsError
from hubbub.model.accounts.account import Account
from hubbub.model.entries import Kind
from hubbub.startup.accounts import opened_accounts
from hubbub.startup.cloaks import stored_secret
from hubbub.storage.memory_key_value import MemoryKeyValue
from hubbub.storage.sqlite.broker import SqliteBroker
from hubbub.tools.accounts import ask
from records import draft_of

PEER = LoginPeer("192.0.2.1", True)


def run(*words: str, typed: str = "", code: int = 0) -> Result:
    result = CliRunner().invoke(main, list(words), input=typed)
    assert result.exit_code == code, result.output
    return result


class Running(SqliteBroker):
    """A running server's log; `stored` is set when something was."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, lambda: 1_000_000.0)
        self.stored = asyncio.Event()
        self.start(lambda entries: self.stored.set(), lambda drafts, reason, sure=True: None)


@pytest.fixture
async def log(tmp_path: Path) -> AsyncIterator[Running]:
    running = Running(tmp_path)
    yield running
    await running.stop(60)


@pytest.fixture
async def server(log: Running, tmp_path: Path) -> AccountRegistry:
    """A server's accounts, while its log holds the folder."""
    settings = Settings(data=str(tmp_path), no_limits=True)
    return await opened_accounts(settings, log.key_values, stored_secret(tmp_path))


async def beside(folder: Path, *words: str, typed: str = "", code: int = 0) -> str:
    """Run a command while the server's loop goes on, and return its output."""
    more = ("--data", str(folder))
    result = await asyncio.to_thread(lambda: run(*words[:2], *more, *words[2:], typed=typed, code=code))
    return result.output.rstrip("\n")


async def until(server: AccountRegistry, reached: Any) -> None:
    """Wait until the server has seen a change."""
    seen = asyncio.Event()
    server.changed.append(lambda account: seen.set())
    async with asyncio.timeout(60):
        while not reached():
            seen.clear()
            await seen.wait()


async def test_the_server_sees_what_the_commands_change(server: AccountRegistry, tmp_path: Path) -> None:
    output = await beside(tmp_path, "account", "add", "Ann", "--operator", typed="correct horse\n")
    assert output == "Ann is registered."
    await until(server, lambda: (ann := server.find("ann")) and ann.operator)
    assert isinstance(await ask(server.log_in, "ann", "correct horse", PEER), Account)
    await beside(tmp_path, "account", "passwd", "Ann", typed="another one\n")
    with pytest.raises(SettingsError, match="not the password"):
        await ask(server.log_in, "ann", "correct horse", PEER)
    assert await beside(tmp_path, "account", "operator", "Ann", "--remove") == "Ann is no operator any more."
    await until(server, lambda: (ann := server.find("ann")) and not ann.operator)
    assert await beside(tmp_path, "account", "operator", "Ann") == "Ann is an operator of the server."
    await until(server, lambda: (ann := server.find("ann")) and ann.operator)
    code = await beside(tmp_path, "account", "reset", "ann")
    assert isinstance(await ask(server.log_in, "ann", code, PEER), Account)
    token = await beside(tmp_path, "token", "add", "--room", "ops", "--say", "--name", "ci", "Ann")
    row = json.loads(await beside(tmp_path, "token", "list", "--json", "Ann"))
    assert (row["name"], row["rooms"], row["scopes"], row["expires"]) == ("ci", ["ops"], ["say"], 0)
    assert token not in json.dumps(row) and row["id"] in await beside(tmp_path, "token", "list", "Ann")
    await beside(tmp_path, "account", "suspend", "Ann")
    await until(server, lambda: (ann := server.find("ann")) and ann.suspended)
    with pytest.raises(SettingsError, match="is closed"):
        await ask(server.by_token, token, PEER)
    assert "suspended" in await beside(tmp_path, "account", "list")
    await beside(tmp_path, "account", "resume", "Ann")
    assert await beside(tmp_path, "token", "delete", "Ann", row["id"]) == "The token has ended."
    assert "no token" in await beside(tmp_path, "token", "delete", "Ann", row["id"], code=1)


async def test_an_export_has_all_of_an_account_and_no_secret(
    server: AccountRegistry, log: Running, tmp_path: Path
) -> None:
    account = await ask(server.register, "Ann", "correct horse", PEER)
    await ask(server.make_cookie, account, "Firefox")
    drafts = [draft_of("lobby", Kind.MESSAGE, "Ann", text, text) for text in ("mine", "not mine")]
    log.publish([structs.replace(drafts[0], host=account.host), drafts[1]])
    await log.stored.wait()
    output = await beside(tmp_path, "account", "export", "Ann")
    exported, *messages = map(json.loads, output.splitlines())
    assert [one["text"] for one in messages] == ["mine"]
    assert exported["has_password"] and exported["state"] == "open" and len(exported["cookies"]) == 1
    listed = await beside(tmp_path, "account", "list", "--json")
    for text in (json.dumps(exported), listed):
        assert "argon2" not in text and "SCRAM" not in text and "Ann" in text


async def test_accounts_are_changed_without_a_server_too(tmp_path: Path) -> None:
    assert "no log" in await beside(tmp_path, "account", "list", code=2)
    assert not os.listdir(tmp_path)
    await Running(tmp_path).stop(60)
    await beside(tmp_path, "account", "add", "--no-password", "--days", "1", "ci")
    assert re.search(r"^ci +\d{4}-\d\d-\d\d open until \d{4}-\d\d-\d\d$", await beside(tmp_path, "account", "list"))
    assert not json.loads(await beside(tmp_path, "account", "list", "--json"))["has_password"]
    assert await beside(tmp_path, "account", "delete", "ci") == "ci is deleted."
    assert "registered" in await beside(tmp_path, "account", "add", "ci", typed="correct horse\n", code=2)
    assert await beside(tmp_path, "account", "delete", "--free", "ci") == "ci is deleted, and its name is free."
    await beside(tmp_path, "account", "add", "ci", typed="correct horse\n")
    told = await beside(tmp_path, "account", "delete", "--messages", "take-back", "--free", "ci")
    assert told == "ci is deleted. The server takes its messages back, and then frees its name."
    listed = json.loads(await beside(tmp_path, "account", "list", "--json"))
    assert listed["takes_back"] and listed["frees"] and listed["state"] == "deleted"
    told = await beside(tmp_path, "account", "delete", "--messages", "take-back", "ci")
    assert told == "ci is deleted. The server takes its messages back."
    assert len(await beside(tmp_path, "account", "invite")) == 9
    assert "no account" in await beside(tmp_path, "account", "reset", "Bob", code=1)
    assert "at least 8" in await beside(tmp_path, "account", "passwd", "ci", typed="short\n", code=2)


async def test_the_accounts_of_an_ephemeral_server_cannot_be_reached(tmp_path: Path) -> None:
    file = tmp_path / "hubbub.toml"
    file.write_text("ephemeral = true\n")
    output = await beside(tmp_path, "account", "list", "--config", str(file), code=2)
    assert "ephemeral server" in output


async def test_an_operator_is_warned_that_people_of_the_house_can_be_forestalled(
    caplog: pytest.LogCaptureFixture,
) -> None:
    store: Any = MemoryKeyValue(asyncio.get_running_loop().call_soon)
    for settings, warned in (
        (Settings(auth_header="Remote-User"), True),
        (Settings(auth_command="check", register="invite"), True),
        (Settings(auth_socket="/run/check", register="closed"), False),
        (Settings(), False),
    ):
        caplog.clear()
        await opened_accounts(settings, store, b"")
        assert ("use --register closed" in caplog.text) is warned


async def test_the_settings_of_the_house_are_checked(tmp_path: Path) -> None:
    store: Any = None
    for settings in (Settings(auth_command="a 'b"), Settings(auth_command="a", auth_socket="b")):
        with pytest.raises(SettingsError, match="auth_command"):
            await opened_accounts(settings, store, b"")
