"""The way from the bytes of an artifact to a warm runtime: verify, build, check, warm up."""

import hashlib
from dataclasses import dataclass

from runtimes.errors import ModelRefused
from runtimes.manifest import Manifest
from runtimes.onnx import load_onnx
from runtimes.runtime import Runtime, warm_up
from runtimes.sklearn import load_sklearn


@dataclass(frozen=True, slots=True)
class LoadOptions:
    """The operator's settings for loading.

    `within_s` limits a trial, and each run of a warm-up where the runtime can be broken off. `max_bytes` limits the
    memory of a process while it loads; 0 for no limit.
    """

    allow_pickle: bool = False
    intra_op_threads: int = 1
    within_s: float = 600.0
    max_bytes: int = 0


def load(content: bytes, manifest: Manifest, options: LoadOptions) -> Runtime:
    """Return a runtime that has passed its warm-up: its outputs match the manifest.

    Raises:
        ModelRefused: the bytes do not match the sha256 in the manifest, or a later step rejects them.
    """
    digest = hashlib.sha256(content).hexdigest()
    if digest != manifest.sha256:
        raise ModelRefused(
            f"{manifest.file} has sha256 {digest[:12]}…, model.yaml pins {manifest.sha256[:12]}…: "
            "the file was changed or damaged. Publish it again as a new version."
        )
    if manifest.runtime == "onnx":
        onnx = load_onnx(content, manifest, options.intra_op_threads)
        warm_up(onnx.limited(options.within_s))
        return onnx
    sklearn = load_sklearn(content, manifest, options.allow_pickle)
    warm_up(sklearn)
    return sklearn
