"""The operations that a session waits for, written down as plain data, and begun again by another process."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from msgspec import convert, to_builtins

from hubbub.chat.posting import Barrier, PostingOf
from hubbub.chat.replies import Turn
from hubbub.chat.session import Session
from hubbub.chat.turns import ClientStep, Operation

Waiting = Sequence[tuple[str, Any]]  # kinds of operations with their requests, and of a client's steps with arguments


def can_move(session: Session) -> bool:
    """Return whether everything that a session's next command waits for can be begun again by another process."""
    return all(isinstance(item, Operation) and _moves(session, item) for item in session.pending)


def _moves(session: Session, operation: Operation) -> bool:
    return operation.request is not None and session.kind_of(operation)[0].moves


def state(session: Session) -> Waiting | None:
    """Return the operations and the client's steps of a session, in their order; None if it cannot be moved now.

    It cannot be moved while a draft of it has no outcome, while a reply has not been sent, or while it waits for an
    operation that only this process can end.
    """
    begun = [item for item in session.pending if item not in session.replies]
    found = []
    for item in (*begun, *session.replies):
        if _is_over(item):
            continue
        plain = _plain(session, item)
        if plain is None:
            return None
        found.append(plain)
    return found


def _is_over(item: Turn) -> bool:
    """Return whether an item only waits for its peer to read the replies before it, and will be no event itself."""
    if isinstance(item, PostingOf):
        return item.settled and not (item.error or item.label)
    return isinstance(item, Barrier) and item.done


def _plain(session: Session, item: Turn) -> tuple[str, Any] | None:
    if isinstance(item, ClientStep):
        return item.kind, list(item.args)
    if not isinstance(item, Operation) or not _moves(session, item):
        return None
    return item.kind, to_builtins(item.request, builtin_types=(bytes,))


def restore(session: Session, waiting: Waiting) -> None:
    """Let a session, which waits for nothing yet, wait for the same; its client must be there already.

    Raises:
        msgspec.ValidationError: the data is not that of `state`.
        KeyError: an operation has a kind that this process does not know.

    """
    for name, value in waiting:
        if name in session.client_steps:
            session.replies.append(ClientStep(name, tuple(value)))
            session.flush()
            continue
        kind = session.kind_of(Operation(name))[0]
        request = convert(value, kind.request)
        if kind.at_once:
            session.start(request)
        else:
            session.queue(request)
