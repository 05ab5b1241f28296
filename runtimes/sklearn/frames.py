"""Tensors become what an estimator takes: a list of strings, records, a data frame, or an array.

The columns of inputs are put in the order of the estimator by name. Text is UTF-8. An empty string is a missing value
where the estimator was fitted on missing values (None or NaN, as it has seen them), and an empty string otherwise.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from runtimes.datatypes import BYTES, Tensor
from runtimes.errors import ModelFailed, ModelRefused
from runtimes.manifest import TensorSpec
from runtimes.sklearn.columns import KEEP, Column, Takes

Inputs = Mapping[str, Tensor]
Reader = Callable[[Inputs], Any]


class _Source(NamedTuple):
    """Where a column comes from: an input, and a position in it."""

    input: str
    position: int


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
    if len(specs) == 1 and len(specs[0].shape) > 2:
        return _whole(specs[0])
    sources = _sources(takes, specs)
    if takes.form == "records":
        return _records(takes, sources)
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


def _sources(takes: Takes, specs: Sequence[TensorSpec]) -> dict[str, _Source]:
    """Return the source of every column that model.yaml has.

    Raises:
        ModelRefused: a column is there twice, is missing, or is one that the estimator does not know.
    """
    sources: dict[str, _Source] = {}
    for spec in specs:
        for position, column in enumerate(_columns_of(spec, takes, alone=len(specs) == 1)):
            if column in sources:
                raise ModelRefused(f"model.yaml has the column {column!r} twice.")
            sources[column] = _Source(spec.name, position)
    if takes.form == "frame" or (takes.form == "records" and takes.columns):
        _check_names(takes, sources)
    elif takes.form == "array" and takes.columns and len(sources) != len(takes.columns):
        raise ModelRefused(
            f"model.yaml declares {len(sources)} features; the estimator was fitted on {len(takes.columns)}."
        )
    return sources


def _columns_of(spec: TensorSpec, takes: Takes, *, alone: bool) -> Sequence[str]:
    """Return the names of the columns of an input: declared ones, its own name, or the estimator's in their order."""
    if len(spec.shape) not in (1, 2) or (len(spec.shape) == 1 and spec.shape != (-1,)):
        raise ModelRefused(
            f"Input {spec.name} has shape {list(spec.shape)}. The inputs of a scikit-learn model are [-1], or have two "
            "dimensions, such as [-1, 30]."
        )
    if spec.columns and (takes.form != "array" or not alone):
        return spec.columns
    width = spec.shape[1] if len(spec.shape) == 2 else 1
    if not alone:
        return (spec.own_name,) if width == 1 else [f"{spec.own_name}[{position}]" for position in range(width)]
    if width == -1:
        return takes.names or ("",)
    if len(takes.columns) == width:
        return takes.names
    if takes.form == "array" or width > 1:
        if takes.columns:
            raise ModelRefused(
                f"model.yaml declares {width} features; the estimator was fitted on {len(takes.columns)}."
            )
        return [f"x{position}" for position in range(width)]
    return (spec.own_name,)


def _check_names(takes: Takes, sources: Mapping[str, _Source]) -> None:
    known = set(takes.names)
    needed = [column.name for column in takes.columns if not column.dropped]
    unknown = [name for name in sources if name not in known]
    missing = [name for name in needed if name not in sources]
    if unknown and missing:
        raise ModelRefused(
            f"model.yaml has the column {unknown[0]!r}, which the estimator does not know, and not {missing[0]!r}. It "
            f"was fitted on {_shortened(needed)}."
        )
    if unknown:
        raise ModelRefused(
            f"model.yaml has the column {unknown[0]!r}, which the estimator does not know; it was fitted on "
            f"{_shortened(needed)}. Leave it out, or name it as the estimator does."
        )
    if missing and takes.form == "frame":
        raise ModelRefused(
            f"model.yaml does not have the column {missing[0]!r}; the estimator was fitted on {_shortened(needed)}. "
            "Add it to the `columns` of an input, or as an input of its own."
        )


def _shortened(names: Sequence[str]) -> str:
    return ", ".join(map(repr, names[:20])) + (f" and {len(names) - 20} more" if len(names) > 20 else "")


def _check_datatypes(takes: Takes, sources: Mapping[str, _Source], specs: Sequence[TensorSpec]) -> None:
    datatype_of = {spec.name: spec.datatype for spec in specs}
    for column in takes.columns:
        source = sources.get(column.name)
        if source is None or not column.datatype:
            continue
        got = datatype_of[source.input]
        if got == "BYTES" and column.datatype != "BYTES":
            raise ModelRefused(f"The estimator takes numbers, not BYTES, in the column {column.name!r}.")
        if got != "BYTES" and column.datatype == "BYTES":
            raise ModelRefused(f"The estimator takes text, BYTES, and not {got}, in the column {column.name!r}.")


def _frame(takes: Takes, sources: Mapping[str, _Source], specs: Sequence[TensorSpec]) -> Reader:
    _check_datatypes(takes, sources, specs)
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
    return pandas.Series(_strings(column, tensor), dtype=object)  # pandas would make its own text of an array of objects


def _array(takes: Takes, sources: Mapping[str, _Source], specs: Sequence[TensorSpec]) -> Reader:
    _check_datatypes(takes, sources, specs)
    texts = any(spec.datatype == "BYTES" for spec in specs)
    if len(specs) == 1 and not texts:
        name = specs[0].name
        return lambda inputs: inputs[name]
    ordered = list(sources.items())
    if set(takes.names) == sources.keys():
        ordered = [(name, sources[name]) for name in takes.names]
    known = {column.name: column for column in takes.columns}
    columns = [(known.get(name, Column(name)), at) for name, at in ordered]

    def read(inputs: Inputs) -> Tensor:
        if texts and len(specs) == 1:
            columns_of = [(Column("") if width_free else column, at) for column, at in columns]
        else:
            columns_of = columns
        read_columns = [
            _strings(column, tensor) if tensor.dtype == BYTES else tensor
            for column, at in columns_of
            for tensor in (_table(inputs[at.input])[:, at.position],)
        ]
        if not texts:
            return np.column_stack(read_columns)
        table = np.empty((len(read_columns[0]), len(read_columns)), object)
        for position, values in enumerate(read_columns):
            table[:, position] = values
        return table

    width_free = not takes.columns
    return read


def _records(takes: Takes, sources: Mapping[str, _Source]) -> Reader:
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


def _strings(column: Column, tensor: Tensor) -> Any:
    values: list[Any] = _text(tensor)
    if column.missing is not KEEP:
        values = [value if value else column.missing for value in values]
    strings = np.empty(len(values), object)
    strings[:] = values
    return strings


def _text(tensor: Tensor) -> list[str]:
    try:
        return [element.decode() for element in tensor.tolist()]
    except UnicodeDecodeError as error:
        raise ModelFailed(f"An input holds text that is not UTF-8: {error}.") from error
