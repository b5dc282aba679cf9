"""The owner of background tasks: it logs their failures, restarts endless ones, and ends them all."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

AGAIN = 1.0  # seconds before a failed endless task is restarted
PATIENCE = 20  # tenths of a second that `stop` waits for the tasks

log = logging.getLogger(__name__)


class Supervisor:
    """Tasks that run until `stop`. A failure of a task is logged, and does not end any other task."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[Any]] = set()

    def spawn(self, coroutine: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Run a coroutine as a background task, and return the task."""
        task = asyncio.get_running_loop().create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def insist(self, work: Callable[[], Awaitable[None]]) -> None:
        """Run `work` as a background task until it returns; restart it AGAIN seconds after each exception."""

        async def go_on() -> None:
            while True:
                try:
                    await work()
                    return
                except Exception:
                    log.exception("a background task failed and is restarted")
                await asyncio.sleep(AGAIN)

        self.spawn(go_on())

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()):
            log.error("a background task failed", exc_info=error)

    async def stop(self) -> None:
        """Cancel all tasks, and wait up to 2 seconds until they have ended."""
        for _ in range(PATIENCE):
            tasks = list(self._tasks)
            if not tasks:
                return
            for task in tasks:
                task.cancel()
            # nats-py swallows a cancellation that comes while it writes, so the loop cancels again.
            await asyncio.wait(tasks, timeout=0.1)
