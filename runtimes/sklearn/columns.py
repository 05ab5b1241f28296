"""What a fitted estimator takes: text, records, labels, or columns, and what it has learned of each column."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
from sklearn.compose import ColumnTransformer
from sklearn.feature_extraction import DictVectorizer, FeatureHasher
from sklearn.feature_extraction.text import CountVectorizer, HashingVectorizer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import FeatureUnion, Pipeline
from sklearn.preprocessing import FunctionTransformer, LabelBinarizer, LabelEncoder, MultiLabelBinarizer

from runtimes.sklearn.structure import delegates, unwrapped

Form = Literal["text", "records", "labels", "sets", "frame", "array"]
"""A list of strings, a list of dictionaries, an array of labels, sets of labels, a data frame, or an array."""

_MOST_SEEN = 5

KEEP: Any = object()
"""An empty string stays one."""


class Column(NamedTuple):
    """What is known of a column.

    `datatype` is empty if nothing is known. `values` are some that the estimator has seen. An empty string becomes
    `missing`.
    """

    name: str
    datatype: str = ""
    values: tuple[Any, ...] = ()
    missing: Any = KEEP
    dropped: bool = False


class Takes(NamedTuple):
    """What an estimator takes. `columns` are known for records, frames and arrays."""

    form: Form
    columns: tuple[Column, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the columns."""
        return tuple(column.name for column in self.columns)


class _Hint(NamedTuple):
    datatype: str
    values: tuple[Any, ...] = ()
    missing: Any = KEEP


def takes(estimator: Any) -> Takes:
    """Return what an estimator takes."""
    form = _form(estimator)
    if form in ("text", "sets"):
        return Takes(form)
    if form == "labels":
        return Takes(form, (_of_classes(estimator),))
    if form == "records":
        return Takes(form, tuple(_keys(estimator)))
    named = getattr(estimator, "feature_names_in_", None)
    count = getattr(estimator, "n_features_in_", None)
    if named is None and count is None:
        return Takes("array")
    names = [f"x{position}" for position in range(count or 0)] if named is None else [str(name) for name in named]
    hints: dict[int, _Hint | None] = {}
    for position, hint in _hints(estimator, range(len(names))):
        hints[position] = _both(hints.get(position), hint)
    columns = tuple(_column(name, hints, position) for position, name in enumerate(names))
    return Takes("array" if named is None else "frame", _with_seen(columns, estimator))


def _column(name: str, hints: dict[int, _Hint | None], position: int) -> Column:
    hint = hints.get(position)
    if hint is None:
        return Column(name, dropped=position in hints)
    return Column(name, hint.datatype, hint.values, hint.missing)


def _of_classes(encoder: Any) -> Column:
    classes = np.asarray(getattr(encoder, "classes_", ()))
    datatype = {"i": "INT64", "u": "INT64", "f": "FP64", "b": "BOOL"}.get(classes.dtype.kind, "BYTES")
    return Column("y", datatype, tuple(classes.tolist()))


def _with_seen(columns: tuple[Column, ...], estimator: Any) -> tuple[Column, ...]:
    """Give columns the values of some training rows, where an estimator of neighbours has kept those."""
    rows = getattr(unwrapped(estimator), "_fit_X", None)
    if (
        not isinstance(rows, np.ndarray)
        or rows.ndim != 2
        or rows.shape[1] != len(columns)
        or rows.dtype.kind not in "fiu"
    ):
        return columns
    seen = rows[:_MOST_SEEN].T.astype(float).tolist()
    return tuple(column._replace(values=tuple(values)) for column, values in zip(columns, seen, strict=True))


def _form(estimator: Any) -> Form:
    if isinstance(estimator, (CountVectorizer, HashingVectorizer)):  # also TfidfVectorizer
        return "text"
    if isinstance(estimator, (DictVectorizer, FeatureHasher)):
        return "records"
    if isinstance(estimator, (LabelEncoder, LabelBinarizer)):
        return "labels"
    if isinstance(estimator, MultiLabelBinarizer):
        return "sets"
    for inner in _first(estimator):
        form = _form(inner)
        if form != "frame":
            return form
    return "frame"


def _first(estimator: Any) -> Iterator[Any]:
    """Return the estimators that get what this one gets."""
    if isinstance(estimator, Pipeline):
        yield from (step for _, step in estimator.steps[:1] if step not in (None, "passthrough"))
    elif isinstance(estimator, FeatureUnion):
        yield from (step for _, step in estimator.transformer_list if not isinstance(step, str))
    elif getattr(estimator, "feature_names_in_", None) is None:
        yield from delegates(estimator)


def _keys(estimator: Any) -> Iterator[Column]:
    """Return the keys of the dictionaries that a DictVectorizer was fitted on. "city=Rome" is a key with text."""
    while not isinstance(estimator, (DictVectorizer, FeatureHasher)):
        estimator = next(_first(estimator))
    values: dict[str, list[str]] = {}
    for feature in map(str, getattr(estimator, "feature_names_", ())):
        key, separator, value = feature.partition(estimator.separator)
        values.setdefault(key, []).extend([value] if separator else [])
    for key, known in values.items():
        yield Column(key, "BYTES" if known else "FP64", tuple(known), None)


def _hints(estimator: Any, at: Sequence[int]) -> Iterator[tuple[int, _Hint | None]]:
    """Return what an estimator that gets the columns `at` knows of them. None for a column that is dropped."""
    if isinstance(estimator, Pipeline):
        yield from _pipeline_hints(estimator, at)
    elif isinstance(estimator, FeatureUnion):
        for _, inner in estimator.transformer_list:
            yield from _hints(inner, at)
    elif isinstance(estimator, ColumnTransformer):
        for name, inner, _ in estimator.transformers_:
            positions = estimator._transformer_to_input_indices.get(name, ())
            chosen = [at[position] for position in positions if position < len(at)]
            if isinstance(inner, str) and inner == "drop":
                yield from ((position, None) for position in chosen)
            else:
                yield from _hints(inner, chosen)
    elif hasattr(estimator, "categories_"):
        yield from zip(at, map(_of_categories, estimator.categories_), strict=False)
    elif isinstance(estimator, SimpleImputer):
        yield from ((position, _of_imputer(estimator)) for position in at)
    elif isinstance(estimator, (CountVectorizer, HashingVectorizer)):
        yield from ((position, _Hint("BYTES", ("some words", "others"))) for position in at)
    else:
        yield from _other_hints(estimator, at)


def _other_hints(estimator: Any, at: Sequence[int]) -> Iterator[tuple[int, _Hint | None]]:
    inner = [each for each in delegates(estimator) if getattr(each, "n_features_in_", None) in (None, len(at))]
    for each in inner:
        yield from _hints(each, at)
    known = type(estimator).__module__.startswith("sklearn.") and not isinstance(estimator, FunctionTransformer)
    if known and not inner:
        yield from ((position, _Hint("FP64")) for position in at)


def _pipeline_hints(pipeline: Pipeline, at: Sequence[int]) -> Iterator[tuple[int, _Hint | None]]:
    """Look behind an imputer, too: it leaves the columns as they are. A function is taken to do so."""
    for _, step in pipeline.steps:
        if step in (None, "passthrough"):
            continue
        if getattr(step, "n_features_in_", len(at)) != len(at):
            return
        yield from _hints(step, at)
        if not isinstance(step, (SimpleImputer, FunctionTransformer)) or getattr(step, "add_indicator", False):
            return


def _of_categories(categories: Any) -> _Hint:
    known = list(categories)
    present = [value for value in known if not _is_missing(value)]
    if present and all(isinstance(value, str) for value in present):
        absent = [value for value in known if _is_missing(value)]
        return _Hint("BYTES", tuple(present), KEEP if "" in present or not absent else absent[0])
    if present and all(isinstance(value, (bool, np.bool_)) for value in present):
        return _Hint("BOOL", tuple(map(bool, present)))
    return _Hint("FP64", tuple(float(value) for value in present if isinstance(value, (int, float, np.number))))


def _of_imputer(imputer: SimpleImputer) -> _Hint | None:
    if "O" in (np.asarray(imputer.statistics_).dtype.kind, np.dtype(getattr(imputer, "_fit_dtype", float)).kind):
        return _Hint("BYTES", (), KEEP if isinstance(imputer.missing_values, str) else imputer.missing_values)
    return _Hint("FP64")


def _is_missing(value: Any) -> bool:
    return value is None or (isinstance(value, float) and value != value)


def _both(one: _Hint | None, other: _Hint | None) -> _Hint | None:
    """Return what two parts of an estimator know of the same column. Text is more than numbers."""
    if one is None or other is None:
        return one or other
    if one.datatype != other.datatype and "BYTES" in (one.datatype, other.datatype):
        return one if one.datatype == "BYTES" else other
    first = one if one.values else other
    missing = one.missing if one.missing is not KEEP else other.missing
    return _Hint("BOOL" if "BOOL" in (one.datatype, other.datatype) else first.datatype, first.values, missing)


def untext(columns: Iterable[Column]) -> bool:
    """Return True if the estimator takes numbers in each of the columns."""
    return all(column.datatype in ("FP64", "BOOL") for column in columns)
