"""The interface of everything that runs the batches of one version."""

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from gateway.execution.latency import LatencyModel
from runtimes.batching import Inputs, RequestResult
from runtimes.manifest import Example

Done = Callable[[Sequence[RequestResult], float], None]
"""Takes one outcome per request, and the number of seconds that the batch took."""


class Executor(Protocol):
    """Runs the batches of one version.

    Its methods are called on the event loop and never block it for long. `examples` are inputs that the model can
    answer, which were found when it was loaded because its manifest gives none.
    """

    latency: LatencyModel

    @property
    def examples(self) -> Mapping[str, Example]:
        """See above."""

    def has_room(self, rows: int, inputs: Inputs) -> bool:
        """Return True if a batch of one request, which has `rows` instances, would start at once."""

    def batch_limit(self, rows: int, inputs: Inputs) -> int:
        """Return the largest number of instances that a batch should have which starts with this request."""

    def start(self, inputs: Inputs, rows: Sequence[int], until_s: float | None, done: Done) -> None:
        """Run merged requests, whose results are of no use after `until_s` (of `time.perf_counter`).

        `done` is called on the event loop, possibly before this method returns. This method raises nothing.
        """
