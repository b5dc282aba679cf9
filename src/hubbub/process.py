"""The server's process: its signals, its limits and its priority."""

from __future__ import annotations

import asyncio
import contextlib
import os
import resource
import signal

# A second signal within this many seconds counts as the first one: `make`, for example, sends its child a signal that
# the child has received from the terminal already.
ECHO = 0.2


def stop_on_signals(loop: asyncio.AbstractEventLoop) -> asyncio.Event:
    """Return the event that SIGTERM, SIGINT or the end of the terminal sets."""
    stop = asyncio.Event()
    first = 0.0

    def on_signal() -> None:
        nonlocal first
        if not stop.is_set():
            first = loop.time()
            stop.set()
        elif loop.time() - first > ECHO:
            os._exit(1)  # a second signal ends the process at once

    numbers = [signal.SIGTERM, signal.SIGINT]
    if signal.getsignal(signal.SIGHUP) is signal.SIG_DFL:  # closed terminal; nohup ignores SIGHUP
        numbers.append(signal.SIGHUP)
    for number in numbers:
        loop.add_signal_handler(number, on_signal)
    return stop


def prepare_process() -> None:
    """Raise the limit of open files to the maximum, and select the batch scheduling policy.

    A batch process that wakes up does not preempt the process that runs on its core. So it shares a core with the
    process that woke it, and no other core is woken for each write. As measured, this takes a quarter less CPU time per
    delivery at the same latency.
    """
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(OSError, ValueError):  # a service manager may forbid the change
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    if hasattr(os, "SCHED_BATCH") and os.sched_getscheduler(0) == os.SCHED_OTHER:
        with contextlib.suppress(OSError):  # some sandboxes forbid it
            os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
