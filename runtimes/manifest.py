"""`model.yaml`, the manifest of a model version.

It names the runtime, the files with their sha256, and the signature: names, datatypes and shapes of inputs and outputs,
with -1 for a dimension that varies. `max_batch` limits the instances of one run. `placement` and `resources` say where
it runs. The other keys say what the artifact itself does not: see `Manifest`. `pointsman models add` writes all of it.
"""

import hashlib
import math
from collections.abc import Mapping
from functools import reduce
from types import GenericAlias
from typing import Annotated, Any, Literal

import msgspec
import yaml

from runtimes.bounded_yaml import load_yaml
from runtimes.datatypes import NUMPY_OF
from runtimes.errors import ModelRefused

MANIFEST = "model.yaml"

_MOST_EXAMPLE_ELEMENTS = 1 << 26
"""256 MB of FP32. More is no example but an attack on the memory."""

Files = Mapping[str, bytes]
"""The content of a version's files, by their path below the version's folder."""

_Value = bool | int | float | str
_MOST_NESTED = 8
_Values: Any = reduce(lambda inner, _: _Value | GenericAlias(tuple, (inner, ...)), range(_MOST_NESTED), _Value)
"""A value, or values nested in tuples, which unlike lists can be hashed."""


class Example(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An input that the model can answer: its `data`, or its `shape` alone.

    With both, `data` is one value that fills the shape. A shape alone is filled with zeros, or with empty strings.
    """

    shape: tuple[int, ...] | None = None
    data: _Values = None


class TensorSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True, cache_hash=True):
    """One input or output, as callers see it. `shape` uses -1 for a dimension that varies.

    `columns` names the features of an input, for readers of the log, or the classes of an output. `source` is the
    tensor's name inside the artifact, if that is another one. `example` is a value that the model can answer.
    """

    name: str
    datatype: str
    shape: tuple[int, ...]
    columns: tuple[str, ...] = ()
    source: str = ""
    example: Example | None = None

    @property
    def own_name(self) -> str:
        """The tensor's name inside the artifact."""
        return self.source or self.name

    def shape_mismatch(self, shape: tuple[int, ...]) -> str | None:
        """Return None if `shape` matches, or else a sentence."""
        if len(shape) == len(self.shape):
            for want, got in zip(self.shape, shape, strict=True):
                if got < 0 or want not in (-1, got):
                    break
            else:
                return None
        return f"Tensor {self.name} has shape {list(shape)}; the model takes {list(self.shape)}."


Batch = Literal[0, "none"]
"""Which dimension of the tensors counts instances: the first one where it varies, or none."""


class Signature(msgspec.Struct, frozen=True, cache_hash=True):
    """Inputs and outputs in the model's own order, and which dimension counts instances.

    If the first dimension varies in an input, and in no output, it does not count instances either: there is one answer
    to all of it, as to the samples of a sound.
    """

    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    batch: Batch = 0

    def counts_instances(self, spec: TensorSpec) -> bool:
        """Return True if the first dimension of this tensor is the number of instances."""
        return spec.shape[:1] == (-1,) and self.takes_several

    @property
    def takes_several(self) -> bool:
        """True if a request may hold several instances. Otherwise each request is one instance."""
        return self.batch == 0 and all(
            any(spec.shape[:1] == (-1,) for spec in specs)
            for specs in (self.inputs, self.outputs or self.inputs)  # while a draft is made, outputs are not known
        )


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


RuntimeName = Literal["onnx", "sklearn", "lightgbm", "xgboost", "catboost", "mlflow", "python"]

RUNS_CODE: tuple[RuntimeName, ...] = ("python", "mlflow")
NOT_IN_REPLICA = (
    "is code of its author, which must not run in the gateway's own processes: "
    "write `placement: process` or `placement: dedicated`."
)
"""The end of a sentence about such a version."""

Sha256 = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")]


class PinnedFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A further file of a version: its path below the version's folder, and its digest."""

    file: str
    sha256: Sha256


class Manifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The content of `model.yaml`.

    `files` pins the files beside `file`, such as external weights. `batch` says which dimension counts instances.
    `golden` is one of the files, with requests and the answers that they must get. `trusted_types` are Python types
    that the artifact holds and that neither skops nor we know. `made_with` has the versions of the packages that made
    the artifact, such as "scikit-learn==1.9.1"; with `accepts_other_versions`, others may load it. `packages` are what
    the model's code imports, as in a requirements file. `entry` is the class of a Python function in `file`.
    `missing` is the value that XGBoost takes for a missing one, as well as NaN: its files do not say it.
    """

    runtime: RuntimeName
    file: str
    sha256: Sha256
    files: tuple[PinnedFile, ...] = ()
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    batch: Batch = 0
    description: str = ""
    max_batch: Annotated[int, msgspec.Meta(ge=1, le=65_536)] = 64
    placement: Placement = "replica"
    resources: Resources = Resources()
    golden: str = ""
    trusted_types: tuple[str, ...] = ()
    made_with: tuple[str, ...] = ()
    accepts_other_versions: bool = False
    packages: tuple[str, ...] = ()
    entry: str = ""
    missing: float | None = None

    @property
    def signature(self) -> Signature:
        """Inputs and outputs."""
        return Signature(inputs=self.inputs, outputs=self.outputs, batch=self.batch)

    @property
    def pinned(self) -> dict[str, str]:
        """The sha256 of every file of the version."""
        return {self.file: self.sha256} | {each.file: each.sha256 for each in self.files}

    @property
    def digest(self) -> str:
        """What identifies the artifact: the sha256 of its file or, if there are several, of all their digests."""
        if not self.files:
            return self.sha256
        lines = (f"{sha256}  {file}\n" for file, sha256 in sorted(self.pinned.items()))
        return hashlib.sha256("".join(lines).encode()).hexdigest()


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
    _check_files(manifest)
    if manifest.runtime in RUNS_CODE and manifest.placement == "replica":
        raise ModelRefused(f"A version of runtime {manifest.runtime} {NOT_IN_REPLICA}")
    _check_missing(manifest)
    if not manifest.inputs or not manifest.outputs:
        raise ModelRefused("model.yaml must name at least one input and one output.")
    for specs in (manifest.inputs, manifest.outputs):
        if len({spec.name for spec in specs}) != len(specs):
            raise ModelRefused("model.yaml names a tensor twice.")
        for spec in specs:
            _check_tensor(spec)


def _check_missing(manifest: Manifest) -> None:
    if manifest.missing is None:
        return
    if math.isnan(manifest.missing):
        raise ModelRefused("NaN is always a missing value for XGBoost: leave `missing` out of model.yaml.")
    if manifest.runtime != "xgboost":
        raise ModelRefused(
            f"model.yaml has the key missing; a version of runtime {manifest.runtime} does not take it. Only xgboost "
            "does, whose files do not say which value is missing."
        )


def _check_files(manifest: Manifest) -> None:
    for file in (manifest.file, *(each.file for each in manifest.files)):
        if not is_below(file) or file == MANIFEST:
            raise ModelRefused(f"model.yaml names file {file!r}; it must lie in the version's folder.")
    if len(manifest.pinned) != 1 + len(manifest.files):
        raise ModelRefused("model.yaml names a file twice.")
    if manifest.golden and manifest.golden not in manifest.pinned:
        raise ModelRefused(f"model.yaml names golden requests in {manifest.golden!r}, which is not among its files.")


def _check_tensor(spec: TensorSpec) -> None:
    if any(size != -1 and size < 1 for size in spec.shape):
        raise ModelRefused(f"Tensor {spec.name} has shape {list(spec.shape)}; a dimension is -1 or at least 1.")
    if spec.datatype not in NUMPY_OF:
        raise ModelRefused(f"Tensor {spec.name} has datatype {spec.datatype!r}; known are {', '.join(NUMPY_OF)}.")
    if spec.columns and (len(spec.shape) > 2 or spec.shape[-1:] != (len(spec.columns),)):
        raise ModelRefused(f"Tensor {spec.name} names {len(spec.columns)} columns for shape {list(spec.shape)}.")
    _check_example(spec)


def _check_example(spec: TensorSpec) -> None:
    example = spec.example
    if example is None:
        return
    if example.shape is None and example.data is None:
        raise ModelRefused(f"Tensor {spec.name} has an example without shape and data.")
    if example.shape is not None:
        mismatch = spec.shape_mismatch(example.shape)
        if mismatch is not None:
            raise ModelRefused(f"The example of an input does not fit it. {mismatch}")
        if isinstance(example.data, tuple):
            raise ModelRefused(f"Tensor {spec.name} has an example with a shape, and data that has a shape of its own.")
        if math.prod(example.shape) > _MOST_EXAMPLE_ELEMENTS:
            raise ModelRefused(f"Tensor {spec.name} has an example of more than {_MOST_EXAMPLE_ELEMENTS} elements.")


def is_below(path: str) -> bool:
    """Return True if a path leads to a file below a folder, whatever the folder is."""
    parts = path.split("/")
    return "\\" not in path and "\0" not in path and all(part and part[0] != "." for part in parts)


def manifest_to_yaml(manifest: Manifest) -> str:
    """Return the text that `parse_manifest` reads back. What has its default is left out."""
    return yaml.safe_dump(plain(manifest), sort_keys=False, default_flow_style=None)


def plain(value: Any) -> Any:
    """Return what YAML and JSON can write: dictionaries, lists and single values. What has its default is left out."""
    if isinstance(value, msgspec.Struct):
        fields = msgspec.structs.fields(value)
        return {
            field.name: plain(getattr(value, field.name))
            for field in fields
            if field.required or getattr(value, field.name) != field.default
        }
    return [plain(each) for each in value] if isinstance(value, tuple) else value
