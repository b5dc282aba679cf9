"""The outcome of a login over ssh."""

from __future__ import annotations

from msgspec import Struct

from hubbub.chat.session import User
from hubbub.model.accounts.account import Account, SshKey


class SshIdentity(Struct):
    """The proofs of a peer: its account or its key, and the name that it asked for.

    Args:
        wished: the name that the peer asked for; "" if that is no name, or that of every machine's owner.
        key: the public key with which the peer has signed; None if it has signed with none.
        vouched: the name that the operator's file of keys gives to the owner of the key; "" for none.
        account: the account that the peer has proven to own; None for a guest.
        guest: the user of a guest, which all sessions of the peer share; None until it has a name.

    """

    wished: str = ""
    key: SshKey | None = None
    vouched: str = ""
    account: Account | None = None
    guest: User | None = None
