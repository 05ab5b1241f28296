"""Where the columns of an estimator come from: the inputs of model.yaml, held against the estimator's names."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from runtimes.errors import ModelRefused
from runtimes.manifest import TensorSpec
from runtimes.sklearn.columns import Takes


class Source(NamedTuple):
    """Where a column comes from: an input, and a position in it."""

    input: str
    position: int


def sources_of(takes: Takes, specs: Sequence[TensorSpec]) -> dict[str, Source]:
    """Return the source of every column that model.yaml has.

    Raises:
        ModelRefused: a column is there twice, is missing, or is one that the estimator does not know.
    """
    sources: dict[str, Source] = {}
    for spec in specs:
        for position, column in enumerate(_columns_of(spec, takes, alone=len(specs) == 1)):
            if column in sources:
                raise ModelRefused(f"model.yaml has the column {column!r} twice.")
            sources[column] = Source(spec.name, position)
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


def _check_names(takes: Takes, sources: Mapping[str, Source]) -> None:
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


def check_datatypes(takes: Takes, sources: Mapping[str, Source], specs: Sequence[TensorSpec]) -> None:
    """Check that the estimator gets text where it was fitted on text, and numbers where on numbers.

    Raises:
        ModelRefused: the datatype of an input is of the other kind.
    """
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
