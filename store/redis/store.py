"""A store in Redis 7: one server, Sentinel, or a cluster. Any number of machines may share it.

Everything that must be written together is written by one Lua script (`lua/`), which Redis runs as one step.
Documents, their history and API keys never expire; sums of the traffic do.
"""

from collections.abc import Sequence

from store.codec import decode, encode
from store.redis.address import RedisAddress
from store.redis.api_keys import RedisApiKeys
from store.redis.documents import RedisDocuments
from store.redis.listener import ChangeListener
from store.redis.policies import RedisPolicies
from store.redis.sums import RedisSums
from store.report import Report

_SILENT_S = 60
"""A replica that has sent no report for so long is forgotten."""


class RedisStore(RedisDocuments, RedisPolicies, RedisSums, RedisApiKeys):
    """See `store.interface.Store`. It connects on its first call."""

    def __init__(self, address: RedisAddress) -> None:
        super().__init__(address)
        self._listener = ChangeListener(self._client, self._names.changed, self._closed)

    def await_change(self, timeout_s: float) -> None:
        """See `Store.await_change`."""
        self._listener.wait(timeout_s)

    def report(self, report: Report) -> None:
        """See `Store.report`."""
        self._write("report", [self._names.reports], _SILENT_S, report.replica, encode(report))

    def retire(self, replica: str) -> None:
        """See `Store.retire`."""
        self._execute("HDEL", self._names.reports, replica)

    def reports(self) -> Sequence[Report]:
        """See `Store.reports`."""
        bodies = [value.partition(" ")[2] for _, value in sorted(self._execute("HGETALL", self._names.reports).items())]
        return [report for body in bodies if (report := decode(body, Report)) is not None]

    def close(self) -> None:
        """See `Store.close`."""
        super().close()
        self._listener.close()
