"""Reads a manifest out of an estimator: its columns, its classes, and what it answers to made-up rows."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

from runtimes.datatypes import NAME_OF, Tensor
from runtimes.draft import Draft
from runtimes.errors import ModelRefused
from runtimes.load_options import LoadOptions
from runtimes.manifest import Files, Signature, TensorSpec
from runtimes.runtime import example_inputs
from runtimes.sklearn.columns import Takes, takes
from runtimes.sklearn.frames import reader
from runtimes.sklearn.outputs import FEATURES, LABEL, PREDICTION, PROBABILITIES, SCORES, Answers, dense
from runtimes.sklearn.reading import read_artifact
from runtimes.sklearn.refusals import require_answers
from runtimes.sklearn.remarks import remarks_on
from runtimes.sklearn.samples import STYLES, made_up
from runtimes.sklearn.structure import unwrapped
from runtimes.sklearn.versions import PACKAGE, require_version, versions_said_first

_ROWS = (1, 5)
_MOST_COLUMNS = 256
"""More names of features are of no use in a manifest."""


def draft_sklearn(files: Files, file: str, options: LoadOptions, said: Mapping[str, Any]) -> Draft:
    """Read an estimator, run it on made-up rows, and return what was learned.

    Raises:
        ModelRefused: it cannot be read, was made with another scikit-learn without `accepts_other_versions`, cannot
            answer rows, or answers none that can be made up.
    """
    asked = tuple(said.get("trusted_types", ()))
    estimator, versions = read_artifact(file, files[file], options, asked=asked)
    require_version(file, versions, accepts_others=bool(said.get("accepts_other_versions")))
    with versions_said_first(file, versions):
        require_answers(estimator)
        taken = takes(estimator)
        inputs = _said_inputs(said) or _inputs(taken)
        tried = _try(estimator, taken, inputs)
        outputs = tuple(_outputs(estimator, tried.results))
    more: dict[str, Any] = {"made_with": [f"{PACKAGE}=={versions[0]}"]} if versions else {}
    if asked:
        more["trusted_types"] = list(asked)
    remarks = tuple(remarks_on(estimator, taken, outputs, versions))
    return Draft("sklearn", file, inputs, outputs, remarks, more, tried.inputs)


def _said_inputs(said: Mapping[str, Any]) -> tuple[TensorSpec, ...]:
    try:
        return msgspec.convert(said.get("inputs", ()), tuple[TensorSpec, ...])
    except msgspec.ValidationError as error:
        raise ModelRefused(f"The inputs that you gave cannot be read: {error}.") from error


def _inputs(taken: Takes) -> tuple[TensorSpec, ...]:
    """Return one tensor of numbers, one input of text, or an input for each column."""
    if taken.form == "text":
        return (TensorSpec("text", "BYTES", (-1,)),)
    if taken.form == "labels":
        return (TensorSpec("y", taken.columns[0].datatype, (-1,)),)
    columns = [column for column in taken.columns if not column.dropped or taken.form == "array"]
    if not columns:
        if taken.form == "records":
            raise ModelRefused(
                "A FeatureHasher does not know which keys its records have. Name them as inputs, one for each key, "
                "such as `{name: city, datatype: BYTES, shape: [-1]}`."
            )
        return (TensorSpec("X", "FP64", (-1, 1)),)
    numbers = all(column.datatype in ("", "FP64") for column in columns)
    if numbers and taken.form != "records":
        names = taken.names if taken.form == "frame" and len(columns) == len(taken.columns) else ()
        if taken.form == "array" or names:
            return (TensorSpec("X", "FP64", (-1, len(columns)), columns=tuple(names)),)
    if taken.form == "array" and all(column.datatype == "BYTES" for column in columns):
        return (TensorSpec("X", "BYTES", (-1, len(columns))),)
    return tuple(TensorSpec(column.name, column.datatype or "FP64", (-1,)) for column in columns)


class _Tried(NamedTuple):
    """Made-up inputs, and the results of an estimator for each number of rows."""

    inputs: Mapping[str, Tensor]
    results: Mapping[str, tuple[Tensor, ...]]


def _try(estimator: Any, taken: Takes, inputs: Sequence[TensorSpec]) -> _Tried:
    """Run the estimator on made-up rows: first those that are likeliest to be answered.

    Raises:
        ModelRefused: it answers none.
    """
    read, answers = reader(taken, inputs), Answers(estimator)
    wanted = _wanted(answers)
    failure: Exception | None = None
    for tensors in _candidates(taken, inputs):
        try:
            ran = [answers(read(each), wanted) for each in tensors]
            names = sorted(set.intersection(*map(set, ran)), key=_order)
            results = {name: tuple(dense(name, each[name]) for each in ran) for name in names}
        except Exception as error:  # noqa: BLE001  # an estimator may raise anything
            failure = failure or error
            continue
        return _Tried(tensors[-1], results)
    raise ModelRefused(
        f"The estimator answers none of the rows that were made up for it: {failure}. Give it inputs with examples, "
        "such as `inputs: [{name: X, datatype: FP64, shape: [-1, 4], example: {data: [[1, 2, 3, 4]]}}]`."
    )


def _candidates(taken: Takes, inputs: Sequence[TensorSpec]) -> Iterator[list[dict[str, Tensor]]]:
    if any(spec.example for spec in inputs):
        yield [dict(example_inputs(Signature(tuple(inputs), ()), rows)) for rows in _ROWS]
    for style in ("positive", *STYLES):
        yield [made_up(taken, inputs, rows, style) for rows in _ROWS]


def _wanted(answers: Answers) -> list[str]:
    """Return the results that are worth an output of their own."""
    names = answers.names
    if LABEL not in names and PREDICTION not in names:
        return [FEATURES] if FEATURES in names else list(names)
    left = {FEATURES, SCORES} if PROBABILITIES in names else {FEATURES}
    return [name for name in names if name not in left]


def _order(name: str) -> tuple[int, int]:
    base, _, target = name.partition("_")
    return [LABEL, PREDICTION, PROBABILITIES, SCORES, FEATURES].index(base), int(target or -1)


def _outputs(estimator: Any, results: Mapping[str, tuple[Tensor, ...]]) -> Iterator[TensorSpec]:
    several = any(name.startswith(f"{PROBABILITIES}_") for name in results)
    for name, tensors in results.items():
        if name == PROBABILITIES and several:
            continue
        shape = _shape(name, [tensor.shape for tensor in tensors])
        columns = _columns(estimator, name, shape)
        yield TensorSpec(name, _datatype(tensors[-1]), shape, columns=columns)


def _shape(name: str, shapes: Sequence[tuple[int, ...]]) -> tuple[int, ...]:
    if any(not shape or shape[0] != rows for shape, rows in zip(shapes, _ROWS, strict=True)):
        raise ModelRefused(
            f"The estimator answers {name} of {list(shapes[-1])} to {_ROWS[-1]} rows: not one answer for each row. "
            "Serve an estimator that uses its result."
        )
    first, second = shapes[0][1:], shapes[-1][1:]
    if len(first) != len(second):
        raise ModelRefused(f"The estimator answers {name} with another number of dimensions for another request.")
    if 0 in second:
        raise ModelRefused(f"The estimator answers {name} without any column, so there is nothing to serve.")
    return (-1, *(one if one == other else -1 for one, other in zip(first, second, strict=True)))


def _datatype(tensor: Tensor) -> str:
    """Return the datatype for callers: text is BYTES, integers are INT64."""
    if tensor.dtype.kind in "iu":
        return "INT64"
    return NAME_OF.get(tensor.dtype, "BYTES")


def _columns(estimator: Any, name: str, shape: tuple[int, ...]) -> tuple[str, ...]:
    """Return the classes of probabilities and scores, or the names of features, if they are that many."""
    try:
        named = _named(estimator, name)
        names = tuple(str(each) for each in named)
    except Exception:  # noqa: BLE001  # names are a help, and an estimator may raise anything
        return ()
    fits = len(shape) == 2 and shape[1] == len(names) <= _MOST_COLUMNS and len(set(names)) == len(names)
    return names if fits else ()


def _named(estimator: Any, name: str) -> Any:
    if name == FEATURES:
        return estimator.get_feature_names_out()
    if name in (PROBABILITIES, SCORES):
        return unwrapped(estimator).classes_
    base, _, target = name.partition("_")
    return unwrapped(estimator).classes_[int(target)] if base == PROBABILITIES else ()
