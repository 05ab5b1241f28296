"""Writes a version of an ONNX model into a registry's directory, for studies and soak tests."""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from runtimes.draft import Draft
from runtimes.manifest import MANIFEST, Manifest, PinnedFile
from runtimes.manifest_text import manifest_to_yaml


def write_onnx_version(folder: Path, content: bytes, **manifest: Any) -> None:
    """Write the artifact and its manifest. `manifest` holds the fields that do not follow from the artifact."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "model.onnx").write_bytes(content)
    sha256 = hashlib.sha256(content).hexdigest()
    written = Manifest(runtime="onnx", file="model.onnx", sha256=sha256, **manifest)
    (folder / MANIFEST).write_text(manifest_to_yaml(written))


def drafted_manifest(files: Mapping[str, bytes], draft: Draft, **change: Any) -> Manifest:
    """Return the manifest that a draft amounts to, with every file pinned."""
    digests = {file: hashlib.sha256(content).hexdigest() for file, content in files.items()}
    further = tuple(PinnedFile(file, digest) for file, digest in digests.items() if file != draft.file)
    fields = {
        "runtime": draft.runtime,
        "file": draft.file,
        "sha256": digests[draft.file],
        "files": further,
        "inputs": draft.inputs,
        "outputs": draft.outputs,
        **draft.more,
        **change,
    }
    return Manifest(**fields)
