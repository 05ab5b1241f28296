"""Requests whose deadline cannot be met, or has passed. A request is not started if its route's pace says so."""

import math
from collections.abc import Sequence

from gateway.errors import TooLate
from gateway.execution.job import Job

_OF_OTHERS = "The deadline passed while the model answered other routes' requests; it was not started."


def is_refused(job: Job, now_s: float) -> bool:
    """Return True if a request is not started, because of its pace. One that is due to be tried is never refused."""
    if job.deadline_s is None or job.must_run:
        return False
    left_s = job.deadline_s - now_s
    if job.pace.refuses(job.rows, left_s):
        return True
    job.must_run = left_s < job.pace.expected_s(job.rows)
    return False


def fail_late(job: Job, *, is_others: bool) -> None:
    """Fail a request that was not started.

    If it had waited for nothing, the estimate alone is to blame; with `is_others`, requests of other routes.
    """
    left_s = math.inf if job.deadline_s is None else job.deadline_s - job.queued_s
    sentence = "The deadline would have passed before the model had answered; it was not started."
    job.fail(TooLate(sentence, is_not_started=is_others or left_s < job.pace.expected_s(job.rows)))


def latest_s(jobs: Sequence[Job]) -> float | None:
    """Return the latest deadline of the jobs; None if one of them has no deadline."""
    latest_s = 0.0
    for job in jobs:
        if job.deadline_s is None:
            return None
        latest_s = max(latest_s, job.deadline_s)
    return latest_s


def expire(job: Job, *, is_others: bool) -> None:
    """Fail a request whose deadline has passed. With `is_others`, it was not run because of other routes' requests."""
    sentence = _OF_OTHERS if is_others else "The model did not answer within the deadline."
    job.fail(TooLate(sentence, is_not_started=is_others))
