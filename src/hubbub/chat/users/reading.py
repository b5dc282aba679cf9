"""How far the owners of accounts have read: the sessions of an owner, on all nodes, learn what another one has read."""

from __future__ import annotations

from collections.abc import Sequence

from hubbub.chat.core import Core
from hubbub.chat.session import Session
from hubbub.chat.users.read_markers import of_room
from hubbub.errors import BrokerError
from hubbub.model.accounts.account import Account
from hubbub.model.events import MarkerMoved
from hubbub.model.notices.mentions import Mention


class Reading:
    """Moves the read markers of the sessions of accounts."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._reader: Session | None = None  # the session whose marker is being moved
        core.read_markers.moved.append(self._moved)

    def read(self, session: Session, account: Account, target: str, time: float) -> float:
        """Move a read marker of a session's account forward to a time (epoch seconds); return where it is then."""
        self._reader = session
        try:
            return self._core.read_markers.advance(account.id, target, time)
        finally:
            self._reader = None

    def read_mentions(self, session: Session, account: Account, mentions: Sequence[Mention] | BrokerError) -> None:
        """Move the read markers of an account to its mentions, the oldest first: a session has shown them all."""
        if isinstance(mentions, BrokerError) or not mentions:
            return
        for mention in mentions:
            self.read(session, account, of_room(mention.room), mention.time)
        # Others may have mentions in rooms that are not loaded.
        self._tell(account, session, MarkerMoved("", mentions[-1].time))

    def _moved(self, id: str, target: str, time: float) -> None:
        """Tell the sessions of an account's owner on this node, except the one that has read."""
        account = self._core.nicks.accounts.by_id(id)
        if account and (name := self._named(target)):
            self._tell(account, self._reader, MarkerMoved(name, time))

    def _tell(self, account: Account, reader: Session | None, event: MarkerMoved) -> None:
        owner = self._core.owners.get(account.host)
        for session in owner.sessions if owner else ():
            if session is not reader:
                session.tell(event)

    def _named(self, target: str) -> str:
        """Return the name of a loaded room, or `@` and the name of an account; "" for another target."""
        if target.startswith("@"):
            account = self._core.nicks.accounts.by_id(target[1:])
            return f"@{account.name}" if account else ""
        room = self._core.loaded.by_id.get(target[1:])
        return room.name if room else ""
