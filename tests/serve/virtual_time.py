"""An event loop whose clock jumps to the next timer when nothing else is left to do, so that no test waits."""

from __future__ import annotations

import asyncio
import functools
import inspect
import selectors
from collections.abc import Callable, Coroutine
from typing import Any

TURN = 1e-6  # seconds that pass in a turn of the loop: a timer that fires a little early must not do so for ever


class JumpingSelector(selectors.DefaultSelector):
    """Looks for events without waiting; where it would wait, the clock jumps."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 1000.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if events := super().select(0):
            return events
        assert timeout is not None, "everything waits, and nothing will ever happen"
        self.now += max(TURN, timeout)
        return []


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop with real sockets and a clock of its own.

    Use it with socket pairs: what one end has sent is at the other end at once, so the clock never overtakes bytes.
    """

    def __init__(self) -> None:
        self._jumping = JumpingSelector()
        super().__init__(self._jumping)

    def time(self) -> float:
        return self._jumping.now


def virtual_time(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """Run an async test on a `VirtualLoop`; an exception in a callback fails it."""

    @functools.wraps(test)
    def run(*args: Any, **kwargs: Any) -> None:
        faults: list[dict[str, Any]] = []

        async def watched() -> None:
            asyncio.get_running_loop().set_exception_handler(lambda _, context: faults.append(context))
            await test(*args, **kwargs)

        with asyncio.Runner(loop_factory=VirtualLoop) as runner:
            runner.run(watched())
        assert not faults

    # pytest sees a plain function with the test's parameters, and runs no loop of its own around it.
    run.__signature__ = inspect.signature(test)  # type: ignore[attr-defined]
    del run.__wrapped__  # type: ignore[attr-defined]
    return run
