"""Made-up rows: inputs that an estimator can answer, out of what it has learned of its columns."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from runtimes.datatypes import NUMPY_OF, Tensor
from runtimes.manifest import TensorSpec
from runtimes.sklearn.columns import Column, Takes

STYLES = ("zeros", "positive", "fractions", "whole")
"""Numbers for columns of which nothing is known. Some estimators take no zeros, others nothing above 1."""

_TEXTS = ("free money now", "lunch at noon", "see you there", "good news", "an offer")


def made_up(takes: Takes, specs: Sequence[TensorSpec], rows: int, style: str) -> dict[str, Tensor]:
    """Return made-up inputs of `rows` rows. A column that the estimator knows has values that it has seen."""
    known = {column.name: column for column in takes.columns}
    return {spec.name: _tensor(takes, known, spec, rows, style) for spec in specs}


def _tensor(takes: Takes, known: Mapping[str, Column], spec: TensorSpec, rows: int, style: str) -> Tensor:
    shape = [rows if position == 0 else 1 if size == -1 else size for position, size in enumerate(spec.shape)]
    dtype = NUMPY_OF[spec.datatype]
    if len(shape) > 2:
        return np.full(shape, _number(style, 0, 0)).astype(dtype)
    if len(spec.shape) == 2 and spec.shape[1] == -1:
        shape[1] = len(takes.columns) or 1
    width = shape[1] if len(shape) == 2 else 1
    columns = list(_columns(takes, known, spec, width))
    table = np.empty((rows, width), dtype)
    for position, column in enumerate(columns):
        for row in range(rows):
            table[row, position] = _value(column, spec.datatype, row, position, style)
    return table.reshape(shape)


def _columns(takes: Takes, known: Mapping[str, Column], spec: TensorSpec, width: int) -> Iterator[Column]:
    names = spec.columns or ((spec.own_name,) if spec.own_name in known else takes.names)
    for position in range(width):
        name = names[position] if position < len(names) else spec.own_name
        yield known.get(name, Column(name))


def _value(column: Column, datatype: str, row: int, position: int, style: str) -> Any:
    if column.values:
        value = column.values[row % len(column.values)]
    elif datatype == "BYTES":
        value = _TEXTS[row % len(_TEXTS)]
    elif datatype == "BOOL":
        value = bool(row % 2)
    else:
        value = _number(style, row, position)
    return str(value).encode() if datatype == "BYTES" else value


def _number(style: str, row: int, position: int) -> float:
    step = (row * 7 + position * 3) % 9
    return {"zeros": 0.0, "positive": 1.0 + step / 4, "fractions": (1 + step) / 10, "whole": float(step % 3)}[style]
