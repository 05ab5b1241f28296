"""The metrics: their names, their help texts, their labels, and how the processes of a machine add up to one value."""

from enum import StrEnum
from typing import NamedTuple


class Merge(StrEnum):
    """How the gauges of several processes become one, or do not."""

    SUM = "sum"
    EACH = "each"
    """Each process has its own, with its seat in the label `pid`."""
    NEWEST = "newest"


class Counted(NamedTuple):
    """A counter. Counters of all processes are added, those that have ended included."""

    help_text: str
    labels: tuple[str, ...] = ()


class Measured(NamedTuple):
    """A gauge. Those of processes that have ended are left out."""

    help_text: str
    merge: Merge
    labels: tuple[str, ...] = ()


LOG_RECORDS = "pointsman_log_records"
LOG_DROPPED = "pointsman_log_dropped"
LOG_FAILURES = "pointsman_log_failures"
LOG_CUT = "pointsman_log_cut"
SET_ASIDE = "pointsman_log_segments_set_aside"
SHED = "pointsman_shed"
ABORTS = "pointsman_aborts"
SHADOW_DROPPED = "pointsman_shadow_dropped"
REGISTRY_COPIED = "pointsman_registry_versions"
REWARDS = "pointsman_rewards"
CONTROL_FAILURES = "pointsman_control_failures"

COUNTERS = {
    LOG_RECORDS: Counted("Records of the inference log, by what became of them.", ("outcome",)),
    LOG_DROPPED: Counted("Records that the log lost, by reason (disk, bound, best_effort).", ("reason",)),
    LOG_FAILURES: Counted("Segments that could not be shipped at a try, by what failed.", ("code",)),
    LOG_CUT: Counted("What was damaged in segments, in bytes, and in rows by their numbers.", ("unit",)),
    SET_ASIDE: Counted("Segments of the inference log that could not be turned into Parquet."),
    SHED: Counted("Requests answered 429."),
    ABORTS: Counted("Arms that a guardrail took out of traffic.", ("route", "arm", "guardrail")),
    SHADOW_DROPPED: Counted("Requests that were not sent to a shadow, by reason.", ("route", "shadow", "reason")),
    REWARDS: Counted("Rewards that were sent, by what became of them.", ("route", "metric", "result")),
    CONTROL_FAILURES: Counted("Routes, policies or changes that the companion failed on, by task.", ("task",)),
    REGISTRY_COPIED: Counted("Versions that were copied from a remote registry, or could not be.", ("outcome",)),
}

IN_FLIGHT = "pointsman_in_flight"
REVISION = "pointsman_snapshot_revision"
STALE = "pointsman_snapshot_stale_seconds"
WARNED = "pointsman_routes_with_warnings"
LOG_OLDEST = "pointsman_log_oldest_row_seconds"
LOG_WAITING = "pointsman_log_waiting_bytes"
LOG_WAITING_SEGMENTS = "pointsman_log_waiting_segments"
LOG_SET_ASIDE_BYTES = "pointsman_log_set_aside_bytes"
LOG_SPOOL = "pointsman_log_spool_bytes"
LOG_BOUND = "pointsman_log_max_disk_bytes"
UNCOUNTED = "pointsman_uncounted_bytes"
STORE_DISTRUSTED = "pointsman_store_distrusted"
ARM_WEIGHT = "pointsman_arm_weight"
BEST_PROBABILITY = "pointsman_arm_best_probability"
POLICY_AGE = "pointsman_policy_age_seconds"
PHASE = "pointsman_route_phase"
STEP = "pointsman_rollout_step"
VERDICT = "pointsman_guardrail_verdict"
P_VALUE = "pointsman_guardrail_p_value"
REWARDS_SILENT = "pointsman_rewards_silent"
REGISTRY_REACHABLE = "pointsman_registry_reachable"
REGISTRY_STALE = "pointsman_registry_stale_seconds"
REGISTRY_COPY_BYTES = "pointsman_registry_copy_bytes"
REGISTRY_GONE = "pointsman_registry_gone_versions"

GAUGES = {
    IN_FLIGHT: Measured("Requests being worked on.", Merge.SUM),
    REVISION: Measured("The store's revision that each replica serves from (label pid: its seat).", Merge.EACH),
    STALE: Measured("Seconds since each replica last reached its store (label pid: its seat).", Merge.EACH),
    WARNED: Measured("Routes of which each replica warns, as `status` shows (label pid: its seat).", Merge.EACH),
    LOG_OLDEST: Measured("Age of the oldest row that is not in the log's place yet; 0 if there is none.", Merge.NEWEST),
    LOG_WAITING: Measured("Bytes of segments that wait to be shipped, or are being written.", Merge.NEWEST),
    LOG_WAITING_SEGMENTS: Measured("How many segments wait to be shipped, or are being written.", Merge.NEWEST),
    LOG_SET_ASIDE_BYTES: Measured("Bytes of segments that were set aside (dead-letter).", Merge.NEWEST),
    LOG_SPOOL: Measured("Bytes of disk that the spool takes.", Merge.NEWEST),
    LOG_BOUND: Measured("Bytes of disk that the spool may take (LOG_MAX_DISK_BYTES).", Merge.NEWEST),
    UNCOUNTED: Measured("Bytes of the inference log that are not in the live sums yet.", Merge.SUM),
    STORE_DISTRUSTED: Measured("1 while the store is not believed: it was lost or set back.", Merge.NEWEST),
    ARM_WEIGHT: Measured("The share of a route's traffic that an arm is to get.", Merge.NEWEST, ("route", "arm")),
    BEST_PROBABILITY: Measured(
        "The probability that an arm is the best, by what its bandit has learned.", Merge.NEWEST, ("route", "arm")
    ),
    POLICY_AGE: Measured("How long ago a bandit learned its newest policy.", Merge.NEWEST, ("route",)),
    PHASE: Measured("1 for the phase of a rollout or bandit.", Merge.NEWEST, ("route", "phase")),
    STEP: Measured("The step of a rollout, counted from 1.", Merge.NEWEST, ("route",)),
    VERDICT: Measured("1 for the verdict of a guardrail.", Merge.NEWEST, ("route", "arm", "guardrail", "state")),
    REGISTRY_REACHABLE: Measured("1 if the last look at the remote registry was answered, else 0.", Merge.NEWEST),
    REGISTRY_STALE: Measured("Seconds since the last look at the remote registry that was answered.", Merge.NEWEST),
    REGISTRY_COPY_BYTES: Measured("Size of this machine's copy of a remote registry.", Merge.NEWEST),
    REGISTRY_GONE: Measured("Versions that are needed here and that the remote registry has no more.", Merge.NEWEST),
    REWARDS_SILENT: Measured(
        "1 while decisions of an arm lack the rewards that are to be expected; otherwise it is not there.",
        Merge.NEWEST,
        ("route", "metric", "arm"),
    ),
    P_VALUE: Measured(
        "The probability of as much evidence against an arm if it were not worse than allowed.",
        Merge.NEWEST,
        ("route", "arm", "guardrail"),
    ),
}

LANE_LABELS = ("model", "version", "digest")
LANES = {
    "pointsman_lane_instances": ("instances", "Instances that a version was run on."),
    "pointsman_lane_runs": ("runs", "Batches that a version was run on."),
    "pointsman_lane_succeeded": ("succeeded", "Requests that a version answered."),
    "pointsman_lane_succeeded_seconds": ("succeeded_s", "Seconds that those requests took, with the time they waited."),
    "pointsman_lane_failed": ("failed", "Requests that a version failed on."),
    "pointsman_lane_failed_seconds": ("failed_s", "Seconds that those requests took, with the time they waited."),
    "pointsman_lane_queued_seconds": ("queued_s", "Seconds that requests waited for their batch."),
    "pointsman_lane_model_seconds": ("model_s", "Seconds that the batches took."),
}
"""The field of `LaneStatistics`, and the help text."""
LANE_LAST = "pointsman_lane_last_seconds"
LANE_LAST_HELP = "When a version was run last, in seconds since the epoch."


class Timed(NamedTuple):
    """A counter of requests and the histogram of their durations. `target` is the label of the arm or shadow."""

    counter: str
    counter_help: str
    histogram: str
    histogram_help: str
    target: str


REQUESTS = Timed(
    "pointsman_requests",
    "Attempts to answer a prediction, by arm.",
    "pointsman_request_seconds",
    "From the request's arrival to its record, by arm.",
    "arm",
)
SHADOW_REQUESTS = Timed(
    "pointsman_shadow_requests",
    "Requests that were sent to a shadow.",
    "pointsman_shadow_seconds",
    "From the offer of a request to a shadow to its record.",
    "shadow",
)
