"""Accounts on a store in memory, with a clock that is set and a loop that is a queue."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from called_later import Loop
from hubbub.accounts.logins import Policy
from hubbub.accounts.registry import AccountRegistry
from hubbub.chat.users.accounts import LoginPeer
from hubbub.errors import BrokerError, Refused
from hubbub.model.accounts.account import Account
from hubbub.model.accounts.grants import Grant
from hubbub.storage.memory_key_value import MemoryKeyValue

NOON = 1_800_000_000.0
HERE = LoginPeer("192.0.2.1", True)
THERE = LoginPeer("198.51.100.7", True)
OVERHEARD = LoginPeer("192.0.2.1", False)
PASSWORD = "correct horse"


class InlineWorkers:
    """Does each job in the loop; refuses all while it is full."""

    def __init__(self, loop: Loop) -> None:
        self._loop = loop
        self.full = False
        self.fails = False  # each job fails, as it does without memory
        self.jobs = 0

    def do(self, job: Callable[[], Any], done: Callable[[Any], None], address: str = "") -> bool:
        if self.full:
            return False
        self.jobs += 1
        self._loop.later(lambda: done(None if self.fails else job()))
        return True


class BrokenStore(MemoryKeyValue):
    """Fails while it is broken."""

    broken = False

    def get(self, key: str, done: Any) -> None:
        if self.broken:
            self._later(done, BrokerError("away"))
        else:
            super().get(key, done)

    def put(self, key: str, value: bytes, revision: int, done: Any) -> None:
        if self.broken:
            self._later(done, BrokerError("away"))
        else:
            super().put(key, value, revision, done)

    def delete(self, key: str, revision: int, done: Any) -> None:
        if self.broken:
            self._later(done, BrokerError("away"))
        else:
            super().delete(key, revision, done)


class Accounts:
    """A registry whose methods return what their callbacks get."""

    def __init__(
        self, policy: Policy | None = None, store: BrokenStore | None = None, loop: Loop | None = None
    ) -> None:
        self.now = NOON
        self.loop = loop or Loop()
        self.store = store or BrokenStore(self.loop.later)
        self.workers = InlineWorkers(self.loop)
        workers: Any = self.workers
        self.registry = AccountRegistry(
            self.store, b"secret", workers, policy or Policy(), lambda: self.now, lambda: self.now
        )
        assert self.ask(self.registry.load) is None

    def ask(self, method: Callable[..., None], *values: Any, **named: Any) -> Any:
        answers: list[Any] = []
        method(*values, **{"done": answers.append} | named) if named else method(*values, answers.append)
        self.loop.run()
        assert len(answers) == 1
        return answers[0]

    def register(self, name: str = "Ann", password: str = PASSWORD, code: str = "", peer: LoginPeer = HERE) -> Any:
        answers: list[Any] = []
        self.registry.register(name, password, peer, answers.append, code)
        self.loop.run()
        assert len(answers) == 1
        return answers[0]

    def log_in(self, name: str = "ann", secret: str = PASSWORD, peer: LoginPeer = HERE) -> Any:
        return self.ask(self.registry.log_in, name, secret, peer)

    def ann(self) -> Account:
        account = self.registry.find("ann")
        assert account
        return account

    def token(self, **rights: Any) -> str:
        grant = Grant(**rights)
        token = self.ask(self.registry.make_token, self.ann(), grant)
        assert isinstance(token, str)
        return token


def is_refused(outcome: Any, code: str) -> bool:
    return isinstance(outcome, Refused) and outcome.code == code
