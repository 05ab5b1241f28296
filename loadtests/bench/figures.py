"""The arithmetic of the benchmark: from the output of a load generator to samples, spreads and ratios.

Nothing here starts a process or reads a file, so every line can be tested by itself.
"""

import json
import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Final

MICROSECONDS_PER_S: Final = 1_000_000

TIMER_LAG_US: Final = 2000
"""h2load's clock ticks in milliseconds. It may send a request this late although the server is not to blame."""

_SUCCESS: Final = range(200, 300)


@dataclass(frozen=True, slots=True)
class Sample:
    """One load on one server: the number of responses, their latencies, and the failures by kind."""

    requests: int
    duration_s: float
    p50_us: float
    p90_us: float
    p99_us: float
    max_us: float
    failures: Mapping[str, int] = field(default_factory=dict)

    @property
    def rate_per_s(self) -> float:
        """Responses with status 2xx per second."""
        return (self.requests - self.failures.get("status", 0)) / self.duration_s if self.duration_s else 0.0

    @property
    def failed(self) -> int:
        """Requests that got another status than 2xx, or no response."""
        return sum(self.failures.values())

    def as_json(self) -> dict[str, Any]:
        """Return the sample in a form that JSON can hold."""
        return asdict(self) | {"rate_per_s": self.rate_per_s, "failed": self.failed}


@dataclass(frozen=True, slots=True)
class Spread:
    """The median of several rounds, and their range."""

    minimum: float
    median: float
    maximum: float


def lost(failure: str) -> Sample:
    """Return the sample of a load without any figures. It counts as one failure."""
    return Sample(0, 0.0, math.nan, math.nan, math.nan, math.nan, {failure: 1})


def parse_wrk(output: str) -> Sample:
    """Read the JSON line that the Lua script makes wrk print at the end of a load."""
    lines = [line for line in output.splitlines() if line.startswith("{")]
    if not lines:
        raise ValueError("wrk printed no summary; run it by hand with loadtests/post.lua to see why.")
    summary = json.loads(lines[-1])
    return Sample(
        requests=summary["requests"],
        duration_s=summary["duration_us"] / MICROSECONDS_PER_S,
        p50_us=summary["p50_us"],
        p90_us=summary["p90_us"],
        p99_us=summary["p99_us"],
        max_us=summary["max_us"],
        failures={kind: count for kind, count in summary["failures"].items() if count},
    )


def parse_h2load_log(log: str, requests: int, connections: int, rate_per_s: float) -> Sample:
    """Turn h2load's log (start, status and time of each request) into a sample free of coordinated omission.

    A latency counts from the time at which its request was due, not from the time at which it was sent.
    """
    rows = sorted(_log_rows(log))
    if not rows:
        raise ValueError("h2load logged no request; check that the server still responds.")
    starts_us = [start_us for start_us, _, _ in rows]
    due_us = schedule_us(starts_us[:connections], len(rows), connections / rate_per_s)
    latencies_us = sorted(
        took_us + held_back_us(start_us, due)
        for (start_us, status, took_us), due in zip(rows, due_us, strict=True)
        if status in _SUCCESS
    )
    end_us = max(start_us + took_us for start_us, _, took_us in rows)
    failures = {"status": len(rows) - len(latencies_us), "unsent": requests - len(rows)}
    return Sample(
        requests=len(rows),
        duration_s=(end_us - starts_us[0]) / MICROSECONDS_PER_S,
        p50_us=percentile(latencies_us, 50),
        p90_us=percentile(latencies_us, 90),
        p99_us=percentile(latencies_us, 99),
        max_us=percentile(latencies_us, 100),
        failures={kind: count for kind, count in failures.items() if count},
    )


def schedule_us(first_us: Sequence[int], requests: int, interval_s: float) -> list[float]:
    """Return when each request was due, in ascending order.

    Every connection repeats its first request at one interval. A first request is never late, since nothing was
    before it on its connection. So the times of the first requests give the times of all others.
    """
    interval_us = interval_s * MICROSECONDS_PER_S
    connections = len(first_us)
    return sorted(first_us[index % connections] + index // connections * interval_us for index in range(requests))


def held_back_us(start_us: float, due_us: float) -> float:
    """Return how long a request had to wait for the one before it on its connection."""
    late_us = start_us - due_us
    return late_us if late_us > TIMER_LAG_US else 0.0


def percentile(ascending: Sequence[float], percent: float) -> float:
    """Return the nearest-rank percentile of values in ascending order, or NaN if there are none."""
    if not ascending:
        return math.nan
    rank = math.ceil(percent / 100 * len(ascending))
    return ascending[max(0, rank - 1)]


def spread(values: Iterable[float]) -> Spread:
    """Return the range and the median of the rounds that have a figure."""
    known = [value for value in values if math.isfinite(value)]
    if not known:
        return Spread(math.nan, math.nan, math.nan)
    return Spread(min(known), statistics.median(known), max(known))


def ratios(ours: Sequence[float], theirs: Sequence[float]) -> Spread:
    """Return ours ÷ theirs round by round, so that noise that hits both in one round cancels out."""
    return spread(mine / other if other else math.nan for mine, other in zip(ours, theirs, strict=True))


def added_us(ours_per_s: Sequence[float], floor_per_s: Sequence[float]) -> Spread:
    """Return the microseconds per request that ours needs more than the floor, when both are saturated."""
    return spread(
        MICROSECONDS_PER_S / mine - MICROSECONDS_PER_S / floor if mine and floor else math.nan
        for mine, floor in zip(ours_per_s, floor_per_s, strict=True)
    )


def _log_rows(log: str) -> Iterable[tuple[int, int, int]]:
    for line in log.splitlines():
        start_us, status, took_us = (int(column) for column in line.split("\t")[:3])
        yield start_us, status, took_us
