"""Users who remain here without a session, for a moment or as long as they stay.

When the last session of the owner of an account is lost, the user remains for GRACE_SECONDS, so that a reload of the
page or a short loss of the network is no leave and no join for the others. A user with sessions on other nodes is left
to those nodes.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from hubbub.chat.core import Core
from hubbub.chat.nodes.remote_users import RemoteUsers
from hubbub.chat.rooms.membership import Rooms
from hubbub.chat.session import Session, User

GRACE_SECONDS = 30.0  # for which a user remains in the rooms without a session


class Lingering:
    """Keep the owners of accounts whose last session here has ended, and let them leave in time.

    Args:
        core: the clock of later calls.
        rooms: the rooms.
        remote: the users of other nodes.
        leave: takes a user out of all rooms, by the last session, with a reason, and whether the user wanted to leave.

    """

    def __init__(
        self, core: Core, rooms: Rooms, remote: RemoteUsers, leave: Callable[[Session, User, str, bool], None]
    ) -> None:
        self._core = core
        self._rooms = rooms
        self._remote = remote
        self._leave = leave

    def lingers(self, user: User, asked: bool) -> bool:
        """Return whether a user stays when their last session ends; `asked` says that they wanted to leave."""
        if self._core.closing or not user.account:
            return False
        return user.account.stays or not asked or bool(self._remote.homes(user))

    def wait(self, session: Session, user: User, reason: str) -> None:
        """Keep a user who has lost their last session here; they leave if no session comes back in time.

        If they have sessions on other nodes, the others see nothing of it.
        """
        if self._remote.homes(user):
            self._hand_over(user, reason)
        elif user.account and not user.account.stays:
            self._core.later(GRACE_SECONDS, partial(self._end, session, user, user.screens, reason))

    def _end(self, session: Session, user: User, screens: int, reason: str) -> None:
        if not user.present or user.screens != screens or user.sessions or user.is_remote or self._core.closing:
            return
        if self._remote.homes(user):
            self._hand_over(user, reason)
        else:
            self._leave(session, user, reason, False)

    def end_stay(self, user: User, reason: str) -> None:
        """Let a user leave who has no session here, or leave them to the other nodes; do nothing for another one."""
        if user.last_session:
            self._end(user.last_session, user, user.screens, reason)

    def _hand_over(self, user: User, reason: str) -> None:
        """Leave a user to the other nodes, which have sessions of them."""
        rooms = list(user.rooms.values())
        self._remote.hand_over(user, reason)
        for room in rooms:
            self._rooms.close_if_empty(room)
