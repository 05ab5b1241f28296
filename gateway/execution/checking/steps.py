"""The steps by which a version is checked, each reported when it begins and when it ends."""

import time
from collections.abc import Callable
from typing import Any, Literal, TypeVar

import msgspec

from registry_sync.errors import RegistryError
from runtimes.errors import RuntimesError

_T = TypeVar("_T")

State = Literal["ok", "failed", "remark"]

BATCHING = "batching"
"""The last step. A version that crashes or hangs in it is served, and its requests are not merged."""

LOGGED = "logged requests"
"""The step in which logged requests are asked again."""

LOG_READ = "log read"
"""The step in which they are read."""

NETWORK = "network"
"""The step that is reported where a version keeps the network that it should not have."""


class Began(msgspec.Struct, frozen=True, tag="began"):
    """A step begins."""

    step: str


class Step(msgspec.Struct, frozen=True, tag="step"):
    """A step has ended. `detail` says what was found, or why it failed. A remark stops nothing."""

    step: str
    state: State
    detail: str
    took_s: float


class StepFailed(Exception):
    """A step has failed, and was reported."""


class Steps:
    """Runs steps. `report` is called with each `Began` and each `Step`, and with what the steps find out."""

    def __init__(self, report: Callable[[Any], None]) -> None:
        self.report = report

    def run(self, step: str, work: Callable[[], tuple[_T, str]]) -> _T:
        """Run a step that returns its result, and what it found as a clause.

        Raises:
            StepFailed: it has failed.
        """
        self.report(Began(step))
        began_s = time.monotonic()
        try:
            result, detail = work()
        except Exception as error:  # whatever foreign bytes cause is a reason
            known = isinstance(error, RuntimesError | RegistryError | OSError | ValueError)
            reason = str(error) if known and str(error) else repr(error)
            self.report(Step(step, "failed", reason, time.monotonic() - began_s))
            raise StepFailed(reason) from error
        self.report(Step(step, "ok", detail, time.monotonic() - began_s))
        return result

    def note(self, step: str, state: State, detail: str) -> None:
        """Report a step that takes no time."""
        self.report(Step(step, state, detail, 0.0))


def unbatched(because: str) -> str:
    """Return what the last step says of a version whose requests are not merged."""
    return f"not batched: {because}"
