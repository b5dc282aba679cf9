"""The newest messages of a room, as a session is shown them when its user joins."""

from __future__ import annotations

from collections.abc import Sequence

from hubbub.chat.core import Core
from hubbub.chat.operations.asking import LogQuestion, read
from hubbub.chat.session import Room, Session
from hubbub.chat.turns import OperationKind
from hubbub.errors import BrokerError
from hubbub.model.entries import Entry
from hubbub.model.events import HistoryShown
from hubbub.model.queries import Latest, LogPage
from hubbub.model.room.absent import DAY, Absence
from hubbub.model.viewer import ASKER

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
        _replay_more(session, room, left.seq, upto)
    else:
        elsewhere = session.current != room.id
        session.replies += core.pieces(HistoryShown(past, core.clock(), folds=True, elsewhere=elsewhere))


def _returns(core: Core, session: Session, left: Absence) -> bool:
    return session.keeps_history and core.clock() - left.at < DAY


def _replay_more(session: Session, room: Room, after: int, upto: int) -> None:
    """Show the messages after a number, the newest RETURNING of them; those in memory if the log cannot be read."""
    query = Latest(room.name, RETURNING, before=upto + 1, viewer=ASKER, room_id=room.id)
    session.queue(ReplayAsked(query, room.id, after, upto))


class ReplayAsked(LogQuestion, frozen=True):
    """A returning member must be shown the messages of the room with an id after a number, up to another one."""

    room: str
    after: int
    upto: int


def _show(core: Core, session: Session, asked: ReplayAsked, page: LogPage | BrokerError) -> HistoryShown:
    room = core.loaded.by_id.get(asked.room)
    known = page.entries if isinstance(page, LogPage) else room.latest if room else ()
    missed = [entry for entry in known if asked.after < entry.seq <= asked.upto]
    return HistoryShown(missed, core.clock(), folds=True, elsewhere=session.current != asked.room)


OPERATIONS = (OperationKind(ReplayAsked, _show, read),)
