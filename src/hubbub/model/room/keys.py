"""Keys of rooms, stored as salted hashes, so that a reader of the log does not learn them.

An older log may hold a key in plain text, which is accepted as well. No key that a user can type is as long as a hash.
"""

from __future__ import annotations

import hmac
from hashlib import blake2b

_MARK = "$k1$"  # begins a hash; then come the salt, a `$`, and the digest


def hashed(key: str, salt: str) -> str:
    """Return a key as it is stored.

    Args:
        key: the key in plain text.
        salt: different for each key that is set; it is stored with the hash, and has no space and no `$`.

    """
    return f"{_MARK}{salt}${_digest(key, salt)}"


def fits(key: str, stored: str) -> bool:
    """Return whether a key is the stored one. The comparison takes the same time for each key."""
    if stored.startswith(_MARK):
        _, _, salt, digest = (stored.split("$", 3) + [""] * 4)[:4]
        return hmac.compare_digest(_digest(key, salt), digest)
    return hmac.compare_digest(key.encode("utf-8", "replace"), stored.encode("utf-8", "replace"))


def _digest(key: str, salt: str) -> str:
    return blake2b(f"{salt}${key}".encode("utf-8", "replace"), digest_size=24).hexdigest()
