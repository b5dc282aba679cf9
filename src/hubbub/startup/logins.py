"""The logins of the server's operators and of web gateways: passwords are checked on a thread, and guessing is slow."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import logging
import secrets
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from hubbub.chat.hub import Hub
from hubbub.chat.session import Session
from hubbub.config import Settings
from hubbub.model.events import Notice
from hubbub.passwords import Attempts, Verified, is_operator, verify
from hubbub.text.cleaning import SHOWN, clean

log = logging.getLogger("hubbub")

# Seconds before a wrong password is reported. The connection waits meanwhile, which slows down guessing.
WRONG_AFTER = 2.0


class Logins:
    """Checks the passwords of operators and web gateways.

    Args:
        loop: the running event loop.
        settings: the settings in force.
        hub: sends the notice that too many passwords were wrong.

    """

    def __init__(self, loop: asyncio.AbstractEventLoop, settings: Settings, hub: Hub) -> None:
        self._loop = loop
        self._settings = settings
        self._hub = hub
        self._attempts = Attempts(time.monotonic, self._check, not settings.no_limits)
        # Hashing a password is slow on purpose, so it runs on a thread, one password at a time.
        self._checker = ThreadPoolExecutor(1, "hubbub-passwords")
        self._key = secrets.token_bytes(32)
        # A fast digest of the web gateways' password, after it was verified once with the slow hash; b"" before.
        self._gateway = b""

    def _check(self, name: str, password: str, done: Verified) -> None:
        """Check on a thread whether a name and password are an operator's; then call `done` with the result."""
        self._work(partial(is_operator, self._settings.operator, name, password), done)

    def _work(self, check: Callable[[], bool], done: Verified) -> None:
        """Check a password on the thread; if that fails, log the reason, and call `done` with None."""

        def checked(outcome: asyncio.Future[bool]) -> None:
            if outcome.cancelled():
                done(None)
            elif error := outcome.exception():
                log.error("a password could not be checked: %r", error)
                done(None)
            else:
                done(outcome.result())

        self._loop.run_in_executor(self._checker, check).add_done_callback(checked)

    def verify_gateway(self, password: str, done: Verified) -> None:
        """Check whether a password is that of the web gateways; then call `done` with the result.

        A password that was verified before is accepted at once. Another one is checked on a thread.
        """
        digest = hashlib.blake2b(password.encode(), key=self._key).digest()
        if hmac.compare_digest(digest, self._gateway):
            done(True)
            return

        def checked(right: bool | None) -> None:
            if right:
                self._gateway = digest
            done(right)

        self._work(partial(verify, self._settings.webirc_password, password), checked)

    def login(self, session: Session, name: str, password: str, done: Verified) -> None:
        """Check a login as operator of the server, log it, and call `done` with the result.

        A failure is reported after WRONG_AFTER seconds, unless the server runs without limits.
        """
        late = 0.0 if self._settings.no_limits else WRONG_AFTER
        who, name = f"{session.nick} ({session.address})", clean(name[:SHOWN])
        if refused := self._attempts.refusal(session.address):
            log.warning("%s may not try to log in as operator %s: %s", who, name, refused.text)
            self._hub.reply(session, Notice((refused.text.rstrip("."),)))
            self._loop.call_later(late, done, False)
            return

        def checked(right: bool | None) -> None:
            if right:
                log.info("%s has logged in as operator %s", who, name)
            if right is not False:
                done(right)
            else:
                log.warning("%s gave a wrong name or password for operator %s", who, name)
                self._loop.call_later(late, done, False)

        self._attempts.add(session.address, name, password, checked)
