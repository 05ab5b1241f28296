"""A store in Redis 7: one server, Sentinel, or a cluster. Any number of machines may share it.

Everything that must be written together is written by one Lua script (`lua/`), which Redis runs as one step.
Documents, their history and API keys never expire; sums of the traffic do.
"""

import math
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

from store.codec import decode, encode
from store.redis.address import RedisAddress
from store.redis.api_keys import RedisApiKeys
from store.redis.documents import RedisDocuments
from store.redis.listener import ChangeListener
from store.redis.machines import RedisMachines
from store.redis.policies import RedisPolicies
from store.redis.sums import RedisSums
from store.report import Report

_SILENT_S = 60
"""A replica that has sent no report for so long is forgotten."""
_WHOLE_EVERY_S = 30.0
"""How often a report is sent in whole though it is the same: the one in the store may be damaged."""


class _Sent(NamedTuple):
    """The last report that was sent in whole, without its time, and when."""

    replica: str = ""
    body: str = ""
    at_s: float = -math.inf


class RedisStore(RedisDocuments, RedisPolicies, RedisSums, RedisApiKeys, RedisMachines):
    """See `store.interface.Store`. It connects on its first call."""

    def __init__(self, address: RedisAddress) -> None:
        super().__init__(address)
        self._sent = _Sent()
        self._listener = ChangeListener(self._client, self._names.changed, self._closed)

    def await_change(self, timeout_s: float) -> bool:
        """See `Store.await_change`."""
        return self._listener.wait(timeout_s)

    def report(self, report: Report) -> None:
        """See `Store.report`. What a replica serves is long, and sent only if it has changed, or after a while."""
        body, now_s = encode(replace(report, at_s=0.0)), time.monotonic()
        known = self._sent
        is_known = (known.replica, known.body) == (report.replica, body) and now_s - known.at_s < _WHOLE_EVERY_S
        keys = [self._names.reports, self._names.reported, self._names.report_times]
        said = _SILENT_S, report.replica, repr(report.at_s)
        reply = self._write("report", keys, *said, "" if is_known else body)
        if reply[0] == "unknown":
            self._write("report", keys, *said, body)
        if reply[0] == "unknown" or not is_known:
            self._sent = _Sent(report.replica, body, now_s)

    def retire(self, replica: str) -> None:
        """See `Store.retire`."""
        names = self._names
        self._execute_all(
            [
                ("ZREM", names.reported, replica),
                *(("HDEL", key, replica) for key in (names.reports, names.report_times)),
            ]
        )

    def reports(self) -> Sequence[Report]:
        """See `Store.reports`."""
        bodies, times = self._execute_all([("HGETALL", self._names.reports), ("HGETALL", self._names.report_times)])
        read = ((replica, decode(value.partition(" ")[2], Report)) for replica, value in sorted(bodies.items()))
        return [
            replace(report, at_s=_time(times[replica])) if replica in times else report
            for replica, report in read
            if report is not None
        ]

    def close(self) -> None:
        """See `Store.close`."""
        super().close()
        self._listener.close()


def _time(text: str) -> float:
    """Return the time of a report; that of a damaged one is long ago."""
    try:
        return float(text)
    except ValueError:
        return 0.0
