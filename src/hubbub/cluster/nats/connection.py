"""The connection to the NATS servers: requests to JetStream, with every wait bounded.

nats-py connects, reconnects, and handles credentials and TLS. It lacks the batched direct get, compare-and-swap with a
time to live, and outcomes that distinguish "unknown" from "rejected"; this module implements them as plain requests.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import socket
import ssl
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec
from nats import errors
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription

from hubbub.cluster.nats.identity import from_credentials, from_file
from hubbub.cluster.nats.messages import GONE, NatsMessage, answered, copied
from hubbub.errors import BrokerError, SettingsError, reason
from hubbub.text.cleaning import clean

log = logging.getLogger(__name__)

PATIENCE = 3.0  # seconds that a request may take
READ = 1.5  # seconds that a request for messages may take
ATTEMPT = 1.5  # seconds that a publish waits for its answer
RETRY = 0.5  # the same, after the first attempt: the servers recognise the message by its id
PING = 1.0  # seconds between two pings; a server that has not answered the last two is left at the next one
REACH = 1.0  # seconds that each step of connecting to a server may take
START = 6.0  # seconds in which a server must be found when hubbub starts
OLDEST = (2, 11)  # first version with a time to live for single messages and batched direct get
INBOX = "_INBOX."  # prefix of the subjects of replies
SCHEMES = frozenset({"nats", "tls", "ws", "wss"})
FULL_DISK = "the disk is full"
REFUSED = "the chat's servers refuse it"

WRONG_LAST = 10071  # err_code: the last sequence is not the expected one
UNDER_WAY = 10164  # err_code of a cluster: another client's message is being stored
SETTLING = 0.02  # seconds in which that message is likely to be stored
# The server checks for these before it writes, so nothing is stored. After other storage failures that is not certain.
FULL = frozenset({10023, 10047})
DISTRUSTED = 100  # maximum kinds of foreign messages that the console reports
SUBJECT_SHOWN = 80  # characters of a subject on the console
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


@dataclass(frozen=True, slots=True)
class NatsCredentials:
    """The addresses of the servers, separated by commas, and the files for the login and TLS; "" for no file.

    The files are: NATS credentials, an NKEY seed, the CA's certificate, the client's certificate and its key.
    """

    servers: str
    creds: str = ""
    nkey: str = ""
    ca: str = ""
    cert: str = ""
    key: str = ""

    @property
    def shown(self) -> str:
        """The addresses without users and passwords, for messages."""
        return ",".join(
            one.rpartition("@")[2] if "@" in one else one.partition("://")[2] or one for one in self.servers.split(",")
        )


class NatsConnection:
    """One connection of this node to the servers.

    Args:
        access: the addresses and credentials.
        name: the name of this client in the servers' view.
        changed: called with True when the servers can be reached again, and with False when the connection is lost.

    """

    def __init__(self, access: NatsCredentials, name: str, changed: Callable[[bool], None]) -> None:
        self._access = access
        self._name = name
        self._changed = changed
        self._nats: Client
        self._error = ""
        self._pages: dict[str, tuple[list[NatsMessage], asyncio.Future[None]]] = {}
        self._waiting: set[asyncio.Timeout] = set()  # of the requests without an answer yet
        self._asked = 0
        self.ignored = 0  # messages that hubbub did not write
        self._told: set[tuple[str, str]] = set()  # kinds of these that the console has reported

    @property
    def up(self) -> bool:
        """Whether the connection is established."""
        return self._nats.is_connected

    async def connect(self) -> None:
        """Connect within START seconds, and check the server's version. Raises SettingsError."""
        access = self._access
        # These are seconds, typed as int by nats-py.
        options: dict[str, Any] = {"reconnect_time_wait": 0.25, "ping_interval": PING, "connect_timeout": REACH}
        client = Client()
        if access.creds:
            # The file is read again for each connection, because credentials expire and are replaced meanwhile.
            options["user_jwt_cb"] = lambda: from_credentials(access.creds)[0]
            options["signature_cb"] = lambda nonce: from_credentials(access.creds)[1].sign(nonce)
            from_credentials(access.creds)
        elif access.nkey:
            identity = from_file(access.nkey)
            # nats-py has an option for the public key only if the library nkeys is installed.
            client._public_nkey = identity.public
            options["signature_cb"] = identity.sign
        if context := self._tls():
            options["tls"] = context
        servers = [one if "://" in one else f"nats://{one}" for one in access.servers.split(",")]
        random.shuffle(servers)  # the nodes spread over them
        if strange := [one for one in servers if one.partition("://")[0] not in SCHEMES]:
            scheme = strange[0].partition("://")[0]
            raise SettingsError(
                f"The address of a NATS server must begin with nats:// or tls://, not with {scheme}://."
            )
        try:
            async with asyncio.timeout(START):
                await client.connect(
                    servers,
                    name=self._name,
                    error_cb=self._on_error,
                    disconnected_cb=self._on_down,
                    reconnected_cb=self._on_up,
                    closed_cb=self._on_down,
                    max_reconnect_attempts=-1,
                    # In turn, so that a server that was lost is the last to be tried again.
                    dont_randomize=True,
                    max_outstanding_pings=2,
                    # With a send buffer, a message that was given up as not sent could still be sent later.
                    pending_size=0,
                    **options,
                )
                self._nats = client
        except TimeoutError:
            why = self._error or "there is no answer"
            raise SettingsError(f"The NATS server {access.shown} cannot be reached: {why}.") from None
        except (OSError, errors.Error, ValueError) as error:
            text = reason(error) if isinstance(error, OSError) and error.errno else _plain(error)
            raise SettingsError(f"The NATS server {access.shown} cannot be reached: {text}.") from None
        version = self._nats.connected_server_version
        if (version.major, version.minor) < OLDEST:
            await self.close()
            wanted = ".".join(map(str, OLDEST))
            raise SettingsError(f"The NATS server {access.shown} is {version}; hubbub needs {wanted} or newer.")
        self._inbox = self._nats.new_inbox()
        await self._nats.subscribe(f"{self._inbox}.*", cb=self._on_page, pending_msgs_limit=0, pending_bytes_limit=0)

    def _tls(self) -> ssl.SSLContext | None:
        access = self._access
        if not (access.ca or access.cert or "tls://" in access.servers):
            return None
        try:
            context = ssl.create_default_context(cafile=access.ca or None)
            if access.cert:
                context.load_cert_chain(access.cert, access.key or None)
        except (OSError, ssl.SSLError) as error:
            text = getattr(error, "reason", None) or reason(error)
            raise SettingsError(f"The certificate for NATS cannot be used: {text}.") from None
        return context

    async def close(self) -> None:
        """Close the connection within one second; ignore errors."""
        with contextlib.suppress(errors.Error, OSError, TimeoutError):
            async with asyncio.timeout(1):
                await self._nats.close()

    async def leave_server(self) -> None:
        """Reconnect to another server, because the current one accepts requests but does not answer them."""
        with contextlib.suppress(errors.Error, OSError, TimeoutError):
            async with asyncio.timeout(2):
                await self._nats.force_reconnect()

    async def flush(self) -> None:
        """Wait until the server has received everything that was sent, at most 2 seconds. Raises BrokerError."""
        try:
            await self._nats.flush(timeout=2)
        except (errors.Error, OSError, TimeoutError):
            raise BrokerError(GONE) from None

    async def _on_error(self, error: Exception) -> None:
        # A reset connection tells less than the error that came before it.
        if not (self._error and isinstance(error, OSError)):
            self._error = _plain(error)
        log.debug("nats: %r", error)

    async def _on_down(self) -> None:
        # No answer comes to the requests over the lost connection.
        now = asyncio.get_running_loop().time()
        for waiting in self._waiting:
            waiting.reschedule(now)
        for _, done in self._pages.values():
            if not done.done():
                done.set_exception(BrokerError(GONE))
        self._changed(False)

    async def _on_up(self) -> None:
        self._changed(True)

    # --- messages -------------------------------------------------------------------------------------------------

    async def subscribe(self, subject: str, callback: Callable[[Msg], Awaitable[None]]) -> Subscription:
        """Call `callback` with every message of a subject; no message is dropped.

        `callback` must not wait. A message for which it raises ValueError is ignored, and any other exception is
        logged; the next message is delivered in each case.
        """

        async def guarded(message: Msg) -> None:
            try:
                await callback(message)
            except (ValueError, msgspec.MsgspecError) as error:
                self.distrust(message.subject, str(error))
            except Exception:
                log.exception("a message on %s cannot be processed", clean(message.subject[:SUBJECT_SHOWN]))

        return await self._nats.subscribe(subject, cb=guarded, pending_msgs_limit=0, pending_bytes_limit=0)

    def distrust(self, subject: str, why: str) -> None:
        """Count a message that is ignored because hubbub did not write it, and log it once for each subject and reason.

        A subject counts by its first two tokens, and at most DISTRUSTED kinds are logged.
        """
        self.ignored += 1
        kind = ".".join(subject.split(".")[:2])[:SUBJECT_SHOWN], why[:SUBJECT_SHOWN]
        if kind not in self._told and len(self._told) < DISTRUSTED:
            self._told.add(kind)
            shown = clean(subject[:SUBJECT_SHOWN])
            log.warning("A message on %s is ignored, because hubbub did not write it: %s", shown, clean(kind[1]))

    async def unsubscribe(self, subscription: Subscription) -> None:
        """End a subscription; ignore errors."""
        with contextlib.suppress(errors.Error, OSError):
            await subscription.unsubscribe()

    async def tell(self, subject: str, data: bytes, reply: str = "") -> None:
        """Send a message that is not stored. It is lost if the servers cannot be reached."""
        with contextlib.suppress(errors.Error, OSError):
            await self._nats.publish(subject, data, reply=reply)

    async def reply(self, message: Msg, data: bytes) -> None:
        """Answer a message if its reply subject is an inbox: a foreign message could name any other subject there."""
        if message.reply.startswith(INBOX):
            await self.tell(message.reply, data)

    async def answer(self, subject: str) -> Subscription:
        """Answer every request to a subject with an empty message, as a sign that this node is alive.

        Return the subscription; it ends that.
        """

        async def reply(message: Msg) -> None:
            await self.reply(message, b"")

        return await self.subscribe(subject, reply)

    async def request(self, subject: str, data: bytes = b"", patience: float = 1.0) -> bytes | None:
        """Send a request to a subject; return the answer, or None if there is none within `patience` seconds."""
        try:
            return bytes((await self._request(subject, data, patience)).data)
        except (errors.Error, OSError, TimeoutError):
            return None

    async def _request(self, subject: str, data: bytes, patience: float, headers: dict[str, str] | None = None) -> Msg:
        """Send a request and return its answer.

        Raises errors of nats-py, OSError, and TimeoutError: after `patience` seconds, or when the connection is lost.
        """
        async with asyncio.timeout(None) as waiting:
            self._waiting.add(waiting)
            try:
                return await self._nats.request(subject, data, timeout=patience, headers=headers)
            finally:
                self._waiting.discard(waiting)

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


def _plain(error: Exception) -> str:
    """Return the text of an error in a form for users, without the library's prefixes."""
    if isinstance(error, TimeoutError):  # also the base class of nats-py's own
        return "there is no answer as of a NATS server"
    if isinstance(error, socket.gaierror):
        return "the name of the host is not known"
    if isinstance(error, OSError) and error.errno:
        return reason(error)
    text = str(error).removeprefix("nats: ").strip("'\"") or type(error).__name__
    return text.lower() if isinstance(error, errors.Error) else text[:1].lower() + text[1:]
