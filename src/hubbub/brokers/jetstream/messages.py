"""Messages of a stream, as the servers send them: checked, for others may answer in their place."""

from __future__ import annotations

import base64
from datetime import datetime
from typing import Any, NamedTuple

from nats.aio.msg import Msg

from hubbub.errors import BrokerError

GONE = "the chat's servers cannot be reached just now"
HIGHEST = 1 << 53  # a number of a message: a stream of 10,000 messages a second has it after 28,000 years


class NatsMessage(NamedTuple):
    """A message of a stream: number, subject, what is in it, and when it was stored."""

    number: int
    subject: str
    data: bytes
    time: float = 0.0  # epoch seconds, by the servers; 0 if that is not known

    @property
    def parts(self) -> tuple[bytes, int, float]:
        """What decodes it: data, number and time."""
        return self.data, self.number, self.time


class LiveCopy(NamedTuple):
    """A message as a server sends it on, and the number of the message before it in its subject."""

    message: NatsMessage
    before: int


def copied(message: Msg) -> LiveCopy:
    """Return what is in a message that a server has copied from a stream. Raises ValueError for what is none."""
    headers = message.headers or {}
    try:
        number, before = (int(headers[name]) for name in ("Nats-Sequence", "Nats-Last-Sequence"))
    except (LookupError, TypeError) as error:
        raise ValueError("it has no number") from error
    if not 0 <= before < number <= HIGHEST:
        raise ValueError("it has an impossible number")
    subject = headers.get("Nats-Subject", "")
    return LiveCopy(NatsMessage(number, subject, message.data, _epoch(headers.get("Nats-Time-Stamp", ""))), before)


def _epoch(stamp: str) -> float:
    """Return a time that a server writes in epoch seconds, 0 for what is none."""
    try:
        return datetime.fromisoformat(stamp).timestamp()
    except (ValueError, OverflowError):
        return 0.0


def answered(found: Any) -> NatsMessage:
    """Return a message that JetStream's interface has answered. Raises BrokerError if it is none."""
    try:
        data = base64.b64decode(found.get("data", ""))
        return NatsMessage(int(found["seq"]), str(found["subject"]), data, _epoch(found["time"]))
    except (AttributeError, LookupError, TypeError, ValueError) as error:
        raise BrokerError(GONE) from error
