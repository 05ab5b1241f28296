"""Lanes of versions that were replaced a short time ago. They stay open, so that an undo takes effect at once."""

from collections.abc import Set as AbstractSet

from gateway.execution.lane import LaneKey


class WarmLanes:
    """One per replica. Lanes that were used within the last `keep_s` are warm."""

    def __init__(self, keep_s: float) -> None:
        self._keep_s = keep_s
        self._used_s: dict[LaneKey, float] = {}

    def kept(self, used: AbstractSet[LaneKey], now_s: float, *, is_memory_short: bool) -> set[LaneKey]:
        """Return the lanes that are not used at `now_s` and stay open all the same; none while memory is short."""
        since_s = float("inf") if is_memory_short else now_s - self._keep_s
        self._used_s = {key: at_s for key, at_s in self._used_s.items() if at_s > since_s} | dict.fromkeys(used, now_s)
        return self._used_s.keys() - used
