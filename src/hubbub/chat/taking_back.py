"""Take back all that the owners of deleted accounts have said, if they wanted that: in rooms and in private.

The record of the account says so until it is done, so the work goes on after a restart. It is done a page at a time,
behind the messages of the others. Several nodes may do it at once: they give a redaction the same id.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from hubbub.chat.core import Core
from hubbub.chat.private.positions import Position
from hubbub.chat.session import Posting
from hubbub.errors import BrokerError, Refused
from hubbub.model.accounts.account import Account
from hubbub.model.conversation import conversation_of
from hubbub.model.entries import Draft, Polled, Redacted, Said
from hubbub.model.ids import redaction_for
from hubbub.model.queries import LAST, After, AllRooms, LogPage, RoomList
from hubbub.model.viewer import SYSTEM

PAGE = 100  # messages that are read, and rooms that are listed, at once
PAUSE = 0.05  # seconds between two looks whether a page's redactions are stored
AGAIN = 60.0  # seconds until the next attempt after a failure of the log


class TakingBack:
    """Redact the messages of deleted accounts, one account after the other."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._accounts: dict[str, Account] = {}  # those that are left, by their ids
        self._begun = self._busy = False
        self._rooms: list[str] = []  # the next rooms
        self._listed: str | None = ""  # the last room that was listed; None after the end of the list
        # The names of the rooms that this pass has looked at. A room may be renamed while it waits, or into the part
        # of the list that was read already, so the list is read until it has no new name.
        self._seen: set[str] = set()
        self._has_new = False
        self._found = 0  # messages in this pass over all rooms

    def begin(self) -> None:
        """Go on with the work that is left of earlier runs."""
        self._begun = True
        for account in self._core.nicks.accounts.taking_back():
            self.review(account)

    def review(self, account: Account) -> None:
        """Follow an account that was changed."""
        if self._begun and account.takes_back:
            self._accounts[account.id] = account
            if not self._busy:
                self._busy = True
                self._start()

    @property
    def _account(self) -> Account:
        return next(iter(self._accounts.values()))

    def _start(self) -> None:
        """Begin a pass over all rooms of the first account that is left, with its private conversations."""
        positions = self._core.positions
        if not self._accounts or positions is None or self._core.closing:
            self._busy = False
            return
        self._found, self._listed, self._has_new = 0, "", False
        self._seen.clear()
        positions.of(self._account.id, self._talked)

    def _talked(self, found: Sequence[Position] | BrokerError) -> None:
        if isinstance(found, BrokerError):
            self._core.later(AGAIN, self._start)
            return
        self._rooms = [conversation_of(self._account.id, one.other) for one in found]
        self._next_room()

    def _next_room(self) -> None:
        if self._rooms:
            self._read(self._rooms.pop(), 0)
        elif self._listed is not None:
            self._core.read(AllRooms(PAGE, self._listed, viewer=SYSTEM), self._took_list)
        elif self._found:
            self._core.later(AGAIN, self._start)  # look once more for messages that were missed
        else:
            self._core.nicks.accounts.taken_back(self._account, partial(self._ended, self._account.id))

    def _took_list(self, found: RoomList | BrokerError) -> None:
        if isinstance(found, BrokerError):
            self._core.later(AGAIN, self._start)
            return
        names = [name for name, _ in found.rooms]
        self._rooms = [name for name in names if name not in self._seen]
        self._seen.update(names)
        self._has_new = self._has_new or bool(self._rooms)
        self._listed = max(names, default=None)
        if self._listed is None and self._has_new:
            self._listed, self._has_new = "", False
        self._next_room()

    def _read(self, room: str, seq: int, room_id: str = "") -> None:
        query = After(room, seq, LAST, PAGE, viewer=SYSTEM, room_id=room_id)
        self._core.read(query, partial(self._redact, room))

    def _redact(self, room: str, page: LogPage | BrokerError) -> None:
        if isinstance(page, BrokerError):
            self._core.later(AGAIN, self._start)
            return
        account, postings = self._account, []
        for entry in page.entries:
            if isinstance(entry.body, Said | Polled) and entry.host == account.host:
                id = redaction_for(account.id, entry.seq)
                body = Redacted(entry.id)
                postings.append(Posting(Draft(room, account.name, body, id, account.host, room_id=entry.room_id)))
        for posting in postings:
            self._core.pipeline.add(posting)
        self._found += len(postings)
        last = page.entries[-1] if page.more and page.entries else None
        self._wait(postings, partial(self._read, room, last.seq, last.room_id) if last else self._next_room)

    def _wait(self, postings: Sequence[Posting], then: Callable[[], None]) -> None:
        """Go on when all redactions of a page have their outcome; after a failure, later."""
        if not all(posting.settled for posting in postings):
            self._core.later(PAUSE, partial(self._wait, postings, then))
        elif any(posting.error for posting in postings):
            self._core.later(AGAIN, self._start)
        else:
            then()

    def _ended(self, id: str, outcome: Account | Refused) -> None:
        # Another node may have been faster, so that the name is free already and the account is gone.
        if isinstance(outcome, Refused) and self._core.nicks.accounts.by_id(id):
            self._core.later(AGAIN, self._start)
            return
        del self._accounts[id]
        self._start()
