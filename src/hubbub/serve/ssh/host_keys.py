"""The keys by which ssh clients recognise the server: one that it makes for itself, or those of the settings.

They are read at every start, which prints their fingerprints. So this module does without asyncssh, which takes ten
times as long to load.
"""

from __future__ import annotations

import logging
from base64 import b64decode, b64encode
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple, cast

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization as formats
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from hubbub.config import Settings
from hubbub.errors import SettingsError, reason
from hubbub.files import make_folder, make_private, write_file_durably

log = logging.getLogger("hubbub")

FILE = "ssh-host-key"  # in the data folder
KINDS = frozenset({"ssh-ed25519", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521", "ssh-rsa"})


class HostKey(NamedTuple):
    """A host key.

    Args:
        private: the private key in OpenSSH's format, not encrypted.
        kind: its kind, as ssh names it.
        fingerprint: SHA256: and the hash of the public key, as clients show it.

    """

    private: bytes
    kind: str
    fingerprint: str


def host_keys(settings: Settings) -> list[HostKey]:
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
        write_file_durably(path, made.private)
    except OSError as error:
        text = f"The ssh host key {path} cannot be written: {reason(error)}."
        if settings.ssh == "yes":
            raise SettingsError(text) from None
        log.warning("%s The next start will have another one, and clients will warn of an attack", text)
    return [made]


def _new() -> HostKey:
    return _described(Ed25519PrivateKey.generate())


def _described(key: Ed25519PrivateKey) -> HostKey:
    """Return a private key as a host key. Raises ValueError if ssh has no such keys."""
    public = key.public_key().public_bytes(formats.Encoding.OpenSSH, formats.PublicFormat.OpenSSH)
    kind, data = public.split(b" ")[:2]
    if kind.decode() not in KINDS:
        raise ValueError(kind)
    private = key.private_bytes(formats.Encoding.PEM, formats.PrivateFormat.OpenSSH, formats.NoEncryption())
    digest = b64encode(sha256(b64decode(data)).digest()).rstrip(b"=")
    return HostKey(private, kind.decode(), f"SHA256:{digest.decode()}")


def _read(path: Path) -> HostKey:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise SettingsError(f"The ssh host key {path} cannot be read: {reason(error)}.") from None
    for load in (formats.load_ssh_private_key, formats.load_pem_private_key, formats.load_der_private_key):
        try:
            return _described(cast(Ed25519PrivateKey, load(data, None)))
        # A TypeError means that the key has a passphrase.
        except (ValueError, TypeError, UnsupportedAlgorithm, AttributeError):
            continue
    raise SettingsError(f"The ssh host key {path} is not a private key without a passphrase (Ed25519, ECDSA or RSA).")
