"""The keys by which ssh clients recognise the server: one that it makes for itself, or those of the settings."""

from __future__ import annotations

from pathlib import Path

import asyncssh

from hubbub.config import Settings
from hubbub.errors import SettingsError, reason
from hubbub.files import make_private, write_file_durably

FILE = "ssh-host-key"  # in the data folder


def host_keys(settings: Settings) -> list[asyncssh.SSHKey]:
    """Return the host keys. Without a setting it is one in the data folder, which is made at the first start.

    An ephemeral server makes a new key at each start.

    Raises:
        SettingsError: a key cannot be read or written.

    """
    if settings.ssh_host_key:
        return [_read(Path(path)) for path in settings.ssh_host_key]
    if settings.ephemeral:
        return [_new()]
    path = Path(settings.data) / FILE
    if path.exists():
        make_private(path)
        return [_read(path)]
    made = _new()
    try:
        write_file_durably(path, made.export_private_key("openssh"))
    except OSError as error:
        raise SettingsError(f"The ssh host key {path} cannot be written: {reason(error)}.") from None
    return [made]


def _new() -> asyncssh.SSHKey:
    return asyncssh.generate_private_key("ssh-ed25519", comment="hubbub")


def _read(path: Path) -> asyncssh.SSHKey:
    try:
        return asyncssh.read_private_key(path)
    except OSError as error:
        raise SettingsError(f"The ssh host key {path} cannot be read: {reason(error)}.") from None
    except (asyncssh.KeyImportError, asyncssh.KeyEncryptionError):
        raise SettingsError(f"The ssh host key {path} is not a private key without a passphrase.") from None
