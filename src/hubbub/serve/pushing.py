"""Send notifications over HTTP, to addresses on the internet or in networks that the operator allows."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable, Sequence
from urllib.parse import urlsplit

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.resolver import ThreadedResolver

from hubbub.model.notices.push import Network, Push, is_gotify, is_number, may_reach

log = logging.getLogger("hubbub")

AT_ONCE = 8  # requests of all accounts
TIMEOUT = aiohttp.ClientTimeout(total=10.0)  # seconds for a whole request
GONE = (404, 410)  # statuses that say that nobody takes notifications there any more


class _CheckedResolver(AbstractResolver):
    """Resolve names only to addresses that may be reached: the connection goes to exactly these."""

    def __init__(self, encrypted: bool, allowed: Sequence[Network]) -> None:
        self._encrypted = encrypted
        self._allowed = allowed
        self._names = ThreadedResolver()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Return the addresses of a name. Raises OSError if there are none that may be reached."""
        found = await self._names.resolve(host, port, family)
        right = [one for one in found if may_reach(one["host"], self._encrypted, self._allowed)]
        if not right:
            raise OSError("the address may not be reached")
        return right

    async def close(self) -> None:
        """Do nothing: the resolver holds nothing that must be released."""


class PushSender:
    """Send notifications, a few at a time.

    Args:
        loop: the running event loop.
        allowed: networks that may be reached although they are not public, and without encryption.

    """

    def __init__(self, loop: asyncio.AbstractEventLoop, allowed: Sequence[Network]) -> None:
        self._loop = loop
        self._allowed = allowed
        self._turns = asyncio.Semaphore(AT_ONCE)
        self._tasks: set[asyncio.Task[None]] = set()

    def send(self, url: str, push: Push, done: Callable[[bool], None]) -> None:
        """Send a notification to a URL; call `done` with True if there is nobody at that URL any more."""
        task = self._loop.create_task(self._send(url, push, done))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _send(self, url: str, push: Push, done: Callable[[bool], None]) -> None:
        status = 0
        async with self._turns:
            try:
                status = await self._post(url, push)
            except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
                # The URL is a secret of its owner.
                log.info("a notification could not be sent: %s", type(error).__name__)
        done(status in GONE)

    async def _post(self, url: str, push: Push) -> int:
        parts = urlsplit(url)
        encrypted, host = parts.scheme == "https", parts.hostname or ""
        if is_number(host) and not may_reach(host, encrypted, self._allowed):  # these are not resolved
            raise OSError("the address may not be reached")
        connector = aiohttp.TCPConnector(resolver=_CheckedResolver(encrypted, self._allowed), use_dns_cache=False)
        async with aiohttp.ClientSession(connector=connector, timeout=TIMEOUT) as session:
            # A redirect is not followed: it could lead to an address that may not be reached.
            if is_gotify(url):
                click = {"client::notification": {"click": {"url": push.click}}} if push.click else {}
                body = {"title": push.title, "message": push.body, "extras": click}
                answer = session.post(url, json=body, allow_redirects=False)
            else:
                headers = {"Title": push.title} | ({"Click": push.click} if push.click else {})
                answer = session.post(url, data=push.body.encode(), headers=headers, allow_redirects=False)
            async with answer as response:
                return response.status
