"""Runs a model in this process: on the event loop while it is quick, in a thread once it is not. Acts.

A hop to a thread costs more than a small model takes, and a slow model on the loop would hold everybody up. Which
one a version is has been measured: first by its warm-up, then by every run.
"""

import asyncio
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

from gateway.errors import TooLate
from gateway.live import LiveArm
from runtimes.datatypes import Tensor
from runtimes.runtime import check_outputs


class Executor:
    """One per replica."""

    def __init__(self, threads: int, inline_below_s: float) -> None:
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="model")
        self._inline_below_s = inline_below_s

    def is_quick(self, arm: LiveArm) -> bool:
        """Whether a version runs on the event loop."""
        return arm.pace.mean_s < self._inline_below_s

    def run_on_loop(self, arm: LiveArm, inputs: Mapping[str, Tensor], budget_s: float | None) -> Sequence[Tensor]:
        """Every output of the model, here and now.

        It cannot be cut short: its answer is used even if it is late, and a version that has become slow goes to a
        thread from then on.

        Raises:
            ModelFailed: the model raised, or broke its signature.
            TooLate: there was no time left to start.
        """
        _require_time(budget_s)
        return _timed(arm, inputs)

    async def run(self, arm: LiveArm, inputs: Mapping[str, Tensor], budget_s: float | None) -> Sequence[Tensor]:
        """Every output of the model, within `budget_s` seconds if given, where it disturbs nobody.

        Raises:
            ModelFailed: the model raised, or broke its signature.
            TooLate: the budget is used up. A run that has not started is not started; one that has is left alone.
        """
        if self.is_quick(arm):
            return self.run_on_loop(arm, inputs, budget_s)
        _require_time(budget_s)
        work = asyncio.get_running_loop().run_in_executor(self._pool, _timed, arm, inputs)
        try:
            async with asyncio.timeout(budget_s):
                return await work
        except TimeoutError:
            raise TooLate(f"The model did not answer within {round((budget_s or 0) * 1000)} ms.") from None

    def close(self) -> None:
        """Gives the threads up; what still runs in them is not waited for."""
        self._pool.shutdown(wait=False, cancel_futures=True)


def _require_time(budget_s: float | None) -> None:
    if budget_s is not None and budget_s <= 0:
        raise TooLate("The deadline had passed before the model could start.")


def _timed(arm: LiveArm, inputs: Mapping[str, Tensor]) -> Sequence[Tensor]:
    started_s = time.perf_counter()
    try:
        tensors = arm.runtime.run(inputs, arm.output_names)
    finally:
        arm.pace.observe(time.perf_counter() - started_s)
    check_outputs(arm.signature.outputs, tensors)
    return tensors
