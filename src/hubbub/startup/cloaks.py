"""Cloaks: stand-ins for addresses. Equal addresses have equal cloaks, and a cloak reveals no address."""

from __future__ import annotations

import hashlib
import secrets
from pathlib import Path

from hubbub.errors import SettingsError, reason
from hubbub.files import make_private, write_file_durably

SECRET_BYTES = 32


class Cloaks:
    """Makes cloaks, once it has its secret."""

    def __init__(self) -> None:
        self.secret = b""

    def cloak(self, address: str) -> str:
        """Return the public form of an address: a keyed hash of 10 hexadecimal digits."""
        return hashlib.blake2b(address.encode(), key=self.secret, digest_size=5).hexdigest()


def new_secret() -> bytes:
    """Return a new random secret."""
    return secrets.token_bytes(SECRET_BYTES)


def stored_secret(folder: Path) -> bytes:
    """Return the secret in the data folder. Create it if there is none.

    Raises:
        SettingsError: the secret cannot be read or written, or has the wrong size. Cloaks are made with it, and bans
            and room operators depend on cloaks, so the server must not start with another secret by accident.

    """
    file = folder / "secret"
    try:
        if not file.exists():
            write_file_durably(file, new_secret())
        found = file.read_bytes()
    except OSError as error:
        raise SettingsError(f"The file {file} cannot be read or written: {reason(error)}.") from None
    if len(found) != SECRET_BYTES:
        raise SettingsError(
            f"The file {file} is damaged: it has {len(found)} bytes instead of {SECRET_BYTES}. Restore it from a "
            "backup, or delete it; bans by address then end, and room operators lose their rights."
        )
    make_private(file)
    return found
