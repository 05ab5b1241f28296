"""Record one attempt of one arm, or of one shadow, in the inference log."""

import time
from collections.abc import Sequence

from gateway.inference.call import Call
from inference_log.record import Comparison, Context, Outcome, Record
from inference_log.writer import LogWriter
from runtimes.datatypes import Tensor, tensor_bytes


class Recorder:
    """Appends attempts to the log of one replica."""

    def __init__(self, log: LogWriter) -> None:
        self._log = log

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
        inputs: tuple[bytes, ...] = (),
        outputs: tuple[bytes, ...] = (),
        comparison: Comparison | None = None,
        blamed: tuple[str, str] | None = None,
    ) -> None:
        """Append one record. From here on the row survives `kill -9`.

        This never raises: the log counts what it cannot write.
        `blamed` is the arm, and its version, that refused values which the arm of this record answered.
        """
        event_us = time.time_ns() // 1000
        latency_us, model_us = int(latency_s * 1e6), int(model_s * 1e6)
        # By position: 20 keywords would cost 0.9 µs of each prediction.
        self._log.append(
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
                call.request_id,
                call.trace_id,
                inputs,
                outputs,
                comparison,
                blamed,
            ),
        )


def logged_bytes(tensors: Sequence[Tensor], logged: tuple[int, ...]) -> tuple[bytes, ...]:
    """Return the bytes of the outputs whose indices are in `logged`, and empty bytes for the others."""
    return tuple([tensor_bytes(tensor) if index in logged else b"" for index, tensor in enumerate(tensors)])
