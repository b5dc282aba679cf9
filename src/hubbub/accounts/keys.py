"""The client certificates and ssh keys of an account: the changes of its record that add and remove them."""

from __future__ import annotations

from msgspec import structs

from hubbub.accounts.records.directory import Edit
from hubbub.errors import Refused
from hubbub.model.accounts.account import Account, SshKey
from hubbub.text import refusals

CERTIFICATES = 10  # fingerprints of an account
SSH_KEYS = 20  # of an account


def is_fingerprint(plain: str) -> bool:
    """Return whether a text is the SHA-256 of a certificate, in lower case and without colons."""
    return len(plain) == 64 and set(plain) <= set("0123456789abcdef")


def with_certificate(plain: str) -> Edit:
    """Return the change that adds a certificate by its fingerprint; beyond CERTIFICATES the oldest one goes."""

    def edit(old: Account) -> Account:
        kept = [one for one in old.certificates if one != plain]
        return structs.replace(old, certificates=(*kept, plain)[-CERTIFICATES:])

    return edit


def without_certificate(plain: str) -> Edit:
    """Return the change that removes a certificate by its fingerprint."""
    return lambda old: structs.replace(old, certificates=tuple(one for one in old.certificates if one != plain))


def with_ssh_key(key: SshKey) -> Edit:
    """Return the change that adds an ssh key, if the account has not got it and has fewer than SSH_KEYS."""

    def edit(old: Account) -> Account | Refused:
        if old.has_ssh_key(key.fingerprint):
            return old
        if len(old.ssh_keys) >= SSH_KEYS:
            return refusals.TOO_MANY_SSH_KEYS(limit=SSH_KEYS)
        return structs.replace(old, ssh_keys=(*old.ssh_keys, key))

    return edit


def without_ssh_key(fingerprint: str) -> Edit:
    """Return the change that removes an ssh key, unless it is the last way to log in."""

    def edit(old: Account) -> Account | Refused:
        kept = tuple(one for one in old.ssh_keys if one.fingerprint != fingerprint)
        if kept == old.ssh_keys:
            return refusals.NO_SUCH_SSH_KEY()
        if not (kept or old.password):
            return refusals.LAST_SSH_KEY()
        return structs.replace(old, ssh_keys=kept)

    return edit
