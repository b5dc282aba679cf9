"""Cheap hashes: the tests' own time is not what makes passwords safe."""

import pytest
from argon2 import PasswordHasher

from hubbub.accounts import hashing


@pytest.fixture(autouse=True)
def cheap(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hashing, "MEMORY", 8)
    monkeypatch.setattr(hashing, "PASSES", 1)
    monkeypatch.setattr(hashing, "ROUNDS", 4096)
    monkeypatch.setattr(hashing, "NOBODY", PasswordHasher(1, 8, 1).hash("nobody's"))
