"""The newest messages of a room, as a session is shown them when its user joins."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from hubbub.chat.core import Core
from hubbub.chat.session import Room, Session
from hubbub.chat.turns import Operation
from hubbub.errors import BrokerError
from hubbub.model.entries import Entry
from hubbub.model.events import HistoryShown
from hubbub.model.queries import Latest, LogPage
from hubbub.model.room.absent import DAY, Absence

RETURNING = 200  # most messages for a member that comes back


def seen_by(core: Core, session: Session, newest: Sequence[Entry], left: Absence | None) -> Sequence[Entry]:
    """Return those of the newest messages of a room that a newcomer is shown.

    If its client keeps the history and it left the room less than a day ago, these are only the messages that it
    missed.
    """
    return [entry for entry in newest if entry.seq > left.seq] if left and _returns(core, session, left) else newest


def replay(core: Core, session: Session, room: Room, past: Sequence[Entry], upto: int, left: Absence | None) -> None:
    """Show a newcomer the messages that `seen_by` returned, at least one."""
    # If all messages in memory were missed, there may be more of them in the log.
    if left and _returns(core, session, left) and len(past) == core.limits.history:
        _replay_more(core, session, room, past, left.seq, upto)
    else:
        elsewhere = session.current != room.id
        session.replies += core.pieces(HistoryShown(past, core.clock(), folds=True, elsewhere=elsewhere))


def _returns(core: Core, session: Session, left: Absence) -> bool:
    return session.keeps_history and core.clock() - left.at < DAY


def _replay_more(core: Core, session: Session, room: Room, newest: Sequence[Entry], after: int, upto: int) -> None:
    """Show the messages after a number, the newest RETURNING of them; those in memory if the log cannot be read."""

    def answer(page: LogPage | BrokerError) -> HistoryShown:
        known = newest if isinstance(page, BrokerError) else page.entries
        missed = [entry for entry in known if entry.seq > after]
        return HistoryShown(missed, core.clock(), folds=True, elsewhere=session.current != room.id)

    viewer = core.viewer(session)
    query = Latest(room.name, RETURNING, before=upto + 1, viewer=viewer, room_id=room.id)
    session.queue(Operation("query", room.name, partial(core.read, query), answer))
