"""Operations and steps: the entries among the replies of a session besides its postings and events."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from msgspec import Struct

from hubbub.model.events import Event


class Operation:
    """An operation of a session that ends later. The session's next command waits for the end.

    Args:
        kind: a word for the operation: load, claim, query, …
        about: the room or the name that it concerns.
        start: starts the operation when its turn among the session's replies comes. It receives a callback that it must
            call once, now or later, with the outcome. Without `start` the operation ends at its turn.
        answer: turns the outcome into the reply; None for no reply. After a `start` it is not called for a closed
            session.
        holds: whether the replies behind it wait for its outcome as well. If not, `answer` is called apart from them.

    """

    __slots__ = ("about", "answer", "done", "holds", "kind", "outcome", "start", "started")

    def __init__(
        self,
        kind: str,
        about: str = "",
        start: Callable[[Callable[[Any], None]], None] | None = None,
        answer: Callable[[Any], Event | None] = lambda outcome: None,
        holds: bool = True,
    ) -> None:
        self.kind = kind
        self.about = about
        self.start = start
        self.answer = answer
        self.holds = holds
        self.started = False
        self.done = start is None
        self.outcome: Any = None


class HubStep(Struct, eq=False):
    """Something that the hub does for a session when its turn among the replies comes, and that may make an event.

    It is data: the waiting of a session can be read, dropped or written down.

    Args:
        kind: names the function in `Session.steps` (steps.py).
        args: the arguments of the function after the session.

    """

    kind: str
    args: tuple[Any, ...] = ()


class ClientStep(Struct, eq=False):
    """The same for the client of a session: the kind names the function in `Session.client_steps`."""

    kind: str
    args: tuple[Any, ...] = ()


StepTable = Mapping[str, Callable[..., Event | None]]  # the functions of steps, by kind

DELIVER = "deliver"  # the kind of the step that starts the delivery of a room's entries
