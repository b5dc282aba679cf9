"""Operations and steps: the entries among the replies of a session besides its postings and events."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from msgspec import Struct

from hubbub.model.events import Event
from hubbub.text.concealed import concealed


class Operation(Struct, eq=False):
    """An operation of a session that ends later. The session's next command waits for the end.

    It is data: the waiting of a session can be read, written down and begun again by another one.

    Args:
        kind: a word for it, such as login; with a request it names the functions, see OperationKind.
        request: its arguments, as plain data; None for one whose owner ends it with `Session.end`.
        started: whether its turn among the session's replies has come.
        done: whether it has its outcome.
        outcome: its outcome.

    """

    kind: str
    request: Any = None
    started: bool = False
    done: bool = False
    outcome: Any = None


class OperationKind(NamedTuple):
    """The functions of the operations with one type of request.

    Those of the hub are called with the session and the request, those of a client with the client and the request.

    Args:
        request: the type of the requests; its name is the kind of the operations.
        answer: turns the outcome, its last argument, into the reply; None for no reply. After a `start` it is not
            called for a closed session.
        start: starts an operation when its turn among the session's replies comes. Its last argument is a callback that
            it must call once, now or later, with the outcome. Without `start` the operation ends at its turn.
        holds: whether the replies behind it wait for its outcome as well. If not, `answer` is called apart from them.
        at_once: whether it starts at once, instead of in its turn; then nothing waits for it but the next commands.
        waits: whether the session's next command waits for it; always true of those that start at once.
        moves: whether another process can begin it again with the request alone: to begin it twice does no harm, and
            the request has no secret.

    """

    request: type[Struct]
    answer: Callable[..., Event | None]
    start: Callable[..., None] | None = None
    holds: bool = True
    at_once: bool = False
    waits: bool = True
    moves: bool = True


OperationTable = Mapping[str, OperationKind]  # by the names of the types of their requests


def no_reply(*_: object) -> None:
    """Answer an operation whose effects are all that its session sees of it."""


def by_name(*kinds: OperationKind) -> dict[str, OperationKind]:
    """Return a table of kinds of operations."""
    return {kind.request.__name__: kind for kind in kinds}


class ClientStep(Struct, eq=False):
    """Something that the client of a session does when its turn among the replies comes. It is data, like an operation.

    Args:
        kind: names the function in `Session.client_steps`.
        args: the arguments of the function after the client.

    """

    kind: str
    args: tuple[Any, ...] = ()

    __repr__ = concealed  # an argument may be the key of a channel


StepTable = Mapping[str, Callable[..., Event | None]]  # the functions of steps, by kind


class DeliveryStart(Struct, eq=False):
    """The place among the replies at which the delivery of a room's entries starts.

    It is no plain data, because it holds only for the room as this process has loaded it.

    Args:
        room: the loaded room.
        cursor: the position after which the entries are delivered.

    """

    room: Any
    cursor: Any
