"""The accounts of a server: registering, logging in, and the changes by owners and operators."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

from msgspec import structs

from hubbub.accounts import hashing
from hubbub.accounts.guessing import Guesses
from hubbub.accounts.keys import is_fingerprint, with_certificate, with_ssh_key, without_certificate, without_ssh_key
from hubbub.accounts.logins import COOKIE_SECONDS, LoginGate, Policy
from hubbub.accounts.records.codes import Purpose
from hubbub.accounts.records.directory import Edit, plain_fingerprint
from hubbub.accounts.records.keyring import PER_ACCOUNT, grant_id
from hubbub.accounts.records.vault import Finished, Vault
from hubbub.accounts.registering import Registrar, hash_password
from hubbub.accounts.workers import Workers
from hubbub.chat.users.accounts import Checked, LoginPeer
from hubbub.errors import Refused
from hubbub.model.accounts.account import Account, SshKey
from hubbub.model.accounts.grants import SCOPES, Grant, Granted
from hubbub.storage.key_value import KeyValueStore
from hubbub.text import refusals
from hubbub.text.cleaning import SHOWN, clean
from hubbub.text.names import check_room

Made = Callable[[str | Refused], None]


class AccountRegistry(LoginGate):
    """All that the chat and its wires ask of accounts; see chat/users/accounts.py.

    Args:
        store: the key-value store of the log.
        secret: the secret of the server or cluster.
        workers: the threads that hash passwords.
        policy: the settings.
        clock: returns epoch seconds.
        uptime: returns the seconds of a monotonic clock.

    """

    def __init__(
        self,
        store: KeyValueStore,
        secret: bytes,
        workers: Workers,
        policy: Policy,
        clock: Callable[[], float],
        uptime: Callable[[], float],
    ) -> None:
        vault = Vault(store, secret, clock)
        super().__init__(vault, workers, Guesses(uptime, vault.directory.find, policy.limits), policy, clock)
        self._registrar = Registrar(self, self._guesses, workers, policy, uptime)
        self.changed: list[Callable[[Account], None]] = vault.directory.changed
        self.ended: list[Callable[[str, Grant], None]] = []
        for ring in (vault.tokens, vault.cookies):
            ring.ended = self._grant_ended

    def load(self, done: Finished) -> None:
        """Read what is stored, follow its changes, and call `done`."""
        self.vault.load(done)

    def sweep(self) -> None:
        """Delete what has expired; to be called now and then."""
        self.vault.sweep()

    @property
    def registration(self) -> str:
        """The rule for registering: "open", "invite" or "closed"."""
        return self._policy.registration

    @property
    def guests(self) -> str:
        """The permissions of people without an account: "yes" (everything), "read" or "no" (nothing)."""
        return self._policy.guests

    def find(self, name: str) -> Account | None:
        """Return the account that owns a name, whether it is open or not; the name may be written in any case."""
        return self.vault.directory.find(name)

    def by_id(self, id: str) -> Account | None:
        """Return the account with an id."""
        return self.vault.directory.by_id(id)

    def former(self, name: str) -> Account | None:
        """Return the deleted account that owned a name which is free, or `NAME~ID` if others have or had the name."""
        return self.vault.directory.former.find(name)

    def former_by_id(self, id: str) -> Account | None:
        """Return the deleted account with an id whose name was freed; its `name` is one that `former` finds."""
        return self.vault.directory.former.by_id(id)

    def looks_like(self, name: str) -> str:
        """Return the registered name that a name, which is not registered itself, looks like; "" if there is none."""
        return self.vault.directory.looks_like(name)

    def owner_of_ssh_key(self, fingerprint: str) -> Account | None:
        """Return the account with an ssh key, whether it is open or not."""
        return self.vault.directory.by_ssh_key(fingerprint)

    def register(
        self, name: str, password: str, peer: LoginPeer, done: Checked, code: str = "", key: SshKey | None = None
    ) -> None:
        """Register a name; see Accounts.register."""
        self._registrar.register(name, password, peer, done, code, key)

    # --- codes ----------------------------------------------------------------------------------------------------

    def make_code(self, account: Account, done: Made) -> None:
        """Make a code that pairs another device with an account: once, within five minutes."""
        self.vault.codes.make(Purpose.LINK, account.id, done, self.vault.valid_now(account))

    def make_reset(self, account: Account, done: Made) -> None:
        """Make a code with which an owner who has lost the password can log in: once, within 24 hours."""
        self.vault.codes.make(Purpose.RESET, account.id, done, self.vault.valid_now(account))

    def invite(self, done: Made) -> None:
        """Make a code with which somebody can register: once, within a week."""
        self.vault.codes.make(Purpose.INVITATION, "", done)

    # --- tokens and cookies ---------------------------------------------------------------------------------------

    def make_token(self, account: Account, grant: Grant, done: Made) -> None:
        """Make a token for an account; `done` gets the token, which is shown only then.

        Args:
            account: the account.
            grant: its name, scopes, rooms and end; the rest is filled in.
            done: receives the token, or a refusal.

        """
        if len(self.tokens(account)) >= PER_ACCOUNT:
            done(refusals.TOO_MANY_TOKENS(limit=PER_ACCOUNT))
            return
        try:
            rooms = tuple(dict.fromkeys(check_room(clean(room)) for room in grant.rooms))
        except Refused as refused:
            done(refused)
            return
        grant = structs.replace(
            grant,
            account=account.id,
            created=self.vault.valid_now(account),
            name=clean(grant.name[:SHOWN]),
            scopes=tuple(scope for scope in SCOPES if scope in grant.scopes),
            rooms=rooms,
        )
        self.vault.tokens.make(grant, done)

    def tokens(self, account: Account) -> Sequence[Granted]:
        """Return the tokens of an account, the oldest first."""
        return self.vault.tokens.of(account.id)

    def end_tokens(self, account: Account, ids: Collection[str], done: Callable[[int | Refused], None]) -> None:
        """End some tokens of an account by their ids; call `done` with their number."""
        self.vault.tokens.end(account.id, ids, done)

    def make_cookie(self, account: Account, name: str, done: Made) -> None:
        """Make a cookie for an account; `name` tells its owner which browser has it. The oldest end beyond a bound."""
        now = self._clock()
        if len(have := self.cookies(account)) >= PER_ACCOUNT:
            self.end_cookies(account, [one.id for one in have[: 1 - PER_ACCOUNT]], lambda count: None)
        created, expires = self.vault.valid_now(account), now + COOKIE_SECONDS
        grant = Grant(account=account.id, created=created, expires=expires, name=clean(name[:SHOWN]))
        self.vault.cookies.make(grant, done)

    def cookies(self, account: Account) -> Sequence[Granted]:
        """Return the cookies of an account, the oldest first."""
        return self.vault.cookies.of(account.id)

    def end_cookies(self, account: Account, ids: Collection[str], done: Callable[[int | Refused], None]) -> None:
        """End some cookies of an account by their ids; call `done` with their number."""
        self.vault.cookies.end(account.id, ids, done)

    def grant_id(self, secret: str) -> str:
        """Return the id by which a token or cookie is listed and ended."""
        return grant_id(secret)

    def _grant_ended(self, id: str, grant: Grant) -> None:
        for ended in list(self.ended):
            ended(id, grant)

    # --- changing an account --------------------------------------------------------------------------------------

    def change_password(self, account: Account, password: str, peer: LoginPeer, done: Checked) -> None:
        """Change the password of an account; all other ways to log in to it end."""
        try:
            hashing.check_password(password)
        except Refused as refused:
            done(refused)
            return
        if not self.takes_passwords(peer):
            done(refusals.NOT_ENCRYPTED())
            return

        def made(verifiers: hashing.Verifiers | Refused) -> None:
            if isinstance(verifiers, Refused):
                done(verifiers)
                return
            hash, scram = verifiers
            self.change(account, lambda old: structs.replace(self.vault.voided(old), password=hash, scram=scram), done)

        hash_password(self._workers, password, peer, made)

    def change(self, account: Account, edit: Edit, done: Checked) -> None:
        """Change an account that is not deleted as `edit` says, which may be called again if others change it, too."""

        def alive(old: Account) -> Account | Refused:
            return refusals.ACCOUNT_CLOSED(name=old.name) if old.deleted else edit(old)

        self.vault.directory.change(account.id, alive, done)

    def with_words(self) -> Sequence[Account]:
        """Return the accounts that have own words."""
        return [account for account in self.vault.directory.all() if account.words]

    def add_certificate(self, account: Account, fingerprint: str, done: Checked) -> None:
        """Let the certificate with a SHA-256 fingerprint log in to an account."""
        plain = plain_fingerprint(fingerprint)
        owner = self.vault.directory.by_certificate(plain)
        if not is_fingerprint(plain):
            done(refusals.CERTIFICATE_INVALID())
        elif owner and owner.id != account.id:
            done(refusals.CERTIFICATE_TAKEN())
        else:
            self.change(account, with_certificate(plain), done)

    def remove_certificate(self, account: Account, fingerprint: str, done: Checked) -> None:
        """Let the certificate with a SHA-256 fingerprint log in no more."""
        self.change(account, without_certificate(plain_fingerprint(fingerprint)), done)

    def add_ssh_key(self, account: Account, key: SshKey, done: Checked) -> None:
        """Let an ssh key log in to an account; its owner must have proven it."""
        owner = self.owner_of_ssh_key(key.fingerprint)
        if owner and owner.id != account.id:
            done(refusals.SSH_KEY_TAKEN())
        else:
            self.change(account, with_ssh_key(structs.replace(key, added=self._clock())), done)

    def remove_ssh_key(self, account: Account, fingerprint: str, done: Checked) -> None:
        """Let an ssh key log in no more. The last one stays if there is no password: nobody could log in any more."""
        self.change(account, without_ssh_key(fingerprint), done)

    def end_sessions(self, account: Account, done: Checked) -> None:
        """End all ways to log in to an account except its password."""
        self.change(account, self.vault.voided, done)

    def suspend(self, account: Account, done: Checked, suspended: bool = True) -> None:
        """Let nobody log in to an account for now; or let its owner log in again."""
        self.change(account, lambda old: structs.replace(old, suspended=suspended), done)

    def delete(self, account: Account, done: Checked, take_back: bool = False, free: bool = False) -> None:
        """Close an account for ever, and drop its credentials. Its name stays blocked, unless names are freed.

        With `take_back` the server takes back all that its owner has said, little by little; with `free` the name is
        free, at the end of that.
        """
        now, free = self._clock(), free or self._policy.free_names

        def edit(old: Account) -> Account:
            bare = Account(id=old.id, name=old.name, created=old.created, deleted=True, valid_from=now)
            return structs.replace(bare, takes_back=take_back, frees=take_back and free)

        def deleted(outcome: Account | Refused) -> None:
            if isinstance(outcome, Account):
                for ring in (self.vault.tokens, self.vault.cookies):
                    ring.end(account.id, [one.id for one in ring.of(account.id)], lambda count: None)
                if free and not take_back:
                    self.free(outcome, done)
                    return
            done(outcome)

        self.vault.directory.change(account.id, edit, deleted)

    def taking_back(self) -> Sequence[Account]:
        """Return the deleted accounts whose messages are still to be taken back."""
        return [account for account in self.vault.directory.all() if account.takes_back]

    def taken_back(self, account: Account, done: Checked) -> None:
        """Note that the messages of a deleted account have been taken back; free its name if that was asked for."""
        if account.frees:
            self.free(account, done)
        else:
            self.vault.directory.change(account.id, lambda old: structs.replace(old, takes_back=False), done)

    def free(self, account: Account, done: Checked) -> None:
        """Let the name of a deleted account be registered again."""
        self.vault.directory.free(account.id, done)
