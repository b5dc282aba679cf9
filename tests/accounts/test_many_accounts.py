"""The cost of many accounts at the start and of each change after it: counted in steps and calls, not in seconds."""

from __future__ import annotations

import sqlite3
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
import pytest

from called_later import Loop
from hubbub.accounts.records.directory import Directory
from hubbub.model.accounts.account import Account
from hubbub.storage.key_value import MAX_ITEMS
from hubbub.storage.sqlite import key_value
from hubbub.storage.sqlite.key_value import SqliteKeyValue
from hubbub.storage.sqlite.store import Store

NAMES = ("Person{}", "Зоя{}")
STEPS = 10  # of SQLite for each account
CALLS = 50  # of Python for each account


class Counted:
    """A directory on the database of a log, and the work that it does.

    Args:
        db: a connection to the database.
        accounts: the number of accounts that are stored in it first.

    """

    def __init__(self, db: sqlite3.Connection, accounts: int) -> None:
        self.steps = self.calls = 0
        self._db = db
        for number in range(accounts):
            self.put(Account(id=f"id{number}", name=NAMES[number % 2].format(number), created=1.0), 0)
        loop = Loop()

        def ask(act: Any, done: Any) -> None:
            loop.later(lambda: done(act(db)))

        self.store = SqliteKeyValue(ask, ask, lambda seconds, *call: None)
        self.directory = Directory(self.store, lambda: 2.0)
        self.run = loop.run

    def put(self, account: Account, revision: int) -> int:
        """Store an account as another process does."""
        return key_value._put(self._db, f"account/{account.name.lower()}", msgspec.json.encode(account), revision)

    def count(self, act: Any) -> None:
        """Count the work of a function and of all that follows from it."""

        def one_step() -> None:
            self.steps += 1

        def one_call(frame: Any, event: str, arg: Any) -> None:
            self.calls += event in ("call", "c_call") and frame.f_code is not one_step.__code__

        self.steps = self.calls = 0
        self._db.set_progress_handler(one_step, 1)
        sys.setprofile(one_call)
        try:
            act()
            self.run()
        finally:
            sys.setprofile(None)
            self._db.set_progress_handler(None, 1)


@pytest.fixture
def db(tmp_path: Path) -> Any:
    with closing(Store(tmp_path, write=True)):
        pass
    with closing(sqlite3.connect(tmp_path / "hubbub.db")) as db:
        yield db


def test_each_account_adds_little_to_the_start(db: sqlite3.Connection) -> None:
    count = MAX_ITEMS * 5 // 2
    counted = Counted(db, count)
    counted.count(lambda: counted.directory.load(lambda error: None))
    assert len(list(counted.directory.all())) == count
    assert counted.steps < STEPS * count, "no page reads the accounts of the others"
    assert counted.calls < CALLS * count


def test_a_change_costs_no_look_at_the_other_accounts(db: sqlite3.Connection) -> None:
    counted = Counted(db, MAX_ITEMS)
    counted.directory.load(lambda error: None)
    counted.run()
    account = counted.directory.find("Person0")
    assert account
    counted.count(
        lambda: counted.directory.change(
            "id0", lambda old: msgspec.structs.replace(old, stays=True), lambda outcome: None
        )
    )
    changed = counted.directory.find("Person0")
    assert changed and changed.stays
    assert counted.steps < 300
