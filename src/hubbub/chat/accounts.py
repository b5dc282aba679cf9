"""The hub's view of accounts: who owns a name, and whether a credential is right.

`Accounts` is implemented above the storage; the hub and the wires only call it. Every way to log in ends in one check
there, which decides whether the account is open. Nothing of it blocks: a `done` is called once, now or later, on the
loop's thread.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, Protocol

from hubbub.errors import Refused
from hubbub.model.account import Account
from hubbub.text import refusals

Checked = Callable[[Account | Refused], None]


class LoginPeer(NamedTuple):
    """The peer that offers a credential."""

    address: str  # as the limits of guessing count it
    secure: bool  # nobody can read along: the connection is encrypted, or comes from this machine


class Accounts(Protocol):
    """The registered names, and the one check of all credentials."""

    # Called with an account that was registered, changed, suspended or deleted, on this node or elsewhere.
    changed: list[Callable[[Account], None]]

    @property
    def registration(self) -> str:
        """Who may register: "open", "invite" or "closed"."""
        ...

    @property
    def guests(self) -> str:
        """What people without an account may do: "yes" (everything), "read" or "no" (nothing)."""
        ...

    def find(self, name: str) -> Account | None:
        """Return the account that owns a name, whether it is open or not; the name may be written in any case."""
        ...

    def looks_like(self, name: str) -> str:
        """Return the registered name that a name, which is not registered itself, looks like; "" if there is none."""
        ...

    def register(self, name: str, password: str, peer: LoginPeer, done: Checked, code: str = "") -> None:
        """Register a name; `code` is an invitation, which is needed if registration is not open."""
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


class NoAccounts:
    """No name is registered, and none can be."""

    registration = "closed"
    guests = "yes"

    def __init__(self) -> None:
        self.changed: list[Callable[[Account], None]] = []

    def find(self, name: str) -> Account | None:
        """Return None."""

    def looks_like(self, name: str) -> str:
        """Return ""."""
        return ""

    def register(self, name: str, password: str, peer: LoginPeer, done: Checked, code: str = "") -> None:
        """Refuse."""
        done(refusals.REGISTRATION_CLOSED())

    def log_in(self, name: str, secret: str, peer: LoginPeer, done: Checked) -> None:
        """Refuse."""
        done(refusals.NO_SUCH_ACCOUNT(name=name))

    def redeem(self, code: str, peer: LoginPeer, done: Checked) -> None:
        """Refuse."""
        done(refusals.CODE_WRONG())

    def make_code(self, account: Account, done: Callable[[str | Refused], None]) -> None:
        """Refuse."""
        done(refusals.NOT_LOGGED_IN())
