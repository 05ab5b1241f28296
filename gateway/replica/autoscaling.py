"""How many replicas the gateway needs, by what its replicas say of themselves.

Ray Serve's own counts see only requests that come through its proxies and handles. Those of the gateway come to the
replicas' own ports. So each replica tells Serve its requests in hand and the use of its event loop
(`GatewayReplica.record_autoscaling_stats`), and Serve's autoscaler asks `ByUse`.

Serve sends this module to its controller by value, so it imports nothing of ours, and no Ray.
"""

import time
from collections.abc import Callable, Mapping
from typing import Any

IN_FLIGHT = "in_flight"
LOOP_USE = "loop_use"


class ByUse:
    """The policy: so many replicas that each has at most these requests in hand and this use of its event loop.

    `in_flight` and `loop_use` are means over the autoscaler's `look_back_period_s`. Serve keeps the result within its
    bounds, and waits `upscale_delay_s` or `downscale_delay_s` before it follows.
    """

    def __init__(self, in_flight: float, loop_use: float) -> None:
        self._targets = {IN_FLIGHT: in_flight, LOOP_USE: loop_use}

    def __call__(self, context: Any) -> tuple[float, dict[str, Any]]:
        """Return how many replicas are needed (Serve rounds it up), and no state. `context` is Serve's."""
        return self.needed(context.aggregated_metrics or {}, context.target_num_replicas), {}

    def needed(self, reported: Mapping[str, Mapping[Any, float]], now: int) -> float:
        """Return how many replicas are needed: `now`, the number that is wanted now, if none has reported.

        `reported` has a mapping from replica to value for each name. A replica that has not reported yet has no share
        of the requests yet, so it is not missed in the sums.
        """
        loads = [
            sum(values.values()) / target for name, target in self._targets.items() if (values := reported.get(name))
        ]
        return max(loads, default=float(now))


class LoopUse:
    """The share of its time that the event loop was at work, since the last time that this was asked.

    It counts the processor time of the loop's thread: what runs in other threads or processes is not in it.
    """

    def __init__(
        self, clock: Callable[[], float] = time.monotonic, worked: Callable[[], float] = time.thread_time
    ) -> None:
        self._clock, self._worked = clock, worked
        self._at_s, self._worked_s = clock(), worked()

    def read(self) -> float:
        """Return the share, from 0 to 1. Call this on the event loop."""
        at_s, worked_s = self._clock(), self._worked()
        passed_s, work_s = at_s - self._at_s, worked_s - self._worked_s
        self._at_s, self._worked_s = at_s, worked_s
        return min(1.0, max(0.0, work_s / passed_s)) if passed_s > 0 else 0.0
