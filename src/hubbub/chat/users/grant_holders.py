"""The sessions that last as long as a token or cookie is valid, on every wire."""

from __future__ import annotations

from collections.abc import Callable

from hubbub.chat.session import Session
from hubbub.chat.users.accounts import Accounts
from hubbub.model.accounts.account import Account
from hubbub.model.accounts.grants import Grant


class GrantHolders:
    """The sessions that a token or cookie has logged in, by its id. They end with it.

    Args:
        clock: returns epoch seconds.

    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self.end: Callable[[Session], None] = lambda session: None  # ends a session; the hub sets it
        self._accounts: Accounts
        self._sessions: dict[str, dict[Session, None]] = {}

    def follow(self, accounts: Accounts) -> None:
        """Follow the tokens, cookies and accounts that end."""
        self._accounts = accounts
        accounts.ended.append(self._ended)
        accounts.changed.append(self._review)

    def hold(self, session: Session, id: str) -> None:
        """Let a session end with the token or cookie with an id, and with no other; "" for none."""
        self.release(session)
        session.grant = id
        if id:
            self._sessions.setdefault(id, {})[session] = None

    def release(self, session: Session) -> None:
        """Forget a session that has ended."""
        of_grant = self._sessions.get(session.grant, {})
        of_grant.pop(session, None)
        if not of_grant:
            self._sessions.pop(session.grant, None)

    def _ended(self, id: str, grant: Grant | None = None) -> None:
        for session in list(self._sessions.get(id, ())):
            self.end(session)

    def _review(self, account: Account) -> None:
        """End the sessions whose account is closed, or whose token or cookie a new password has voided."""
        is_open = account.is_open(self._clock())
        for one in (*self._accounts.tokens(account), *self._accounts.cookies(account)):
            if one.id in self._sessions and not (is_open and one.grant.created >= account.valid_from):
                self._ended(one.id)
