"""All ways to log in. Every one of them ends in `LoginGate._decide`, and nothing else decides who is let in.

A password, a token, a code and a SCRAM proof are weighed against guessing; a certificate, an ssh key, a cookie, a
name from a trusted proxy and a program of the house are proven elsewhere, or too long to be guessed.
"""

from __future__ import annotations

import logging
import math
import secrets
from collections.abc import Callable
from functools import partial
from typing import NamedTuple, Protocol

from hubbub.accounts import hashing
from hubbub.accounts.guessing import Guesses
from hubbub.accounts.records.codes import LOGINS, StoredCode
from hubbub.accounts.records.directory import plain_fingerprint
from hubbub.accounts.records.keyring import TOKEN, with_grant
from hubbub.accounts.records.vault import Vault
from hubbub.accounts.scram import Found, ScramExchange
from hubbub.accounts.workers import Workers
from hubbub.chat.users.accounts import Checked, LoginPeer
from hubbub.errors import Refused
from hubbub.model.accounts.account import Account
from hubbub.model.accounts.grants import Grant
from hubbub.text import refusals
from hubbub.text.cleaning import SHOWN, clean
from hubbub.text.concealed import concealed
from hubbub.text.names import key_of
from hubbub.text.typed.codes import read_code

COOKIE_SECONDS = 90 * 24 * 3600.0  # after which a cookie that is not used is void

log = logging.getLogger("hubbub")


class Policy(NamedTuple):
    """The settings of accounts; config.py explains them."""

    registration: str = "open"
    guests: str = "yes"
    plaintext_passwords: bool = False
    free_names: bool = False
    limits: bool = True


class House(Protocol):
    """A program of the house that knows other passwords than ours."""

    def ask(self, name: str, password: str, address: str, done: Callable[[str | Refused | None], None]) -> None:
        """Check a password; call `done` with the name of the account that it belongs to, None if it is wrong."""
        ...


class _Attempt(NamedTuple):
    """A login under way: the typed name, the secret, the peer and the callback."""

    name: str
    secret: str
    peer: LoginPeer
    done: Checked

    @property
    def key(self) -> str:
        return key_of(self.name)

    @property
    def wrong(self) -> Refused:
        if self.secret.startswith(TOKEN):
            return refusals.TOKEN_WRONG()
        return refusals.NO_SUCH_ACCOUNT(name=clean(self.name[:SHOWN]))

    def __repr__(self) -> str:
        return concealed(self)


class LoginGate:
    """Checks credentials, and lets their owners in.

    Args:
        vault: the accounts and their credentials.
        workers: the threads that check passwords.
        guesses: the limits for guessing.
        policy: the settings.
        clock: returns epoch seconds.

    """

    def __init__(
        self, vault: Vault, workers: Workers, guesses: Guesses, policy: Policy, clock: Callable[[], float]
    ) -> None:
        self.vault = vault
        self.house: House | None = None
        self._workers = workers
        self._guesses = guesses
        self._policy = policy
        self._clock = clock
        self._nobodys_key = secrets.token_bytes(32)

    # --- the one check --------------------------------------------------------------------------------------------

    def _decide(
        self, account: Account | Refused | None, wrong: Refused, way: str, made: float | None = None
    ) -> Account | Refused:
        """Return an account if its owner is let in, else the refusal. Every login ends here.

        Args:
            account: the account that the credential proves, as the store has it; None if it proves none.
            wrong: the refusal of a wrong or void credential.
            way: the kind of proof, for the log; "" to log nothing.
            made: the time at which the credential was made; None if a change of the password does not void it.

        """
        if isinstance(account, Refused):
            return account
        if account is None:
            return wrong
        if not account.is_open(self._clock()):
            log.info("%s was not let in with a right %s, because the account is closed", account.name, way or "login")
            return refusals.ACCOUNT_CLOSED(name=account.name)
        if made is not None and made < account.valid_from:
            return wrong
        if way:
            log.info("%s has logged in with a %s", account.name, way)
        return account

    # --- password, token or code ----------------------------------------------------------------------------------

    def log_in(self, name: str, secret: str, peer: LoginPeer, done: Checked) -> None:
        """Check a password, a token or a code of the account that owns a name."""
        attempt = _Attempt(name, secret, peer, done)
        if wait := self._guesses.delay(attempt.key, peer.address):
            done(refusals.LOGINS_SLOWED(seconds=math.ceil(wait)))
            return
        self._guesses.begin(attempt.key, peer.address)
        owner = self.vault.directory.find(name)
        if secret.startswith(TOKEN):
            self._with_token(attempt)
        elif owner and read_code(secret):
            # A password may look like a code, too.
            self.vault.codes.use(secret, LOGINS, lambda code: self._with_code(attempt, code), owner.id)
        else:
            self._with_password(attempt)

    def _with_code(self, attempt: _Attempt, code: StoredCode | Refused | None) -> None:
        if code is None and not self.takes_passwords(attempt.peer):
            # Not NOT_ENCRYPTED, which does not count: here a code is all that can be guessed.
            self._end(attempt, refusals.CODE_WRONG())
        elif code is None:
            self._with_password(attempt)
        elif isinstance(code, Refused):
            self._end(attempt, code)
        else:
            self._fresh(attempt, "code", code)

    def _with_token(self, attempt: _Attempt) -> None:
        if not self.takes_passwords(attempt.peer):
            self._end(attempt, refusals.NOT_ENCRYPTED())
            return
        self.vault.tokens.find(attempt.secret, lambda grant: self._check_token(attempt, grant))

    def _check_token(self, attempt: _Attempt, grant: Grant | Refused | None) -> None:
        owner = self.vault.directory.find(attempt.name)
        if isinstance(grant, Refused):
            self._end(attempt, grant)
        elif grant is None:
            # A password may begin like a token, too.
            self._with_password(attempt)
        elif owner is None or grant.account != owner.id:
            self._end(attempt, attempt.wrong)
        else:
            self._fresh(attempt, "token", grant, partial(with_grant, attempt.secret, grant))

    def _with_password(self, attempt: _Attempt) -> None:
        if not self.takes_passwords(attempt.peer):
            self._end(attempt, refusals.NOT_ENCRYPTED())
        elif hashing.is_too_long(attempt.secret):
            self._end(attempt, attempt.wrong)
        else:
            self.vault.directory.fresh(attempt.name, lambda found: self._check_password(attempt, found))

    def _check_password(self, attempt: _Attempt, found: Account | Refused | None) -> None:
        if isinstance(found, Refused):
            self._end(attempt, found)
            return
        kept = found.password if found else ""

        def checked(right: bool | None) -> None:
            if right is None:  # there was no memory for the check, or others took its place in the queue
                self._end(attempt, refusals.LOGINS_BUSY())
            elif right:
                self.vault.directory.fresh(attempt.name, decide)
            elif self.house:
                self._ask_house(attempt)
            else:
                self._end(attempt, attempt.wrong)

        def decide(now: Account | Refused | None) -> None:
            # The check took a while: meanwhile the account may have been closed, or its password changed.
            proven = now if not isinstance(now, Account) or now.password == kept else None
            self._end(attempt, self._decide(proven, attempt.wrong, "password"))

        if not self._workers.do(lambda: hashing.verify(kept, attempt.secret), checked, attempt.peer.address):
            self._end(attempt, refusals.LOGINS_BUSY())

    def _ask_house(self, attempt: _Attempt) -> None:
        def answered(name: str | Refused | None) -> None:
            if name is None or isinstance(name, Refused):
                self._end(attempt, name or attempt.wrong)
            else:
                self._known_elsewhere(name, "password of the house", lambda outcome: self._end(attempt, outcome))

        assert self.house
        self.house.ask(attempt.name, attempt.secret, attempt.peer.address, answered)

    def _fresh(
        self,
        attempt: _Attempt,
        way: str,
        proof: StoredCode | Grant,
        mark: Callable[[Account], Account] | None = None,
    ) -> None:
        """Read the account from the store, and decide."""

        def read(account: Account | Refused | None) -> None:
            outcome = self._decide(_of(proof, account), attempt.wrong, way, proof.created)
            self._end(attempt, mark(outcome) if mark and isinstance(outcome, Account) else outcome)

        self.vault.directory.fresh(attempt.name, read)

    def _end(self, attempt: _Attempt, outcome: Account | Refused) -> None:
        """Note the outcome of an attempt, and report it."""
        self.note(attempt.key, attempt.peer, outcome)
        attempt.done(outcome)

    def note(self, key: str, peer: LoginPeer, outcome: Account | Refused) -> None:
        """Note the outcome of a try by a peer; `key` is the folded name of the account, or ""."""
        if isinstance(outcome, Account):
            self._guesses.right(key, peer.address)
        elif outcome.code != refusals.NO_SUCH_ACCOUNT.code:
            self._guesses.take_back(key, peer.address)
        elif account := self.vault.directory.find(key):
            # Names of nobody are not logged: somebody may have typed a password in place of the name.
            log.info("A wrong password for %s came from %s", account.name, peer.address)

    def takes_passwords(self, peer: LoginPeer) -> bool:
        """Return whether passwords of a peer are taken: nobody can read along, or the operator allows it."""
        return peer.secure or self._policy.plaintext_passwords

    # --- a code alone ---------------------------------------------------------------------------------------------

    def redeem(self, code: str, peer: LoginPeer, done: Checked) -> None:
        """Check a code alone, which names its account itself."""
        if wait := self._guesses.delay("", peer.address) or self._guesses.code_delay():
            done(refusals.LOGINS_SLOWED(seconds=math.ceil(wait)))
            return
        self._guesses.begin("", peer.address)

        def end(outcome: Account | Refused) -> None:
            if isinstance(outcome, Refused) and outcome.code == refusals.CODE_WRONG.code:
                self._guesses.wrong_code()
            self.note("", peer, outcome)
            done(outcome)

        def used(found: StoredCode | Refused | None) -> None:
            owner = self.vault.directory.by_id(found.account) if isinstance(found, StoredCode) else None
            if not isinstance(found, StoredCode) or owner is None:
                end(found if isinstance(found, Refused) else refusals.CODE_WRONG())
                return

            def read(account: Account | Refused | None) -> None:
                end(self._decide(_of(found, account), refusals.CODE_WRONG(), "code", found.created))

            self.vault.directory.fresh(owner.name, read)

        self.vault.codes.use(code, LOGINS, used)

    # --- SCRAM ----------------------------------------------------------------------------------------------------

    @property
    def mechanisms(self) -> tuple[str, ...]:
        """The SASL mechanisms that work for every account: without SCRAM if a program of the house checks passwords."""
        return ("PLAIN", "SCRAM-SHA-256") if self.house is None else ("PLAIN",)

    def scram(self, peer: LoginPeer) -> ScramExchange:
        """Return the server's side of a new SCRAM-SHA-256 login; it is safe where others can read along."""
        kept = ""

        def find(name: str, done: Found) -> None:
            if wait := self._guesses.delay(key_of(name), peer.address):
                done(refusals.LOGINS_SLOWED(seconds=math.ceil(wait)))
                return

            def read(account: Account | Refused | None) -> None:
                nonlocal kept
                if isinstance(account, Refused):
                    done(account)
                elif account and account.scram:
                    kept = account.scram
                    done(hashing.read_scram(kept))
                else:
                    done(hashing.nobodys_scram(self._nobodys_key, key_of(name)))

            self.vault.directory.fresh(name, read)

        def decide(name: str, right: bool, done: Checked) -> None:
            wrong = refusals.NO_SUCH_ACCOUNT(name=clean(name[:SHOWN]))
            # Again: many exchanges may have begun at once.
            if wait := self._guesses.delay(key_of(name), peer.address):
                done(refusals.LOGINS_SLOWED(seconds=math.ceil(wait)))
                return
            self._guesses.begin(key_of(name), peer.address)

            def read(account: Account | Refused | None) -> None:
                # The client took its time: meanwhile the password may have been changed.
                is_proven = right and isinstance(account, Account) and account.scram == kept
                proven = account if is_proven or isinstance(account, Refused) else None
                outcome = self._decide(proven, wrong, "SCRAM proof")
                self.note(key_of(name), peer, outcome)
                done(outcome)

            self.vault.directory.fresh(name, read)

        return ScramExchange(find, decide)

    # --- proven elsewhere, or too long to be guessed --------------------------------------------------------------

    def by_certificate(self, fingerprint: str, done: Checked) -> None:
        """Let the owner of a client certificate in, whose key the TLS handshake has proven.

        Args:
            fingerprint: the SHA-256 of the certificate, in hexadecimal.
            done: receives the account, or a refusal.

        """
        owner = self.vault.directory.by_certificate(fingerprint)
        if owner is None:
            done(refusals.CERTIFICATE_UNKNOWN())
            return

        def read(account: Account | Refused | None) -> None:
            known = account if not isinstance(account, Account) or _has(account, fingerprint) else None
            done(self._decide(known, refusals.CERTIFICATE_UNKNOWN(), "certificate"))

        self.vault.directory.fresh(owner.name, read)

    def by_ssh_key(self, fingerprint: str, done: Checked) -> None:
        """Let the owner of an ssh key in. The caller has checked a signature by the key."""
        owner = self.vault.directory.by_ssh_key(fingerprint)
        if owner is None:
            done(refusals.SSH_KEY_UNKNOWN())
            return

        def read(account: Account | Refused | None) -> None:
            known = account if not isinstance(account, Account) or account.has_ssh_key(fingerprint) else None
            done(self._decide(known, refusals.SSH_KEY_UNKNOWN(), "ssh key"))

        self.vault.directory.fresh(owner.name, read)

    def by_cookie(self, cookie: str, done: Checked) -> None:
        """Let somebody in who shows a cookie with a request; `done` is called at once if the cookie is known here."""

        def found(grant: Grant | Refused | None) -> None:
            outcome = self._decide_grant(cookie, grant, refusals.NOT_LOGGED_IN())
            if isinstance(outcome, Account):
                self.vault.cookies.renew(cookie, COOKIE_SECONDS)
            done(outcome)

        self.vault.cookies.find(cookie, found)

    def by_token(self, token: str, peer: LoginPeer, done: Checked) -> None:
        """Let a program in that shows a token with a request; `done` is called at once if the token is known here."""
        if not self.takes_passwords(peer):
            done(refusals.NOT_ENCRYPTED())
            return
        self.vault.tokens.find(token, lambda grant: done(self._decide_grant(token, grant, refusals.TOKEN_WRONG())))

    def _decide_grant(self, secret: str, grant: Grant | Refused | None, wrong: Refused) -> Account | Refused:
        if grant is None or isinstance(grant, Refused):
            return grant or wrong
        outcome = self._decide(self.vault.directory.by_id(grant.account), wrong, "", grant.created)
        return outcome if isinstance(outcome, Refused) else with_grant(secret, grant, outcome)

    def by_trusted_name(self, name: str, done: Checked) -> None:
        """Let somebody in whom a trusted proxy has checked; a name that nobody owns is registered for them."""
        self._known_elsewhere(name, "name from a trusted proxy", done)

    def _known_elsewhere(self, name: str, way: str, done: Checked) -> None:
        wrong = refusals.NO_SUCH_ACCOUNT(name=clean(name[:SHOWN]))

        def read(account: Account | Refused | None) -> None:
            if account is None:
                self.vault.open_account(name, lambda made: done(self._decide(made, wrong, way)))
            else:
                done(self._decide(account, wrong, way))

        self.vault.directory.fresh(name, read)


def _of(proof: StoredCode | Grant, account: Account | Refused | None) -> Account | Refused | None:
    """Return an account if a code or token is for it: its name may have been freed and registered by somebody else."""
    return account if not isinstance(account, Account) or account.id == proof.account else None


def _has(account: Account, fingerprint: str) -> bool:
    return plain_fingerprint(fingerprint) in account.certificates
