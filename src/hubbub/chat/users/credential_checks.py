"""The checks of the credentials of sessions: passwords, codes and registrations, for whose outcomes sessions wait."""

from __future__ import annotations

from collections.abc import Callable

from msgspec import Struct

from hubbub.chat.core import Core
from hubbub.chat.session import Session
from hubbub.chat.turns import OperationKind, by_name
from hubbub.chat.users.account_users import AccountUsers, Outcome, check_same
from hubbub.chat.users.accounts import Checked, LoginPeer
from hubbub.chat.users.naming import Naming
from hubbub.errors import Refused
from hubbub.model.accounts.account import Account
from hubbub.text import refusals
from hubbub.text.addresses import is_loopback
from hubbub.text.concealed import concealed
from hubbub.text.names import key_of

Start = Callable[[LoginPeer, Checked], None]  # starts the check of a credential


class Login(Struct, frozen=True):
    """A session wants to log in with a name and a password or a code; without a name, with a code alone."""

    name: str
    secret: str

    __repr__ = concealed


class CredentialChecks:
    """Check the credentials of sessions, which wait for the outcome, and let their owners log in.

    Args:
        core: the accounts.
        naming: gives users their nicks.
        users: log sessions in.

    """

    def __init__(self, core: Core, naming: Naming, users: AccountUsers) -> None:
        self._core = core
        self._naming = naming
        self._users = users
        # It has a secret, which may be a code that is used up already.
        core.operations |= by_name(OperationKind(Login, self._checked, self._check_login, at_once=True, moves=False))

    def peer(self, session: Session) -> LoginPeer:
        """Return the peer of a session, as the check of a credential needs it."""
        return LoginPeer(session.address, session.secure or is_loopback(session.address))

    def register(self, session: Session, name: str, password: str, outcome: Outcome, code: str = "") -> None:
        """Register a name, and log the session in.

        Args:
            session: the session; its next commands wait for the outcome.
            name: the name; that of its user if it has one.
            password: the new password.
            outcome: called later, unless the session closes.
            code: an invitation.

        Raises:
            Refused: the session is logged in already, or somebody else holds the name.

        """
        if session.user and session.user.account:
            raise refusals.LOGGED_IN_ALREADY(name=session.nick)
        self.check(session, self.registration(session, name, password, code), outcome)

    def registration(self, session: Session, name: str, password: str, code: str = "") -> Start:
        """Return the start of the registration of a name, for `check` or `prove`.

        Raises:
            Refused: the name is not valid, or somebody else holds it.

        """
        nick = self._core.nicks.unregistered(name, session.user)
        key = key_of(nick)
        self._users.registering.add(key)

        def start(peer: LoginPeer, done: Checked) -> None:
            def registered(account: Account | Refused) -> None:
                self._users.registering.discard(key)
                if isinstance(account, Refused) and self._core.nicks.accounts.find(nick):
                    self._naming.give_up_name(nick)  # somebody else was faster
                done(account)

            self._core.nicks.accounts.register(nick, password, peer, registered, code, session.ssh_key)

        return start

    def check(self, session: Session, start: Start, outcome: Outcome) -> None:
        """Check a credential of a session, and log the session in if it is right.

        Args:
            session: the session; its next commands wait for the outcome.
            start: starts the check for a peer, and calls back with the account or the refusal.
            outcome: called later, unless the session closes: with None, or with the refusal.

        """
        self.prove(session, start, lambda account: self._users.finish(session, account, outcome))

    def prove(self, session: Session, start: Start, done: Checked) -> None:
        """Check a credential of a session that logs in with its account later.

        Args:
            session: the session; its next commands wait for the outcome.
            start: starts the check for a peer, and calls back with the account or the refusal.
            done: called later, unless the session closes, with the account or the refusal.

        """
        operation = session.begin("login")

        def checked(account: Account | Refused) -> None:
            if not session.closed:
                done(self._held(session, account))
            session.end(operation)

        start(self.peer(session), checked)

    def _held(self, session: Session, account: Account | Refused) -> Account | Refused:
        """Let a session end with the token or cookie of its login; refuse a login to another account."""
        if isinstance(account, Account):
            try:
                check_same(session, account)
            except Refused as refusal:
                return refusal
            self._core.holders.hold(session, account.grant)
        return account

    def _check_login(self, session: Session, login: Login, done: Checked) -> None:
        accounts, peer = self._core.nicks.accounts, self.peer(session)
        if login.name:
            accounts.log_in(login.name, login.secret, peer, done)
        else:
            accounts.redeem(login.secret, peer, done)

    def _checked(self, session: Session, login: Login, account: Account | Refused) -> None:
        def outcome(refusal: Refused | None) -> None:
            if refusal:
                self._core.refuse(session, refusal)

        self._users.finish(session, self._held(session, account), outcome)
