"""What goes into one prediction, and what comes out of it."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import msgspec

from gateway.inference.contexts import Weighed
from gateway.inference.live_table import LiveArm
from gateway.inference.sender import UNKNOWN, Sender
from gateway.protocols.request import Headers
from router.plan import Reason
from runtimes.datatypes import Tensor


class Call(msgspec.Struct, frozen=True):
    """One request, with what deciding and recording need of it. Times are of `time.perf_counter`.

    `deadline_s` is the caller's own deadline, if the caller gave one. The route's deadline counts as well. `headers`
    are kept for tracing only. `probe` marks the replica's own request, which is not recorded. `weighed` is there if the
    route's bandit looks at the request.
    """

    decision_id: str
    started_s: float
    inputs: Mapping[str, Tensor]
    batch_size: int
    unit: str | None = None
    unit_hash: str | None = None
    forced_arm: str | None = None
    pinned_version: str | None = None
    deadline_s: float | None = None
    request_id: str = ""
    trace_id: str = ""
    headers: Headers | None = None
    probe: bool = False
    is_targeted: bool = True
    weighed: Weighed | None = None
    sender: Sender = UNKNOWN


Times = tuple[int, int]
"""When a request arrived, and how long its answer took, as a record in the log has it. In microseconds."""


class Answer(NamedTuple):
    """The outputs of the arm that answered. `propensity` is None unless this arm was drawn.

    `recorded` has the times of the record of this attempt. It is None if there is none, as for a probe.
    """

    arm: LiveArm
    tensors: Sequence[Tensor]
    reason: Reason
    propensity: float | None
    recorded: Times | None = None
