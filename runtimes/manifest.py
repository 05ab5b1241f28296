"""`model.yaml`, the manifest of a model version.

It names the runtime, the file, its sha256, and the signature: names, datatypes and shapes of inputs and outputs, with
-1 for a dimension that varies. `columns` may name the features of a two-dimensional input, for readers of the log, or
the classes of an output. `max_batch` limits the instances of one run. `placement` and `resources` say where it runs.
"""

from typing import Annotated, Any, Literal

import msgspec
import yaml

from runtimes.bounded_yaml import load_yaml
from runtimes.datatypes import NUMPY_OF
from runtimes.errors import ModelRefused


class TensorSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True, cache_hash=True):
    """One input or output. `shape` uses -1 for a dimension that varies."""

    name: str
    datatype: str
    shape: tuple[int, ...]
    columns: tuple[str, ...] = ()

    def shape_mismatch(self, shape: tuple[int, ...]) -> str | None:
        """Return None if `shape` matches, or else a sentence."""
        if len(shape) == len(self.shape):
            for want, got in zip(self.shape, shape, strict=True):
                if got < 0 or want not in (-1, got):
                    break
            else:
                return None
        return f"Tensor {self.name} has shape {list(shape)}; the model takes {list(self.shape)}."


class Signature(msgspec.Struct, frozen=True, cache_hash=True):
    """Inputs and outputs in the model's own order."""

    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]


Placement = Literal["replica", "process", "dedicated"]
"""The place where a version runs: in the gateway's replicas, in a process beside each replica, or in a Serve
application of its own.
"""


class Resources(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The needs of each process of a dedicated version, the number of processes, and extra packages (pip)."""

    num_cpus: Annotated[float, msgspec.Meta(ge=0)] = 0.1
    num_gpus: Annotated[float, msgspec.Meta(ge=0)] = 0.0
    min_replicas: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 1
    max_replicas: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 1
    pip: tuple[str, ...] = ()


class Manifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The content of `model.yaml`."""

    runtime: Literal["onnx", "sklearn"]
    file: str
    sha256: Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")]
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    description: str = ""
    max_batch: Annotated[int, msgspec.Meta(ge=1, le=65_536)] = 64
    placement: Placement = "replica"
    resources: Resources = Resources()

    @property
    def signature(self) -> Signature:
        """Inputs and outputs."""
        return Signature(inputs=self.inputs, outputs=self.outputs)


def parse_manifest(text: str) -> Manifest:
    """Read `model.yaml`.

    Raises:
        ModelRefused: not YAML within the limits of `load_yaml`, a key is missing or unknown, or a value is not allowed.
    """
    try:
        manifest = msgspec.convert(load_yaml(text), Manifest)
    except Exception as error:  # PyYAML raises other errors, too, for tags whose value is of another kind
        raise ModelRefused(f"model.yaml cannot be read: {error}.") from error
    _check(manifest)
    return manifest


def _check(manifest: Manifest) -> None:
    if manifest.resources.min_replicas > manifest.resources.max_replicas:
        raise ModelRefused("model.yaml asks for more min_replicas than max_replicas.")
    if "/" in manifest.file or manifest.file.startswith("."):
        raise ModelRefused(f"model.yaml names file {manifest.file!r}; it must lie beside model.yaml.")
    if not manifest.inputs or not manifest.outputs:
        raise ModelRefused("model.yaml must name at least one input and one output.")
    for specs in (manifest.inputs, manifest.outputs):
        if len({spec.name for spec in specs}) != len(specs):
            raise ModelRefused("model.yaml names a tensor twice.")
    for spec in (*manifest.inputs, *manifest.outputs):
        if any(size != -1 and size < 1 for size in spec.shape):
            raise ModelRefused(f"Tensor {spec.name} has shape {list(spec.shape)}; a dimension is -1 or at least 1.")
        if spec.datatype not in NUMPY_OF:
            raise ModelRefused(f"Tensor {spec.name} has datatype {spec.datatype!r}; known are {', '.join(NUMPY_OF)}.")
        if spec.columns and spec.shape[1:] != (len(spec.columns),):
            raise ModelRefused(f"Tensor {spec.name} names {len(spec.columns)} columns for shape {list(spec.shape)}.")


_DEFAULTS: dict[str, object] = {"max_batch": 64, "placement": "replica", "resources": Resources()}


def manifest_to_yaml(manifest: Manifest) -> str:
    """Return the text that `parse_manifest` reads back."""
    content: dict[str, Any] = msgspec.to_builtins(manifest)
    for spec in (*content["inputs"], *content["outputs"]):
        spec["shape"], spec["columns"] = list(spec["shape"]), list(spec["columns"])
        if not spec["columns"]:
            del spec["columns"]
    content["resources"]["pip"] = list(content["resources"]["pip"])
    for key in _DEFAULTS:
        if getattr(manifest, key) == _DEFAULTS[key]:
            del content[key]
    return yaml.safe_dump(
        {**content, "inputs": list(content["inputs"]), "outputs": list(content["outputs"])},
        sort_keys=False,
        default_flow_style=None,
    )
