"""The identity of a node for NATS: an NKEY, which is an Ed25519 key in the encoding of NATS.

The library `nkeys` does the same, but it is published only as source code, which cannot be installed without a network.
"""

from __future__ import annotations

import base64
import binascii
import re
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from hubbub.errors import SettingsError, reason

SEED, USER = 18 << 3, 20 << 3  # first bytes; in base32 they become S and U
_TOKEN = re.compile(rb"BEGIN NATS USER JWT-+\s+(\S+)")
_SEED = re.compile(rb"BEGIN USER NKEY SEED-+\s+(\S+)")


class Identity:
    """The key pair of a NATS user.

    Args:
        seed: the private key in the encoding of NATS: base32 that begins with `SU`.

    Raises:
        ValueError: the seed is not that of a user.

    """

    def __init__(self, seed: bytes) -> None:
        raw = base64.b32decode(seed + b"=" * (-len(seed) % 8))
        if len(raw) != 36 or raw[0] & 0xF8 != SEED or (raw[0] & 7) << 5 | raw[1] >> 3 != USER or not _is_whole(raw):
            raise ValueError("this is no seed of a user")
        self._key = Ed25519PrivateKey.from_private_bytes(raw[2:34])
        public = bytes([USER]) + self._key.public_key().public_bytes_raw()
        self.public = base64.b32encode(public + _checksum(public)).rstrip(b"=").decode()

    def sign(self, nonce: str) -> bytes:
        """Return the signature of a server's nonce, in base64."""
        return base64.b64encode(self._key.sign(nonce.encode()))


def from_file(file: str) -> Identity:
    """Return the identity whose seed is in a file. Raises SettingsError."""
    return _identity(file, _read(file).strip())


def from_credentials(file: str) -> tuple[bytes, Identity]:
    """Return the token (JWT) and the identity in a file of credentials, as `nsc` writes it. Raises SettingsError."""
    content = _read(file)
    token, seed = _TOKEN.search(content), _SEED.search(content)
    if not token or not seed:
        raise SettingsError(f"The file {file} does not contain credentials for NATS.")
    return token[1], _identity(file, seed[1])


def _identity(file: str, seed: bytes) -> Identity:
    try:
        return Identity(seed)
    except ValueError:
        raise SettingsError(f"The file {file} does not contain an NKEY seed of a user.") from None


def _read(file: str) -> bytes:
    try:
        return Path(file).read_bytes()
    except OSError as error:
        raise SettingsError(f"The file {file} cannot be read: {reason(error)}.") from None


def _checksum(data: bytes) -> bytes:
    return binascii.crc_hqx(data, 0).to_bytes(2, "little")  # CRC-16/XMODEM


def _is_whole(raw: bytes) -> bool:
    return raw[-2:] == _checksum(raw[:-2])
