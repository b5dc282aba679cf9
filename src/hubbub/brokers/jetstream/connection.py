"""The connection to the NATS servers: requests to JetStream, with every wait bounded.

nats-py brings connecting, reconnecting, credentials and TLS. What it has no call for (batched direct get, CAS with a
time to live, an outcome that tells "unknown" from "rejected") are a few requests over it, made here.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
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

from hubbub.brokers.jetstream.identity import from_credentials, from_file
from hubbub.brokers.jetstream.messages import GONE, NatsMessage, answered, copied
from hubbub.core.text import clean
from hubbub.errors import BrokerError, SettingsError, reason

log = logging.getLogger(__name__)

PATIENCE = 3.0  # seconds that a question may take
ATTEMPT = 1.5  # seconds until a publish is tried again
START = 6.0  # seconds in which a server must be found when hubbub starts
OLDEST = (2, 11)  # versions before it have no time to live for single messages, and no batched direct get
INBOX = "_INBOX."  # begins the subjects at which answers are waited for
SCHEMES = frozenset({"nats", "tls", "ws", "wss"})
FULL_DISK = "the disk is full"
REFUSED = "the chat's servers refuse it"

WRONG_LAST = 10071  # err_code: not the sequence that was expected
UNDER_WAY = 10164  # the same, of a cluster: somebody else's message is being stored
SETTLING = 0.02  # seconds in which that is likely to be decided
# Checked before anything is written: nothing is stored. Of other failures of the storage that is not sure.
FULL = frozenset({10023, 10047})
DISTRUSTED = 100  # kinds of messages that hubbub did not write, of each of which the console has a line
SUBJECT_SHOWN = 80  # characters of a subject on the console
NO_MESSAGE = 10037
NOT_THERE = frozenset({NO_MESSAGE, 10043, 10057})  # there is no message of that number


class Unknown(BrokerError):
    """A message may be stored, or not: its server did not say."""

    def __init__(self) -> None:
        super().__init__(GONE)


class Unsent(BrokerError):
    """A message was not even sent."""

    def __init__(self) -> None:
        super().__init__(GONE)


class Rejected(BrokerError):
    """A message is not stored; the text says why, in a form for people."""

    def __init__(self, text: str, code: int = 0) -> None:
        super().__init__(text)
        self.code = code


class Taken(BrokerError):
    """What was to be replaced is not what was expected; or that is not known, because an answer was lost."""

    def __init__(self) -> None:
        super().__init__(GONE)


def is_full(error: BrokerError) -> bool:
    """Return whether something was not stored because the servers have no space left."""
    return isinstance(error, Rejected) and error.code in FULL


@dataclass(frozen=True, slots=True)
class NatsCredentials:
    """How to reach the servers: addresses, and files or none of credentials, NKEY seed, CA, certificate and key."""

    servers: str
    creds: str = ""
    nkey: str = ""
    ca: str = ""
    cert: str = ""
    key: str = ""

    @property
    def shown(self) -> str:
        """The addresses without passwords."""
        return ",".join(
            one.rpartition("@")[2] if "@" in one else one.partition("://")[2] or one for one in self.servers.split(",")
        )


class NatsConnection:
    """One connection of this node to the servers.

    Args:
        access: where they are, and who this is.
        name: what the servers call this client.
        changed: called with whether they can be reached, when that has changed.

    """

    def __init__(self, access: NatsCredentials, name: str, changed: Callable[[bool], None]) -> None:
        self._access = access
        self._name = name
        self._changed = changed
        self._nats: Client
        self._error = ""
        self._pages: dict[str, tuple[list[NatsMessage], asyncio.Future[None]]] = {}
        self._asked = 0
        self.ignored = 0  # messages that hubbub did not write
        self._told: set[tuple[str, str]] = set()  # of which kinds of these the console has a line

    @property
    def up(self) -> bool:
        """Whether the connection is there."""
        return self._nats.is_connected

    async def connect(self) -> None:
        """Connect, and see that the server will do. Raises SettingsError."""
        access = self._access
        options: dict[str, Any] = {"reconnect_time_wait": 0.25}  # seconds; a whole number by the library's types
        client = Client()
        if access.creds:
            # Read again for each connection: credentials expire, and are replaced while the node runs.
            options["user_jwt_cb"] = lambda: from_credentials(access.creds)[0]
            options["signature_cb"] = lambda nonce: from_credentials(access.creds)[1].sign(nonce)
            from_credentials(access.creds)
        elif access.nkey:
            identity = from_file(access.nkey)
            client._public_nkey = identity.public  # there is an option for it only with the library nkeys
            options["signature_cb"] = identity.sign
        if context := self._tls():
            options["tls"] = context
        servers = [one if "://" in one else f"nats://{one}" for one in access.servers.split(",")]
        if strange := [one for one in servers if one.partition("://")[0] not in SCHEMES]:
            scheme = strange[0].partition("://")[0]
            raise SettingsError(f"The address of a NATS server begins with nats:// or tls://, not with {scheme}://.")
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
                    connect_timeout=2,
                    ping_interval=2,
                    max_outstanding_pings=2,
                    pending_size=0,  # or what was given up as not sent would be sent after all
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
        """Let go of the connection."""
        with contextlib.suppress(errors.Error, OSError, TimeoutError):
            async with asyncio.timeout(1):
                await self._nats.close()

    async def leave_server(self) -> None:
        """Connect to another server: this one is there, and does nothing."""
        with contextlib.suppress(errors.Error, OSError, TimeoutError):
            async with asyncio.timeout(2):
                await self._nats.force_reconnect()

    async def flush(self) -> None:
        """Wait until the server has all that was sent. Raises BrokerError."""
        try:
            await self._nats.flush(timeout=2)
        except (errors.Error, OSError, TimeoutError):
            raise BrokerError(GONE) from None

    async def _on_error(self, error: Exception) -> None:
        if not (self._error and isinstance(error, OSError)):  # a reset connection says less than what came before it
            self._error = _plain(error)
        log.debug("nats: %r", error)

    async def _on_down(self) -> None:
        self._changed(False)

    async def _on_up(self) -> None:
        self._changed(True)

    # --- messages -------------------------------------------------------------------------------------------------

    async def subscribe(self, subject: str, callback: Callable[[Msg], Awaitable[None]]) -> Subscription:
        """Let `callback`, which must not wait, have every message of a subject; nothing is dropped on the way.

        Whatever somebody sends there, the next message is taken. What `callback` refuses with ValueError is ignored.
        """

        async def guarded(message: Msg) -> None:
            try:
                await callback(message)
            except (ValueError, msgspec.MsgspecError) as error:
                self.distrust(message.subject, str(error))
            except Exception:
                log.exception("a message on %s cannot be taken", clean(message.subject[:SUBJECT_SHOWN]))

        return await self._nats.subscribe(subject, cb=guarded, pending_msgs_limit=0, pending_bytes_limit=0)

    def distrust(self, subject: str, why: str) -> None:
        """Say that a message is ignored, because hubbub did not write it: once for each kind of subject and reason."""
        self.ignored += 1
        kind = ".".join(subject.split(".")[:2])[:SUBJECT_SHOWN], why[:SUBJECT_SHOWN]
        if kind not in self._told and len(self._told) < DISTRUSTED:
            self._told.add(kind)
            shown = clean(subject[:SUBJECT_SHOWN])
            log.warning("A message on %s is ignored, because hubbub did not write it: %s", shown, clean(kind[1]))

    async def unsubscribe(self, subscription: Subscription) -> None:
        """Have no more of it."""
        with contextlib.suppress(errors.Error, OSError):
            await subscription.unsubscribe()

    async def tell(self, subject: str, data: bytes, reply: str = "") -> None:
        """Send what is stored nowhere. It is lost if the servers cannot be reached."""
        with contextlib.suppress(errors.Error, OSError):
            await self._nats.publish(subject, data, reply=reply)

    async def reply(self, message: Msg, data: bytes) -> None:
        """Answer a message, if whoever sent it waits for that: it could name any other subject to be written to."""
        if message.reply.startswith(INBOX):
            await self.tell(message.reply, data)

    async def answer(self, subject: str) -> Subscription:
        """Answer whoever asks there that this node is alive, until that is unsubscribed."""

        async def reply(message: Msg) -> None:
            await self.reply(message, b"")

        return await self.subscribe(subject, reply)

    async def request(self, subject: str, data: bytes = b"", patience: float = 1.0) -> bytes | None:
        """Return what is answered there within `patience` seconds, None if nothing is."""
        try:
            return bytes((await self._nats.request(subject, data, timeout=patience)).data)
        except (errors.Error, OSError, TimeoutError):
            return None

    async def publish(self, subject: str, data: bytes, headers: Mapping[str, str]) -> int:
        """Store a message, and return its number in the stream.

        Raises:
            Unsent: there is no connection, or nobody who stores: it is not stored.
            Rejected: it is not stored, and never will be.
            Unknown: there was no answer in time.

        """
        try:
            answer = await self._nats.request(subject, data, timeout=ATTEMPT, headers=dict(headers))
        except (errors.OutboundBufferLimitError, errors.NoRespondersError, errors.ConnectionClosedError) as error:
            raise Unsent from error
        except errors.MaxPayloadError:
            raise Rejected("it is too long") from None
        except (errors.Error, OSError, TimeoutError) as error:
            raise Unknown from error
        outcome = _decode(answer)
        if trouble := outcome.get("error"):
            code = trouble.get("err_code", 0)
            if 400 <= trouble["code"] < 500:
                log.debug("refused: %s", trouble.get("description"))
                raise Rejected(REFUSED, code)
            if code in FULL:
                raise Rejected(FULL_DISK, code)
            log.debug("not stored, or not for certain: %s", trouble.get("description"))
            raise Unknown
        if not isinstance(number := outcome.get("seq"), int):
            raise Unknown
        return number

    async def replace(self, subject: str, data: bytes, expected: int, seconds: int = 0) -> int:
        """Store a message if the last one of its subject is the one with number `expected`, 0 for none.

        Args:
            subject: the subject.
            data: what to store.
            expected: a number.
            seconds: after which the servers forget it; 0 for never.

        Returns:
            Its number.

        Raises:
            Taken: the last one is another.
            BrokerError: it could not be done.

        """
        headers = {"Nats-Expected-Last-Subject-Sequence": str(expected)}
        if seconds:
            headers["Nats-TTL"] = f"{seconds}s"
        try:
            return await self.publish(subject, data, headers)
        except Unknown:
            raise Taken from None
        except Rejected as refusal:
            if refusal.code == UNDER_WAY:
                await asyncio.sleep(SETTLING)
            if refusal.code in (WRONG_LAST, UNDER_WAY):
                raise Taken from None
            raise

    async def delete(self, stream: str, number: int) -> bool:
        """Delete a message; return whether it was there. Raises BrokerError."""
        try:
            await self.ask(f"STREAM.MSG.DELETE.{stream}", {"seq": number, "no_erase": True})
        except Rejected as refusal:
            if refusal.code not in NOT_THERE:  # there is no leader just now, say
                raise BrokerError(GONE) from refusal
            return False
        return True

    async def ask(self, what: str, question: object = None, patience: float = PATIENCE) -> dict[str, Any]:
        """Ask JetStream's interface something, and return the answer.

        Raises:
            Rejected: it says no.
            BrokerError: it does not answer.

        """
        data = b"" if question is None else msgspec.json.encode(question)
        try:
            answer = await self._nats.request(f"$JS.API.{what}", data, timeout=patience)
        except (errors.Error, OSError, TimeoutError) as error:
            raise BrokerError(GONE) from error
        outcome = _decode(answer)
        if trouble := outcome.get("error"):
            raise Rejected(str(trouble.get("description")), trouble.get("err_code", 0))
        return outcome

    async def last(self, stream: str, subject: str) -> NatsMessage | None:
        """Return the last message of a subject, as the stream's leader knows it. Raises BrokerError."""
        try:
            found = (await self.ask(f"STREAM.MSG.GET.{stream}", {"last_by_subj": subject})).get("message")
        except Rejected as refusal:
            if refusal.code == NO_MESSAGE:
                return None
            raise BrokerError(GONE) from refusal  # of a stream that is not there, say, nothing is known
        return answered(found)

    async def at(self, stream: str, number: int) -> NatsMessage | None:
        """Return a message of a stream, as its leader knows it; None if it is not there. Raises BrokerError."""
        try:
            found = (await self.ask(f"STREAM.MSG.GET.{stream}", {"seq": number})).get("message")
        except Rejected as refusal:
            if refusal.code in NOT_THERE:
                return None
            raise BrokerError(GONE) from refusal
        return answered(found)

    async def batch(self, stream: str, question: object) -> list[NatsMessage]:
        """Return messages by batched direct get (ADR-31): a replica that lags behind may answer. Raises BrokerError."""
        self._asked += 1
        token = f"{self._asked:x}"
        page: list[NatsMessage] = []
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._pages[token] = page, done
        try:
            await self._nats.publish(
                f"$JS.API.DIRECT.GET.{stream}", msgspec.json.encode(question), reply=f"{self._inbox}.{token}"
            )
            async with asyncio.timeout(PATIENCE):  # not around the publish: nats-py swallows what ends it from outside
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
        elif status in ("204", "404"):  # no more, or nothing
            done.set_result(None)
        else:
            done.set_exception(BrokerError(GONE))


class _Trouble(msgspec.Struct):
    """What is wrong, as JetStream's interface says it."""

    code: int
    err_code: int = 0


def _decode(answer: Msg) -> dict[str, Any]:
    """Return what the servers answer; nothing if somebody else does, who answers something else."""
    try:
        outcome = msgspec.json.decode(answer.data, type=dict[str, Any])
        msgspec.convert(outcome.get("error"), _Trouble | None)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        log.debug("somebody who is no NATS server answers on %s", answer.subject)
        return {"error": {"code": 503}}
    return outcome


def _plain(error: Exception) -> str:
    """Return what is wrong, without the library's prefixes."""
    if isinstance(error, TimeoutError):  # that of nats-py is one as well
        return "there is no answer as of a NATS server"
    if isinstance(error, socket.gaierror):
        return "the name of the host is not known"
    if isinstance(error, OSError) and error.errno:
        return reason(error)
    text = str(error).removeprefix("nats: ").strip("'\"") or type(error).__name__
    return text.lower() if isinstance(error, errors.Error) else text[:1].lower() + text[1:]
