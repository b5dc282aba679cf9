"""The client of the NATS servers: it connects, and sends and receives messages, with every wait bounded.

nats-py connects, reconnects, and handles credentials and TLS.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import socket
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import msgspec
from nats import errors
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription

from hubbub.cluster.nats.link.identity import from_credentials, from_file
from hubbub.cluster.nats.link.messages import GONE
from hubbub.errors import BrokerError, SettingsError, reason
from hubbub.text.cleaning import clean
from hubbub.text.concealed import concealed

log = logging.getLogger(__name__)

PING = 1.0  # seconds between two pings; a server that has not answered the last two is left at the next one
REACH = 1.0  # seconds that each step of connecting to a server may take
START = 6.0  # seconds in which a server must be found when hubbub starts
OLDEST = (2, 11)  # first version with a time to live for single messages and batched direct get
INBOX = "_INBOX."  # prefix of the subjects of replies
SCHEMES = frozenset({"nats", "tls", "ws", "wss"})
DISTRUSTED = 100  # maximum kinds of foreign messages that the console reports
SUBJECT_SHOWN = 80  # characters of a subject on the console


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

    __repr__ = concealed


class NatsClient:
    """One connection of this node to the servers, and the messages that are not stored.

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
        self._waiting: set[asyncio.Timeout] = set()  # of the requests without an answer yet
        self.ignored = 0  # messages that hubbub did not write
        self._told: set[tuple[str, str]] = set()  # kinds of these that the console has reported

    @property
    def up(self) -> bool:
        """Whether the connection is established."""
        return self._nats.is_connected

    async def connect(self) -> None:
        """Connect within START seconds, and check the server's version. Raises SettingsError."""
        client = Client()
        options = self._credentials(client)
        if context := self._tls():
            options["tls"] = context
        servers = self._servers()
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
                    # These are seconds, typed as int by nats-py.
                    **{"reconnect_time_wait": 0.25, "ping_interval": PING, "connect_timeout": REACH, **options},
                )
                self._nats = client
        except TimeoutError:
            why = self._error or "there is no answer"
            raise SettingsError(f"The NATS server {self._access.shown} cannot be reached: {why}.") from None
        except (OSError, errors.Error, ValueError) as error:
            text = reason(error) if isinstance(error, OSError) and error.errno else _plain(error)
            raise SettingsError(f"The NATS server {self._access.shown} cannot be reached: {text}.") from None
        await self._check_version()

    def _credentials(self, client: Client) -> dict[str, Any]:
        """Return the options that let a client log in to the servers. Raises SettingsError."""
        access = self._access
        if access.creds:
            from_credentials(access.creds)
            # The file is read again for each connection, because credentials expire and are replaced meanwhile.
            return {
                "user_jwt_cb": lambda: from_credentials(access.creds)[0],
                "signature_cb": lambda nonce: from_credentials(access.creds)[1].sign(nonce),
            }
        if access.nkey:
            identity = from_file(access.nkey)
            # nats-py has an option for the public key only if the library nkeys is installed.
            client._public_nkey = identity.public
            return {"signature_cb": identity.sign}
        return {}

    def _servers(self) -> list[str]:
        """Return the addresses of the servers in random order: the nodes spread over them. Raises SettingsError."""
        servers = [one if "://" in one else f"nats://{one}" for one in self._access.servers.split(",")]
        random.shuffle(servers)
        if strange := [one for one in servers if one.partition("://")[0] not in SCHEMES]:
            scheme = strange[0].partition("://")[0]
            raise SettingsError(
                f"The address of a NATS server must begin with nats:// or tls://, not with {scheme}://."
            )
        return servers

    async def _check_version(self) -> None:
        version = self._nats.connected_server_version
        if (version.major, version.minor) < OLDEST:
            await self.close()
            wanted = ".".join(map(str, OLDEST))
            raise SettingsError(f"The NATS server {self._access.shown} is {version}; hubbub needs {wanted} or newer.")

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
