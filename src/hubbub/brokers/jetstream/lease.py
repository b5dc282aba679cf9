"""This node's lease, and the names that it holds by it.

A name belongs to a node as long as the node's lease lives, so one heartbeat is enough for all of them, and a node
that dies frees them all at once. A lease is a message that its node replaces every few seconds; what counts is when
the servers stored it. One that is too old is deleted by who wants a name of it: then its node, should it come back,
finds that it cannot renew it. A node believes in its lease for a second less than the others do: it stops before
they may take its names. When it has lost the lease it takes a new one, and claims its names again.

The servers' own time to live for messages is for tidiness alone: they may be half a minute late with it.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Awaitable, Callable, Collection

from nats.aio.subscription import Subscription

from hubbub.brokers.jetstream import streams
from hubbub.brokers.jetstream.connection import FULL_DISK, NatsConnection, Taken, is_full
from hubbub.brokers.jetstream.messages import GONE, NatsMessage
from hubbub.brokers.jetstream.supervisor import Supervisor
from hubbub.brokers.keys import encode_name
from hubbub.errors import BrokerError, Refused

log = logging.getLogger(__name__)

LEASE = 8  # seconds without a renewal after which a lease is over
TIDY = 15 * LEASE  # seconds after which the servers forget it
MARGIN = 1.0  # seconds before that in which its node believes in it no more
RENEW = LEASE / 4
LATE = RENEW + 1.0  # seconds after a lease's end in which it is sure that it is over
SETTLED = 0.005  # seconds, at least, between two looks whether what was said under a name has its outcome
LOOK = 0.25  # seconds between two looks whether they have
ALIVE = "hubbub.alive."  # + node: it answers there
FORSAKE = 12.0  # seconds without an answer, longer than an election, after which another server is tried
TRIES = 20
TOGETHER = 256  # names that are claimed again at once


def _no_wait() -> None:
    """Tell nobody that it takes long."""


async def _no_return(lost: Collection[str]) -> None:
    """Do nothing."""


class Lease:
    """What makes this node one of the cluster.

    Args:
        link: the connection.
        tasks: owns what it does in the background.

    """

    def __init__(self, link: NatsConnection, tasks: Supervisor) -> None:
        self._link = link
        self._tasks = tasks
        self.node = ""
        self._term = ""  # likewise, but empty from when the lease is known to be lost to when there is a new one
        self.changed: Callable[[], None] = lambda: None  # called when `valid` may have changed
        self.lost: Callable[[str], None] = lambda key: None  # called with a name that another node has taken
        # Called with another node's lease that this one has ended: nobody else is.
        self.buried: Callable[[str], None] = lambda node: None
        # Returns the folded names under which something is on its way into the log.
        self.speaking: Callable[[], Collection[str]] = lambda: ()
        # Called with the names that were lost, before this node may speak again after it had no lease.
        self.returned: Callable[[Collection[str]], Awaitable[None]] = _no_return
        self.answers = True  # the last renewal was answered
        self.full = False  # with the sentence that there is no room on the disk
        self._number = 0  # of the lease's last renewal
        self._until = 0.0  # on the loop's clock
        self._alive: Subscription | None = None  # to those who ask whether it is
        self._held: dict[str, int] = {}  # names, with the number of the claim
        self._freed: dict[str, int] = {}  # claims that are to be taken back
        self._leaving: dict[str, int] = {}  # likewise, when what was said under the name has its outcome
        self._again: set[str] = set()  # names to be claimed anew
        self._away = False  # the lease was lost, and not all is as it was before
        self._lost: list[str] = []  # names that others took meanwhile

    @property
    def valid(self) -> bool:
        """Whether this node may say that its names are its own."""
        return not self._away and asyncio.get_running_loop().time() < self._until

    async def begin(self) -> None:
        """Take a lease. Raises BrokerError."""
        node = secrets.token_hex(6)
        start = asyncio.get_running_loop().time()
        self._number = await self._link.replace(f"{streams.NODE}{node}", b"", 0, TIDY)
        self.node = self._term = node
        self._until = start + LEASE - MARGIN
        if self._alive:
            await self._link.unsubscribe(self._alive)
        self._alive = await self._link.answer(f"{ALIVE}{node}")

    async def run(self) -> None:
        """Keep the lease, for ever."""
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
                if self._link.up and start - answered > FORSAKE:  # this server has lost touch with the others, say
                    log.warning("the NATS server answers nothing; another one is tried")
                    await self._link.leave_server()
                    answered = start
            self.changed()
            wait = RENEW if self.valid else RENEW / 8
            await asyncio.sleep(max(0.0, start + wait - loop.time()))

    async def end(self) -> None:
        """Give the lease back: others may have the names at once."""
        try:
            async with asyncio.timeout(1):
                if self._number:
                    await self._link.delete(streams.NOW, self._number)
        except (BrokerError, TimeoutError):
            log.debug("the lease will end by itself")

    async def _renew(self, start: float) -> None:
        try:
            self._number = await self._link.replace(f"{streams.NODE}{self.node}", b"", self._number, TIDY)
            self._until = start + LEASE - MARGIN
        except Taken:
            mine = await self._link.last(streams.NOW, f"{streams.NODE}{self.node}")
            if mine:  # an answer was lost
                self._number = mine.number
                return
            log.warning("this node was away for too long; it claims its names again")
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
                if mine and not wanted:  # its user left meanwhile
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
        """Ask for a folded name; `done` is called later, with None if it is this node's now.

        `wait` is called before that if its node does not answer, and is not known to be gone.
        """

        async def ask() -> None:
            refusal = None
            try:
                if not self.valid:
                    raise BrokerError(FULL_DISK if self.full else GONE)
                if not await self._claim(key, wait):
                    refusal = Refused("name-taken", f"The name {key} is taken.")
                elif not self.valid:
                    raise BrokerError(GONE)
            except BrokerError as error:
                refusal = Refused("broker", f"{str(error)[:1].upper()}{str(error)[1:]}; try again in a while.")
            done(refusal)

        self._tasks.spawn(ask())

    def release(self, key: str) -> None:
        """Let a name go, if it is this node's, behind what was said under it: who comes with it elsewhere sees that."""
        self._again.discard(key)
        if key in self._lost:  # nobody here has it any more
            self._lost.remove(key)
        if number := self._held.pop(key, 0):
            if not self._leaving:
                self._tasks.spawn(self._let_go())
            self._leaving[key] = number

    async def _let_go(self) -> None:
        wait = 0.0  # first when the turn is over in which many may have left
        while self._leaving:
            await asyncio.sleep(wait)
            speaking = self.speaking()
            for key in [key for key in self._leaving if key not in speaking]:
                number = self._freed[key] = self._leaving.pop(key)
                self._tasks.spawn(self._free(key, number))
            wait = min(max(2 * wait, SETTLED), LOOK)  # all that is under way is looked at: less often in an outage

    async def _free(self, key: str, number: int) -> None:
        try:
            await self._link.delete(streams.NOW, number)
        except BrokerError:
            return  # it is tried again with the next renewal
        if self._freed.get(key) == number:
            del self._freed[key]

    async def _claim(self, key: str, wait: Callable[[], None] = _no_wait) -> bool:
        """Claim a name, and return whether it is this node's. Raises BrokerError."""
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
            if number or found is None:  # claimed by a lease that was lost meanwhile, it is nobody's
                expected = number
                continue
            owner = found.data.decode("ascii", "replace").partition(" ")[0]
            if owner != term and await self._lives(owner, wait):
                return False
            expected = found.number  # nobody's any more
        raise BrokerError(GONE)

    async def _put(self, subject: str, token: bytes, expected: int) -> tuple[int, NatsMessage | None]:
        """Store a claim, and return its number; or 0, and the claim that is there instead."""
        try:
            return await self._link.replace(subject, token, expected), None
        except Taken:
            found = await self._link.last(streams.NOW, subject)
        if found and found.data == token:  # it was stored, and the answer lost
            return found.number, None
        return 0, found

    async def _lives(self, node: str, wait: Callable[[], None]) -> bool:
        """Return whether another node has its lease: at once if it answers, else when that is sure."""
        end = asyncio.get_running_loop().time() + LEASE + LATE
        while not await self.over(node):
            alive = await self._link.request(f"{ALIVE}{node}") is not None
            if alive or asyncio.get_running_loop().time() > end:
                return True
            wait()
            wait = _no_wait
            await asyncio.sleep(LOOK)  # it died, or is cut off: its people come to this node now, say
        return False

    async def over(self, node: str) -> bool:
        """Return whether another node's lease is over; then it cannot come back to it. Raises BrokerError."""
        its = await self._link.last(streams.NOW, f"{streams.NODE}{node}")
        if its is None:
            return True
        mine = await self._link.last(streams.NOW, f"{streams.NODE}{self.node}")  # so late it is by the servers' clock
        if mine is None or mine.time - its.time <= LEASE:
            return False
        if not await self._link.delete(streams.NOW, its.number):
            return False
        self.buried(node)
        return True

    async def tidy(self) -> None:
        """Take back what nodes that died still hold. Raises BrokerError."""
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
