"""Registering names, as far as the rule for it, the names that others have, and the limits of an address allow."""

from __future__ import annotations

import math
from collections.abc import Callable

from hubbub.accounts import hashing
from hubbub.accounts.guessing import Guesses
from hubbub.accounts.logins import LoginGate, Policy
from hubbub.accounts.records.codes import Purpose, StoredCode
from hubbub.accounts.workers import Workers
from hubbub.chat.users.accounts import Checked, LoginPeer
from hubbub.errors import Refused
from hubbub.model.accounts.account import Account, SshKey
from hubbub.model.rates.budget import Buckets
from hubbub.text import refusals
from hubbub.text.names import check_name

REGISTRATIONS = 300  # names that an address can register at once: a school behind one router
REGISTRATIONS_SECONDS = 3600.0  # in which it can register so many again


class Registrar:
    """Registers names for the people who ask for them.

    Args:
        gate: has the records of accounts, and decides whether passwords of a peer are taken.
        guesses: the limits for guessing invitations.
        workers: the threads that hash passwords.
        policy: the settings.
        uptime: returns the seconds of a monotonic clock.

    """

    def __init__(
        self, gate: LoginGate, guesses: Guesses, workers: Workers, policy: Policy, uptime: Callable[[], float]
    ) -> None:
        self._gate = gate
        self._guesses = guesses
        self._workers = workers
        self._rule = policy.registration
        self._registrations = Buckets(REGISTRATIONS if policy.limits else 0, REGISTRATIONS_SECONDS, uptime)

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
        if key and self._gate.vault.directory.by_ssh_key(key.fingerprint):
            done(refusals.SSH_KEY_TAKEN())
            return
        if refused := self._refusal(name, password if password or not key else None, peer, code):
            done(refused)
            return

        def invited(invitation: StoredCode | Refused | None) -> None:
            if invitation is None or isinstance(invitation, Refused):
                self._gate.note("", peer, refused := invitation or refusals.CODE_WRONG())
                done(refused)
                return
            self._guesses.right("", peer.address)
            self._open(name, password, peer, lambda made: end(made, invitation), key)

        def end(made: Account | Refused, invitation: StoredCode) -> None:
            if isinstance(made, Refused):
                self._gate.vault.codes.put_back(code, invitation)
            done(made)

        if self._rule == "open":
            self._open(name, password, peer, done, key)
            return
        self._guesses.begin("", peer.address)
        self._gate.vault.codes.use(code, (Purpose.INVITATION,), invited)

    def _refusal(self, name: str, password: str | None, peer: LoginPeer, code: str) -> Refused | None:
        if self._rule == "closed":
            return refusals.REGISTRATION_CLOSED()
        if self._rule == "invite" and not code:
            return refusals.INVITATION_MISSING()
        if not self._gate.takes_passwords(peer):
            return refusals.NOT_ENCRYPTED()
        try:
            shown = check_name(name)
            if password is not None:
                hashing.check_password(password)
        except Refused as refused:
            return refused
        if self._gate.vault.directory.find(shown):
            return refusals.NAME_REGISTERED(name=shown)
        if other := self._gate.vault.directory.looks_like(shown):
            return refusals.NAME_LOOKS_REGISTERED(name=shown, other=other)
        if wait := self._guesses.delay("", peer.address) if self._rule == "invite" else 0.0:
            return refusals.LOGINS_SLOWED(seconds=math.ceil(wait))
        wait = self._registrations.take(peer.address)
        return refusals.REGISTRATIONS_SLOWED(seconds=math.ceil(wait)) if wait else None

    def _open(self, name: str, password: str, peer: LoginPeer, done: Checked, key: SshKey | None) -> None:
        def hashed(made: hashing.Verifiers | Refused) -> None:
            if isinstance(made, Refused):
                done(made)
            else:
                self._gate.vault.open_account(name, done, made, key)

        if password:
            hash_password(self._workers, password, peer, hashed)
        else:
            hashed(hashing.NO_PASSWORD)


def hash_password(
    workers: Workers, password: str, peer: LoginPeer, done: Callable[[hashing.Verifiers | Refused], None]
) -> None:
    """Hash a password on a thread; call `done` with its verifiers, or with a refusal if too many peers wait."""

    def made(verifiers: hashing.Verifiers | None) -> None:
        done(verifiers or refusals.LOGINS_BUSY())

    if not workers.do(lambda: hashing.make(password), made, peer.address):
        done(refusals.LOGINS_BUSY())
