"""Read markers: how far the owners of accounts have read, by room and by person, shared by all their sessions."""

from __future__ import annotations

from collections.abc import Callable, Mapping

MARKERS = 200  # of one account; then the one that has not moved for the longest time is forgotten


def of_room(id: str) -> str:
    """Return the target for the room with an id."""
    return f"#{id}"


def of_person(account: str) -> str:
    """Return the target for the private conversation with the owner of the account with an id."""
    return f"@{account}"


class ReadMarkers:
    """The read markers of accounts. A marker is a time in epoch seconds, and only moves forward.

    The target of a marker is that of `of_room` or `of_person`: whoever has the name of the person later is not it.
    """

    def __init__(self) -> None:
        self._of: dict[str, dict[str, float]] = {}  # by the id of the account, then by target
        # Called with the id of an account, a target and the time to which its marker has moved, here or elsewhere.
        self.moved: list[Callable[[str, str, float], None]] = []
        # Called with the id of an account whose markers are to be stored.
        self.keep: Callable[[str], None] = lambda account: None

    def find(self, account: str, target: str) -> float:
        """Return a marker; 0 if there is none."""
        return self._of.get(account, {}).get(target, 0.0)

    def of(self, account: str) -> Mapping[str, float]:
        """Return the markers of an account, by target."""
        return self._of.get(account, {})

    def advance(self, account: str, target: str, time: float) -> float:
        """Move a marker forward to a time, and store it; return where it is then."""
        if self._move(account, target, time):
            self.keep(account)
        return self.find(account, target)

    def merge(self, account: str, markers: Mapping[str, float]) -> None:
        """Move markers forward to those that are stored."""
        for target, time in markers.items():
            self._move(account, target, time)

    def _move(self, account: str, target: str, time: float) -> bool:
        markers = self._of.setdefault(account, {})
        if time <= markers.get(target, 0.0):
            return False
        markers.pop(target, None)  # those that moved last are the last
        if len(markers) >= MARKERS:
            del markers[next(iter(markers))]
        markers[target] = time
        for tell in self.moved:
            tell(account, target, time)
        return True
