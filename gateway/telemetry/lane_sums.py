"""The statistics of each model version, added up over the processes of a machine."""

from collections.abc import Iterable
from dataclasses import fields

from gateway.telemetry.published import LaneSums
from gateway.telemetry.statistics import LaneStatistics, VersionStatistics
from registry_sync.version import VersionKey

_FIELDS = tuple(field.name for field in fields(LaneStatistics))


def sum_lanes(lanes_of: Iterable[Iterable[LaneSums]]) -> dict[VersionKey, VersionStatistics]:
    """Return the sums of every version over all processes. The time of the last run is the latest."""
    sums: dict[VersionKey, VersionStatistics] = {}
    for lanes in lanes_of:
        for lane in lanes:
            add(sums.setdefault(VersionKey(lane.model, lane.version, lane.digest), VersionStatistics()), lane.sums)
    return sums


def add(total: VersionStatistics, added: VersionStatistics) -> None:
    """Add to the statistics of a version."""
    for name in _FIELDS:
        setattr(total, name, getattr(total, name) + getattr(added, name))
    total.last_at_s = max(total.last_at_s, added.last_at_s)
