"""A model that MLflow loads: `mlflow.pyfunc.load_model` on the folder of the version.

Named columns go in as a data frame, tensors as arrays, with the types of MLflow's signature. A column of datetime is
BYTES in ISO 8601. What comes back is a data frame, a series, an array, a list or a dictionary: its columns are the
outputs by name. A single output takes all of it.
"""

import os
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from runtimes.datatypes import BYTES, Tensor
from runtimes.errors import ModelFailed, ModelRefused
from runtimes.manifest import Manifest, Signature, TensorSpec
from runtimes.python.answers import cast, tensor_of
from runtimes.python.python_class import described, end_copies

_DTYPE_OF = {"boolean": "bool", "integer": "int32", "long": "int64", "float": "float32", "double": "float64"}


_NO_TELEMETRY = {"MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true"}
"""MLflow 3 reports its use over the network otherwise."""


class MlflowRuntime:
    """See `runtimes.runtime.Runtime`."""

    def __init__(self, model: Any, signature: Signature) -> None:
        self.signature = signature
        self.unbatched_because = ""
        self._model = model
        schema = model.metadata.get_input_schema()
        self._types = {} if schema is None or schema.is_tensor_spec() else _types(schema)
        self._takes_tensors = schema is not None and schema.is_tensor_spec()
        self._lock = threading.Lock()
        self._process = os.getpid()

    def run(self, inputs: Mapping[str, Tensor], outputs: Sequence[str]) -> Sequence[Tensor]:
        """See `Runtime.run`."""
        try:
            given = self._given(inputs)
            with self._lock:
                answer = self._model.predict(given)
        except (Exception, SystemExit) as error:  # foreign code may raise anything
            raise ModelFailed(f"predict raised {described(error)}.") from error
        end_copies(self._process)
        specs = {spec.name: spec for spec in self.signature.outputs}
        unknown = [name for name in outputs if name not in specs]
        if unknown:
            raise ModelFailed(f"The model has no output {unknown[0]!r}.")
        return [_cast(specs[name], _part(answer, specs[name], alone=len(specs) == 1)) for name in outputs]

    def _given(self, inputs: Mapping[str, Tensor]) -> Any:
        specs = self.signature.inputs
        if self._takes_tensors or (not self._types and any(len(spec.shape) > 1 for spec in specs)):
            tensors = {spec.own_name: _words(inputs[spec.name]) for spec in specs}
            named = self._takes_tensors and self._model.metadata.get_input_schema().has_input_names()
            return tensors if named or len(tensors) > 1 else next(iter(tensors.values()))
        import pandas as pd

        columns: dict[str, Any] = {}
        for spec in specs:
            tensor = inputs[spec.name]
            if spec.columns:
                columns |= {name: self._typed(name, tensor[:, at]) for at, name in enumerate(spec.columns)}
            else:
                columns[spec.own_name] = self._typed(spec.own_name, tensor.reshape(len(tensor)))
        return pd.DataFrame(columns)

    def _typed(self, name: str, column: Tensor) -> Any:
        """Return a column in the type of MLflow's signature, which is exact about integers."""
        kind = self._types.get(name, "")
        if kind == "datetime":
            import pandas as pd

            return pd.to_datetime(_words(column)).to_numpy()
        if column.dtype == BYTES:
            return column if kind == "binary" else _words(column)
        dtype = _DTYPE_OF.get(kind, column.dtype.name)
        typed = column.astype(dtype)
        if typed.dtype.kind in "iu" and not np.array_equal(typed, column):
            raise ValueError(f"column {name} is of type {kind}, and has a value that is none")
        return typed


def build(manifest: Manifest, folder: Path) -> MlflowRuntime:
    """Have MLflow load the folder.

    Raises:
        ModelRefused: MLflow is not installed, or cannot load it.
    """
    os.environ |= _NO_TELEMETRY
    try:
        import mlflow.pyfunc
    except ImportError as error:
        raise ModelRefused(
            f"MLflow must load this model, and is not installed ({error}): pip install 'pointsman[mlflow]'."
        ) from error
    process = os.getpid()
    try:
        model = mlflow.pyfunc.load_model(str(folder))
    except (Exception, SystemExit) as error:  # foreign code may raise anything
        raise ModelRefused(f"MLflow cannot load the model: {described(error)}.") from error
    end_copies(process)
    return MlflowRuntime(model, manifest.signature)


def _types(schema: Any) -> dict[str, str]:
    return {str(each.name): str(getattr(each.type, "name", each.type)) for each in schema.inputs}


def _words(tensor: Tensor) -> Tensor:
    """Return BYTES as text, and other tensors as they are."""
    if tensor.dtype != BYTES:
        return tensor
    words = np.empty(tensor.shape, object)
    words.ravel()[:] = [each.decode() for each in tensor.ravel().tolist()]
    return words


def _part(answer: Any, spec: TensorSpec, *, alone: bool) -> Any:
    """Return what belongs to an output."""
    columns = getattr(answer, "columns", None)
    if columns is not None or isinstance(answer, dict):
        if spec.own_name in (answer if columns is None else columns):
            return answer[spec.own_name]
        if not alone or columns is None:
            names = ", ".join(str(name) for name in (answer if columns is None else columns))
            raise ModelFailed(f"predict returned {names}; model.yaml names {spec.own_name}.")
    elif not alone:
        raise ModelFailed(f"predict returned a {type(answer).__name__}; model.yaml names several outputs.")
    return answer


def _cast(spec: TensorSpec, value: Any) -> Tensor:
    """Return a part as a tensor of the output's datatype, if that is of the same kind."""
    array = np.asarray(value)
    tensor = tensor_of(spec, np.datetime_as_string(array) if array.dtype.kind == "M" else array)
    if tensor.shape[1:] == (1,) and len(spec.shape) == 1:  # a data frame of one column
        tensor = tensor[:, 0]
    return cast(spec, tensor)
