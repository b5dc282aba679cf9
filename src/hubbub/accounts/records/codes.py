"""Codes: eight letters that a person can read out or type, valid once and for a while.

A code pairs another device with an account (LINK), lets somebody in who has lost a password (RESET), or lets a newcomer
register (INVITATION).
A code is stored as its HMAC, because all 34 bits can be tried against a plain hash in a moment.

A wrong code belongs to no account, so a code cannot die of wrong tries; guessing.py bounds the tries instead.

The codes that are open are kept in memory without their letters, and follow the store, so their number has bounds.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Callable, Collection
from enum import StrEnum
from typing import NamedTuple

import msgspec

from hubbub.accounts.decoding import UNREADABLE
from hubbub.errors import BrokerError, Refused
from hubbub.storage.key_value import Changed, Item, KeyValueStore
from hubbub.text import refusals
from hubbub.text.typed.codes import LENGTH, LETTERS, read_code, shown_code

PREFIX = "code/"
PER_ACCOUNT = 5  # open codes of one purpose for an account; one more ends the oldest
OPEN = 10_000  # open codes of one purpose in all; beyond it none is made


class Purpose(StrEnum):
    """The purpose of a code."""

    LINK = "link"
    RESET = "reset"
    INVITATION = "invitation"


SECONDS = {Purpose.LINK: 5 * 60.0, Purpose.RESET: 24 * 3600.0, Purpose.INVITATION: 7 * 24 * 3600.0}
LOGINS = (Purpose.LINK, Purpose.RESET)


class StoredCode(msgspec.Struct, frozen=True):
    """The stored part of a code: its purpose, and its times in epoch seconds.

    `account` is the id of its account; "" for an invitation.
    """

    purpose: Purpose
    account: str
    created: float
    expires: float


class _OpenCode(NamedTuple):
    """A code as it was stored, None if it is damaged, with its revision."""

    code: StoredCode | None
    revision: int


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(StoredCode)


def new_letters() -> str:
    """Return the letters of a new code."""
    return "".join(secrets.choice(LETTERS) for _ in range(LENGTH))


class Codes:
    """The codes in the store.

    Args:
        store: the key-value store of the log.
        secret: the secret of the server or cluster, with which codes are hashed.
        clock: returns epoch seconds.

    """

    def __init__(self, store: KeyValueStore, secret: bytes, clock: Callable[[], float]) -> None:
        self._store = store
        self._secret = hashlib.sha256(b"code" + secret).digest()
        self._clock = clock
        self._kept: dict[str, _OpenCode] = {}  # by key

    def load(self, done: Callable[[BrokerError | None], None]) -> None:
        """Read all codes, follow their changes, and call `done`."""
        self._store.watch(PREFIX, self._note, done)

    def _key(self, letters: str) -> str:
        return PREFIX + hmac.digest(self._secret, letters.encode(), "sha256").hex()

    def make(
        self, purpose: Purpose, account: str, done: Callable[[str | Refused], None], created: float | None = None
    ) -> None:
        """Store a new code for an account, and call `done` with the code as XXXX-XXXX; `created` is now by default."""
        if len(self._of(purpose)) >= OPEN:
            self.sweep()
            if len(self._of(purpose)) >= OPEN:
                done(refusals.CODES_FULL())
                return
        letters = new_letters()
        now = self._clock()
        code = StoredCode(purpose, account, now if created is None else created, now + SECONDS[purpose])
        key, value = self._key(letters), _encoder.encode(code)

        def stored(outcome: int | BrokerError) -> None:
            if isinstance(outcome, BrokerError):
                done(refusals.ACCOUNTS_UNREADABLE())
                return
            self._note(key, Item(key, value, outcome))
            if account:
                self._end(self._of(purpose, account)[:-PER_ACCOUNT])
            done(shown_code(letters))

        self._store.put(key, value, 0, stored)

    def _of(self, purpose: Purpose, account: str | None = None) -> list[str]:
        """Return the keys of the codes with a purpose, of one account or of all, the oldest first."""
        found = [
            (kept.revision, key)
            for key, kept in self._kept.items()
            if kept.code and kept.code.purpose is purpose and account in (None, kept.code.account)
        ]
        return [key for _, key in sorted(found)]

    def times(self, account: str) -> list[float]:
        """Return the times at which the open codes of an account were made, in epoch seconds."""
        return [kept.code.created for kept in self._kept.values() if kept.code and kept.code.account == account]

    def put_back(self, typed: str, code: StoredCode) -> None:
        """Make a code valid again that was used in vain."""
        self._store.put(self._key(read_code(typed)), _encoder.encode(code), 0, lambda outcome: None)

    def use(
        self,
        typed: str,
        purposes: Collection[Purpose],
        done: Callable[[StoredCode | Refused | None], None],
        account: str | None = None,
    ) -> None:
        """Use up a code, and call `done` with it.

        Args:
            typed: the code.
            purposes: the purposes that are accepted.
            done: receives the code, None if there is no such valid code, or a refusal.
            account: the id of the account that it must be for; None for any.

        """
        if not (letters := read_code(typed)):
            done(None)
            return
        key = self._key(letters)

        def read(item: Item | BrokerError | None) -> None:
            if isinstance(item, BrokerError):
                done(refusals.ACCOUNTS_UNREADABLE())
                return
            code = _read(item)
            if item is None or code is None or code.purpose not in purposes or self._clock() >= code.expires:
                done(None)
                return
            if account is not None and code.account != account:
                done(None)
                return

            def deleted(error: BrokerError | None) -> None:
                self._kept.pop(key, None)
                failed = error and not isinstance(error, Changed)
                done(refusals.ACCOUNTS_UNREADABLE() if failed else None if error else code)

            # Of two that use it at once, one deletes it.
            self._store.delete(key, item.revision, deleted)

        self._store.get(key, read)

    def sweep(self) -> None:
        """Delete the codes that have expired, and the damaged ones."""
        now = self._clock()
        self._end([key for key, (code, _) in self._kept.items() if code is None or now >= code.expires])

    def _end(self, keys: Collection[str]) -> None:
        for key in keys:
            self._store.delete(key, self._kept.pop(key).revision, lambda error: None)

    def _note(self, key: str, item: Item | None) -> None:
        """Take over a state of the store, unless a newer one is known."""
        if item is None:
            self._kept.pop(key, None)
        elif key not in self._kept or item.revision > self._kept[key].revision:
            self._kept[key] = _OpenCode(_read(item), item.revision)


def _read(item: Item | None) -> StoredCode | None:
    try:
        return _decoder.decode(item.value) if item else None
    except UNREADABLE:
        return None
