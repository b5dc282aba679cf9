"""The outcome of a login over ssh."""

from __future__ import annotations

from msgspec import Struct

from hubbub.model.account import Account


class SshIdentity(Struct):
    """What a peer has proven, and the name that it asked for.

    Args:
        wished: the name that the peer asked for; "" if that is no name, or that of every machine's owner.
        key: the SHA-256 fingerprint of the public key with which the peer has signed; "" if it has signed with none.
        account: the account whose password or code the peer knows; None for another way to log in.

    """

    wished: str = ""
    key: str = ""
    account: Account | None = None
