"""The identity of the log, and the check that the log on the servers is still the one that this node has delivered."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable

from hubbub.cluster.nats import streams
from hubbub.cluster.nats.link.connection import NatsConnection
from hubbub.cluster.nats.supervisor import Supervisor
from hubbub.errors import BrokerError

log = logging.getLogger("hubbub")

SURE = 3  # consecutive checks that must find the log too short: a new leader may lag behind
ANOTHER = "the log is not the one that this node has shown; restart the server"
SHORTER = "the log has lost its end; restart the server"


class LogIdentity:
    """The log's identity, and the reason why this node can store nothing in it until a restart.

    Args:
        link: the connection to the NATS servers.
        tasks: owns the background tasks.
        broken: called once with the reason when this node must be started again.

    """

    def __init__(self, link: NatsConnection, tasks: Supervisor, broken: Callable[[str], None]) -> None:
        self._link = link
        self._tasks = tasks
        self._broken = broken
        self._created = ""  # creation time of the log
        self._short = 0  # consecutive checks in which the log lacked delivered messages
        self.id = ""
        self.fault = ""  # "" while entries can be stored

    async def begin(self) -> None:
        """Read the identity. Raises SettingsError if the servers do not answer."""
        self._created = (await streams.patiently(lambda: streams.log(self._link))).created
        self.id = await streams.patiently(lambda: streams.log_id(self._link, self._created))

    async def check(self, newest: int) -> None:
        """Check that the log is the one that this node has delivered, and that it has all delivered messages.

        Args:
            newest: the number of the newest message that was delivered.

        """
        with contextlib.suppress(BrokerError):
            now = await streams.log(self._link)
            self._created = self._created or now.created
            if now.created != self._created:
                self.mistrust(ANOTHER, f"it was made at {now.created}, not at {self._created}")
                return
            self._short = self._short + 1 if now.last < newest else 0
            if self._short == SURE:
                self.mistrust(SHORTER, f"it ends with message {now.last}, and {newest} was shown")
            if not self.fault:
                # Another node may have found out that the log has lost its end.
                self.id = await streams.log_id(self._link, now.created)

    def mistrust(self, fault: str, why: str) -> None:
        """Stop storing and end the server, because the log differs from the one that this node has delivered.

        Entry numbers have changed their meaning, so the log gets a new identity. After a restart the server reads
        everything again from the NATS servers.

        Args:
            fault: the reason for users.
            why: the details for the console.

        """
        if not self.fault:
            self.fault = fault
            log.critical("The log on NATS is not the one that this node has shown: %s. Restart this node", why)
            self._tasks.spawn(self._renew())

    async def _renew(self) -> None:
        with contextlib.suppress(BrokerError):
            await streams.renew_log_id(self._link, self.id)
        self._broken(self.fault)
