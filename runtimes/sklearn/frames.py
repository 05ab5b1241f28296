"""Tensors become what an estimator takes: a list of strings, records, a data frame, or an array.

The columns of inputs are put in the order of the estimator by name. Text is UTF-8. An empty string is a missing value
where the estimator was fitted on missing values (None or NaN, as it has seen them), and an empty string otherwise.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from runtimes.datatypes import BYTES, Tensor
from runtimes.errors import ModelFailed, ModelRefused
from runtimes.manifest import TensorSpec
from runtimes.sklearn.columns import KEEP, Column, Takes
from runtimes.sklearn.sources import Source, check_datatypes, sources_of

Inputs = Mapping[str, Tensor]
Reader = Callable[[Inputs], Any]


def reader(takes: Takes, specs: Sequence[TensorSpec]) -> Reader:
    """Return the function that makes what the estimator takes out of input tensors.

    Raises:
        ModelRefused: the inputs of model.yaml cannot become that. The sentence names the column.
    """
    for spec in specs:
        if spec.datatype == "BF16":
            raise ModelRefused(f"Input {spec.name} is BF16, which scikit-learn does not know. Declare it as FP32.")
    if takes.form in ("text", "labels"):
        return _one_column(takes.form, specs)
    if takes.form == "sets":
        raise ModelRefused("It takes sets of labels, which a tensor cannot hold. Serve the classifier instead.")
    if len(specs) == 1 and len(specs[0].shape) > 2 and not takes.columns:
        return _whole(specs[0])
    sources = sources_of(takes, specs)
    check_datatypes(takes, sources, specs)
    if takes.form == "records":
        return _records(sources)
    return _frame(takes, sources, specs) if takes.form == "frame" else _array(takes, sources, specs)


def _one_column(form: str, specs: Sequence[TensorSpec]) -> Reader:
    name = specs[0].name
    if len(specs) != 1 or specs[0].shape not in ((-1,), (-1, 1)) or (form == "text" and specs[0].datatype != "BYTES"):
        wanted = "text: one input BYTES [-1]" if form == "text" else "labels: one input of shape [-1]"
        raise ModelRefused(f"The estimator takes {wanted}, and not {_listed(specs)}.")
    if form == "text":
        return lambda inputs: _text(inputs[name].ravel())
    return lambda inputs: _plain(inputs[name].ravel())


def _whole(spec: TensorSpec) -> Reader:
    """Give an estimator of images its tensor as it is."""
    return lambda inputs: inputs[spec.name]


def _listed(specs: Sequence[TensorSpec]) -> str:
    return ", ".join(f"{spec.name} {spec.datatype} {list(spec.shape)}" for spec in specs)


def _frame(takes: Takes, sources: Mapping[str, Source], specs: Sequence[TensorSpec]) -> Reader:
    import pandas  # takes half a second to import; estimators of arrays do not need it

    names = [name for name in takes.names if name in sources]
    if len(specs) == 1 and specs[0].datatype != "BYTES":
        take, whole = _in_order([sources[name].position for name in names]), specs[0].name
        return lambda inputs: pandas.DataFrame(take(_table(inputs[whole])), columns=names, copy=False)
    columns = [(column, sources[column.name]) for column in takes.columns if column.name in sources]

    def read(inputs: Inputs) -> Any:
        return pandas.DataFrame(
            {column.name: _series(pandas, column, _table(inputs[at.input])[:, at.position]) for column, at in columns},
            copy=False,
        )

    return read


def _series(pandas: Any, column: Column, tensor: Tensor) -> Any:
    if tensor.dtype != BYTES:
        return tensor
    return pandas.Series(
        _strings(column, tensor), dtype=object
    )  # pandas would make its own text of an array of objects


def _array(takes: Takes, sources: Mapping[str, Source], specs: Sequence[TensorSpec]) -> Reader:
    texts = any(spec.datatype == "BYTES" for spec in specs)
    if len(specs) == 1:
        name = specs[0].name
        return (lambda inputs: _objects(takes, _table(inputs[name]))) if texts else (lambda inputs: inputs[name])
    known = {column.name: column for column in takes.columns}
    names = takes.names if known.keys() == sources.keys() else tuple(sources)
    columns = [(known.get(name, Column(name)), sources[name]) for name in names]

    def read(inputs: Inputs) -> Tensor:
        values = [_values(column, _table(inputs[at.input])[:, at.position]) for column, at in columns]
        return _stacked(values) if texts else np.column_stack(values)

    return read


def _objects(takes: Takes, table: Tensor) -> Tensor:
    columns = takes.columns or (Column(""),) * table.shape[1]
    return _stacked([_values(column, table[:, position]) for position, column in enumerate(columns)])


def _values(column: Column, tensor: Tensor) -> Tensor:
    return _strings(column, tensor) if tensor.dtype == BYTES else tensor


def _stacked(columns: Sequence[Tensor]) -> Tensor:
    """Return a table of Python objects: an array of anything else would turn numbers into text."""
    table = np.empty((len(columns[0]), len(columns)), object)
    for position, values in enumerate(columns):
        table[:, position] = values
    return table


def _records(sources: Mapping[str, Source]) -> Reader:
    """Make a dictionary of each row, without what is missing."""

    def read(inputs: Inputs) -> list[dict[str, Any]]:
        columns = [(name, _plain(_table(inputs[at.input])[:, at.position]).tolist()) for name, at in sources.items()]
        rows = zip(*(values for _, values in columns), strict=True)
        names = [name for name, _ in columns]
        return [
            {name: value for name, value in zip(names, row, strict=True) if value not in ("", None) and value == value}
            for row in rows
        ]

    return read


def _in_order(positions: list[int]) -> Callable[[Tensor], Tensor]:
    if positions == list(range(len(positions))):
        return lambda tensor: tensor
    return lambda tensor: tensor[:, positions]


def _table(tensor: Tensor) -> Tensor:
    return tensor.reshape(-1, 1) if tensor.ndim == 1 else tensor


def _plain(tensor: Tensor) -> Tensor:
    return np.array(_text(tensor), object) if tensor.dtype == BYTES else tensor


def _strings(column: Column, tensor: Tensor) -> Tensor:
    values: list[Any] = _text(tensor)
    if column.missing is not KEEP:
        values = [value or column.missing for value in values]
    strings = np.empty(len(values), object)
    strings[:] = values
    return strings


def _text(tensor: Tensor) -> list[str]:
    try:
        return [element.decode() for element in tensor.tolist()]
    except UnicodeDecodeError as error:
        raise ModelFailed(f"An input holds text that is not UTF-8: {error}.") from error
