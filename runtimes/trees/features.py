"""The way from input tensors to the features of a model.

An input of two dimensions holds several features, which its `columns` name. An input of one dimension, or with one
column, is the feature of its own name. Features are matched by name. If the model has no names, or a single matrix has
no columns, they are taken in their order.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import NamedTuple

import numpy as np

from runtimes.datatypes import BYTES, NUMPY_OF, Tensor
from runtimes.errors import ModelFailed, ModelRefused
from runtimes.manifest import TensorSpec
from runtimes.trees.model import Feature

_MOST_NAMED = 5
"""Names in a sentence."""


class _Given(NamedTuple):
    """A column of an input. `at` is its position in a matrix, or None."""

    spec: TensorSpec
    at: int | None
    name: str


class Columns:
    """Makes a matrix, or columns, in the model's order, out of the inputs of a request."""

    def __init__(
        self, inputs: Sequence[TensorSpec], features: Sequence[Feature], *, named: bool, unknown_is_missing: bool
    ) -> None:
        given = [column for spec in inputs for column in _columns_of(spec, len(features))]
        order = _order(given, features, by_position=not named or _is_bare(inputs))
        self._sources = [given[position] for position in order]
        self._readers = [
            _reader(feature, source.spec, unknown_is_missing=unknown_is_missing)
            for feature, source in zip(features, self._sources, strict=True)
        ]
        self._plain = len(inputs) == 1 and all(each.kind == "number" for each in features)
        self._as_given = order == list(range(len(order)))
        self._order = order
        self._single = all(NUMPY_OF[spec.datatype].itemsize < 4 or spec.datatype == "FP32" for spec in inputs)

    def matrix(self, inputs: Mapping[str, Tensor]) -> Tensor:
        """Return the features of all instances, as FP32 or FP64."""
        dtype = np.float32 if self._single else np.float64
        if self._plain:
            tensor = inputs[self._sources[0].spec.name].astype(dtype, copy=False)
            tensor = tensor.reshape(len(tensor), -1)
            return np.ascontiguousarray(tensor if self._as_given else tensor[:, self._order])
        columns = self.each(inputs)
        matrix = np.empty((len(columns[0]), len(columns)), np.float64)
        for position, column in enumerate(columns):
            matrix[:, position] = column
        return matrix

    def each(self, inputs: Mapping[str, Tensor]) -> list[Tensor]:
        """Return one column of each feature."""
        columns = [
            read(_column(inputs[source.spec.name], source.at))
            for source, read in zip(self._sources, self._readers, strict=True)
        ]
        if len({len(column) for column in columns}) > 1:
            raise ModelFailed("The inputs differ in their number of rows.")
        return columns


def _columns_of(spec: TensorSpec, features: int) -> list[_Given]:
    if len(spec.shape) == 1 or spec.shape[1:] == (1,):
        name = spec.columns[0] if len(spec.shape) == 2 and spec.columns else spec.own_name
        return [_Given(spec, None if len(spec.shape) == 1 else 0, name)]
    if len(spec.shape) != 2:
        raise ModelRefused(f"Input {spec.name} has shape {list(spec.shape)}; features have one or two dimensions.")
    width = features if spec.shape[1] == -1 else spec.shape[1]
    names = spec.columns or [f"{spec.name}[{position}]" for position in range(width)]
    return [_Given(spec, position, name) for position, name in enumerate(names)]


def _is_bare(inputs: Sequence[TensorSpec]) -> bool:
    """Return True if the inputs are a matrix without names."""
    return len(inputs) == 1 and len(inputs[0].shape) == 2 and not inputs[0].columns


def _order(given: Sequence[_Given], features: Sequence[Feature], *, by_position: bool) -> list[int]:
    """Return the position, among the given columns, of each feature."""
    names = [_key(column.name) for column in given]
    wanted = [_key(feature.name) for feature in features]
    if by_position and set(names) != set(wanted):
        if len(names) != len(wanted):
            raise ModelRefused(f"model.yaml declares {len(names)} features; the model has {len(wanted)}.")
        return list(range(len(wanted)))
    positions = {name: position for position, name in enumerate(names)}
    unknown = [name for name in names if name not in set(wanted)]
    missing = [name for name in wanted if name not in positions]
    if unknown or missing or len(positions) != len(names):
        raise ModelRefused(
            f"The features of model.yaml are not those of the model. It has no {_listed(unknown)}; "
            f"model.yaml has no {_listed(missing)}. "
            "Write the model's names in `columns` of an input, or as the `source` of an input."
        )
    return [positions[name] for name in wanted]


def _key(name: str) -> str:
    """Return a name as LightGBM writes it. It has underscores for spaces."""
    return name.replace(" ", "_")


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(map(repr, names[:_MOST_NAMED])) or "other feature"
    return shown if len(names) <= _MOST_NAMED else f"{shown} and {len(names) - _MOST_NAMED} more"


def _column(tensor: Tensor, at: int | None) -> Tensor:
    return tensor if at is None else tensor[:, at]


def _reader(feature: Feature, spec: TensorSpec, *, unknown_is_missing: bool) -> Callable[[Tensor], Tensor]:
    """Return the function that turns a column into what the library takes."""
    is_text = spec.datatype == "BYTES"
    if feature.kind == "number":
        if is_text:
            raise ModelRefused(f"Feature {feature.name} is a number; input {spec.name} is BYTES.")
        return _as_number
    if not is_text and (feature.kind == "text" or NUMPY_OF[spec.datatype].kind not in "iu"):
        what = "text: declare BYTES" if feature.kind == "text" else "categorical: declare BYTES or an integer datatype"
        raise ModelRefused(
            f"Feature {feature.name} is {what}, as an input of its own. Input {spec.name} is {spec.datatype}."
        )
    if feature.kind != "codes":
        return _as_words if is_text else _as_is
    codes: dict[object, float] = {
        str(value).encode() if is_text else value: code for code, value in enumerate(feature.categories)
    }
    if is_text:
        codes.setdefault(b"", np.nan)
    return partial(_as_codes, feature.name, codes, unknown_is_missing)


def _as_number(column: Tensor) -> Tensor:
    return column.astype(np.float32) if column.dtype.kind == "V" else column


def _as_is(column: Tensor) -> Tensor:
    return column


def _as_words(column: Tensor) -> Tensor:
    words = np.empty(len(column), BYTES)
    try:
        words[:] = [each.decode() for each in column.tolist()]
    except UnicodeDecodeError as error:
        raise ModelFailed(f"A category or a text is not UTF-8: {error}.") from error
    return words


def _as_codes(name: str, codes: Mapping[object, float], unknown_is_missing: bool, column: Tensor) -> Tensor:
    """Return the position of each category. NaN is a missing value."""
    values = column.tolist()
    if not unknown_is_missing:
        unknown = next((value for value in values if value not in codes), None)
        if unknown is not None:
            shown = unknown.decode(errors="replace") if isinstance(unknown, bytes) else unknown
            raise ModelFailed(f"Feature {name} has the category {shown!r}, which the model does not know.")
    return np.array([codes.get(value, np.nan) for value in values], np.float64)
