"""Record one attempt of one arm, or of one shadow, in the inference log."""

import time
from collections.abc import Sequence

from gateway.inference.call import Call, Times
from gateway.inference.log_bounds import DEFAULT_BOUNDS, LogBounds, logged_values, without_values
from gateway.inference.log_sample import is_in_sample
from gateway.inference.redaction import Redactor, Rules
from inference_log.record import Comparison, Context, Outcome, Record
from inference_log.writer import LogWriter
from router.draw.assignment import BUCKETS
from runtimes.datatypes import Tensor

MAX_REQUEST_ID_CHARS = 256
"""The log keeps so much of the id that a caller gives a request. The id stands in each row of the request."""


class Recorder:
    """Appends attempts to the log of one replica. `secret` is the key of redacted texts."""

    def __init__(self, log: LogWriter, bounds: LogBounds = DEFAULT_BOUNDS, secret: bytes = b"") -> None:
        self._log = log
        self._bounds = bounds
        self._secret = secret

    def record(
        self,
        context: Context,
        call: Call,
        *,
        attempt: int,
        reason: str,
        propensity: float | None,
        status: int,
        outcome: Outcome,
        error_code: str,
        latency_s: float,
        model_s: float = 0.0,
        queue_s: float | None = None,
        inputs: Sequence[Tensor] = (),
        outputs: Sequence[Tensor] = (),
        logged_outputs: tuple[int, ...] = (),
        rules: Rules | None = None,
        comparison: Comparison | None = None,
        blamed: tuple[str, str] | None = None,
    ) -> Times | None:
        """Append one record. From here on the row survives `kill -9`. Return None if it had to be dropped.

        This never raises: the log counts what it cannot write. Of `outputs` it keeps those whose indices are in
        `logged_outputs`, and of a large request a part (`gateway.inference.log_bounds`). An answer that is not in the
        sample of its route has no values (`gateway.inference.log_sample`). `rules` say how values are redacted.
        `blamed` is the arm, and its version, that refused values which the arm of this record answered.
        """
        event_us = time.time_ns() // 1000
        latency_us, model_us = int(latency_s * 1e6), int(model_s * 1e6)
        vector, slots = (None, None) if call.weighed is None else (call.weighed.vector, call.weighed.logged)
        queue_us = None if queue_s is None else int(queue_s * 1e6)
        if (
            outcome != "ok"
            or context.sample_slots == BUCKETS
            or is_in_sample(context.sample_slots, call.unit_hash, call.decision_id)
        ):
            redactor = None if rules is None else Redactor(rules, call.inputs, self._secret)
            logged = logged_values(self._bounds, context, call.batch_size, inputs, outputs, logged_outputs, redactor)
        else:
            logged = without_values(context, call.batch_size, outputs)
        sender = call.sender
        # By position: 20 keywords would cost 0.9 µs of each prediction.
        is_kept = self._log.append(
            context,
            lambda number, writer_seq: Record(
                number,
                writer_seq,
                call.decision_id,
                attempt,
                event_us,
                reason,
                propensity,
                call.unit_hash,
                status,
                outcome,
                error_code,
                latency_us,
                model_us,
                call.batch_size,
                call.request_id[:MAX_REQUEST_ID_CHARS],
                call.trace_id,
                logged.inputs,
                logged.outputs,
                comparison,
                blamed,
                logged.kept,
                vector,
                sender.caller,
                sender.door,
                sender.tags,
                queue_us,
                slots,
            ),
        )
        return (event_us - latency_us, latency_us) if is_kept else None
