"""Predicts with a span below the caller's."""

import time
from collections.abc import Callable, Coroutine
from typing import Any

from gateway.inference.call import Answer, Call
from gateway.inference.live_table import LiveRoute
from gateway.telemetry.tracing import Tracing

Predict = Callable[[LiveRoute, Call], Coroutine[Any, Any, Answer]]
"""Answers one request, as `Predictor.predict` does."""


def traced(predict: Predict, tracing: Tracing) -> Predict:
    """Return what predicts and records a span. A probe has none."""

    async def predict_with_span(live: LiveRoute, call: Call) -> Answer:
        answer: Answer | None = None
        failure = ""
        try:
            answer = await predict(live, call)
        except Exception as error:
            failure = str(error)
            raise
        else:
            return answer
        finally:
            if not call.probe:
                ended_ns = time.time_ns()
                tracing.record_prediction(
                    call.headers or {},
                    started_ns=ended_ns - int((time.perf_counter() - call.started_s) * 1e9),
                    ended_ns=ended_ns,
                    route=live.route.name,
                    arm=answer.arm.arm.name if answer is not None else "",
                    model_version=answer.arm.arm.version if answer is not None else "",
                    decision_id=call.decision_id,
                    reason=answer.reason if answer is not None else "",
                    failure=failure,
                )

    return predict_with_span
