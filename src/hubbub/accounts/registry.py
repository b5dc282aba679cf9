"""The accounts of a server: registering, logging in, and the changes by owners and operators."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Sequence

from msgspec import structs

from hubbub.accounts import hashing
from hubbub.accounts.codes import Codes, Purpose, StoredCode
from hubbub.accounts.directory import Directory, Edit, plain_fingerprint
from hubbub.accounts.guessing import Guesses
from hubbub.accounts.keyring import PER_ACCOUNT, TOKEN, Keyring, grant_id
from hubbub.accounts.logins import COOKIE_SECONDS, LoginGate, Policy, Vault
from hubbub.accounts.workers import Workers
from hubbub.chat.users.accounts import Checked, LoginPeer
from hubbub.errors import BrokerError, Refused
from hubbub.model.accounts.account import Account, SshKey
from hubbub.model.accounts.grants import SCOPES, Grant, Granted
from hubbub.model.rates.buckets import Buckets
from hubbub.storage.key_value import KeyValueStore
from hubbub.text import refusals
from hubbub.text.cleaning import SHOWN, clean
from hubbub.text.names import check_name, check_room

CERTIFICATES = 10  # fingerprints of an account
SSH_KEYS = 20  # of an account
REGISTRATIONS = 300  # names that an address can register at once: a school behind one router
REGISTRATIONS_SECONDS = 3600.0  # in which it can register so many again

Finished = Callable[[BrokerError | None], None]
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
        vault = Vault(
            Directory(store, clock),
            Codes(store, secret, clock),
            Keyring(store, "token/", TOKEN, clock),
            Keyring(store, "cookie/", "", clock),
        )
        super().__init__(vault, workers, Guesses(uptime, vault.directory.find, policy.limits), policy, clock)
        bound = REGISTRATIONS if policy.limits else 0
        self._registrations = Buckets(bound, REGISTRATIONS_SECONDS, uptime)
        self.changed: list[Callable[[Account], None]] = vault.directory.changed
        self.ended: list[Callable[[str, Grant], None]] = []
        for ring in (vault.tokens, vault.cookies):
            ring.ended = self._grant_ended

    def load(self, done: Finished) -> None:
        """Read what is stored, follow its changes, and call `done`."""
        vault = self.vault

        def codes(error: BrokerError | None) -> None:
            done(error) if error else vault.codes.load(done)

        def cookies(error: BrokerError | None) -> None:
            done(error) if error else vault.cookies.load(codes)

        def tokens(error: BrokerError | None) -> None:
            done(error) if error else vault.tokens.load(cookies)

        vault.directory.load(tokens)

    def sweep(self) -> None:
        """Delete what has expired; to be called now and then."""
        self.vault.tokens.sweep()
        self.vault.cookies.sweep()
        self.vault.codes.sweep()

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

    # --- registering ----------------------------------------------------------------------------------------------

    def owner_of_ssh_key(self, fingerprint: str) -> Account | None:
        """Return the account with an ssh key, whether it is open or not."""
        return self.vault.directory.by_ssh_key(fingerprint)

    def register(
        self, name: str, password: str, peer: LoginPeer, done: Checked, code: str = "", key: SshKey | None = None
    ) -> None:
        """Register a name.

        Args:
            name: the name.
            password: the password; "" for none, if a key is given.
            peer: the peer.
            done: receives the account, or a refusal.
            code: an invitation, which is needed if registration is not open.
            key: an ssh key that the peer has proven.

        """
        if key and self.owner_of_ssh_key(key.fingerprint):
            done(refusals.SSH_KEY_TAKEN())
            return
        if refused := self._registration_refusal(name, password if password or not key else None, peer, code):
            done(refused)
            return

        def invited(invitation: StoredCode | Refused | None) -> None:
            if invitation is None or isinstance(invitation, Refused):
                self._note("", peer, refused := invitation or refusals.CODE_WRONG())
                done(refused)
                return
            self._guesses.right("", peer.address)
            self._register(name, password, peer, lambda made: end(made, invitation), key)

        def end(made: Account | Refused, invitation: StoredCode) -> None:
            if isinstance(made, Refused):
                self.vault.codes.put_back(code, invitation)
            done(made)

        if self.registration == "open":
            self._register(name, password, peer, done, key)
            return
        self._guesses.begin("", peer.address)
        self.vault.codes.use(code, (Purpose.INVITATION,), invited)

    def _registration_refusal(self, name: str, password: str | None, peer: LoginPeer, code: str) -> Refused | None:
        if self.registration == "closed":
            return refusals.REGISTRATION_CLOSED()
        if self.registration == "invite" and not code:
            return refusals.INVITATION_MISSING()
        if not self.takes_passwords(peer):
            return refusals.NOT_ENCRYPTED()
        try:
            shown = check_name(name)
            if password is not None:
                hashing.check_password(password)
        except Refused as refused:
            return refused
        if self.find(shown):
            return refusals.NAME_REGISTERED(name=shown)
        if other := self.looks_like(shown):
            return refusals.NAME_LOOKS_REGISTERED(name=shown, other=other)
        if wait := self._guesses.delay("", peer.address) if self.registration == "invite" else 0.0:
            return refusals.LOGINS_SLOWED(seconds=math.ceil(wait))
        wait = self._registrations.take(peer.address)
        return refusals.REGISTRATIONS_SLOWED(seconds=math.ceil(wait)) if wait else None

    def _register(self, name: str, password: str, peer: LoginPeer, done: Checked, key: SshKey | None) -> None:
        def hashed(made: hashing.Verifiers | Refused) -> None:
            if isinstance(made, Refused):
                done(made)
            else:
                self.open_account(name, done, made, key)

        if password:
            self._hash(password, peer, hashed)
        else:
            hashed(hashing.NO_PASSWORD)

    def _hash(self, password: str, peer: LoginPeer, done: Callable[[hashing.Verifiers | Refused], None]) -> None:
        def made(verifiers: hashing.Verifiers | None) -> None:
            done(verifiers or refusals.LOGINS_BUSY())

        if not self._workers.do(lambda: hashing.make(password), made, peer.address):
            done(refusals.LOGINS_BUSY())

    # --- codes ----------------------------------------------------------------------------------------------------

    def make_code(self, account: Account, done: Made) -> None:
        """Make a code that pairs another device with an account: once, within five minutes."""
        self.vault.codes.make(Purpose.LINK, account.id, done, self._valid_now(account))

    def make_reset(self, account: Account, done: Made) -> None:
        """Make a code with which an owner who has lost the password can log in: once, within 24 hours."""
        self.vault.codes.make(Purpose.RESET, account.id, done, self._valid_now(account))

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
            created=self._valid_now(account),
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
        created, expires = self._valid_now(account), now + COOKIE_SECONDS
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
            self._change(account, lambda old: structs.replace(self._voided(old), password=hash, scram=scram), done)

        self._hash(password, peer, made)

    def set(
        self,
        account: Account,
        done: Checked,
        stays: bool | None = None,
        history: bool | None = None,
        operator: bool | None = None,
    ) -> None:
        """Change settings of an account; those that are None stay."""
        given = {"stays": stays, "history": history, "operator": operator}
        values = {name: value for name, value in given.items() if value is not None}
        self._change(account, lambda old: structs.replace(old, **values), done)

    def change(self, account: Account, edit: Edit, done: Checked) -> None:
        """Change settings of an account as `edit` says, which may be called again if others change it meanwhile."""
        self._change(account, edit, done)

    def with_words(self) -> Sequence[Account]:
        """Return the accounts that have own words."""
        return [account for account in self.vault.directory.all() if account.words]

    def add_certificate(self, account: Account, fingerprint: str, done: Checked) -> None:
        """Let the certificate with a SHA-256 fingerprint log in to an account."""
        plain = plain_fingerprint(fingerprint)
        owner = self.vault.directory.by_certificate(plain)
        if len(plain) != 64 or not set(plain) <= set("0123456789abcdef"):
            done(refusals.CERTIFICATE_INVALID())
            return
        if owner and owner.id != account.id:
            done(refusals.CERTIFICATE_TAKEN())
            return

        def edit(old: Account) -> Account:
            kept = [one for one in old.certificates if one != plain]
            return structs.replace(old, certificates=(*kept, plain)[-CERTIFICATES:])

        self._change(account, edit, done)

    def remove_certificate(self, account: Account, fingerprint: str, done: Checked) -> None:
        """Let the certificate with a SHA-256 fingerprint log in no more."""
        plain = plain_fingerprint(fingerprint)
        self._change(
            account,
            lambda old: structs.replace(old, certificates=tuple(one for one in old.certificates if one != plain)),
            done,
        )

    def add_ssh_key(self, account: Account, key: SshKey, done: Checked) -> None:
        """Let an ssh key log in to an account; its owner must have proven it."""
        owner = self.owner_of_ssh_key(key.fingerprint)
        if owner and owner.id != account.id:
            done(refusals.SSH_KEY_TAKEN())
            return
        new = structs.replace(key, added=self._clock())

        def edit(old: Account) -> Account | Refused:
            if old.has_ssh_key(key.fingerprint):
                return old
            if len(old.ssh_keys) >= SSH_KEYS:
                return refusals.TOO_MANY_SSH_KEYS(limit=SSH_KEYS)
            return structs.replace(old, ssh_keys=(*old.ssh_keys, new))

        self._change(account, edit, done)

    def remove_ssh_key(self, account: Account, fingerprint: str, done: Checked) -> None:
        """Let an ssh key log in no more. The last one stays if there is no password: nobody could log in any more."""

        def edit(old: Account) -> Account | Refused:
            kept = tuple(one for one in old.ssh_keys if one.fingerprint != fingerprint)
            if kept == old.ssh_keys:
                return refusals.NO_SUCH_SSH_KEY()
            if not (kept or old.password):
                return refusals.LAST_SSH_KEY()
            return structs.replace(old, ssh_keys=kept)

        self._change(account, edit, done)

    def end_sessions(self, account: Account, done: Checked) -> None:
        """End all ways to log in to an account except its password."""
        self._change(account, self._voided, done)

    def _voided(self, old: Account) -> Account:
        """Return an account without its cookies, tokens, codes, certificates and ssh keys.

        Whoever has learned the password may have made any of them to come back later. If there is no password, the keys
        stay: they are the way in.
        """
        keys = () if old.password else old.ssh_keys
        grants = [one.grant.created for one in (*self.tokens(old), *self.cookies(old))]
        # The clocks of nodes differ: grants and changes of a node whose clock is ahead are void as well.
        newest = max([old.valid_from, *grants, *self.vault.codes.times(old.id)])
        valid_from = max(self._clock(), math.nextafter(newest, math.inf))
        return structs.replace(old, valid_from=valid_from, certificates=(), ssh_keys=keys)

    def _valid_now(self, account: Account) -> float:
        """Return the time of something that is made for an account now: not before it counts as valid."""
        known = self.by_id(account.id) or account
        return max(self._clock(), known.valid_from)

    def suspend(self, account: Account, done: Checked, suspended: bool = True) -> None:
        """Let nobody log in to an account for now; or let its owner log in again."""
        self._change(account, lambda old: structs.replace(old, suspended=suspended), done)

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

    def _change(self, account: Account, edit: Edit, done: Checked) -> None:
        """Change an account unless it is deleted."""

        def alive(old: Account) -> Account | Refused:
            return refusals.ACCOUNT_CLOSED(name=old.name) if old.deleted else edit(old)

        self.vault.directory.change(account.id, alive, done)
