"""Accounts: names that belong to the people who registered them."""

from __future__ import annotations

from msgspec import Struct

from hubbub.model.accounts.grants import EVERYTHING, Permit
from hubbub.model.notices.ignoring import Ignored

SUFFIX = ".account"  # of the host of users who own an account: no other host ends with it


class SshKey(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A public key with which the owner of an account logs in over ssh.

    Args:
        fingerprint: its SHA-256, as ssh clients show it: `SHA256:` and 43 characters.
        kind: its algorithm, such as ssh-ed25519.
        added: epoch seconds.

    """

    fingerprint: str
    kind: str = ""
    added: float = 0.0


class Account(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A registered name, with its credentials and settings; one record in the key-value store.

    Args:
        id: letters and digits; unique for ever and public, so that entries can name their author by it.
        name: the name, as it is shown; while its owner is logged in, it is their nick.
        created: epoch seconds.
        password: the argon2id hash of the password; "" if there is none.
        scram: the SCRAM-SHA-256 verifier of the same password (RFC 5802); "" if there is none.
        certificates: the SHA-256 fingerprints of the owner's client certificates, in lower-case hexadecimal.
        ssh_keys: the public keys with which its owner logs in over ssh.
        operator: whether its owner is an operator of the server.
        suspended: whether nobody can log in for now.
        deleted: whether nobody can ever log in again; the name stays blocked.
        takes_back: whether all that its owner has said is still to be taken back; the account is deleted.
        frees: whether its name is free when that is done.
        expires: epoch seconds from which on nobody can log in; 0 for never.
        stays: whether its owner remains in the rooms while no session of theirs is connected.
        history: whether its owner's private messages are stored.
        words: folded words that count as a mention of its owner.
        ignored: the people whose messages are hidden from its owner.
        bell: whether a terminal of its owner rings when they are mentioned.
        plain: whether nothing is written twice to a terminal of its owner, for screen readers.
        push: the URL to which notifications are sent while its owner is away; "" for none. Whoever knows it may be able
            to read them.
        quiet: the hours from which and up to which none are sent, in the server's time; None for no such hours.
        valid_from: epoch seconds; cookies, tokens and codes made before that are void.
        permit: never stored: the permissions of a login; fewer than the account's for a login by a token.
        grant: never stored: the id of the token or cookie with which a login was made; "" for another way.

    """

    id: str
    name: str
    created: float
    password: str = ""
    scram: str = ""
    certificates: tuple[str, ...] = ()
    ssh_keys: tuple[SshKey, ...] = ()
    operator: bool = False
    suspended: bool = False
    deleted: bool = False
    takes_back: bool = False
    frees: bool = False
    expires: float = 0.0
    stays: bool = False
    history: bool = True
    words: tuple[str, ...] = ()
    ignored: tuple[Ignored, ...] = ()
    bell: bool = False
    plain: bool = False
    push: str = ""
    quiet: tuple[int, int] | None = None
    valid_from: float = 0.0
    permit: Permit = EVERYTHING
    grant: str = ""

    @property
    def host(self) -> str:
        """The public host of its owner, in place of a form of their address: the same from everywhere, and only theirs.

        So rights in rooms, bans and mutes belong to the account, wherever its owner comes from.
        """
        return host_of(self.id)

    def has_ssh_key(self, fingerprint: str) -> bool:
        """Return whether an ssh key is one of its owner's."""
        return any(one.fingerprint == fingerprint for one in self.ssh_keys)

    def is_open(self, now: float) -> bool:
        """Return whether its owner can log in, and stay logged in, at a time (epoch seconds)."""
        return not (self.suspended or self.deleted or (self.expires and now >= self.expires))

    def __repr__(self) -> str:
        # Without its secrets: a repr may end in a log.
        return f"Account(id={self.id!r}, name={self.name!r})"


def host_of(id: str) -> str:
    """Return the public host of the owner of the account with an id."""
    return f"~user@{id}{SUFFIX}"


def id_of(host: str) -> str:
    """Return the id of the account whose owner has a public host."""
    return host.removesuffix(SUFFIX).rpartition("@")[2]


def is_account(host: str) -> bool:
    """Return whether a host is that of the owner of an account; their nick is the name of the account."""
    return host.endswith(SUFFIX)
