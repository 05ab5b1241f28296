"""What a run adds to the statistics of its lane."""

from collections.abc import Sequence

from gateway.execution.job import Job
from gateway.telemetry.statistics import LaneStatistics
from runtimes.batching import RequestResult


def count_run(
    statistics: LaneStatistics,
    jobs: Sequence[Job],
    outcomes: Sequence[RequestResult],
    *,
    started_s: float,
    duration_s: float,
    now_s: float,
) -> None:
    """Count a run and its requests, but for the replica's own probes."""
    is_counted = False
    for job, outcome in zip(jobs, outcomes, strict=True):
        if job.probe:
            continue
        is_counted = True
        statistics.instances += job.rows
        statistics.queued_s += started_s - job.queued_s
        if isinstance(outcome, Exception):
            statistics.failed += 1
            statistics.failed_s += now_s - job.queued_s
        else:
            statistics.succeeded += 1
            statistics.succeeded_s += now_s - job.queued_s
    if is_counted:
        statistics.runs += 1
        statistics.model_s += duration_s
