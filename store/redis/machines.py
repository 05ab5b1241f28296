"""The machines that evaluate routes, in Redis."""

import json
from collections.abc import Collection

from store.machines import SILENT_S, Machines
from store.redis.connection import RedisConnection

_KEPT_S = 60


class RedisMachines(RedisConnection):
    """The machines of `store.interface.Store`."""

    def beat(self, machine: str, declines: Collection[str] = ()) -> Machines:
        """See `Store.beat`."""
        names = self._names
        reply = self._write(
            "beat",
            [names.machines, names.declined],
            int(SILENT_S * 1000),
            _KEPT_S,
            machine,
            json.dumps(list(declines)) if declines else "",
        )
        end = reply.index("", 1)
        declined = dict(zip(reply[end + 1 :: 2], reply[end + 2 :: 2], strict=True))
        return {each: frozenset(json.loads(declined.get(each, "[]"))) for each in reply[1:end]}

    def leave(self, machine: str) -> None:
        """See `Store.leave`."""
        self._execute_all([("ZREM", self._names.machines, machine), ("HDEL", self._names.declined, machine)])
