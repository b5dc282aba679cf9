"""Limit the rate of a peer's acts with a token bucket: nothing is dropped, the result is a time to wait."""


class Throttle:
    """A bucket of `burst` tokens that fills at `rate` tokens a second; each act takes one.

    Args:
        rate: acts per second in the long run; 0 means without limit.
        burst: acts at once after a pause, at least 1.
        now: seconds on any clock that does not go back.

    """

    __slots__ = ("burst", "rate", "since", "tokens")

    def __init__(self, rate: float, burst: float, now: float) -> None:
        self.rate = rate
        self.burst = burst
        self.tokens = burst
        self.since = now

    def charge(self, cost: float, now: float) -> float:
        """Take `cost` tokens, even if there are too few, and return the seconds until none is owed."""
        if not self.rate:
            return 0.0
        self.tokens = min(self.burst, self.tokens + (now - self.since) * self.rate) - cost
        self.since = now
        return max(0.0, -self.tokens / self.rate)

    def missing(self, now: float) -> float:
        """Return the number of tokens that the bucket lacks; 0.0 if it is full."""
        return max(0.0, self.burst - self.tokens - (now - self.since) * self.rate)

    def delay(self, now: float) -> float:
        """Take a token and return 0.0, or take none and return the seconds until there is one."""
        if not self.rate:
            return 0.0
        tokens = min(self.burst, self.tokens + (now - self.since) * self.rate)
        self.since = now
        if tokens >= 1.0:
            self.tokens = tokens - 1.0
            return 0.0
        self.tokens = tokens
        return (1.0 - tokens) / self.rate
