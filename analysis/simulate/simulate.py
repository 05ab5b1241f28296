"""Predicts what a declared bandit would have earned over logged decisions.

The bandit is run several times, since which logged decisions it takes is chance. The prediction is the mean of the
runs. Its error has two parts: that of the estimate, which a longer log makes smaller, and how much the runs differ. The
second counts in full, because all runs learn from the same log, and its luck is in all of them.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from math import ceil, sqrt
from pathlib import Path
from statistics import fmean, stdev

from analysis.errors import AnalysisRefused
from analysis.off_policy.interval import interval
from analysis.off_policy.overlap import check_overlap
from analysis.route_log import open_route_log
from analysis.simulate.contexts import DeclaredContext
from analysis.simulate.logged import Logged, by_bucket, read_logged
from analysis.simulate.run import Learn, Run
from analysis.simulate.usable import Usable, create_usable
from inference_log.declared_metrics import create_metrics
from inference_log.files import LogFiles
from inference_log.labelled import LABELLED
from router.evidence.sums import GROUPS
from router.quantities import format_duration
from router.rewards.buckets import length_s
from router.rewards.sums import in_units
from router.spec.metric import MetricSpec
from router.spec.spec import RouteSpec

RUNS = 3
MOST_UPDATES = 200
"""A bandit learns so often in a run at most: an update takes about a tenth of a second."""

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Simulated:
    """What a simulation finds. Rewards are means over decisions, in the metric's unit.

    - `decisions` were used; `left_out` counts the others, by why they were not.
    - `logged` is the mean reward of the log, `predicted` that of the bandit, from `low` to `high`.
    - `taken` decisions were taken by a run, on average, and earned `accepted`; `snips` is self-normalised. These check
      the prediction.
    - `policies` were learned by a run, on average; `weights` are the last ones, averaged over the runs.
    """

    route: str
    policy: str
    metric: str
    decisions: int
    logged: float
    predicted: float
    low: float
    high: float
    accepted: float
    snips: float
    effective_sample_size: float
    taken: float
    policies: float
    runs: int
    weights: dict[str, float]
    left_out: dict[str, int] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def simulate(
    files: LogFiles,
    spool: Path,
    spec: RouteSpec,
    learn: Learn,
    progress: Progress,
    *,
    since_us: int = 0,
    runs: int = RUNS,
    context: DeclaredContext | None = None,
) -> Simulated:
    """Return what the bandit of a declared route would have earned on the decisions of the log since a time.

    `context` is what the bandit looks at in a request, if it does.

    Raises:
        AnalysisRefused: the route declares no bandit, or the log cannot tell what it would earn.
        BanditError: the bandit cannot learn.
    """
    metric = _metric(spec)
    with open_route_log(files, spool) as opened:
        opened.choose(spec.route)
        connection = opened.connection
        create_metrics(connection)
        connection.execute(LABELLED)
        usable = create_usable(connection, spec, metric.name, since_us, context)
        rows = read_logged(connection, tuple(spec.arms), metric, context)
        features = 0 if context is None else context.size
        return simulate_rows(rows, usable, spec, learn, progress, runs=runs, features=features)


def simulate_rows(
    rows: Iterable[Logged],
    usable: Usable,
    spec: RouteSpec,
    learn: Learn,
    progress: Progress,
    *,
    runs: int = RUNS,
    features: int = 0,
) -> Simulated:
    """Return what the bandit would have earned on these decisions, which are in order.

    `features` is the size of their contexts, 0 without one.

    Raises:
        AnalysisRefused: the decisions cannot tell what it would earn.
        BanditError: the bandit cannot learn.
    """
    metric, notes = _metric(spec), list(usable.notes)
    if spec.unit is not None and not usable.has_units:
        spec = replace(spec, unit=None)
        notes.append("The log has no units of these decisions, so they are taken for independent.")
    every_s = length_s(metric) * max(ceil((usable.ended_s - usable.began_s) / length_s(metric) / MOST_UPDATES), 1)
    if every_s > length_s(metric):
        often, seldom = format_duration(length_s(metric)), format_duration(every_s)
        notes.append(f"The bandit learned every {seldom}; in the gateway it does every {often}.")
    groups = GROUPS if usable.by_unit else 0
    if features:
        notes.append("The weights at the end are those of an average request.")
    made = [
        Run(spec, metric, learn, usable.began_s, seed, every_s=every_s, groups=groups, features=features)
        for seed in range(runs)
    ]
    done = 0
    for bucket_s, logged in by_bucket(rows, metric):
        for run in made:
            run.add(bucket_s, logged)
        done += len(logged.arms)
        progress(f"decisions of {spec.route}", done, usable.decisions)
    for run in made:
        check_overlap(run.sums)
    return _simulated(made, usable, spec, metric, notes)


def _metric(spec: RouteSpec) -> MetricSpec:
    bandit = spec.bandit
    if bandit is None or not bandit.acts:
        raise AnalysisRefused(
            f"Route {spec.route} declares no bandit; say which, such as `bandit: {{policy: thompson, reward: click}}`."
        )
    return next(each for each in spec.metrics if each.name == bandit.reward)


def _simulated(made: list[Run], usable: Usable, spec: RouteSpec, metric: MetricSpec, notes: list[str]) -> Simulated:
    values = [run.sums.doubly_robust for run in made]
    between = stdev(values) if len(values) > 1 else 0.0
    error = sqrt(fmean(run.sums.standard_error**2 for run in made) + between**2)
    ends = interval(fmean(values), error, made[0].sums.degrees_of_freedom)
    low, high = (in_units(min(max(end, 0.0), 1.0), metric) for end in ends)
    if not all(run.policies for run in made):
        notes.append("In some runs the bandit has learned nothing: too few decisions matured.")
    first = made[0].sums
    return Simulated(
        route=spec.route,
        policy="" if spec.bandit is None else spec.bandit.policy,
        metric=metric.name,
        decisions=first.decisions,
        logged=in_units(first.logged, metric),
        predicted=in_units(fmean(values), metric),
        low=low,
        high=high,
        accepted=in_units(fmean(run.taken.logged for run in made if run.taken.decisions), metric),
        snips=in_units(fmean(run.sums.snips for run in made), metric),
        effective_sample_size=min(run.sums.effective_sample_size for run in made),
        taken=fmean(run.taken.decisions for run in made),
        policies=fmean(run.policies for run in made),
        runs=len(made),
        weights={arm: fmean(run.weights[arm] for run in made) for arm in spec.arms},
        left_out=usable.left_out,
        notes=notes,
    )
