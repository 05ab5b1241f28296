"""What a segment holds: a header, contexts, and one record per attempt to answer a request. Decides.

What does not change from request to request (route, arm, weights, model, feature names) is a `Context`, written once
per segment and referred to by number. Tensors are kept as the bytes that the model saw. A segment can be read
without anything else.
"""

from typing import Literal

import msgspec

SCHEMA_VERSION = 1
CALLERS_DEADLINE = "CallersDeadline"
"""The error code of an attempt that was too late for its caller, but not for its route."""

Outcome = Literal["ok", "error", "timeout", "rejected"]
Role = Literal["primary", "fallback", "shadow"]


class SegmentHeader(msgspec.Struct, frozen=True, array_like=True, tag=0):
    """The first record of every segment."""

    writer_id: str
    sequence: int
    schema_version: int = SCHEMA_VERSION


class Context(msgspec.Struct, frozen=True, array_like=True, tag=1):
    """What the records that follow have in common. `number` is unique within the segment.

    `features` names the values of one instance, over all inputs in order; `inputs` are NumPy type strings. The label
    is the output of that index whose type string is `label_type`; likewise the prediction (None: there is none).
    `slower_than_us` are the thresholds above which requests count as slow; `against` names the arm whose answers a
    shadow's are held against, and `against_version` the model version that serves it. `has_fallback` says that another
    arm is asked where this one fails.
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


class Comparison(msgspec.Struct, frozen=True, array_like=True):
    """How a shadow's answer differs from the primary's, summed over the instances of the request.

    `pairs` instances were compared, of which `flips` differ. `difference` is the sum of the largest absolute
    difference of each pair's predictions, in millionths, and `difference_squared` of its square, in millionths.
    `delay_us` is the shadow's model time less the primary's.
    """

    pairs: int
    flips: int
    difference: int
    difference_squared: int
    delay_us: int


class Record(msgspec.Struct, frozen=True, array_like=True, tag=2):
    """One attempt of one arm to answer one request. Times are microseconds; `event_us` since the epoch.

    `inputs` and `outputs` hold the tensors' bytes, row-major, in the signature's order; an attempt that failed has
    no outputs, a request that was rejected has neither. A fallback that answered values which the drawn arm refused
    shows that it was not the caller's fault: `blamed` is that arm and its model version.
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


class Audit(msgspec.Struct, frozen=True, array_like=True, tag=3):
    """One change of one route's document, as the store has it. `number` is its place among all changes.

    `at_us` is since the epoch; `weights` those that it gave; `phase` the rollout's, or empty; `document` its JSON.
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


SegmentEntry = SegmentHeader | Context | Record | Audit
