"""The outcomes of requests to JetStream besides an answer, and the servers' codes for them."""

from __future__ import annotations

from hubbub.cluster.nats.link.messages import GONE
from hubbub.errors import BrokerError

FULL_DISK = "the disk is full"
REFUSED = "the chat's servers refuse it"

WRONG_LAST = 10071  # err_code: the last sequence is not the expected one
UNDER_WAY = 10164  # err_code of a cluster: another client's message is being stored
# The server checks for these before it writes, so nothing is stored. After other storage failures that is not certain.
FULL = frozenset({10023, 10047})
NO_MESSAGE = 10037  # err_code: no message of that subject or number
NOT_THERE = frozenset({NO_MESSAGE, 10043, 10057})  # err_codes: no message of that number


class OutcomeUnknown(BrokerError):
    """A message may be stored or not: the server did not answer, or its answer does not say it."""

    def __init__(self) -> None:
        super().__init__(GONE)


class Unsent(BrokerError):
    """A message was not sent, so it is not stored."""

    def __init__(self) -> None:
        super().__init__(GONE)


class Rejected(BrokerError):
    """A message is not stored.

    Args:
        text: the reason, in a form for users.
        code: the server's err_code, 0 if there is none.

    """

    def __init__(self, text: str, code: int = 0) -> None:
        super().__init__(text)
        self.code = code


class Taken(BrokerError):
    """The message to replace is not the expected one; or that is unknown, because an answer was lost."""

    def __init__(self) -> None:
        super().__init__(GONE)


def is_full(error: BrokerError) -> bool:
    """Return whether a message was not stored because the servers have no space left."""
    return isinstance(error, Rejected) and error.code in FULL
