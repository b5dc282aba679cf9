"""The loop is watched: its lag is measured, and a callback that takes over a second is in the log, once."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable

import pytest
from peering import LOOPS, run_on
from serving import until

from hubbub.serve import watchdog
from hubbub.serve.watchdog import Watchdog

STILL = "The server stood still"


@pytest.fixture(autouse=True)
def short_times(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watchdog, "BEAT", 0.02)
    monkeypatch.setattr(watchdog, "LIMIT", 0.3)


def told(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if STILL in record.getMessage()]


def watched(loop: str, block: Callable[[], object] | None, until_then: Callable[[], bool]) -> list[float]:
    """Run a watched loop that is blocked once, until something holds; return what lags were noted."""
    lags: list[float] = []

    async def scene() -> None:
        with Watchdog(lags.append):
            await until(lambda: len(lags) >= 3)
            if block:
                asyncio.get_running_loop().call_soon(block)
            await until(lambda: len(lags) >= 10 and until_then())

    run_on(loop, scene)
    return lags


@pytest.mark.parametrize("loop", LOOPS)
def test_a_callback_that_takes_long_is_logged_once_with_its_stack(loop: str, caplog: pytest.LogCaptureFixture) -> None:
    def a_slow_callback() -> None:
        time.sleep(0.8)

    lags = watched(loop, a_slow_callback, lambda: bool(told(caplog)))
    (line,) = told(caplog)
    seconds = float(re.match(rf"{STILL} for (\d+\.\d) s: ", line)[1])  # type: ignore[index]
    assert 0.6 <= seconds <= max(lags) + 0.1
    assert re.search(r": a_slow_callback \(test_watchdog\.py:\d+\)", line)
    assert max(lags) >= 0.6 and "\n" not in line


def test_a_standstill_without_an_end_is_logged_while_it_lasts(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watchdog, "GIVE_UP", 0.5)

    def never() -> None:
        end = time.monotonic() + 10
        while not told(caplog) and time.monotonic() < end:
            time.sleep(0.01)
        assert told(caplog)
        time.sleep(0.5)

    watched("asyncio", never, lambda: bool(told(caplog)))
    (line,) = told(caplog)
    assert re.match(rf"{STILL} for \d\.\d s, and still does: never \(", line)


def test_each_incident_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    async def scene() -> None:
        with Watchdog(lambda lag: None):
            stand_still()
            await until(lambda: len(told(caplog)) == 1)
            stand_still()
            await until(lambda: len(told(caplog)) == 2)

    run_on("asyncio", scene)
    assert len(told(caplog)) == 2


@pytest.mark.parametrize("loop", LOOPS)
def test_an_idle_loop_is_not_logged(loop: str, caplog: pytest.LogCaptureFixture) -> None:
    lags = watched(loop, None, lambda: True)
    assert not told(caplog) and min(lags) < 0.1


def test_a_call_that_keeps_all_threads_from_running_is_logged_without_a_stack(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watchdog.Watchdog, "_watch", lambda self: None)  # as if it could not run
    watched("asyncio", lambda: busy(0.6), lambda: bool(told(caplog)))
    (line,) = told(caplog)
    assert line.endswith("one call that kept all threads from running")


def test_a_process_that_was_stopped_stood_still_by_no_fault_of_its_own(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watchdog.Watchdog, "_watch", lambda self: None)
    lags = watched("asyncio", lambda: time.sleep(0.6), lambda: True)
    assert max(lags) >= 0.5 and not told(caplog)


def stand_still() -> None:
    time.sleep(0.6)


def busy(seconds: float) -> None:
    end = time.thread_time() + seconds
    while time.thread_time() < end:
        pass
