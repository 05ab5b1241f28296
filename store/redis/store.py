"""A store in Redis 7: one server, Sentinel, or a cluster; shared by any number of machines. Acts.

What is written together is written by one Lua script (`lua/`), which Redis runs as one step. Documents, their
history and API keys never expire; what traffic adds up to does.
"""

from collections.abc import Sequence

from store.codec import decode, encode
from store.interface import Report
from store.redis.address import RedisAddress
from store.redis.api_keys import RedisApiKeys
from store.redis.documents import RedisDocuments
from store.redis.listener import ChangeListener
from store.redis.sums import RedisSums

_SILENT_S = 60
"""A replica that has said nothing for so long is forgotten."""


class RedisStore(RedisDocuments, RedisSums, RedisApiKeys):
    """See `store.interface.Store`. It connects when it is first asked."""

    def __init__(self, address: RedisAddress) -> None:
        super().__init__(address)
        self._listener = ChangeListener(self._client, self._keys.changed, self._closed)

    def await_change(self, timeout_s: float) -> None:
        """See `Store.await_change`."""
        self._listener.wait(timeout_s)

    def report(self, report: Report) -> None:
        """See `Store.report`."""
        self._write("report", [self._keys.reports], _SILENT_S, report.replica, encode(report))

    def retire(self, replica: str) -> None:
        """See `Store.retire`."""
        self._ask("HDEL", self._keys.reports, replica)

    def reports(self) -> Sequence[Report]:
        """See `Store.reports`."""
        bodies = [value.partition(" ")[2] for _, value in sorted(self._ask("HGETALL", self._keys.reports).items())]
        return [report for body in bodies if (report := decode(body, Report)) is not None]

    def close(self) -> None:
        """See `Store.close`."""
        super().close()
        self._listener.close()
