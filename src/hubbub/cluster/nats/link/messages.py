"""Messages of a stream as the servers send them, checked, because other programs may answer instead of the servers."""

from __future__ import annotations

import base64
from datetime import datetime
from typing import Any, NamedTuple

from nats.aio.msg import Msg

from hubbub.errors import BrokerError

GONE = "the chat's servers cannot be reached right now"
HIGHEST = 1 << 53  # highest message number: reached after 28,000 years at 10,000 messages per second


class NatsMessage(NamedTuple):
    """A message of a stream: its number, its subject, its data, and the time at which it was stored."""

    number: int
    subject: str
    data: bytes
    time: float = 0.0  # epoch seconds on the servers' clock; 0 if unknown

    @property
    def parts(self) -> tuple[bytes, int, float]:
        """The arguments of `batches.decode`: data, number and time."""
        return self.data, self.number, self.time


class LiveCopy(NamedTuple):
    """A republished copy of a stored message, and the number of the message before it in its subject."""

    message: NatsMessage
    before: int


def copied(message: Msg) -> LiveCopy:
    """Return the stored message that a server has copied. Raises ValueError if the message is no such copy."""
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
    """Return a server's time stamp in epoch seconds, 0 if it cannot be read."""
    try:
        return datetime.fromisoformat(stamp).timestamp()
    except (ValueError, OverflowError):
        return 0.0


def answered(found: Any) -> NatsMessage:
    """Return the stream message in an answer of the JetStream API. Raises BrokerError if there is none."""
    try:
        data = base64.b64decode(found.get("data", ""))
        return NatsMessage(int(found["seq"]), str(found["subject"]), data, _epoch(found["time"]))
    except (AttributeError, LookupError, TypeError, ValueError) as error:
        raise BrokerError(GONE) from error
