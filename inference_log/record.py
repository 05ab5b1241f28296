"""The entries of a segment: a header, contexts, records (one per attempt to answer a request), audits and rewards.

Values that are the same for many requests (route, arm, weights, model, feature names) are in a `Context`, which is
written once per segment. Records refer to it by number. Tensors are stored as the bytes that the model got. A segment
can be read without anything else.
"""

from typing import Literal

import msgspec

from inference_log.payload import Payload
from router.draw.assignment import BUCKETS
from router.rewards.events import Operation
from router.spec.metric import MetricSpec
from router.spec.weighing import Weighing

SCHEMA_VERSION = 2
CALLERS_DEADLINE = "CallersDeadline"
"""The error code of an attempt that missed the deadline of its caller, but not that of its route."""
NOT_STARTED = "NotStarted"
"""The error code of an attempt for which the model was not asked, for no reason that lies in the requests of its route.

Either an estimate said that it would be late, or other routes' requests had opened the breaker of the version.
"""

Outcome = Literal["ok", "error", "timeout", "rejected"]
Role = Literal["primary", "fallback", "shadow"]


class SegmentHeader(msgspec.Struct, frozen=True, array_like=True, tag=0):
    """The first record of every segment. `cluster` is the setting of that name, or empty."""

    writer_id: str
    sequence: int
    schema_version: int = SCHEMA_VERSION
    cluster: str = ""


class Context(msgspec.Struct, frozen=True, array_like=True, tag=1):
    """The values that several records share. `number` is unique within the segment.

    `features` names the numbers of one instance, over all inputs of numbers in order; `inputs` are their NumPy type
    strings. `categories` names the inputs of BYTES with one text for each instance. They come after those of numbers.
    `label` is
    the index and the type string of the output that holds the label, or None; `prediction` likewise. `slower_than_us`
    are the thresholds above which requests count as slow. `against` is the arm with which a shadow is compared, and
    `against_version` the model version of that arm. With `has_fallback`, another arm answers if this one fails.
    `metrics` are those of the route, of which its decisions may get rewards. `policy_number` is that of the learned
    policy whose weights these are, or 0. `maximised` is the metric from which a contextual bandit learns, or empty.
    `trusted` is the arm with which the guardrails of a bandit compare the others, or empty. `redaction` is the hash of
    the rules that the values went through, or empty. Of the requests that were answered, the share `sample_slots` (of
    10,000) has its values here. Records of a context that `is_best_effort` are left out first if there is little room.
    `weighed_metrics` are those whose rewards the guardrails of a bandit compare.
    """

    number: int
    route: str
    arm: str
    role: Role
    policy_kind: str
    policy_version: int
    snapshot_hash: str
    weights: dict[str, float]
    model_name: str
    model_version: str
    model_digest: str
    features: tuple[str, ...] = ()
    inputs: tuple[str, ...] = ()
    label: tuple[int, str] | None = None
    prediction: tuple[int, str] | None = None
    slower_than_us: tuple[int, ...] = ()
    against: str = ""
    against_version: str = ""
    has_fallback: bool = False
    categories: tuple[str, ...] = ()
    metrics: tuple[MetricSpec, ...] = ()
    policy_number: int = 0
    maximised: str = ""
    trusted: str = ""
    redaction: str = ""
    sample_slots: int = BUCKETS
    is_best_effort: bool = False
    weighed_metrics: tuple[str, ...] = ()


class Comparison(msgspec.Struct, frozen=True, array_like=True):
    """The differences between the outputs of a shadow and of the primary, summed over the instances of a request.

    `pairs` instances were compared, of which `flips` differ. `difference` is the sum of the largest absolute
    difference of each pair's predictions, in millionths, and `difference_squared` of its square, in millionths.
    `delay_us` is the shadow's model time minus the primary's.
    """

    pairs: int
    flips: int
    difference: int
    difference_squared: int
    delay_us: int


class Kept(msgspec.Struct, frozen=True, array_like=True):
    """What a record keeps of a request that is larger than the log allows.

    It has the values of `instances` of all instances (`values.kept_instances` says which), or without `has_values` of
    none. With 0 instances the request is not in the sample of its route. `is_missing` is True if any of all instances
    lacked a value in the outputs.
    """

    instances: int
    has_values: bool
    is_missing: bool


class Record(msgspec.Struct, frozen=True, array_like=True, tag=2):
    """One attempt of one arm to answer one request. Times are microseconds; `event_us` since the epoch.

    `inputs` and `outputs` hold the tensors' bytes, row-major; outputs in the signature's order. A failed attempt has no
    outputs, and a rejected request has neither. If a fallback answers values that the drawn arm refused, the values
    were not at fault: `blamed` is then the drawn arm and its model version. `batch_size` counts all instances of the
    request; `kept` is None if the record holds all of them. `propensity` is the drawn arm's share of the slots then; of
    a request with a unit it is the marginal probability, not that given the unit's earlier requests. `vector` is the
    context that a bandit saw (`bandits.linear.packed`), or None. `caller` is the id of the API key or the subject of
    the token, and `door` the protocol by which the request came; either may be empty. `tags` are pairs that the caller
    gave. `queue_us` is how long the request waited until its batch began, or None if none began. `slots` are the
    weights of the request, where each has its own (`inference_log.request_slots`); None elsewhere, and in records of
    earlier releases. They come last, since no record may end with a zero.
    """

    context: int
    writer_seq: int
    decision_id: str
    attempt: int
    event_us: int
    reason: str
    propensity: float | None
    unit_hash: str | None
    status: int
    outcome: Outcome
    error_code: str
    latency_us: int
    model_us: int
    batch_size: int
    request_id: str
    trace_id: str
    inputs: tuple[bytes, ...] = ()
    outputs: tuple[bytes, ...] = ()
    comparison: Comparison | None = None
    blamed: tuple[str, str] | None = None
    kept: Kept | None = None
    vector: bytes | None = None
    caller: str = ""
    door: str = ""
    tags: tuple[tuple[str, str], ...] = ()
    queue_us: int | None = None
    slots: bytes | None = None


class Audit(msgspec.Struct, frozen=True, array_like=True, tag=3):
    """One change of one route's document, as stored. `number` is its place among all changes.

    `at_us` is the time since the epoch, `weights` are the weights after the change, `phase` is the rollout's phase or
    empty, and `document` is the document as JSON.
    """

    number: int
    route: str
    version: int
    at_us: int
    who: str
    what: str
    why: str
    by: str
    phase: str
    weights: dict[str, float]
    document: str


class RewardContext(msgspec.Struct, frozen=True, array_like=True, tag=4):
    """The values that several rewards share: where the decision was made, and by which metrics it is judged.

    They are those of the document's version that was in force when the decision was made. `declared_us` names the life
    of the route. `number` is unique within the segment, also among those of `Context`. `maximised`: see there.
    `weighing` says what the guardrails of a bandit compare of its rewards; None if they compare none.
    """

    number: int
    route: str
    declared_us: int
    policy_version: int
    arm: str
    model_version: str
    metrics: tuple[MetricSpec, ...]
    maximised: str = ""
    weighing: Weighing | None = None


class Reward(msgspec.Struct, frozen=True, array_like=True, tag=5):
    """One report of what happened after a decision, as it arrived. Times are microseconds since the epoch.

    `decided_us` is when the decision's request arrived, and `latency_us` how long its prediction took. `propensity` is
    None if the arm was not drawn; such a decision is in no sum. `group` is the group of the decision's unit, or -1.
    `event` is the id that the caller gave the event. `value` is a text if the metric is a label. A reward that
    `is_late` came after the window of its decision. `source` says how it came, such as `http` or the name of an
    imported file. `vector` is the context that a bandit saw.
    `slots` are the weights of the decision, in the order of `RewardContext.weighing` (`inference_log.request_slots`);
    None where there is none.
    """

    context: int
    writer_seq: int
    decision_id: str
    decided_us: int
    latency_us: int
    propensity: float | None
    group: int
    metric: str
    event: str
    operation: Operation
    event_us: int
    value: float | str
    arrived_us: int
    is_late: bool
    source: str
    vector: bytes | None = None
    slots: bytes | None = None


class Learned(msgspec.Struct, frozen=True, array_like=True, tag=6):
    """One policy that a bandit has learned: weights, and what the next policy and a replay need (`content`, JSON).

    `declared_us` names the life of the route, and `number` counts its policies. `since_version` is the document's
    version with which the bandit was given its weights by a command last. `at_us` is the time since the epoch.
    """

    route: str
    declared_us: int
    number: int
    since_version: int
    at_us: int
    weights: dict[str, float]
    content: str


SegmentEntry = SegmentHeader | Context | Record | Audit | RewardContext | Reward | Learned | Payload
