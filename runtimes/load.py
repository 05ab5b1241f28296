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
    """The operator's settings for loading."""

    allow_pickle: bool = False
    intra_op_threads: int = 1


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
    runtime: Runtime
    if manifest.runtime == "onnx":
        runtime = load_onnx(content, manifest, options.intra_op_threads)
    else:
        runtime = load_sklearn(content, manifest, options.allow_pickle)
    warm_up(runtime)
    return runtime
