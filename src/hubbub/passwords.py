"""Passwords: kept as hashes that are slow to try (argon2id, RFC 9106)."""

from __future__ import annotations

from collections.abc import Sequence


def make(password: str) -> str:
    """Return the hash of a password, for the settings."""
    from argon2 import PasswordHasher

    return PasswordHasher().hash(password)


def is_operator(operators: Sequence[str], name: str, password: str) -> bool:
    """Return whether a name and password are those of one of the operators, each NAME:HASH."""
    kept = next((one.partition(":")[2] for one in operators if one.partition(":")[0] == name), "")
    return bool(kept) and verify(kept, password)


def verify(kept: str, password: str) -> bool:
    """Return whether a password is the one whose hash is kept."""
    from argon2 import PasswordHasher
    from argon2.exceptions import InvalidHashError, VerificationError

    try:
        return PasswordHasher().verify(kept, password)
    except (VerificationError, InvalidHashError):
        return False
