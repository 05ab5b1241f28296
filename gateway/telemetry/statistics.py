"""The statistics of model versions, as lanes count them and as the V2 statistics extension reports them."""

from dataclasses import dataclass
from typing import Any

_NS = 1_000_000_000


@dataclass(slots=True)
class LaneStatistics:
    """Sums since a lane was opened. Times are seconds.

    `succeeded` and `failed` count requests, `instances` the instances in them, `runs` the batches.
    """

    instances: float = 0
    runs: float = 0
    succeeded: float = 0
    succeeded_s: float = 0.0
    failed: float = 0
    failed_s: float = 0.0
    queued_s: float = 0.0
    model_s: float = 0.0


@dataclass(slots=True)
class VersionStatistics(LaneStatistics):
    """Sums over all lanes of a version and all replicas of the machine. `last_at_s` is since the epoch."""

    last_at_s: float = 0.0

    def v2_statistics(self, route: str, version: str) -> dict[str, Any]:
        """Return the object of the statistics extension. Input and output times are part of `compute_infer` here."""
        requests = self.succeeded + self.failed
        return {
            "name": route,
            "version": version,
            "last_inference": int(self.last_at_s * 1000),
            "inference_count": int(self.instances),
            "execution_count": int(self.runs),
            "inference_stats": {
                "success": _duration(self.succeeded, self.succeeded_s),
                "fail": _duration(self.failed, self.failed_s),
                "queue": _duration(requests, self.queued_s),
                "compute_input": _duration(requests, 0.0),
                "compute_infer": _duration(requests, self.model_s),
                "compute_output": _duration(requests, 0.0),
            },
            "batch_stats": [],
        }


def _duration(count: float, seconds: float) -> dict[str, int]:
    return {"count": int(count), "ns": int(seconds * _NS)}
