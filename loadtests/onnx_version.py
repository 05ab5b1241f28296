"""Writes a version of an ONNX model into a registry's directory, for studies and soak tests."""

import hashlib
from pathlib import Path
from typing import Any

from runtimes.manifest import MANIFEST, Manifest, manifest_to_yaml


def write_onnx_version(folder: Path, content: bytes, **manifest: Any) -> None:
    """Write the artifact and its manifest. `manifest` holds the fields that do not follow from the artifact."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "model.onnx").write_bytes(content)
    sha256 = hashlib.sha256(content).hexdigest()
    written = Manifest(runtime="onnx", file="model.onnx", sha256=sha256, **manifest)
    (folder / MANIFEST).write_text(manifest_to_yaml(written))
