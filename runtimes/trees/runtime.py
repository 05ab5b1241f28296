"""The runtime of LightGBM, XGBoost and CatBoost models, read from the safe formats of these libraries.

The libraries are the extra `trees`. They trust their files: a damaged one may end the process that reads it, which is
why a gateway reads each version in a process of its own first (`gateway.execution.trial`).

The outputs are named in `runtimes.trees.model`. The files of LightGBM and XGBoost do not name classes: `columns` of the
output `probabilities` do. A label of datatype BYTES is the name of its class. A label of integers is the name as a
number, if all names are numbers, and else the position.
"""

from collections.abc import Mapping, Sequence
from importlib import import_module

from runtimes.adapted import difference
from runtimes.datatypes import BYTES, Tensor, zeros
from runtimes.errors import ModelFailed, ModelRefused
from runtimes.load_options import LoadOptions
from runtimes.manifest import Files, Manifest, Signature, TensorSpec
from runtimes.trees.features import Columns
from runtimes.trees.labels import label_values
from runtimes.trees.model import LABEL, PROBABILITIES, TreeModel

_CLASS_OF = {"lightgbm": "LightgbmModel", "xgboost": "XgboostModel", "catboost": "CatboostModel"}


class TreesRuntime:
    """See `runtimes.runtime.Runtime`."""

    def __init__(self, model: TreeModel, columns: Columns, signature: Signature, labels: Tensor | None) -> None:
        self.signature = signature
        self.unbatched_because = ""
        self._model = model
        self._columns = columns
        self._labels = labels
        self._by_matrix = all(feature.kind in ("number", "codes") for feature in model.features)
        self._outputs = {spec.name: spec for spec in signature.outputs}

    def run(self, inputs: Mapping[str, Tensor], outputs: Sequence[str]) -> Sequence[Tensor]:
        """See `Runtime.run`."""
        unknown = [name for name in outputs if name not in self._outputs]
        if unknown:
            raise ModelFailed(f"The model has no output {unknown[0]!r}.")
        specs = [self._outputs[name] for name in outputs]
        if not all(len(tensor) for tensor in inputs.values()):
            return [zeros(spec.datatype, (0, *spec.shape[1:])) for spec in specs]
        table = self._columns.matrix(inputs) if self._by_matrix else self._columns.each(inputs)
        try:
            results = self._model.predict(table, [spec.own_name for spec in specs])
        except Exception as error:  # a library may raise anything
            raise ModelFailed(f"The model cannot answer: {str(error).partition(chr(10))[0]}") from error
        return [
            self._named(results[spec.own_name]) if spec.own_name == LABEL else results[spec.own_name] for spec in specs
        ]

    def _named(self, positions: Tensor) -> Tensor:
        return positions if self._labels is None else self._labels[positions]


def load_lightgbm(files: Files, manifest: Manifest, options: LoadOptions) -> TreesRuntime:
    """Read a LightGBM model in its text format.

    Raises:
        ModelRefused: LightGBM is not installed or cannot read the file, or model.yaml does not describe it.
    """
    return _load(files, manifest, options)


def load_xgboost(files: Files, manifest: Manifest, options: LoadOptions) -> TreesRuntime:
    """Read an XGBoost model in JSON or UBJSON. Raises like `load_lightgbm`."""
    return _load(files, manifest, options)


def load_catboost(files: Files, manifest: Manifest, options: LoadOptions) -> TreesRuntime:
    """Read a CatBoost model in cbm or JSON. Raises like `load_lightgbm`."""
    return _load(files, manifest, options)


def read_model(library: str, content: bytes, options: LoadOptions, missing: float | None = None) -> TreeModel:
    """Return a model as its library reads it. Only XGBoost takes `missing`. Raises like `load_lightgbm`."""
    try:
        import_module(library)
    except ImportError as error:
        raise ModelRefused(
            f"A {library} model needs a package that is not installed: pip install 'pointsman[trees]'."
        ) from error
    except OSError as error:  # LightGBM without libgomp
        raise ModelRefused(f"{library} cannot be loaded on this machine: {error}.") from error
    module = import_module(f"runtimes.trees.{library}")
    more = {} if missing is None else {"missing": missing}
    model: TreeModel = getattr(module, _CLASS_OF[library])(content, options.intra_op_threads, **more)
    return model


def _load(files: Files, manifest: Manifest, options: LoadOptions) -> TreesRuntime:
    model = read_model(manifest.runtime, files[manifest.file], options, manifest.missing)
    unknown_is_missing = import_module(f"runtimes.trees.{manifest.runtime}").UNKNOWN_IS_MISSING
    columns = Columns(manifest.inputs, model.features, named=model.named, unknown_is_missing=unknown_is_missing)
    labels = _labels(model, manifest)
    first = -1 if manifest.signature.takes_several else 1
    outputs = tuple(_own_output(model, spec, first, labels) for spec in manifest.outputs)
    signature = Signature(manifest.inputs, outputs, manifest.batch)
    clause = difference(signature, manifest.signature)
    if clause:
        raise ModelRefused(f"The model is not what model.yaml says: {clause}.")
    return TreesRuntime(model, columns, signature, labels)


def _labels(model: TreeModel, manifest: Manifest) -> Tensor | None:
    by_name = {spec.own_name: spec for spec in manifest.outputs}
    names = by_name[PROBABILITIES].columns if PROBABILITIES in by_name else ()
    return label_values(model, names, by_name[LABEL].datatype if LABEL in by_name else "")


def _own_output(model: TreeModel, spec: TensorSpec, first: int, labels: Tensor | None) -> TensorSpec:
    """Return an output as the model gives it."""
    own = model.outputs.get(spec.own_name)
    if own is None:
        raise ModelRefused(f"The model has no output {spec.own_name!r}; it has {', '.join(model.outputs)}.")
    datatype = own.datatype
    if spec.own_name == LABEL and labels is not None:
        datatype = "BYTES" if labels.dtype == BYTES else spec.datatype
    return TensorSpec(spec.name, datatype, (first, *own.shape), spec.columns, spec.source)
