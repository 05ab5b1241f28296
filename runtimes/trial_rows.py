"""Rows that differ in what a model may mix up: magnitude, sign, zeros, padding, range, length, content."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from runtimes.datatypes import NUMPY_OF, Tensor, tensor_of_bytes
from runtimes.manifest import Signature, TensorSpec
from runtimes.runtime import example_inputs, example_shapes, given_rows

Row = Mapping[str, Tensor]

RANGES = (2, 4, 10, 100, 1000, 30_000)
"""Integers are drawn below one of these: the largest that the model can answer. A table of 100 rows fails on 1000."""

KINDS = ("ordinary", "huge", "tiny", "other", "zero", "padded", "negative", "given", "nan")
"""The kinds of rows. Those that tell most come first."""

_FACTOR = {"huge": 1e3, "tiny": 1e-2, "padded": 30.0, "negative": -30.0}
_WORDS = ("red", "Blue", "the", "quick", "fox", "12", "naïve", "日本", "no-entry", "x1")
_TEXT = {"tiny": "a", "zero": "", "padded": "17", "negative": "-12.5"}
_LONG_TEXT_WORDS = 40


class Values(NamedTuple):
    """What the rows of a model are made with.

    `side` is the size of each dimension after the first that varies. `ranges` bounds the integers of each input. With
    `keeps_given`, strings and integers are always those of the examples, and only the floats differ. Strings are
    numbers if `has_numbers`, and words otherwise.
    """

    side: int
    ranges: Mapping[str, int]
    keeps_given: bool = False
    has_numbers: bool = False


def trial_row(signature: Signature, kind: str, values: Values) -> Row:
    """Return one row of a kind."""
    generator = np.random.default_rng(KINDS.index(kind))
    free, given = example_shapes(signature, 1, values.side), example_inputs(signature, 1)
    row = {}
    for spec in signature.inputs:
        shape = free[spec.name] if spec.example is None else list(given[spec.name].shape)
        if spec.example is not None and kind == "given":
            row[spec.name] = given[spec.name]
        elif spec.example is not None and values.keeps_given and NUMPY_OF[spec.datatype].kind not in "fV":
            rows, at = given_rows(spec), KINDS.index(kind)
            row[spec.name] = rows[at % len(rows) : at % len(rows) + 1]
        else:
            row[spec.name] = _tensor(generator, spec, shape, kind, values)
    return row


def is_integer(spec: TensorSpec) -> bool:
    """Return True if an input has integers."""
    return NUMPY_OF[spec.datatype].kind in "iu"


def nudged(row: Row) -> Row:
    """Return a row whose floats differ by about the rounding of a sum."""
    changed = {}
    for name, tensor in row.items():
        if tensor.dtype.kind in "fV":
            relative = 1e-3 if tensor.dtype.itemsize == 2 else 1e-6
            signs = np.random.default_rng(0).choice([-1.0, 1.0], tensor.shape)
            changed[name] = (tensor.astype(np.float64) * (1 + relative * signs)).astype(tensor.dtype)
        else:
            changed[name] = tensor
    return changed


def _tensor(generator: np.random.Generator, spec: TensorSpec, shape: list[int], kind: str, values: Values) -> Tensor:
    dtype, below = NUMPY_OF[spec.datatype], values.ranges.get(spec.name, RANGES[0])
    if dtype.kind == "b":
        return np.full(shape, kind == "huge") if kind in ("huge", "zero") else generator.integers(0, 2, shape) == 1
    if dtype.kind == "O":
        if values.has_numbers:
            texts = [f"{number:.4g}" for number in _floats(generator, shape, kind).ravel().tolist()]
        else:
            texts = [_text(generator, kind) for _ in range(int(np.prod(shape)))]
        return tensor_of_bytes([text.encode() for text in texts], tuple(shape))
    if kind == "zero":
        return np.zeros(shape, dtype)
    made = _integers(generator, dtype, shape, kind, below) if dtype.kind in "iu" else _floats(generator, shape, kind)
    if kind == "padded":
        flat = made.reshape(-1)
        flat[(flat.size + 1) // 2 :] = 0
    return made.astype(dtype)


def _floats(generator: np.random.Generator, shape: list[int], kind: str) -> Tensor:
    made = np.array(generator.normal(size=shape))
    if kind == "negative":
        made = np.abs(made)
    if kind == "huge":
        made += np.sign(made)  # none is small
        made.reshape(-1)[:1] = 2.0
    if kind == "nan":
        made.reshape(-1)[::2] = np.nan
    return made * _FACTOR.get(kind, 1.0)


def _integers(generator: np.random.Generator, dtype: np.dtype, shape: list[int], kind: str, below: int) -> Tensor:
    below = min(below, int(np.iinfo(dtype).max))
    if kind == "huge":
        return generator.integers(below - 1 - below // 10, below, shape)
    if kind == "tiny":
        return generator.integers(0, min(below, 3), shape)
    if kind == "negative" and dtype.kind == "i":
        return -generator.integers(1, max(below, 2), shape)
    return generator.integers(0, below, shape)


def _text(generator: np.random.Generator, kind: str) -> str:
    if kind in _TEXT:
        return _TEXT[kind]
    return " ".join(generator.choice(_WORDS, _LONG_TEXT_WORDS if kind == "huge" else int(generator.integers(1, 5))))
