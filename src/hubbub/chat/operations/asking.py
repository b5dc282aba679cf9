"""Questions of sessions to the log: operations whose requests hold a query."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from msgspec import Struct
from msgspec.structs import replace

from hubbub.chat.core import Core
from hubbub.chat.session import Session
from hubbub.chat.turns import OperationKind
from hubbub.errors import BrokerError, Busy, Closed
from hubbub.model.events import Event, Refusal
from hubbub.model.notices.ignoring import shown
from hubbub.model.queries import AllRooms, LogPage, Query, RoomList, Search
from hubbub.model.viewer import ASKER
from hubbub.text import refusals


class LogQuestion(Struct, frozen=True):
    """The request of an operation that reads the log. The viewer ASKER of its query stands for its session."""

    query: Query | AllRooms


def read(core: Core, session: Session, question: LogQuestion, done: Callable[[Any], None]) -> None:
    """Read the log for a session, as it is now, and call `done` later with the answer, or with a BrokerError."""
    query = question.query
    if query.viewer == ASKER:
        query = replace(query, viewer=core.viewer(session))
    core.read(replace(query, asker=session) if isinstance(query, Search) else query, done)


def current(core: Core, session: Session, result: LogPage | RoomList | BrokerError) -> LogPage | RoomList | BrokerError:
    """Return an answer as it is shown to the session: as of now, and without what people said whom it ignores."""
    result = as_of_now(core, session, result)
    return replace(result, entries=shown(session.ignored, result.entries)) if isinstance(result, LogPage) else result


def as_of_now(core: Core, _: Session, result: LogPage | RoomList | BrokerError) -> LogPage | RoomList | BrokerError:
    """Apply the newest redactions to an answer, which may have waited until the session took bytes again."""
    return replace(result, entries=core.redactions.apply(result.entries)) if isinstance(result, LogPage) else result


def question(request: type[Struct], answer: Callable[..., Event], start: Callable[..., None] = read) -> OperationKind:
    """Return the kind of the operations that reply with the event that `answer` makes of a page of the log.

    A BrokerError becomes a Refusal. The session's next commands wait until the reply; its replies do not.

    Args:
        request: the type of the requests.
        answer: is called with the hub, the session, the request and the page.
        start: reads the log; by default, the request is a LogQuestion.

    """

    def tell(core: Core, session: Session, asked: Any, result: Any) -> None:
        refusal = unread(result)
        core.reply(session, refusal or answer(core, session, asked, result))

    return OperationKind(request, tell, start, holds=False)


def unread(result: Any) -> Refusal | None:
    """Return the refusal that reports that the log could not be read; None for an answer."""
    if isinstance(result, Closed):
        return Refusal.of(result.refused)
    if isinstance(result, Busy):
        return Refusal.of(refusals.BUSY(reason=result))
    if isinstance(result, BrokerError):
        return Refusal.of(refusals.LOG_UNREADABLE(reason=result))
    return None


def raw_question(
    request: type[LogQuestion], answer: Callable[..., None], seen: Callable[..., Any] = current
) -> OperationKind:
    """Return the kind of the operations that call `answer` with the answer of the log, a BrokerError included.

    The call takes the place of the question among the session's replies. `seen` makes the answer of what was read:
    `current`, or `as_of_now` for an operation that looks at messages of ignored people as well.
    """

    def reply(core: Core, session: Session, asked: LogQuestion, result: Any) -> None:
        answer(core, session, asked, seen(core, session, result))

    return OperationKind(request, reply, read)


class Asking(Protocol):
    """A client that asks the log: the hub and its session."""

    @property
    def hub(self) -> Core:
        """The hub."""
        ...

    @property
    def session(self) -> Session:
        """Its session."""
        ...


def client_question(request: type[LogQuestion], answer: Callable[..., None]) -> OperationKind:
    """Return the same kind for the operations of clients: `answer` is called with the client first."""

    def start(client: Asking, asked: LogQuestion, done: Callable[[Any], None]) -> None:
        read(client.hub, client.session, asked, done)

    def reply(client: Asking, asked: LogQuestion, result: Any) -> None:
        answer(client, asked, current(client.hub, client.session, result))

    return OperationKind(request, reply, start)
