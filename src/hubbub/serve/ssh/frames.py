"""When the channels of ssh write: an ssh packet costs 20 to 40 times a plain write, so each holds many messages.

A channel in which nothing was written for INTERVAL writes at once. After that its session is behind by choice: it
reads the log from its cursor when INTERVAL has passed, and all that it missed is one packet. If more channels want to
write than the process may send packets, each waits for its turn, so the interval grows with the load.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any, Protocol

from hubbub.chat.hub import Hub
from hubbub.chat.session import Session

INTERVAL = 0.1  # seconds between two packets of a channel
STEP = 0.01  # seconds
AT_ONCE = 50  # packets in a step: 5,000 a second, of all channels together
FRAME_BYTES = 32 * 1024  # bytes that are written without waiting for more


class FramedWriter(Protocol):
    """A channel that gathers what it writes."""

    def write_frame(self) -> None:
        """Write the gathered bytes, and the entries that the session has missed."""
        ...


class FrameClock:
    """Gives each channel its turns to write.

    Args:
        call_later: calls a function after some seconds.
        clock: monotonic seconds.

    """

    def __init__(self, call_later: Callable[[float, Callable[[], None]], Any], clock: Callable[[], float]) -> None:
        self._call_later = call_later
        self._clock = clock
        self._soon: deque[FramedWriter] = deque()  # channels in which nothing was written for a while
        self._later: deque[tuple[float, FramedWriter]] = deque()  # the others, by the time of their turn
        self._is_set = False  # the next step is planned
        self._next = 0.0  # the earliest time of the next step

    def ask(self, writer: FramedWriter) -> None:
        """Give a channel a turn as soon as there is one."""
        self._soon.append(writer)
        self._plan()

    def hold(self, writer: FramedWriter) -> None:
        """Give a channel that has written its next turn after INTERVAL."""
        self._later.append((self._clock() + INTERVAL, writer))
        self._plan()

    def _plan(self) -> None:
        if self._is_set or not (self._soon or self._later):
            return
        self._is_set = True
        now = self._clock()
        due = now if self._soon else self._later[0][0]
        self._call_later(max(0.0, due - now, self._next - now), self._step)

    def _step(self) -> None:
        self._is_set = False
        now = self._clock()
        self._next = now + STEP
        for _ in range(AT_ONCE):
            if self._soon:
                self._soon.popleft().write_frame()
            elif self._later and self._later[0][0] <= now:
                self._later.popleft()[1].write_frame()
            else:
                self._next = now
                break
        self._plan()


class SessionPace:
    """Lets a session fall behind between the frames of its channel.

    Args:
        hub: the hub.
        session: the session.

    """

    def __init__(self, hub: Hub, session: Session) -> None:
        self._hub = hub
        self._session = session

    def hold(self) -> None:
        """Write nothing of its rooms to the session until `catch_up`."""
        if not (self._session.closed or self._session.paused):
            self._hub.delivery.fall_behind(self._session)

    def catch_up(self) -> None:
        """Write what the session has missed, and go on with its input if that waits for it."""
        behind = self._hub.has_unsettled(self._session)
        self._hub.delivery.catch_up(self._session)
        if behind and not (self._session.paused or self._hub.has_unsettled(self._session)):
            self._session.client.resume_input()
