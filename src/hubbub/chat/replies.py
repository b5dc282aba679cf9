"""The replies of a session: in the order of its requests, behind the drafts and operations before them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from types import MappingProxyType
from typing import Any, Generic, Protocol, TypeVar

from msgspec import Struct, structs

from hubbub.chat.posting import Barrier, PostingOf
from hubbub.chat.turns import ClientStep, DeliveryStart, Operation, OperationKind, OperationTable, StepTable
from hubbub.model.accounts.account import Account
from hubbub.model.client import Client
from hubbub.model.entries import HISTORY
from hubbub.model.events import Event, HistoryShown, PrivateShown, QueryResult
from hubbub.model.messages.redactions import Redactions
from hubbub.model.notices.ignoring import Ignored, shown

TURN_LIMIT = 256  # pending replies at which the session's next command has to wait
UNSETTLED_LIMIT = 64 * 1024  # characters of uncommitted text above which the session has to wait
# Shared by the users and sessions that have nothing of a kind. An empty dict of each one's own would take 64 bytes, an
# empty set 216.
NOTHING: Mapping[str, Any] = MappingProxyType({})

# An item among a session's replies: a posting or an operation of it, an event for it, a barrier, the start of the
# delivery of a room, or a step of its client.
Turn = PostingOf[Any] | Operation | Event | Barrier | DeliveryStart | ClientStep


class ReplyUser(Protocol):
    """The user of a session, as far as its replies need to know them; chat/users/user.py explains each."""

    @property
    def account(self) -> Account | None:
        """The account that the user owns."""
        ...

    @property
    def ignored(self) -> tuple[Ignored, ...]:
        """The people whose messages are hidden from the user."""
        ...

    @property
    def changing(self) -> list[Any]:
        """The user's drafts and operations that the next commands of all sessions wait for."""
        ...

    def end(self, operation: Operation) -> None:
        """End an operation."""
        ...


UserT = TypeVar("UserT", bound=ReplyUser)


class Replies(Generic[UserT]):
    """The part of a session that keeps its replies in order, and knows what its next command waits for.

    Args:
        client: the listener's side of the connection.

    """

    __slots__ = (
        "acts_for",
        "client",
        "client_operations",
        "client_steps",
        "closed",
        "deliver",
        "operations",
        "paused",
        "pending",
        "redactions",
        "replies",
        "unsettled",
        "user",
    )

    def __init__(self, client: Client) -> None:
        self.client = client
        self.deliver: Callable[[Any, Any, Any], None]  # starts the delivery of a room from a cursor; the hub sets it
        self.client_steps: StepTable = NOTHING  # the functions of its client's steps, called with the client
        # The functions of its operations: of the hub, called with the session, and of the client.
        self.operations: OperationTable = NOTHING
        self.client_operations: OperationTable = NOTHING
        self.user: UserT | None = None
        # The account that a program without a user acts for; see `Core.viewer_for`.
        self.acts_for: Account | None = None
        # Its drafts without an outcome and the replies behind them, in the order in which they are sent.
        self.replies: list[Turn] = []
        self.unsettled = 0  # characters of text in `replies` that wait for a commit
        # Its operations and postings that must end before its next command.
        self.pending: list[Operation | PostingOf[Any]] = []
        self.paused = False  # the transport takes no bytes
        self.redactions = Redactions()
        self.closed = False  # it has left; only its pending replies are still sent

    @property
    def account(self) -> Account | None:
        """The account that it acts for: its user's, or a program's; None for a guest."""
        return self.acts_for or (self.user.account if self.user else None)

    @property
    def ignored(self) -> tuple[Ignored, ...]:
        """The people whose messages are hidden from it."""
        account = self.account
        return account.ignored if account else self.user.ignored if self.user else ()

    @property
    def waits(self) -> bool:
        """Whether its next command must wait: for its own operations and postings, or for a change of its user."""
        return bool(self.pending or (self.user and self.user.changing))

    @property
    def is_blocked(self) -> bool:
        """Whether its next command must wait for its drafts, or until it reads its replies; not if it has none."""
        turn = self.replies
        if len(turn) >= TURN_LIMIT or self.unsettled > UNSETTLED_LIMIT:
            return True
        return self.paused and not all(isinstance(item, PostingOf) for item in turn)

    def begin(self, kind: str, request: Struct | None = None) -> Operation:
        """Return a new operation that has started; the next command of each session of its user waits for its `end`."""
        operation = Operation(kind, request)
        self.pending.append(operation)
        if self.user:
            self.user.changing.append(operation)
        return operation

    def start(self, request: Struct) -> None:
        """Start an operation of a kind that starts at once; the next commands wait for its end, as for `begin`."""
        self._start(self.begin(type(request).__name__, request))

    def end(self, operation: Operation) -> None:
        """End one of the session's operations; after the last one, let the clients take their next commands."""
        waited = operation in self.pending and not self.closed
        if operation in self.pending:
            self.pending.remove(operation)
        if self.user and operation in self.user.changing:
            self.user.end(operation)
        elif waited and not self.waits:
            self.client.resume_input()

    def queue(self, request: Struct) -> None:
        """Start an operation after the replies that wait already; its reply takes the place of the operation."""
        operation = Operation(type(request).__name__, request)
        if self.kind_of(operation)[0].waits:
            self.pending.append(operation)
        self.replies.append(operation)
        self.flush()

    def call_client(self, step: ClientStep, *more: Any) -> Event | None:
        """Let the client do a step at once, with further arguments."""
        return self.client_steps[step.kind](self.client, *step.args, *more)

    def flush(self) -> None:
        """Send the replies that are ready: all before the first posting or operation without an outcome."""
        turn = self.replies
        while turn and not self.paused:
            item = turn[0]
            if isinstance(item, Operation) and not item.started:
                self._start(item)
                continue
            if isinstance(item, (PostingOf, Operation, Barrier)) and not item.done:
                return
            del turn[0]
            if isinstance(item, PostingOf) and not (item.error or item.label):
                continue  # stored, and its session sees that by itself
            event = self._reply(item)
            if event is not None:
                self.client.send_event(self._current(event))

    def _reply(self, item: Turn) -> Event | None:
        """Return the event for a reply whose turn has come."""
        if isinstance(item, PostingOf):
            return item.outcome
        if isinstance(item, Operation):
            kind, party = self.kind_of(item)
            if kind.start and self.closed:
                return None
            if not kind.start and item in self.pending:
                self.pending.remove(item)
            return kind.answer(party, item.request, item.outcome)
        if isinstance(item, Barrier):
            return None
        if isinstance(item, ClientStep):
            return self.call_client(item)
        if isinstance(item, DeliveryStart):
            self.deliver(self, item.room, item.cursor)
            return None
        return item

    def kind_of(self, operation: Operation) -> tuple[OperationKind, Any]:
        """Return the functions of an operation, and the party that they are called with."""
        if kind := self.operations.get(operation.kind):
            return kind, self
        return self.client_operations[operation.kind], self.client

    def _start(self, operation: Operation) -> None:
        operation.started = True
        kind, party = self.kind_of(operation)
        if not (kind.holds or kind.at_once):
            del self.replies[0]
        if kind.start:
            kind.start(party, operation.request, partial(self._finish, operation))
        else:
            operation.done = True

    def _finish(self, operation: Operation, outcome: Any) -> None:
        """Note the outcome of an operation, and send the replies that waited for it."""
        operation.outcome, operation.done = outcome, True
        # A closed session is flushed, too: its Goodbye may wait behind the operation.
        self.flush()
        kind, party = self.kind_of(operation)
        try:
            if not self.closed and (kind.at_once or not kind.holds):
                kind.answer(party, operation.request, outcome)
        finally:  # else the session would wait for ever
            self.end(operation)

    def _current(self, event: Event) -> Event:
        """Return an event without texts that were redacted while it waited, and without those of ignored people."""
        if isinstance(event, PrivateShown):
            now = shown(self.ignored, event.entries)
            return event if now is event.entries else structs.replace(event, entries=now)
        if isinstance(event, HistoryShown):
            now = shown(self.ignored, self.redactions.apply(event.entries))
            said = [one for one in now if isinstance(one.body, HISTORY)]
            return event if now is event.entries else structs.replace(event, entries=said)
        if isinstance(event, QueryResult):
            now = shown(self.ignored, self.redactions.apply(event.page.entries))
            return (
                event
                if now is event.page.entries
                else structs.replace(event, page=structs.replace(event.page, entries=now))
            )
        return event
