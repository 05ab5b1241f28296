"""A version in this process, its identity, its state, and what its trial has found out."""

import time
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import NamedTuple

from msgspec import structs

from runtimes.adapted import adapt, is_same, own_examples
from runtimes.manifest import Manifest, Signature
from runtimes.runtime import Runtime

_RETRY_AFTER_S = 30.0


class Tried(NamedTuple):
    """What a trial has found out: why requests are never merged, or an empty text, and what the version takes.

    That is `memory_bytes` inside a process that is there, and `process_bytes` in a process of its own.
    """

    unbatched_because: str
    memory_bytes: int
    process_bytes: int


class VersionKey(NamedTuple):
    """The identity of one immutable version, pinned by the digest of its artifact."""

    model: str
    version: str
    digest: str

    def __str__(self) -> str:
        return f"{self.model}:{self.version}"


class VersionState(StrEnum):
    """The state of a version in this process."""

    READY = "READY"
    QUARANTINED = "QUARANTINED"


@dataclass(frozen=True, slots=True)
class Version:
    """A version in this process. If it is READY and runs here, it has a `runtime`. `tried` is what its trial found.

    A version that is behind the signature of another one (`seen_as`) has that as `seen` and in its manifest, and the
    version itself as `own`.
    """

    key: VersionKey
    manifest: Manifest
    state: VersionState
    reason: str = ""
    runtime: Runtime | None = None
    tried: Tried | None = None
    since_s: float = field(default_factory=time.monotonic, compare=False)
    seen: Signature | None = None
    own: "Version | None" = field(default=None, compare=False)

    def seen_as(self, signature: Signature) -> "Version":
        """Return the version behind a signature. `runtimes.adapted.difference` has said that this is possible."""
        own = self.own or self
        if is_same(own.manifest.signature, signature):
            return own
        behind = own_examples(own.manifest.signature, signature)
        return replace(
            own,
            manifest=structs.replace(own.manifest, inputs=behind.inputs, outputs=behind.outputs, batch=behind.batch),
            runtime=None if own.runtime is None else adapt(own.runtime, behind),
            seen=signature,
            own=own,
        )

    def is_due(self, retry: bool) -> bool:
        """Return True if a quarantined version is to be tried again: a file that was missing may be there now."""
        return retry or time.monotonic() - self.since_s > _RETRY_AFTER_S
