"""The connection to the NATS servers: requests to JetStream, with every wait bounded.

nats-py lacks the batched direct get, compare-and-swap with a time to live, and outcomes that distinguish "unknown" from
"rejected"; this module implements them as plain requests.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from typing import Any

import msgspec
from nats import errors
from nats.aio.msg import Msg

from hubbub.cluster.nats.link.client import NatsClient, NatsCredentials
from hubbub.cluster.nats.link.messages import GONE, NatsMessage, answered, copied
from hubbub.cluster.nats.link.outcomes import (
    FULL,
    FULL_DISK,
    NO_MESSAGE,
    NOT_THERE,
    REFUSED,
    UNDER_WAY,
    WRONG_LAST,
    OutcomeUnknown,
    Rejected,
    Taken,
    Unsent,
)
from hubbub.errors import BrokerError

log = logging.getLogger(__name__)

PATIENCE = 3.0  # seconds that a request may take
READ = 1.5  # seconds that a request for messages may take
ATTEMPT = 1.5  # seconds that a publish waits for its answer
RETRY = 0.5  # the same, after the first attempt: the servers recognise the message by its id
SETTLING = 0.02  # seconds in which the message of another client is likely to be stored


class NatsConnection(NatsClient):
    """One connection of this node to the servers, with requests to JetStream.

    Args:
        access: the addresses and credentials.
        name: the name of this client in the servers' view.
        changed: called with True when the servers can be reached again, and with False when the connection is lost.

    """

    def __init__(self, access: NatsCredentials, name: str, changed: Callable[[bool], None]) -> None:
        super().__init__(access, name, changed)
        self._pages: dict[str, tuple[list[NatsMessage], asyncio.Future[None]]] = {}
        self._asked = 0

    async def connect(self) -> None:
        """Connect within START seconds, and check the server's version. Raises SettingsError."""
        await super().connect()
        self._inbox = self._nats.new_inbox()
        await self._nats.subscribe(f"{self._inbox}.*", cb=self._on_page, pending_msgs_limit=0, pending_bytes_limit=0)

    async def _on_down(self) -> None:
        for _, done in self._pages.values():
            if not done.done():
                done.set_exception(BrokerError(GONE))
        await super()._on_down()

    async def publish(self, subject: str, data: bytes, headers: Mapping[str, str], patience: float = ATTEMPT) -> int:
        """Store a message, and return its number in the stream; wait `patience` seconds for the answer.

        Raises:
            Unsent: there is no connection, or no server that stores it: it is not stored.
            Rejected: it is not stored, and never will be.
            OutcomeUnknown: there was no answer in time.

        """
        try:
            answer = await self._request(subject, data, patience, dict(headers))
        except (errors.OutboundBufferLimitError, errors.NoRespondersError, errors.ConnectionClosedError) as error:
            raise Unsent from error
        except errors.MaxPayloadError:
            raise Rejected("it is too long") from None
        except (errors.Error, OSError, TimeoutError) as error:
            raise OutcomeUnknown from error
        outcome = _decode(answer)
        if trouble := outcome.get("error"):
            code = trouble.get("err_code", 0)
            if 400 <= trouble["code"] < 500:
                log.debug("refused: %s", trouble.get("description"))
                raise Rejected(REFUSED, code)
            if code in FULL:
                raise Rejected(FULL_DISK, code)
            log.debug("not stored, or not for certain: %s", trouble.get("description"))
            raise OutcomeUnknown
        if not isinstance(number := outcome.get("seq"), int):
            raise OutcomeUnknown
        return number

    async def replace(self, subject: str, data: bytes, expected: int, seconds: int = 0) -> int:
        """Store a message if the last one of its subject has the number `expected`.

        Args:
            subject: the subject.
            data: the data of the message.
            expected: the number of the last message, 0 if the subject must have none.
            seconds: the time after which the servers delete the message; 0 for never.

        Returns:
            The number of the stored message.

        Raises:
            Taken: the last message has another number, or the outcome is unknown.
            BrokerError: the message could not be stored.

        """
        headers = {"Nats-Expected-Last-Subject-Sequence": str(expected)}
        if seconds:
            headers["Nats-TTL"] = f"{seconds}s"
        try:
            return await self.publish(subject, data, headers)
        except OutcomeUnknown:
            raise Taken from None
        except Rejected as refusal:
            if refusal.code == UNDER_WAY:
                await asyncio.sleep(SETTLING)
            if refusal.code in (WRONG_LAST, UNDER_WAY):
                raise Taken from None
            raise

    async def delete(self, stream: str, number: int) -> bool:
        """Delete a message of a stream; return whether it existed. Raises BrokerError."""
        try:
            await self.ask(f"STREAM.MSG.DELETE.{stream}", {"seq": number, "no_erase": True})
        except Rejected as refusal:
            # For example, the stream has no leader at the moment.
            if refusal.code not in NOT_THERE:
                raise BrokerError(GONE) from refusal
            return False
        return True

    async def ask(self, subject: str, question: object = None, patience: float = PATIENCE) -> dict[str, Any]:
        """Send a request to the JetStream API, and return its answer.

        Args:
            subject: the subject of the request, without its prefix `$JS.API.`.
            question: the content of the request; None for none.
            patience: the time to wait for an answer, in seconds.

        Raises:
            Rejected: the answer is an error.
            BrokerError: there is no answer.

        """
        data = b"" if question is None else msgspec.json.encode(question)
        try:
            answer = await self._request(f"$JS.API.{subject}", data, patience)
        except (errors.Error, OSError, TimeoutError) as error:
            raise BrokerError(GONE) from error
        outcome = _decode(answer)
        if trouble := outcome.get("error"):
            raise Rejected(str(trouble.get("description")), trouble.get("err_code", 0))
        return outcome

    async def last(self, stream: str, subject: str) -> NatsMessage | None:
        """Return the last message of a subject from the stream's leader; None if there is none. Raises BrokerError."""
        try:
            found = (await self.ask(f"STREAM.MSG.GET.{stream}", {"last_by_subj": subject}, READ)).get("message")
        except Rejected as refusal:
            if refusal.code == NO_MESSAGE:
                return None
            # Any other refusal, such as a missing stream, does not show that the subject is empty.
            raise BrokerError(GONE) from refusal
        return answered(found)

    async def at(self, stream: str, number: int) -> NatsMessage | None:
        """Return the message of a number from the stream's leader; None if there is none. Raises BrokerError."""
        try:
            found = (await self.ask(f"STREAM.MSG.GET.{stream}", {"seq": number}, READ)).get("message")
        except Rejected as refusal:
            if refusal.code in NOT_THERE:
                return None
            raise BrokerError(GONE) from refusal
        return answered(found)

    async def batch(self, stream: str, question: object) -> list[NatsMessage]:
        """Return messages by a batched direct get (ADR-31): a replica that lags behind may answer.

        Raises BrokerError.
        """
        self._asked += 1
        token = f"{self._asked:x}"
        page: list[NatsMessage] = []
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._pages[token] = page, done
        try:
            await self._nats.publish(
                f"$JS.API.DIRECT.GET.{stream}", msgspec.json.encode(question), reply=f"{self._inbox}.{token}"
            )
            # The timeout must not cover the publish above: nats-py swallows a cancellation from outside.
            async with asyncio.timeout(READ):
                await done
        except (errors.Error, OSError, TimeoutError) as error:
            raise BrokerError(GONE) from error
        finally:
            del self._pages[token]
        return page

    async def _on_page(self, message: Msg) -> None:
        page, done = self._pages.get(message.subject.rpartition(".")[2], (None, None))
        if page is None or done is None or done.done():
            return
        headers = message.headers or {}
        status = headers.get("Status")
        if status is None:
            try:
                page.append(copied(message).message)
            except ValueError:
                done.set_exception(BrokerError(GONE))
        elif status in ("204", "404"):  # end of the batch, or no message
            done.set_result(None)
        else:
            done.set_exception(BrokerError(GONE))


class _Trouble(msgspec.Struct):
    """The error object in an answer of the JetStream API."""

    code: int
    err_code: int = 0


def _decode(answer: Msg) -> dict[str, Any]:
    """Return a decoded answer of the JetStream API; an error 503 if the answer has another format.

    Other programs may answer on the same subject.
    """
    try:
        outcome = msgspec.json.decode(answer.data, type=dict[str, Any])
        msgspec.convert(outcome.get("error"), _Trouble | None)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        log.debug("an answer on %s does not come from a NATS server", answer.subject)
        return {"error": {"code": 503}}
    return outcome
