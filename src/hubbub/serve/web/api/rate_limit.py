"""The rate of the API's requests, by the address that they come from."""

from __future__ import annotations

from collections.abc import Callable

from hubbub.config import Settings
from hubbub.model.rates.throttle import Throttle

PATIENCE = 1.0  # seconds that a request may wait for the rate limit; with a longer wait it is refused
ADDRESSES = 1024  # maximum number of addresses whose rates are remembered


class RequestRates:
    """The rates of the addresses that requests came from.

    Args:
        settings: have the rate and the burst of an address.
        clock: returns the time in seconds.

    """

    def __init__(self, settings: Settings, clock: Callable[[], float]) -> None:
        self._settings = settings
        self._clock = clock
        self._throttles: dict[str, Throttle] = {}

    def delay(self, address: str) -> float:
        """Return the seconds until the rate of an address allows another request.

        A request with a delay of at most PATIENCE seconds is charged. Another one is refused and costs nothing.
        """
        if self._settings.no_limits:
            return 0.0
        now = self._clock()
        throttle = self._throttles.pop(address, None) or Throttle(self._settings.rate, self._settings.burst, now)
        self._throttles[address] = throttle  # now the newest entry
        if len(self._throttles) > ADDRESSES:
            del self._throttles[next(iter(self._throttles))]
        delay = throttle.charge(1, now)
        if delay > PATIENCE:
            throttle.charge(-1, now)
        return delay
