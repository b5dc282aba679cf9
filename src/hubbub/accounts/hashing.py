"""Passwords of accounts: the rules for them, their hashes, which are slow to try, and their SCRAM verifiers.

Nothing here may run on the loop's thread except `check_password`: a hash takes a tenth of a second of a core.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
import unicodedata
from typing import NamedTuple

from hubbub.text import refusals
from hubbub.text.cleaning import clean_exactly
from hubbub.text.concealed import concealed

MIN_CHARS = 8
MAX_BYTES = 300  # in UTF-8, as in Ergo
# The least parameters that OWASP advises for argon2id: 19 MiB, two passes, one lane. More would be paid for each of the
# many people who log in at once.
MEMORY = 19_456  # KiB
PASSES = 2
ROUNDS = 60_000  # of PBKDF2; Cyrus SASL refuses more than 65,536
SALT_BYTES = 16
MECHANISM = "SCRAM-SHA-256"
# The hash of an unknown password, with the parameters above: to check it takes as long as to check that of an account.
NOBODY = "$argon2id$v=19$m=19456,t=2,p=1$I3WdZyG3OXwRzFStM+Ft2Q$N2aMd5mcisUkNftOKNGQUeILELVEz3YK1ifpWGEYoxc"


class Verifiers(NamedTuple):
    """The stored parts of a password: its argon2id hash, and its SCRAM-SHA-256 verifier."""

    password: str
    scram: str

    def __repr__(self) -> str:
        return concealed(self)


NO_PASSWORD = Verifiers("", "")


class ScramVerifier(NamedTuple):
    """A SCRAM verifier, decoded (RFC 5802, section 3)."""

    salt: bytes
    stored_key: bytes
    server_key: bytes
    rounds: int

    def __repr__(self) -> str:
        return concealed(self)


def check_password(password: str) -> None:
    """Raise Refused if a password cannot be chosen: it is too short or too long, or some wires would change it.

    Every byte that is not UTF-8 arrives as the same character, so other bytes would be the same password. Terminals
    remove control characters, and the spaces at both ends.
    """
    if len(password) < MIN_CHARS:
        raise refusals.PASSWORD_SHORT(limit=MIN_CHARS)
    if is_too_long(password):
        raise refusals.PASSWORD_LONG(limit=MAX_BYTES)
    text = clean_exactly(password)  # which may have several lines
    if text != password or text.strip() != text or not {"\n", "\t", "\ufffd"}.isdisjoint(text):
        raise refusals.PASSWORD_TEXT()


def is_too_long(password: str) -> bool:
    """Return whether a text is too long to be a password, and so is not worth a check."""
    return len(password) > MAX_BYTES or len(_bytes(password)) > MAX_BYTES


def prepared(password: str) -> str:
    """Return a password as it is compared, the OpaqueString profile (RFC 8265, section 4.2): in NFC, any space a space.

    No character is refused: a password that a client has sent otherwise until today must not stop working.
    """
    if password.isascii():
        return password
    spaces = "".join(" " if unicodedata.category(char) == "Zs" else char for char in password)
    return unicodedata.normalize("NFC", spaces)


def make(password: str) -> Verifiers:
    """Return the hash and the verifier of a password."""
    from argon2 import PasswordHasher

    text = prepared(password)
    hasher = PasswordHasher(time_cost=PASSES, memory_cost=MEMORY, parallelism=1)
    return Verifiers(hasher.hash(_bytes(text)), _scram(text))


def verify(kept: str, password: str) -> bool:
    """Return whether a password has a stored hash; "" is no password's hash, and takes as long as any other.

    Raises:
        MemoryError, argon2.exceptions.VerificationError: the password could not be checked, for example because the
            system gives no more memory.

    """
    from argon2 import PasswordHasher
    from argon2.exceptions import InvalidHashError, VerifyMismatchError

    try:
        return PasswordHasher().verify(kept or NOBODY, _bytes(prepared(password))) and bool(kept)
    except (VerifyMismatchError, InvalidHashError):
        return False


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def _scram(text: str) -> str:
    """Return the SCRAM-SHA-256 verifier of a prepared password as text: MECHANISM$rounds:salt$stored key:server key.

    SCRAM clients prepare the password with SASLprep (RFC 4013). It refuses characters that are newer than the year
    2002, such as most emoji; clients then send the password as it is, so its verifier is made of that.
    """
    from scramp import ScramException, ScramMechanism  # type: ignore[import-untyped]

    salt = secrets.token_bytes(SALT_BYTES)
    try:
        _, stored, server, _ = ScramMechanism(MECHANISM).make_auth_info(text, ROUNDS, salt)
    except (ScramException, UnicodeError):
        salted = hashlib.pbkdf2_hmac("sha256", _bytes(text), salt, ROUNDS)
        stored = hashlib.sha256(hmac.digest(salted, b"Client Key", "sha256")).digest()
        server = hmac.digest(salted, b"Server Key", "sha256")
    return f"{MECHANISM}${ROUNDS}:{_base64(salt)}${_base64(stored)}:{_base64(server)}"


def read_scram(verifier: str) -> ScramVerifier:
    """Return a stored verifier. Raises ValueError."""
    mechanism, costs, keys = verifier.split("$")
    rounds, salt = costs.split(":")
    stored, server = keys.split(":")
    if mechanism != MECHANISM:
        raise ValueError("unknown mechanism")
    salt_bytes, stored_key, server_key = map(base64.b64decode, (salt, stored, server))
    return ScramVerifier(salt_bytes, stored_key, server_key, int(rounds))


def nobodys_scram(key: bytes, name: str) -> ScramVerifier:
    """Return the verifier of no password, always the same for a name, so that it looks like that of an account.

    Args:
        key: a secret key.
        name: the folded name.

    """
    salt = hmac.digest(key, name.encode("utf-8", "surrogatepass"), "sha256")[:SALT_BYTES]
    return ScramVerifier(salt, secrets.token_bytes(32), secrets.token_bytes(32), ROUNDS)


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()
