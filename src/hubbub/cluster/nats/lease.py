"""The lease of this node, and the names that the node holds by it.

A name belongs to a node as long as the node's lease is valid. One heartbeat therefore keeps all names of a node, and
a node that dies frees all of them at once. A lease is a message that its node replaces every RENEW seconds; its age
is counted from the time at which the servers stored it. A node that wants a name deletes an expired lease of the
name's owner. If that owner comes back, it cannot renew the lease. A node treats its own lease as valid for MARGIN
seconds less than the other nodes do, so it stops before they may take its names. A node that has lost its lease takes
a new one and claims its names again.

The servers' own time to live for messages only cleans up: the servers may apply it half a minute late.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Awaitable, Callable, Collection

from nats.aio.subscription import Subscription

from hubbub.cluster.nats import streams
from hubbub.cluster.nats.link.connection import NatsConnection
from hubbub.cluster.nats.link.messages import GONE, NatsMessage
from hubbub.cluster.nats.link.outcomes import FULL_DISK, Taken, is_full
from hubbub.cluster.nats.subjects import encode_name
from hubbub.cluster.nats.supervisor import Supervisor
from hubbub.errors import BrokerError, Refused
from hubbub.text import refusals

log = logging.getLogger(__name__)

LEASE = 8  # seconds without a renewal after which a lease has expired
TIDY = 15 * LEASE  # seconds after which the servers delete a lease message
MARGIN = 1.0  # seconds by which a node stops trusting its own lease before it expires
RENEW = LEASE / 4  # seconds between two renewals
LATE = RENEW + 1.0  # seconds after a lease's end within which every node can see that it has expired
SETTLED = 0.005  # minimum seconds between two checks for pending drafts of a released name
LOOK = 0.25  # seconds between two checks of another node's lease; also the maximum for SETTLED
ALIVE = "hubbub.alive."  # + lease: its node answers requests there
FORSAKE = 12.0  # seconds without an answer, longer than an election, after which another server is tried
TRIES = 20  # attempts to store a claim
TOGETHER = 256  # names that are claimed again at the same time


def _no_wait() -> None:
    """Do nothing: the caller of `claim` needs no notice that the answer takes long."""


async def _no_return(lost: Collection[str]) -> None:
    """Do nothing: the default for `Lease.returned`."""


class Lease:
    """The membership of this node in the cluster.

    Args:
        link: the connection to the NATS servers.
        tasks: owns the background tasks of the lease.

    """

    def __init__(self, link: NatsConnection, tasks: Supervisor) -> None:
        self._link = link
        self._tasks = tasks
        self.node = ""
        # Equal to `node`, but empty between the loss of a lease and the start of the next one.
        self._term = ""
        self.changed: Callable[[], None] = lambda: None  # called when `valid` may have changed
        self.lost: Callable[[str], None] = lambda key: None  # called with a name that another node has taken
        # Called with the lease of another node that this node has ended. No other node gets this call for that lease.
        self.buried: Callable[[str], None] = lambda node: None
        # Returns the folded names of the users whose drafts have no outcome yet.
        self.speaking: Callable[[], Collection[str]] = lambda: ()
        # Called with the lost names after this node had no lease, before its users may speak again.
        self.returned: Callable[[Collection[str]], Awaitable[None]] = _no_return
        self.answers = True  # whether the last renewal was answered
        self.full = False  # whether the last renewal failed because the servers' disk is full
        self._number = 0  # message number of the lease's last renewal
        self._until = 0.0  # end of the lease for this node, on the loop's clock
        self._alive: Subscription | None = None  # to the requests under ALIVE
        self._held: dict[str, int] = {}  # held names, with the message number of the claim
        self._freed: dict[str, int] = {}  # claims to delete
        self._leaving: dict[str, int] = {}  # claims to delete once the name's drafts have their outcome
        self._again: set[str] = set()  # names to claim again
        self._away = False  # whether the lease was lost and recovery from that is not complete
        self._lost: list[str] = []  # names that other nodes took meanwhile

    @property
    def valid(self) -> bool:
        """Whether this node may act as the owner of its names."""
        return not self._away and asyncio.get_running_loop().time() < self._until

    async def begin(self) -> None:
        """Take a new lease under a new random id. Raises BrokerError."""
        node = secrets.token_hex(6)
        start = asyncio.get_running_loop().time()
        self._number = await self._link.replace(f"{streams.NODE}{node}", b"", 0, TIDY)
        self.node = self._term = node
        self._until = start + LEASE - MARGIN
        if self._alive:
            await self._link.unsubscribe(self._alive)
        self._alive = await self._link.answer(f"{ALIVE}{node}")

    async def run(self) -> None:
        """Renew the lease every RENEW seconds, until the task is cancelled."""
        loop = asyncio.get_running_loop()
        answered = loop.time()
        while True:
            start = loop.time()
            try:
                await self._renew(start)
                self.answers, self.full = True, False
                answered = start
            except BrokerError as error:
                self.answers, self.full = False, is_full(error)
                log.debug("the lease could not be renewed: %s", error)
                # The server may have lost its connection to the other servers.
                if self._link.up and start - answered > FORSAKE:
                    log.warning("the NATS server does not answer; trying another one")
                    await self._link.leave_server()
                    answered = start
            self.changed()
            wait = RENEW if self.valid else RENEW / 8
            await asyncio.sleep(max(0.0, start + wait - loop.time()))

    async def end(self) -> None:
        """Delete the lease within one second: other nodes may then take the names at once."""
        try:
            async with asyncio.timeout(1):
                if self._number:
                    await self._link.delete(streams.NOW, self._number)
        except (BrokerError, TimeoutError):
            log.debug("the lease could not be deleted; it will expire")

    async def _renew(self, start: float) -> None:
        try:
            self._number = await self._link.replace(f"{streams.NODE}{self.node}", b"", self._number, TIDY)
            self._until = start + LEASE - MARGIN
        except Taken:
            mine = await self._link.last(streams.NOW, f"{streams.NODE}{self.node}")
            if mine:  # only the answer was lost
                self._number = mine.number
                return
            log.warning("this node was disconnected for too long; it claims its names again")
            self._away = True
            self._term = ""
            self._again |= set(self._held)
            self._held.clear()
            await self.begin()
        await self._reclaim()
        for key, number in list(self._freed.items()):
            await self._free(key, number)

    async def _reclaim(self) -> None:
        names = list(self._again)
        for start in range(0, len(names), TOGETHER):
            part = names[start : start + TOGETHER]
            found = await asyncio.gather(*(self._claim(key) for key in part))
            for key, mine in zip(part, found, strict=True):
                wanted = key in self._again
                self._again.discard(key)
                if mine and not wanted:  # the user left meanwhile
                    self.release(key)
                elif wanted and not mine:
                    self._lost.append(key)
        if self._away:
            await self.returned(self._lost)
            lost, self._lost = self._lost, []
            self._away = False
            for key in lost:
                self.lost(key)

    # --- names ----------------------------------------------------------------------------------------------------

    def claim(self, key: str, done: Callable[[Refused | None], None], wait: Callable[[], None] = _no_wait) -> None:
        """Request a folded name, and call `done` later: with None if this node now holds it, else with the refusal.

        `wait` is called once before `done` if the owner of the name does not answer and its lease has not expired yet.
        """

        async def ask() -> None:
            refusal = None
            try:
                if not self.valid:
                    raise BrokerError(FULL_DISK if self.full else GONE)
                if not await self._claim(key, wait):
                    refusal = refusals.NAME_TAKEN(name=key)
                elif not self.valid:
                    raise BrokerError(GONE)
            except BrokerError as error:
                refusal = refusals.NAME_UNDECIDED(reason=f"{str(error)[:1].upper()}{str(error)[1:]}")
            done(refusal)

        self._tasks.spawn(ask())

    def release(self, key: str) -> None:
        """Release a name that this node holds, after the pending drafts of that name have their outcome.

        A user who takes the name on another node then sees everything that was said under it.
        """
        self._again.discard(key)
        if key in self._lost:  # no user here has the name any more
            self._lost.remove(key)
        if number := self._held.pop(key, 0):
            if not self._leaving:
                self._tasks.spawn(self._let_go())
            self._leaving[key] = number

    async def _let_go(self) -> None:
        # The first check runs at the end of this loop iteration, in which many users may leave.
        wait = 0.0
        while self._leaving:
            await asyncio.sleep(wait)
            speaking = self.speaking()
            for key in [key for key in self._leaving if key not in speaking]:
                number = self._freed[key] = self._leaving.pop(key)
                self._tasks.spawn(self._free(key, number))
            # Each check looks at every pending draft, so an outage makes the checks rarer.
            wait = min(max(2 * wait, SETTLED), LOOK)

    async def _free(self, key: str, number: int) -> None:
        try:
            await self._link.delete(streams.NOW, number)
        except BrokerError:
            return  # the next renewal tries it again
        if self._freed.get(key) == number:
            del self._freed[key]

    async def _claim(self, key: str, wait: Callable[[], None] = _no_wait) -> bool:
        """Claim a name, and return whether this node holds it now. Raises BrokerError."""
        subject = f"{streams.NAME}{encode_name(key)}"
        nonce = secrets.token_hex(4)
        expected = 0
        for _ in range(TRIES):
            if not (term := self._term):
                break
            number, found = await self._put(subject, f"{term} {nonce}".encode(), expected)
            if number and term == self._term:
                self._held[key] = number
                return True
            # A claim by a lease that was lost meanwhile belongs to no node.
            if number or found is None:
                expected = number
                continue
            owner = found.data.decode("ascii", "replace").partition(" ")[0]
            if owner != term and await self._lives(owner, wait):
                return False
            expected = found.number  # its owner is gone
        raise BrokerError(GONE)

    async def _put(self, subject: str, token: bytes, expected: int) -> tuple[int, NatsMessage | None]:
        """Store a claim. Return its message number and None, or 0 and the claim that is stored instead."""
        try:
            return await self._link.replace(subject, token, expected), None
        except Taken:
            found = await self._link.last(streams.NOW, subject)
        if found and found.data == token:  # stored, but the answer was lost
            return found.number, None
        return 0, found

    async def _lives(self, node: str, wait: Callable[[], None]) -> bool:
        """Return whether another node's lease is valid: at once if that node answers, else when it is certain.

        Call `wait` once if the node does not answer at the first attempt. The result may take LEASE + LATE seconds.
        """
        end = asyncio.get_running_loop().time() + LEASE + LATE
        while not await self.over(node):
            alive = await self._link.request(f"{ALIVE}{node}") is not None
            if alive or asyncio.get_running_loop().time() > end:
                return True
            wait()
            wait = _no_wait
            # The node has died or is cut off; its users may be moving to this node.
            await asyncio.sleep(LOOK)
        return False

    async def over(self, node: str) -> bool:
        """Return whether another node's lease has ended; delete an expired one, so that it cannot be renewed.

        Raises BrokerError.
        """
        its = await self._link.last(streams.NOW, f"{streams.NODE}{node}")
        if its is None:
            return True
        # The newest renewal of this node shows the time on the servers' clock.
        mine = await self._link.last(streams.NOW, f"{streams.NODE}{self.node}")
        if mine is None or mine.time - its.time <= LEASE:
            return False
        if not await self._link.delete(streams.NOW, its.number):
            return False
        self.buried(node)
        return True

    async def tidy(self) -> None:
        """Delete the claims of nodes whose lease has ended. Raises BrokerError."""
        newest = await self._link.last(streams.NOW, f"{streams.NAME}*")
        dead: dict[str, bool] = {}
        async for page in streams.forward(
            self._link, streams.NOW, f"{streams.NAME}*", 1, newest.number if newest else 0
        ):
            for claim in page:
                owner = claim.data.decode("ascii", "replace").partition(" ")[0]
                if owner not in dead:
                    dead[owner] = owner != self.node and await self.over(owner)
                if dead[owner]:
                    await self._link.delete(streams.NOW, claim.number)
            if newest and page[-1].number >= newest.number:
                break
