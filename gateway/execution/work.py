"""For which routes a version has worked, to know whose requests kept another one waiting.

A request that was never run before its deadline is an error of the arm, for requests of its own route kept it waiting.
It is none if requests of other routes took more than half of the time for which the version worked meanwhile. Requests
that share a run share its time by their rows.
"""

from collections.abc import Sequence

from gateway.execution.job import Job
from gateway.execution.paces import Pace

_MOST_OF_OTHERS = 0.5


class Work:
    """The work of one version in one replica. Only a run that outlasts its turn has to begin; all end."""

    __slots__ = ("_all_s", "_runs")

    def __init__(self) -> None:
        self._all_s = 0.0
        self._runs: dict[int, tuple[float, dict[Pace, float]]] = {}

    def begin(self, jobs: Sequence[Job], started_s: float) -> None:
        """Note a run that is under way. `end` needs the same sequence."""
        rows = sum([job.rows for job in jobs]) or 1
        shares: dict[Pace, float] = {}
        for job in jobs:
            shares[job.pace] = shares.get(job.pace, 0.0) + job.rows / rows
        self._runs[id(jobs)] = started_s, shares

    def end(self, jobs: Sequence[Job], duration_s: float) -> None:
        """Count a run for the routes that had requests in it."""
        if self._runs:
            self._runs.pop(id(jobs), None)
        self._all_s += duration_s
        if len(jobs) == 1:
            jobs[0].pace.worked_s += duration_s
            return
        per_row_s = duration_s / (sum([job.rows for job in jobs]) or 1)
        for job in jobs:
            job.pace.worked_s += job.rows * per_row_s

    def until(self, now_s: float, pace: Pace) -> tuple[float, float]:
        """Return the seconds of work so far for the route of a pace, and for all. Runs that are under way count."""
        own_s, all_s = pace.worked_s, self._all_s
        for started_s, shares in self._runs.values():
            all_s += now_s - started_s
            own_s += (now_s - started_s) * shares.get(pace, 0.0)
        return own_s, all_s

    def is_others(self, now_s: float, job: Job) -> bool:
        """Return True if a request that was not run has waited for requests of other routes."""
        if job.worked_before is None:
            return False
        (own_before_s, all_before_s), (own_s, all_s) = job.worked_before, self.until(now_s, job.pace)
        meanwhile_s = all_s - all_before_s
        return meanwhile_s - (own_s - own_before_s) > _MOST_OF_OTHERS * meanwhile_s
