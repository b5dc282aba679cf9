"""The keys by which ssh clients recognise the server: one that it makes for itself, or those of the settings."""

from __future__ import annotations

import logging
from pathlib import Path

import asyncssh

from hubbub.config import Settings
from hubbub.errors import SettingsError, reason
from hubbub.files import make_folder, make_private, write_file_durably

log = logging.getLogger("hubbub")

FILE = "ssh-host-key"  # in the data folder


def host_keys(settings: Settings) -> list[asyncssh.SSHKey]:
    """Return the host keys. Without a setting it is one in the data folder, which is made at the first start.

    An ephemeral server makes a new key at each start. So does one that cannot write its key, unless ssh was asked for:
    a node of a cluster needs no other file.

    Raises:
        SettingsError: a key cannot be read; or it cannot be written, and the settings ask for ssh.

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
        make_folder(path.parent)
        write_file_durably(path, made.export_private_key("openssh"))
    except OSError as error:
        text = f"The ssh host key {path} cannot be written: {reason(error)}."
        if settings.ssh == "yes":
            raise SettingsError(text) from None
        log.warning("%s The next start will have another one, and clients will warn of an attack", text)
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
