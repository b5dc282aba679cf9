"""A hub without accounts: no name is registered, and none can be."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

from hubbub.chat.users.accounts import Checked, Ended, LoginPeer, Made, ScramAnswer, ScramLogin
from hubbub.errors import Refused
from hubbub.model.accounts.account import Account, SshKey
from hubbub.model.accounts.grants import Grant, Granted
from hubbub.text import refusals


class NoAccounts:
    """Accounts that nobody has.

    Every lookup returns None or nothing. Every action is refused: through `done`, or by raising Refused without one.
    """

    registration = "closed"
    guests = "yes"
    mechanisms: tuple[str, ...] = ()

    def __init__(self) -> None:
        self.changed: list[Callable[[Account], None]] = []
        self.ended: list[Callable[[str, Grant], None]] = []

    def find(self, name: str) -> Account | None:
        """Return None."""

    def by_id(self, id: str) -> Account | None:
        """Return None."""

    def former(self, name: str) -> Account | None:
        """Return None."""

    def former_by_id(self, id: str) -> Account | None:
        """Return None."""

    def looks_like(self, name: str) -> str:
        """Return ""."""
        return ""

    def takes_passwords(self, peer: LoginPeer) -> bool:
        """Return False."""
        return False

    def register(
        self, name: str, password: str, peer: LoginPeer, done: Checked, code: str = "", key: SshKey | None = None
    ) -> None:
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

    def scram(self, peer: LoginPeer) -> ScramLogin:
        """Return a login that is refused."""
        return _NoScram()

    def by_certificate(self, fingerprint: str, done: Checked) -> None:
        """Refuse."""
        done(refusals.CERTIFICATE_UNKNOWN())

    def owner_of_ssh_key(self, fingerprint: str) -> Account | None:
        """Return None."""

    def by_ssh_key(self, fingerprint: str, done: Checked) -> None:
        """Refuse."""
        done(refusals.SSH_KEY_UNKNOWN())

    def by_trusted_name(self, name: str, done: Checked) -> None:
        """Refuse."""
        done(refusals.LOGIN_FAILED())

    def by_cookie(self, cookie: str, done: Checked) -> None:
        """Refuse."""
        done(refusals.NOT_LOGGED_IN())

    def by_token(self, token: str, peer: LoginPeer, done: Checked) -> None:
        """Refuse."""
        done(refusals.TOKEN_WRONG())

    def change_password(self, account: Account, password: str, peer: LoginPeer, done: Checked) -> None:
        """Refuse."""
        done(refusals.NOT_LOGGED_IN())

    def change(self, account: Account, edit: Callable[[Account], Account | Refused], done: Checked) -> None:
        """Refuse."""
        done(refusals.NOT_LOGGED_IN())

    def with_words(self) -> Sequence[Account]:
        """Return nothing."""
        return ()

    def add_certificate(self, account: Account, fingerprint: str, done: Checked) -> None:
        """Refuse."""
        done(refusals.NOT_LOGGED_IN())

    def remove_certificate(self, account: Account, fingerprint: str, done: Checked) -> None:
        """Refuse."""
        done(refusals.NOT_LOGGED_IN())

    def add_ssh_key(self, account: Account, key: SshKey, done: Checked) -> None:
        """Refuse."""
        done(refusals.NOT_LOGGED_IN())

    def remove_ssh_key(self, account: Account, fingerprint: str, done: Checked) -> None:
        """Refuse."""
        done(refusals.NOT_LOGGED_IN())

    def end_sessions(self, account: Account, done: Checked) -> None:
        """Refuse."""
        done(refusals.NOT_LOGGED_IN())

    def suspend(self, account: Account, done: Checked, suspended: bool = True) -> None:
        """Refuse."""
        done(refusals.NOT_LOGGED_IN())

    def delete(self, account: Account, done: Checked, take_back: bool = False) -> None:
        """Refuse."""
        done(refusals.NOT_LOGGED_IN())

    def taking_back(self) -> Sequence[Account]:
        """Return nothing."""
        return ()

    def taken_back(self, account: Account, done: Checked) -> None:
        """Refuse."""
        done(refusals.NOT_LOGGED_IN())

    def make_token(self, account: Account, grant: Grant, done: Made) -> None:
        """Refuse."""
        done(refusals.NOT_LOGGED_IN())

    def tokens(self, account: Account) -> Sequence[Granted]:
        """Return nothing."""
        return ()

    def end_tokens(self, account: Account, ids: Collection[str], done: Ended) -> None:
        """Refuse."""
        done(refusals.NOT_LOGGED_IN())

    def make_cookie(self, account: Account, name: str, done: Made) -> None:
        """Refuse."""
        done(refusals.NOT_LOGGED_IN())

    def grant_id(self, secret: str) -> str:
        """Return ""."""
        return ""

    def cookies(self, account: Account) -> Sequence[Granted]:
        """Return nothing."""
        return ()

    def end_cookies(self, account: Account, ids: Collection[str], done: Ended) -> None:
        """Refuse."""
        done(refusals.NOT_LOGGED_IN())


class _NoScram:
    """A SCRAM login that is refused."""

    def step(self, message: bytes, answer: ScramAnswer) -> None:
        """Refuse."""
        answer(refusals.LOGIN_FAILED())
