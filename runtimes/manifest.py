"""`model.yaml`, the manifest of a model version.

It names the runtime, the files with their sha256, and the signature: names, datatypes and shapes of inputs and outputs,
with -1 for a dimension that varies. `max_batch` limits the instances of one run. `placement` and `resources` say where
it runs. The other keys say what the artifact itself does not: see `Manifest`. `pointsman models add` writes all of it.
"""

import hashlib
from collections.abc import Mapping
from functools import reduce
from types import GenericAlias
from typing import Annotated, Any, Literal

import msgspec

MANIFEST = "model.yaml"

Files = Mapping[str, bytes]
"""The content of a version's files, by their path below the version's folder."""

_Value = bool | int | float | str
_MOST_NESTED = 8
_Values: Any = reduce(lambda inner, _: _Value | GenericAlias(tuple, (inner, ...)), range(_MOST_NESTED), _Value)
"""A value, or values nested in tuples, which unlike lists can be hashed."""


class Example(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """An input that the model can answer: its `data`, or its `shape` alone.

    With both, `data` is one value that fills the shape. A shape alone is filled with zeros, or with empty strings.
    What is not given is left out between processes, too: a value is never null.
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

Constant = Literal["constant"]
"""What runs an arm without a model. It is no kind of model: no version of a registry has it."""

NO_KIND = "`constant` is no kind of model: write the value into the route, as `arms: {narrow: {value: {columns: 2}}}`."

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
    `missing` is the value that XGBoost takes for a missing one, as well as NaN: its files do not say it. `tags` say
    where the version comes from, such as "run_id=3f2a" and "data_set=2026-11".
    """

    runtime: RuntimeName | Constant
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
    tags: tuple[Annotated[str, msgspec.Meta(pattern="^[^=]+=", max_length=5000)], ...] = ()

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
        """What identifies what answers: the sha256 of its file or, if there are several, of all their digests.

        Golden requests are left out. They are made from answers, which may differ in the last bit between processors.
        """
        return self._digest_of({each.file: each.sha256 for each in self.files if each.file != self.golden})

    @property
    def earlier_digest(self) -> str:
        """What identified the artifact before decision 024, with golden requests. Documents of then still name it."""
        return self._digest_of({each.file: each.sha256 for each in self.files})

    def _digest_of(self, further: Mapping[str, str]) -> str:
        if not further:
            return self.sha256
        lines = (f"{sha256}  {file}\n" for file, sha256 in sorted({**further, self.file: self.sha256}.items()))
        return hashlib.sha256("".join(lines).encode()).hexdigest()


msgspec.json.Decoder(Manifest)  # notes the types of the fields now: two threads that do so at once end the process


def is_below(path: str) -> bool:
    """Return True if a path leads to a file below a folder, whatever the folder is."""
    parts = path.split("/")
    return "\\" not in path and "\0" not in path and all(part and part[0] != "." for part in parts)
