"""The stored records of accounts: the directory, the codes, the tokens and the cookies."""

from __future__ import annotations

import math
import secrets
from collections.abc import Callable

from msgspec import structs

from hubbub.accounts.hashing import NO_PASSWORD, Verifiers
from hubbub.accounts.records.codes import Codes
from hubbub.accounts.records.directory import Directory
from hubbub.accounts.records.keyring import TOKEN, Keyring
from hubbub.chat.users.accounts import Checked
from hubbub.errors import BrokerError, Refused
from hubbub.model.accounts.account import Account, SshKey
from hubbub.storage.key_value import KeyValueStore
from hubbub.text.names import check_name

Finished = Callable[[BrokerError | None], None]


class Vault:
    """The records of all accounts, and the times from which they are valid.

    Args:
        store: the key-value store of the log.
        secret: the secret of the server or cluster.
        clock: returns epoch seconds.

    """

    def __init__(self, store: KeyValueStore, secret: bytes, clock: Callable[[], float]) -> None:
        self.directory = Directory(store, clock)
        self.codes = Codes(store, secret, clock)
        self.tokens = Keyring(store, "token/", TOKEN, clock)
        self.cookies = Keyring(store, "cookie/", "", clock)
        self._clock = clock

    def load(self, done: Finished) -> None:
        """Read all records, one kind after the other, follow their changes, and call `done`."""

        def codes(error: BrokerError | None) -> None:
            done(error) if error else self.codes.load(done)

        def cookies(error: BrokerError | None) -> None:
            done(error) if error else self.cookies.load(codes)

        def tokens(error: BrokerError | None) -> None:
            done(error) if error else self.tokens.load(cookies)

        self.directory.load(tokens)

    def sweep(self) -> None:
        """Delete the tokens, cookies and codes that have expired."""
        self.tokens.sweep()
        self.cookies.sweep()
        self.codes.sweep()

    def voided(self, account: Account) -> Account:
        """Return an account without its cookies, tokens, codes, certificates and ssh keys.

        Whoever has learned the password may have made any of them to come back later. If there is no password, the keys
        stay: they are the way in.
        """
        keys = () if account.password else account.ssh_keys
        granted = (*self.tokens.of(account.id), *self.cookies.of(account.id))
        times = [*(one.grant.created for one in granted), *self.codes.times(account.id)]
        # The clocks of nodes differ: grants and changes of a node whose clock is ahead are void as well.
        newest = max([account.valid_from, *times])
        valid_from = max(self._clock(), math.nextafter(newest, math.inf))
        return structs.replace(account, valid_from=valid_from, certificates=(), ssh_keys=keys)

    def valid_now(self, account: Account) -> float:
        """Return the time of something that is made for an account now: not before it counts as valid."""
        known = self.directory.by_id(account.id) or account
        return max(self._clock(), known.valid_from)

    def open_account(
        self, name: str, done: Checked, verifiers: Verifiers = NO_PASSWORD, key: SshKey | None = None
    ) -> None:
        """Register a name, with an ssh key if one is given, without asking whether registration is open."""
        try:
            shown = check_name(name)
        except Refused as refused:
            done(refused)
            return
        account = Account(
            id=secrets.token_hex(8),
            name=shown,
            created=self._clock(),
            password=verifiers.password,
            scram=verifiers.scram,
            ssh_keys=(structs.replace(key, added=self._clock()),) if key else (),
        )
        self.directory.create(account, done)
