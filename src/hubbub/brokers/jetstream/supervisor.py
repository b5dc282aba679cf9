"""Who owns what is done in the background."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

AGAIN = 1.0  # seconds after which what must go on for ever is begun again, should it fail
PATIENCE = 20  # tenths of a second in which they must have ended

log = logging.getLogger(__name__)


class Supervisor:
    """Tasks that are done until `stop`; one that fails is told on the console, and nothing else ends with it."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[Any]] = set()

    def spawn(self, what: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Do something in the background."""
        task = asyncio.get_running_loop().create_task(what)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def insist(self, work: Callable[[], Awaitable[None]]) -> None:
        """Do something for ever: it is begun again whatever happens."""

        async def go_on() -> None:
            while True:
                try:
                    await work()
                    return
                except Exception:
                    log.exception("something in the background failed; it is begun again")
                await asyncio.sleep(AGAIN)

        self.spawn(go_on())

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()):
            log.error("something in the background failed", exc_info=error)

    async def stop(self) -> None:
        """End them all."""
        for _ in range(PATIENCE):
            tasks = list(self._tasks)
            if not tasks:
                return
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks, timeout=0.1)  # nats-py swallows what comes while it writes: then once more
