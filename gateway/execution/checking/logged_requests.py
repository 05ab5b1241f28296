"""Requests as the log holds them, turned into the inputs of a version.

The log holds numbers by the names of features, and texts by the names of inputs, of each instance. A request is asked
again only if the log holds all of it, exactly. Others are left out and counted:

- `in part`: the log has a sample of its instances, or omits its values.
- `of another signature`: its features or texts have other names, or its answer is of another kind. Texts that were too
  large for the log are missing, too.
- `with a text that was cut`: it may go on after 256 bytes, or has bytes that are not UTF-8.
- `with a value that does not fit`: the input's datatype cannot hold it, or it is an integer beyond 2**53, which the
  log's FP64 does not hold exactly.
- `with several instances`: the version takes one.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from inference_log.answers import Answers, logged_answers
from runtimes.datatypes import NUMPY_OF, Tensor, tensor_of_bytes
from runtimes.logged_tensors import (
    MAX_TEXT_BYTES,
    feature_names,
    label_and_prediction,
    logged_inputs,
    numeric_inputs,
    text_inputs,
)
from runtimes.manifest import Signature, TensorSpec

_EXACT = 2.0**53
_NOT_UTF8 = "\ufffd"


class Request(NamedTuple):
    """A logged request that can be asked again, and the logged answer."""

    inputs: Mapping[str, Tensor]
    expected: Answers
    instances: int


class _LeftOut(Exception):
    """A request cannot be asked again. The text is one of the reasons above."""


def unlogged_inputs(signature: Signature) -> list[str]:
    """Return the inputs whose values the log never keeps. With one of them, no request can be asked again."""
    kept = {spec.name for spec in logged_inputs(signature)}
    return [spec.name for spec in signature.inputs if spec.name not in kept]


def prepare(signature: Signature, drawn: Iterable[pa.Table]) -> tuple[list[Request], Counter[str]]:
    """Return the requests that a version with this signature can be asked again, and how many are left out, by reason.

    Each table has the rows of one request, in the order of its instances.
    """
    requests, left_out = [], Counter[str]()
    for rows in drawn:
        try:
            requests.append(Request(inputs_of(signature, rows), _expected(signature, rows), len(rows)))
        except _LeftOut as error:
            left_out[str(error)] += 1
    return requests, left_out


def inputs_of(signature: Signature, rows: pa.Table) -> dict[str, Tensor]:
    """Return the inputs of a logged request, of which `rows` has the instances in their order.

    Raises:
        _LeftOut: the log does not hold all of it, or it is of another signature.
    """
    instances = len(rows)
    indices = np.array(rows.column("instance_index").to_pylist())
    is_whole = rows.column("batch_size")[0].as_py() == instances and (indices == np.arange(instances)).all()
    if not is_whole or rows.column("values_omitted")[0].as_py():
        raise _LeftOut("in part")
    if instances > 1 and not signature.takes_several:
        raise _LeftOut("with several instances")
    numeric, texts = numeric_inputs(signature), text_inputs(signature)
    names = [feature_names(spec, signature.counts_instances(spec)) for spec in numeric]
    numbers = _by_name(rows, "features_num", [name for each in names for name in each])
    inputs, at = {}, 0
    for spec, of_input in zip(numeric, names, strict=True):
        inputs[spec.name] = _numbers(signature, spec, numbers[:, at : at + len(of_input)])
        at += len(of_input)
    written = _by_name(rows, "features_cat", [spec.name for spec in texts])
    return inputs | {
        spec.name: tensor_of_bytes([_whole(text) for text in written[:, at]], _shape(signature, spec, instances))
        for at, spec in enumerate(texts)
    }


def _by_name(rows: pa.Table, column: str, names: Sequence[str]) -> np.ndarray[Any, np.dtype[Any]]:
    """Return the values of a map, a row for each instance, with a column for each of the names."""
    values = rows.column(column).combine_chunks()
    if not len(values.items) and not names:
        return np.empty((len(rows), 0))
    held = values.keys.dictionary_encode()
    widths = np.diff(values.offsets.to_numpy())
    if values.null_count or values.items.null_count or (widths != len(names)).any():
        raise _LeftOut("of another signature")
    codes = held.indices.to_numpy().reshape(len(rows), -1)
    known = held.dictionary.to_pylist()
    first = [known[code] for code in codes[0].tolist()]
    if (codes != codes[0]).any():
        raise _LeftOut("of another signature")
    found: np.ndarray[Any, np.dtype[Any]] = values.items.to_numpy(zero_copy_only=False).reshape(len(rows), -1)
    if first == list(names):
        return found
    places = {name: place for place, name in enumerate(first)}
    if len(places) < len(first) or places.keys() != set(names):
        raise _LeftOut("of another signature")
    return found[:, [places[name] for name in names]]


def _numbers(signature: Signature, spec: TensorSpec, values: np.ndarray[Any, np.dtype[Any]]) -> Tensor:
    """Return numbers as an input takes them. Floats may be rounded, as a route's arms round them."""
    dtype = NUMPY_OF[spec.datatype]
    with np.errstate(over="ignore", invalid="ignore"):
        tensor = values.astype(np.float64).astype(dtype)
        if dtype.kind in "iub":
            fits = (tensor.astype(np.float64) == values).all() and (np.abs(values) < _EXACT).all()
        else:
            fits = (np.isfinite(tensor.astype(np.float64)) == np.isfinite(values)).all()
    if not fits:
        raise _LeftOut("with a value that does not fit")
    return tensor.reshape(_shape(signature, spec, len(values)))


def _shape(signature: Signature, spec: TensorSpec, instances: int) -> tuple[int, ...]:
    return (instances, *spec.shape[1:]) if signature.takes_several else spec.shape


def _whole(text: str) -> bytes:
    content = text.encode()
    if len(content) >= MAX_TEXT_BYTES or _NOT_UTF8 in text:
        raise _LeftOut("with a text that was cut")
    return content


def _expected(signature: Signature, rows: pa.Table) -> Answers:
    """Return the logged answer, if it is of the kind of the version's."""
    expected, (label, prediction) = logged_answers(rows), label_and_prediction(signature)
    kinds = expected.labels is not None, expected.predictions is not None
    if kinds != (label is not None, prediction is not None) or not any(kinds):
        raise _LeftOut("of another signature")
    return expected
