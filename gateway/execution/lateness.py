"""Requests whose deadline cannot be met, or has passed. A request is not started if its route's pace says so."""

import math
from collections.abc import Sequence

from gateway.errors import TooLate
from gateway.execution.job import Job


def is_refused(job: Job, now_s: float) -> bool:
    """Return True if a request is not started, because of its pace. One that is due to be tried is never refused."""
    if job.deadline_s is None or job.must_run:
        return False
    left_s = job.deadline_s - now_s
    if job.pace.refuses(job.rows, left_s):
        return True
    job.must_run = left_s < job.pace.expected_s(job.rows)
    return False


def fail_late(job: Job) -> None:
    """Fail a request that was not started. If it had waited for nothing, the estimate alone is to blame."""
    left_s = math.inf if job.deadline_s is None else job.deadline_s - job.queued_s
    sentence = "The deadline would have passed before the model had answered; it was not started."
    job.fail(TooLate(sentence, is_foretold=left_s < job.pace.expected_s(job.rows)))


def latest_s(jobs: Sequence[Job]) -> float | None:
    """Return the latest deadline of the jobs; None if one of them has no deadline."""
    latest_s = 0.0
    for job in jobs:
        if job.deadline_s is None:
            return None
        latest_s = max(latest_s, job.deadline_s)
    return latest_s


def expire(job: Job) -> None:
    """Fail a request whose deadline has passed."""
    job.fail(TooLate("The model did not answer within the deadline."))
