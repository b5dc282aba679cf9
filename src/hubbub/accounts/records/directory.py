"""The directory: all accounts of the server or cluster, in memory and in the key-value store.

`find` and its kin look in memory, which follows the store within its WATCH_SECONDS. Whatever decides about a login or
changes an account reads the store first, so it never decides by an old state.

The key of an account is `account/` and its folded name: the store accepts one writer for a key that does not exist, so
of two registrations of a name one wins. Of two registrations at once whose names look alike, the one that the store
accepted first wins; the other one is withdrawn.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import msgspec

from hubbub.accounts.decoding import UNREADABLE
from hubbub.accounts.records.former_names import FormerNames
from hubbub.errors import BrokerError, Refused
from hubbub.model.accounts.account import Account
from hubbub.storage.key_value import MAX_ITEMS, Changed, Item, KeyValueStore
from hubbub.text import refusals
from hubbub.text.bounds import NAME_CHARS
from hubbub.text.confusables.lookalikes import Lookalikes
from hubbub.text.names import key_of

log = logging.getLogger(__name__)

PREFIX = "account/"
LONG = 24 * 3600.0  # seconds of the longest timer; a clock that is set meanwhile has its effect by then
TRIES = 5  # attempts to change an account that others change at the same time

Edit = Callable[[Account], Account | Refused]
Done = Callable[[Account | Refused], None]

_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(Account)


class _Kept(NamedTuple):
    """An account as it was stored, with its revision."""

    account: Account
    revision: int


class Directory:
    """The accounts by their folded names, their ids, their certificates and their ssh keys.

    Args:
        store: the key-value store of the log.
        clock: returns epoch seconds.

    """

    def __init__(self, store: KeyValueStore, clock: Callable[[], float]) -> None:
        self.changed: list[Callable[[Account], None]] = []
        # Calls a function with values after a number of seconds; the server sets it before `load`.
        self.later: Callable[..., object] = lambda seconds, *call: None
        self._store = store
        self._clock = clock
        self._kept: dict[str, _Kept] = {}  # by folded name
        self._names: dict[str, str] = {}  # folded names by id
        self._certificates: dict[str, str] = {}  # folded names by fingerprint
        self._ssh_keys: dict[str, str] = {}  # the same
        self._lookalikes = Lookalikes()
        self._loaded = False
        self._caught_up = 0  # the revision up to which every change is in memory
        self.former = FormerNames(store, self.find)

    def load(self, done: Callable[[BrokerError | None], None]) -> None:
        """Read all accounts, follow their changes, and call `done`."""

        def ready(error: BrokerError | None) -> None:
            self._loaded = error is None
            self._caught_up = max((kept.revision for kept in self._kept.values()), default=0)
            done(error)

        def known(error: BrokerError | None) -> None:
            ready(error) if error else self._store.watch(PREFIX, self._note, ready)

        self.former.load(known)

    # --- looking in memory ----------------------------------------------------------------------------------------

    def find(self, name: str) -> Account | None:
        """Return the account that owns a name, written in any case."""
        kept = self._kept.get(key_of(name))
        return kept.account if kept else None

    def by_id(self, id: str) -> Account | None:
        """Return the account with an id."""
        return self.find(self._names.get(id, ""))

    def by_certificate(self, fingerprint: str) -> Account | None:
        """Return the account with a certificate, whose fingerprint may be written with colons and capitals."""
        return self.find(self._certificates.get(plain_fingerprint(fingerprint), ""))

    def by_ssh_key(self, fingerprint: str) -> Account | None:
        """Return the account with an ssh key."""
        return self.find(self._ssh_keys.get(fingerprint, ""))

    def looks_like(self, name: str) -> str:
        """Return the name of an account that a name looks like, except its own; "" if there is none."""
        found = self._lookalikes.find(name, (key_of(name),))
        return self._kept[found].account.name if found else ""

    def all(self) -> Iterable[Account]:
        """Return all accounts in the order of their folded names."""
        return [self._kept[key].account for key in sorted(self._kept)]

    # --- reading and changing the store ---------------------------------------------------------------------------

    def fresh(self, name: str, done: Callable[[Account | Refused | None], None]) -> None:
        """Read the account that owns a name from the store, and call `done` with it, later."""
        key = key_of(name)
        if not is_key(key):
            # It takes the same way as any other name; the key of no account may be asked for.
            key = "?"

        def read(found: Item | BrokerError | None) -> None:
            if isinstance(found, BrokerError):
                done(refusals.ACCOUNTS_UNREADABLE())
                return
            if found is None:
                done(None)
                return
            self._note(PREFIX + key, found)
            kept = self._kept.get(key)
            done(kept.account if kept else None)

        self._store.get(PREFIX + key, read)

    def create(self, account: Account, done: Done) -> None:
        """Store a new account, and call `done` with it, or with a refusal if the name is registered meanwhile."""
        key = key_of(account.name)
        if key in self._kept:
            done(refusals.NAME_REGISTERED(name=account.name))
            return
        if other := self.looks_like(account.name):
            done(refusals.NAME_LOOKS_REGISTERED(name=account.name, other=other))
            return

        def stored(made: Account | Refused) -> None:
            if isinstance(made, Refused):
                done(made)
            else:
                self._catch_up(lambda: self._keep_or_withdraw(key, made, done))

        self._put(key, account, 0, stored, lambda: done(refusals.NAME_REGISTERED(name=account.name)))

    def _keep_or_withdraw(self, key: str, made: Account, done: Done) -> None:
        """Withdraw a new account if the store has accepted one before whose name looks like it, on another node."""
        mine = self._kept.get(key)
        older = [one for one in self._lookalikes.alike(made.name) if mine and self._kept[one].revision < mine.revision]
        if mine is None or not older:
            done(made)
            return
        refusal = refusals.NAME_LOOKS_REGISTERED(name=made.name, other=self._kept[older[0]].account.name)

        def deleted(error: BrokerError | None) -> None:
            if error is None:
                self._note(PREFIX + key, None)
            done(refusal)

        self._store.delete(PREFIX + key, mine.revision, deleted)

    def change(self, id: str, edit: Edit, done: Done, tries: int = TRIES) -> None:
        """Change an account, and call `done` with it.

        Args:
            id: the id of the account.
            edit: returns the changed account, or a refusal; it may be called again if others change it meanwhile.
            done: receives the changed account, or a refusal.
            tries: the number of attempts.

        """
        key = self._names.get(id, "?")

        def read(account: Account | Refused | None) -> None:
            if account is None or isinstance(account, Refused) or account.id != id:
                done(account if isinstance(account, Refused) else refusals.NOT_LOGGED_IN())
                return
            edited = edit(account)
            if edited == account or isinstance(edited, Refused):
                done(edited)
                return
            self._put(key, edited, self._kept[key].revision, done, again)

        def again() -> None:
            if tries > 1:
                self.change(id, edit, done, tries - 1)
            else:
                done(refusals.ACCOUNTS_UNREADABLE())

        self.fresh(key, read)

    def free(self, id: str, done: Done) -> None:
        """Remove an account, so that its name can be registered again; call `done` with the removed account."""
        key = self._names.get(id, "?")
        kept = self._kept.get(key)
        if kept is None:
            done(refusals.NOT_LOGGED_IN())
            return

        def noted(error: BrokerError | None) -> None:
            if error is None:
                self._store.delete(PREFIX + key, kept.revision, deleted)
            else:
                done(refusals.ACCOUNTS_UNREADABLE())

        def deleted(error: BrokerError | None) -> None:
            if error is None:
                self._note(PREFIX + key, None)
                done(kept.account)
            else:
                done(refusals.ACCOUNTS_UNREADABLE())

        self.former.add(kept.account, noted)

    def _put(self, key: str, account: Account, revision: int, done: Done, lost: Callable[[], None]) -> None:
        """Store an account; call `lost` if the key does not have the revision any more."""
        value = _encoder.encode(account)

        def stored(outcome: int | BrokerError) -> None:
            if isinstance(outcome, Changed):
                lost()
            elif isinstance(outcome, BrokerError):
                log.warning("an account could not be stored: %s", outcome)
                done(refusals.ACCOUNTS_UNREADABLE())
            else:
                self._note(PREFIX + key, Item(PREFIX + key, value, outcome))
                done(account)

        self._store.put(PREFIX + key, value, revision, stored)

    # --- following the store --------------------------------------------------------------------------------------

    def _catch_up(self, done: Callable[[], None]) -> None:
        """Read the changes since the last time, which may not all be known yet; call `done`, also after an error."""

        def read(items: Sequence[Item] | BrokerError) -> None:
            found = () if isinstance(items, BrokerError) else items
            for item in found:
                self._note(item.key, item)
                self._caught_up = item.revision
            if len(found) == MAX_ITEMS:
                self._catch_up(done)
            else:
                done()

        self._store.items(PREFIX, self._caught_up, MAX_ITEMS, read)

    def _note(self, path: str, item: Item | None) -> None:
        """Take over a state of the store, unless a newer one is known."""
        key = path.removeprefix(PREFIX)
        before = self._kept.get(key)
        if item is None:
            if before:
                self._forget(key, before.account)
                self._tell(msgspec.structs.replace(before.account, deleted=True, takes_back=False))
            return
        if before and item.revision <= before.revision:
            return
        try:
            account = _decoder.decode(item.value)
        except UNREADABLE:
            account = None
        if account is None or key_of(account.name) != key:
            log.error("the account %s is damaged, so its name stays blocked", key)
            return
        if before:
            self._forget(key, before.account)
        self._kept[key] = _Kept(account, item.revision)
        self._names[account.id] = key
        self._certificates.update(dict.fromkeys(account.certificates, key))
        self._ssh_keys.update((one.fingerprint, key) for one in account.ssh_keys)
        self._lookalikes.add(key, account.name)
        self._watch_end(account)
        self._tell(account)

    def _forget(self, key: str, account: Account) -> None:
        del self._kept[key]
        self._names.pop(account.id, None)
        for fingerprint in account.certificates:
            self._certificates.pop(fingerprint, None)
        for one in account.ssh_keys:
            self._ssh_keys.pop(one.fingerprint, None)
        self._lookalikes.remove(key)

    def _watch_end(self, account: Account) -> None:
        """Report an account that expires when it does, unless it was changed until then."""
        left = account.expires - self._clock()
        if left > 0:
            self.later(min(left, LONG), self._at_end, account)

    def _at_end(self, account: Account) -> None:
        if self.by_id(account.id) is not account:
            return
        if self._clock() >= account.expires:
            self._tell(account)
        else:
            self._watch_end(account)

    def _tell(self, account: Account) -> None:
        if self._loaded:
            for changed in list(self.changed):
                changed(account)


def is_key(key: str) -> bool:
    """Return whether a folded name can be the last part of a key of the store."""
    return 0 < len(key) <= NAME_CHARS and key.isprintable() and "/" not in key


def plain_fingerprint(text: str) -> str:
    """Return a certificate's SHA-256 fingerprint in lower-case hexadecimal without colons."""
    return text.replace(":", "").lower()
