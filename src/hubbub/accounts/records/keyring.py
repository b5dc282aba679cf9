"""Tokens and cookies: long random secrets that stand for an account, each in the store under its SHA-256.

All of them are kept in memory as well, and follow the store as the directory does: a page and a bot show theirs with
every request.
"""

from __future__ import annotations

import hashlib
import logging
import secrets
from collections.abc import Callable, Collection, Sequence

import msgspec

from hubbub.accounts.decoding import UNREADABLE
from hubbub.errors import BrokerError, Refused
from hubbub.model.accounts.account import Account
from hubbub.model.accounts.grants import EVERYTHING, SCOPES, Grant, Granted, Permit
from hubbub.storage.key_value import Changed, Item, KeyValueStore
from hubbub.text import refusals
from hubbub.text.names import key_of

log = logging.getLogger(__name__)

SECRET_BYTES = 32
TOKEN = "hub_"  # how a token begins, so that people and scanners of repositories recognise it
PER_ACCOUNT = 50  # tokens, and cookies; beyond it no token is made, and the oldest cookie ends
MAX_SECRET = 100  # characters; a longer text is no secret of ours
ID_CHARS = 12  # of the hash: they name a token in lists
LONG = 24 * 3600.0  # seconds of the longest timer
RENEW = 24 * 60 * 60.0  # seconds after which the use of a cookie moves its end


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(Grant)


def digest(secret: str) -> str:
    """Return the hash under which a secret is stored."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


def grant_id(secret: str) -> str:
    """Return the id by which a secret is listed, and which is no secret itself."""
    return digest(secret)[:ID_CHARS]


class Keyring:
    """The tokens, or the cookies.

    Args:
        store: the key-value store of the log.
        prefix: the beginning of their keys, with a slash at the end.
        mark: how their secrets begin.
        clock: returns epoch seconds.

    """

    def __init__(self, store: KeyValueStore, prefix: str, mark: str, clock: Callable[[], float]) -> None:
        # Called with the id and the grant of one that has ended, on this node or elsewhere.
        self.ended: Callable[[str, Grant], None] = lambda id, grant: None
        # Calls a function with values after a number of seconds; the server sets it before `load`.
        self.later: Callable[..., object] = lambda seconds, *call: None
        self._store = store
        self._prefix = prefix
        self._mark = mark
        self._clock = clock
        self._kept: dict[str, tuple[Grant, int]] = {}  # with their revisions, by hash
        self._by_account: dict[str, dict[str, None]] = {}  # hashes by the id of the account

    def load(self, done: Callable[[BrokerError | None], None]) -> None:
        """Read all of them, follow their changes, and call `done`."""
        self._store.watch(self._prefix, lambda key, item: self._note(key.removeprefix(self._prefix), item), done)

    def find(self, secret: str, done: Callable[[Grant | Refused | None], None]) -> None:
        """Call `done` with the grant of a secret, None if there is none or it has expired, or a refusal.

        A known secret is answered at once. An unknown one is looked up in the store: it may have been made on another
        node a moment ago.
        """
        key = digest(secret) if len(secret) <= MAX_SECRET else ""
        if not key or key in self._kept:
            done(self._valid(key))
            return

        def read(item: Item | BrokerError | None) -> None:
            if isinstance(item, BrokerError):
                done(refusals.ACCOUNTS_UNREADABLE())
                return
            if item:
                self._note(key, item)
            done(self._valid(key))

        self._store.get(self._prefix + key, read)

    def _valid(self, key: str) -> Grant | None:
        kept = self._kept.get(key)
        return kept[0] if kept and not self._is_over(kept[0]) else None

    def of(self, account: str) -> Sequence[Granted]:
        """Return those of an account that have not expired, the oldest first."""
        found = [Granted(key[:ID_CHARS], self._kept[key][0]) for key in self._by_account.get(account, ())]
        return sorted((one for one in found if not self._is_over(one.grant)), key=lambda one: one.grant.created)

    def make(self, grant: Grant, done: Callable[[str | Refused], None]) -> None:
        """Store a grant under a new secret, and call `done` with the secret, which is not stored."""
        secret = self._mark + secrets.token_urlsafe(SECRET_BYTES)
        key, value = digest(secret), _encoder.encode(grant)

        def stored(outcome: int | BrokerError) -> None:
            if isinstance(outcome, BrokerError):
                done(refusals.ACCOUNTS_UNREADABLE())
            else:
                self._note(key, Item(key, value, outcome))
                done(secret)

        self._store.put(self._prefix + key, value, 0, stored)

    def renew(self, secret: str, seconds: float) -> None:
        """Let a grant that is in use expire `seconds` from now, at most once in RENEW seconds."""
        key, now = digest(secret), self._clock()
        grant, revision = self._kept[key]
        if grant.expires and now + seconds - grant.expires >= RENEW:
            value = _encoder.encode(msgspec.structs.replace(grant, expires=now + seconds))

            def stored(outcome: int | BrokerError) -> None:
                if not isinstance(outcome, BrokerError):
                    self._note(key, Item(key, value, outcome))

            self._store.put(self._prefix + key, value, revision, stored)

    def end(self, account: str, ids: Collection[str], done: Callable[[int | Refused], None]) -> None:
        """End some of an account's by their ids; call `done` with their number."""
        keys = [key for key in self._by_account.get(account, ()) if key[:ID_CHARS] in ids]
        self._delete(keys, lambda error: done(refusals.ACCOUNTS_UNREADABLE() if error else len(keys)))

    def sweep(self) -> None:
        """Delete those that have expired."""
        self._delete([key for key, (grant, _) in self._kept.items() if self._is_over(grant)], lambda error: None)

    def _delete(self, keys: Sequence[str], done: Callable[[BrokerError | None], None]) -> None:
        """Delete one after the other, so that many do not keep others from the store."""
        left = list(keys)

        def deleted(error: BrokerError | None) -> None:
            if error and not isinstance(error, Changed):
                done(error)
                return
            if not error:
                self._note(left.pop(), None)
            else:  # it was renewed or ended meanwhile
                left.pop()
            delete()

        def delete() -> None:
            while left and left[-1] not in self._kept:
                left.pop()
            if left:
                self._store.delete(self._prefix + left[-1], self._kept[left[-1]][1], deleted)
            else:
                done(None)

        delete()

    def _is_over(self, grant: Grant) -> bool:
        return bool(grant.expires) and self._clock() >= grant.expires

    def _note(self, key: str, item: Item | None) -> None:
        """Take over a state of the store, unless a newer one is known."""
        before = self._kept.get(key)
        if item is None:
            if before:
                del self._kept[key]
                of_account = self._by_account[before[0].account]
                del of_account[key]
                if not of_account:
                    del self._by_account[before[0].account]
                self.ended(key[:ID_CHARS], before[0])
            return
        if before and item.revision <= before[1]:
            return
        try:
            grant = _decoder.decode(item.value)
        except UNREADABLE:
            log.error("%s%s is damaged and void", self._prefix, key[:ID_CHARS])
            return
        self._kept[key] = grant, item.revision
        self._by_account.setdefault(grant.account, {})[key] = None
        self._watch_end(key, item.revision)

    def _watch_end(self, key: str, revision: int) -> None:
        """Report a grant that expires when it does, unless it was renewed or ended until then."""
        grant, now = self._kept.get(key, (None, 0))
        if grant is None or now != revision or not grant.expires:
            return
        if self._is_over(grant):
            self.ended(key[:ID_CHARS], grant)
        else:
            self.later(min(grant.expires - self._clock(), LONG), self._watch_end, key, revision)


def with_grant(secret: str, grant: Grant, account: Account) -> Account:
    """Return an account as a login by a token or cookie knows it."""
    rooms = frozenset(key_of(name).removeprefix("#") for name in grant.rooms)
    permit = EVERYTHING if grant.scopes == SCOPES and not rooms else Permit(grant.scopes, rooms)
    operator = account.operator and not permit.is_limited
    return msgspec.structs.replace(account, grant=grant_id(secret), permit=permit, operator=operator)
