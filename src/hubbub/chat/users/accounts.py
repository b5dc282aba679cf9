"""The hub's view of accounts: the owner of a name, and the check of a credential.

`Accounts` is implemented above the storage; the hub and the wires only call it. Every way to log in ends in one check
there, which decides whether the account is open. Nothing of it blocks: a `done` is called once, now or later, on the
loop's thread.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import NamedTuple, Protocol

from hubbub.errors import Refused
from hubbub.model.accounts.account import Account, SshKey
from hubbub.model.accounts.grants import Grant, Granted
from hubbub.text import refusals

Checked = Callable[[Account | Refused], None]
Made = Callable[[str | Refused], None]
Ended = Callable[[int | Refused], None]
ScramAnswer = Callable[[bytes | Account | Refused], None]


class LoginPeer(NamedTuple):
    """The peer that offers a credential."""

    address: str  # as the limits of guessing count it
    secure: bool  # nobody can read along: the connection is encrypted, or comes from this machine


class ScramLogin(Protocol):
    """The server's side of one SCRAM-SHA-256 login."""

    def step(self, message: bytes, answer: ScramAnswer) -> None:
        """Process a message of the client, and call `answer` once, now or later.

        The answer is the next message to the client; after the last one, to which clients send an empty message, it is
        the account. A refusal ends the login.
        """
        ...


class Accounts(Protocol):
    """The registered names, and the one check of all credentials."""

    # Called with an account that was registered, changed, suspended or deleted, on this node or elsewhere.
    changed: list[Callable[[Account], None]]
    # Called with the id and the grant of a token or cookie that has ended, on this node or elsewhere.
    ended: list[Callable[[str, Grant], None]]

    @property
    def registration(self) -> str:
        """The rule for registering: "open", "invite" or "closed"."""
        ...

    @property
    def guests(self) -> str:
        """The permissions of people without an account: "yes" (everything), "read" or "no" (nothing)."""
        ...

    def find(self, name: str) -> Account | None:
        """Return the account that owns a name, whether it is open or not; the name may be written in any case."""
        ...

    def by_id(self, id: str) -> Account | None:
        """Return the account with an id, whether it is open or not."""
        ...

    def former(self, name: str) -> Account | None:
        """Return the deleted account that owned a name which is free, or `NAME~ID` if others have or had the name."""
        ...

    def former_by_id(self, id: str) -> Account | None:
        """Return the deleted account with an id whose name was freed; its `name` is one that `former` finds."""
        ...

    def looks_like(self, name: str) -> str:
        """Return the registered name that a name, which is not registered itself, looks like; "" if there is none."""
        ...

    def takes_passwords(self, peer: LoginPeer) -> bool:
        """Return whether passwords of a peer are taken: nobody can read along, or the operator allows it."""
        ...

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
        ...

    def log_in(self, name: str, secret: str, peer: LoginPeer, done: Checked) -> None:
        """Check a password, a token or a code of the account that owns a name."""
        ...

    def redeem(self, code: str, peer: LoginPeer, done: Checked) -> None:
        """Check a code alone, which names its account itself."""
        ...

    def make_code(self, account: Account, done: Callable[[str | Refused], None]) -> None:
        """Make a code that pairs another device with an account: once, within five minutes."""
        ...

    # --- ways to log in -------------------------------------------------------------------------------------------

    @property
    def mechanisms(self) -> tuple[str, ...]:
        """The SASL mechanisms that work for every account; none if there can be no accounts.

        Clients that are offered SCRAM do not fall back to a password.
        """
        ...

    def scram(self, peer: LoginPeer) -> ScramLogin:
        """Return the server's side of a new SCRAM-SHA-256 login; it is safe where others can read along."""
        ...

    def by_certificate(self, fingerprint: str, done: Checked) -> None:
        """Let the owner of a client certificate in, whose key the TLS handshake has proven.

        Args:
            fingerprint: the SHA-256 of the certificate, in hexadecimal.
            done: receives the account, or a refusal.

        """
        ...

    def owner_of_ssh_key(self, fingerprint: str) -> Account | None:
        """Return the account with an ssh key, whether it is open or not."""
        ...

    def by_ssh_key(self, fingerprint: str, done: Checked) -> None:
        """Let the owner of an ssh key in. The caller has checked a signature by the key."""
        ...

    def by_trusted_name(self, name: str, done: Checked) -> None:
        """Let somebody in whom a trusted proxy has checked; a name that nobody owns is registered for them."""
        ...

    def by_cookie(self, cookie: str, done: Checked) -> None:
        """Let somebody in who shows a cookie with a request; `done` is called at once if the cookie is known here."""
        ...

    def by_token(self, token: str, peer: LoginPeer, done: Checked) -> None:
        """Let a program in that shows a token with a request; `done` is called at once if the token is known here."""
        ...

    # --- what owners do with their account ------------------------------------------------------------------------

    def change_password(self, account: Account, password: str, peer: LoginPeer, done: Checked) -> None:
        """Change the password of an account; all other ways to log in to it end."""
        ...

    def change(self, account: Account, edit: Callable[[Account], Account | Refused], done: Checked) -> None:
        """Change settings of an account as `edit` says, which may be called again if others change it meanwhile."""
        ...

    def with_words(self) -> Sequence[Account]:
        """Return the accounts that have own words."""
        ...

    def add_certificate(self, account: Account, fingerprint: str, done: Checked) -> None:
        """Let the certificate with a SHA-256 fingerprint log in to an account."""
        ...

    def remove_certificate(self, account: Account, fingerprint: str, done: Checked) -> None:
        """Let the certificate with a SHA-256 fingerprint log in no more."""
        ...

    def add_ssh_key(self, account: Account, key: SshKey, done: Checked) -> None:
        """Let an ssh key log in to an account; its owner must have proven it."""
        ...

    def remove_ssh_key(self, account: Account, fingerprint: str, done: Checked) -> None:
        """Let an ssh key log in no more. The last one stays if there is no password: nobody could log in any more."""
        ...

    def end_sessions(self, account: Account, done: Checked) -> None:
        """End all ways to log in to an account except its password."""
        ...

    def suspend(self, account: Account, done: Checked, suspended: bool = True) -> None:
        """Let nobody log in to an account for now; or let its owner log in again."""
        ...

    def delete(self, account: Account, done: Checked, take_back: bool = False) -> None:
        """Close an account for ever, and drop its credentials. Its name stays blocked, unless names are freed.

        With `take_back` all that its owner has said is taken back, little by little.
        """
        ...

    def taking_back(self) -> Sequence[Account]:
        """Return the deleted accounts whose messages are still to be taken back."""
        ...

    def taken_back(self, account: Account, done: Checked) -> None:
        """Note that the messages of a deleted account have been taken back."""
        ...

    def make_token(self, account: Account, grant: Grant, done: Made) -> None:
        """Make a token for an account; `done` gets the token, which is shown only then.

        Args:
            account: the account.
            grant: its name, scopes, rooms and end; the rest is filled in.
            done: receives the token, or a refusal.

        """
        ...

    def tokens(self, account: Account) -> Sequence[Granted]:
        """Return the tokens of an account, the oldest first."""
        ...

    def end_tokens(self, account: Account, ids: Collection[str], done: Ended) -> None:
        """End some tokens of an account by their ids; call `done` with their number."""
        ...

    def make_cookie(self, account: Account, name: str, done: Made) -> None:
        """Make a cookie for an account; `name` tells its owner which browser has it. The oldest end beyond a bound."""
        ...

    def grant_id(self, secret: str) -> str:
        """Return the id by which a token or cookie is listed and ended."""
        ...

    def cookies(self, account: Account) -> Sequence[Granted]:
        """Return the cookies of an account, the oldest first."""
        ...

    def end_cookies(self, account: Account, ids: Collection[str], done: Ended) -> None:
        """End some cookies of an account by their ids; call `done` with their number."""
        ...


def close(accounts: Accounts, account: Account, secret: str, peer: LoginPeer, take_back: bool, done: Checked) -> None:
    """Close an account for ever because its owner asks for it and proves it by a password or a code.

    Args:
        accounts: the accounts.
        account: the account that the owner is logged in to.
        secret: the password or the code.
        peer: the peer that offers it.
        take_back: take back all that its owner has said.
        done: receives the closed account, or a refusal.

    """

    def checked(found: Account | Refused) -> None:
        if isinstance(found, Refused):
            done(found)
        elif found.permit.is_limited:
            done(refusals.TOKEN_SCOPE(scope="admin"))
        else:
            accounts.delete(found, done, take_back)

    accounts.log_in(account.name, secret, peer, checked)
