"""The Serve deployment of a dedicated version: one loaded version, in a process of its own, on any machine."""

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gateway.execution.forget_variables import forget_variables
from gateway.execution.latency import measured_times
from gateway.telemetry.logs import configure_logs
from registry_sync.open import CREDENTIALS, is_local
from registry_sync.pinned import load_given, load_pinned
from registry_sync.registries.texts import read_manifest
from registry_sync.version import VersionKey
from runtimes.batching import Inputs, RequestResult, run_isolated, why_unbatched
from runtimes.load_options import LoadOptions
from runtimes.manifest import Example, Signature
from runtimes.runtime import found_examples


@dataclass(frozen=True, slots=True)
class Profile:
    """What a replica has to know of a dedicated version. The version's own process measures it after loading.

    For `examples` see `gateway.execution.executor.Executor`.
    """

    unbatched_because: str
    one_row_s: float
    rows: int
    rows_s: float
    examples: Mapping[str, Example]


class ModelReplica:
    """The Serve deployment. `registry` is the setting of that name.

    `manifest_text` is for a remote registry, of which this machine need not have a copy.
    """

    def __init__(
        self,
        registry: str,
        key: tuple[str, str, str],
        options: LoadOptions,
        seen: Signature | None = None,
        manifest_text: str = "",
    ) -> None:
        configure_logs()
        pinned = VersionKey(*key)
        if is_local(registry):
            version = load_pinned(registry, pinned, options, seen)
        else:
            # The credentials are for reading the files: the model, which may be code of its author, gets none.
            version = load_given(
                registry, pinned, read_manifest(manifest_text), options, seen, lambda: forget_variables(CREDENTIALS)
            )
        assert version.runtime is not None  # noqa: S101  # for the type checker; a READY version has one
        manifest = version.manifest
        self._runtime = version.runtime
        self._outputs = [spec.name for spec in manifest.outputs]
        self._profile = Profile(
            why_unbatched(version.runtime, manifest.max_batch),
            *measured_times(version.runtime, manifest.max_batch),
            found_examples(version.runtime.signature, manifest.signature),
        )

    async def profile(self) -> Profile:
        """Return how fast the version is, and whether its requests can be batched."""
        return self._profile

    async def run(self, inputs: Inputs, rows: Sequence[int], until_wall_s: float | None) -> list[tuple[str, Any]]:
        """Run merged requests. Return for each `ok` and its outputs, or the name of an error and its sentence."""
        if until_wall_s is not None and time.time() > until_wall_s:
            return [("ModelFailed", "The deadline had passed before the model was reached.")] * len(rows)
        outcomes = await asyncio.to_thread(self._run, inputs, rows)
        return [
            (type(outcome).__name__, str(outcome)) if isinstance(outcome, Exception) else ("ok", list(outcome))
            for outcome in outcomes
        ]

    def _run(self, inputs: Inputs, rows: Sequence[int]) -> list[RequestResult]:
        row_by_row = not self._profile.unbatched_because
        return run_isolated(self._runtime, inputs, rows, self._outputs, row_by_row=row_by_row)
