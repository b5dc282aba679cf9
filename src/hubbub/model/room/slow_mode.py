"""Slow mode: the least time between two messages of a speaker in a room."""

from __future__ import annotations

from collections.abc import Hashable
from math import inf
from typing import TYPE_CHECKING

from hubbub.text.names import key_of

if TYPE_CHECKING:
    from hubbub.model.viewer import Viewer

SPEAKERS = 2000  # names for which slow mode remembers the time of the last message


class SlowMode:
    """The slow mode of one room; `seconds` is 0 while it is off."""

    __slots__ = ("_last", "seconds")

    def __init__(self) -> None:
        self.seconds = 0
        self._last: dict[Hashable, float] = {}  # by speaker, seconds on a clock that never goes back

    def set(self, seconds: int) -> None:
        """Set the seconds between two messages, and forget the messages so far."""
        self.seconds = seconds
        self._last.clear()

    def wait(self, viewer: Viewer) -> float:
        """Return the seconds until a user may speak again; not positive if they may speak now."""
        if not self.seconds:
            return 0.0
        last = max(self._last.get(key, -inf) for key in _names(viewer))
        return last + self.seconds - viewer.ticks

    def note(self, viewer: Viewer) -> None:
        """Record the time of a user's message."""
        if not self.seconds:
            return
        for key in _names(viewer):
            self._last.pop(key, None)
            self._last[key] = viewer.ticks
        while len(self._last) > SPEAKERS:
            del self._last[next(iter(self._last))]


def _names(viewer: Viewer) -> list[Hashable]:
    """Return the keys under which a speaker is remembered, so that leaving and returning does not evade slow mode.

    The name of a user who posts from outside can differ in each message, so only the address counts.
    """
    nick, _, host = viewer.mask.partition("!")
    return [viewer.user.id, (key_of(nick), host)] if viewer.user else [host]
