"""A token bucket, which limits how often a key may be used. It reads no clock: time is an argument.

The bucket holds at most `burst` tokens and gains `rate_per_s` of them every second; each request takes one. In any
window of `t` seconds at most `burst + rate_per_s * t` requests are therefore admitted. There is one bucket per key and
replica. With `n` replicas a key gets up to `n` times its rate; over one connection it never gets more than its rate.
"""


class TokenBucket:
    """The bucket of one key. Only the event loop's thread uses it."""

    __slots__ = ("_at_s", "_tokens", "burst", "rate_per_s")

    def __init__(self, rate_per_s: float, burst: float) -> None:
        if not (rate_per_s > 0 and burst >= 1):
            raise ValueError(f"A rate must be above 0 and a burst at least 1, not {rate_per_s} and {burst}.")
        self.rate_per_s = rate_per_s
        self.burst = burst
        self._tokens = burst
        self._at_s = float("-inf")

    def take(self, now_s: float) -> float:
        """Take a token and return 0, or return the seconds until there is one. A clock that goes back adds none."""
        if now_s > self._at_s:
            self._tokens = min(self.burst, self._tokens + (now_s - self._at_s) * self.rate_per_s)
            self._at_s = now_s
        if self._tokens >= 1.0:
            self._tokens -= 1.0
            return 0.0
        return (1.0 - self._tokens) / self.rate_per_s
