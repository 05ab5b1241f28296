"""The versions of arms without a model. They are made of the value in the route: nothing is looked up or loaded."""

import json
from functools import lru_cache

from registry_sync.version import Version, VersionKey, VersionState
from router.spec.spec import ArmRef
from router.spec.value import value_digest
from runtimes.constant.runtime import ConstantRuntime, signature_of
from runtimes.manifest import Manifest

_MAX_BATCH = 65_536


@lru_cache(maxsize=256)
def constant_version(ref: ArmRef) -> Version:
    """Return the version for which the reference of an arm without a model stands. It is READY."""
    assert ref.value is not None  # noqa: S101  # for the type checker
    assert ref.version is not None  # noqa: S101  # for the type checker
    value, digest = json.loads(ref.value), value_digest(ref.value)
    signature = signature_of(value)
    manifest = Manifest(
        runtime="constant", file="value.json", sha256=digest, inputs=(), outputs=signature.outputs, max_batch=_MAX_BATCH
    )
    key = VersionKey(ref.model, ref.version, digest)
    return Version(key, manifest, VersionState.READY, runtime=ConstantRuntime(value, signature))
