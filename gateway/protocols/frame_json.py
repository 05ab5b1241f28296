"""Tables in JSON, as pandas writes them: `dataframe_split`, records, and an object of columns.

Columns go by name, in any order. What the model does not take is dropped, as MLflow's schema enforcement does. An
integer becomes a float, but no float becomes an integer and no text a number. Null is NaN among floats, and an empty
text among texts. A column that is missing in some records is null there.
"""

from collections.abc import Sequence
from typing import Any

import msgspec

from gateway.errors import BadRequest
from gateway.protocols.frame_layout import Layout, check_rows, layouts, matrix_of, missing, tensors_of
from gateway.protocols.frame_types import Decode, mapping_decoder, matrix_decoder, record_decoders, row_decoder
from gateway.protocols.json_fault import json_fault
from gateway.protocols.tensor_json import flatten
from runtimes.datatypes import Tensor
from runtimes.manifest import Signature

MOST_EXTRA_COLUMNS = 1024
"""A table may have so many columns that the model does not take."""


class _Split(msgspec.Struct, frozen=True):
    data: msgspec.Raw
    columns: list[str | int] | None = None


def read_split(signature: Signature, raw: msgspec.Raw) -> dict[str, Tensor]:
    """Return the tensors of `{"columns": [...], "data": [[...], ...]}`. An `index` is ignored.

    Raises:
        BadRequest: columns are missing or given twice, or a cell does not fit.
    """
    split: _Split = _decoded(_split, raw)
    if split.columns is None:
        return _read_by_position(layouts(signature)[0], split.data)
    if tuple(split.columns) == layouts(signature)[0].names:
        return _read_by_position(layouts(signature)[0], split.data)
    names = tuple(map(str, split.columns))
    if len(set(names)) != len(names):
        raise BadRequest("The table names a column twice.")
    layout = _layout_of(signature, names)
    if not layout.is_named or names == layout.names:
        return _read_by_position(layout, split.data)
    extra = len(names) - len(layout.columns)
    if extra > MOST_EXTRA_COLUMNS:
        raise BadRequest(
            f"The table has {extra} columns that the model does not take; at most {MOST_EXTRA_COLUMNS} are dropped."
        )
    at = {name: index for index, name in enumerate(names)}
    rows = _decoded(row_decoder(layout, names), split.data)
    columns = list(zip(*rows, strict=True)) if rows else [()] * len(names)
    return tensors_of(layout, [columns[at[name]] for name in layout.names], len(rows))


def read_records(signature: Signature, raw: msgspec.Raw) -> dict[str, Tensor]:
    """Return the tensors of `[{"column": value, ...}, ...]`. Without names, the order of the first record counts.

    Raises:
        BadRequest: columns are missing, or a cell does not fit.
    """
    first: BadRequest | None = None
    for layout in layouts(signature):
        try:
            return _read_named_records(layout, raw) if layout.is_named else _read_unnamed_records(layout, raw)
        except BadRequest as error:
            first = first or error
    raise first or AssertionError("A model has at least one layout.")


def read_columns(signature: Signature, raw: msgspec.Raw) -> dict[str, Tensor]:
    """Return the tensors of `{"column": [value, ...], ...}`. If each column is a single value, they are one row.

    Raises:
        BadRequest: columns are missing or differ in length, or a cell does not fit.
    """
    first: BadRequest | None = None
    for layout in layouts(signature):
        if not layout.is_named:
            continue
        for depth in (1, 0):
            try:
                return _read_columns(layout, depth, raw)
            except BadRequest as error:
                first = first or error
    raise first or AssertionError("The last layout has names.")


def _read_columns(layout: Layout, depth: int, raw: msgspec.Raw) -> dict[str, Tensor]:
    strict, tolerant = record_decoders(layout, depth)
    try:
        found = msgspec.structs.astuple(strict(raw))
    except msgspec.ValidationError:
        found = msgspec.structs.astuple(_decoded(tolerant, raw))
    _require_all(layout, [found])
    columns = found if depth and not layout.takes_one else [[value] for value in found]
    lengths = {len(column) for column in columns}
    if len(lengths) > 1:
        raise BadRequest(f"The columns differ in length: from {min(lengths)} to {max(lengths)}.")
    return tensors_of(layout, columns, lengths.pop())


def _read_by_position(layout: Layout, data: msgspec.Raw) -> dict[str, Tensor]:
    """Read rows whose columns are in the model's own order."""
    if not layout.is_matrix:
        rows = _decoded(row_decoder(layout, layout.names), data)
        columns = list(zip(*rows, strict=True)) if rows else [()] * len(layout.columns)
        return tensors_of(layout, columns, len(rows))
    rows = _decoded(matrix_decoder(layout), data)
    check_rows(layout, len(rows))
    elements, (_, width) = flatten(layout.columns[0].spec.name, rows, 2)
    if width != len(layout.columns):
        raise BadRequest(f"The table has {width} columns; the model takes {len(layout.columns)}.")
    return {layout.columns[0].spec.name: matrix_of(layout, elements, len(rows))}


def _read_named_records(layout: Layout, raw: msgspec.Raw) -> dict[str, Tensor]:
    strict, tolerant = record_decoders(layout, None)
    rows: Sequence[Sequence[Any]]
    try:
        rows = list(map(msgspec.structs.astuple, strict(raw)))
    except msgspec.ValidationError:
        rows = _filled(layout, list(map(msgspec.structs.astuple, _decoded(tolerant, raw))))
    columns = list(zip(*rows, strict=True)) if rows else [()] * len(layout.columns)
    return tensors_of(layout, columns, len(rows))


def _filled(layout: Layout, rows: Sequence[Sequence[Any]]) -> Sequence[Sequence[Any]]:
    """Return rows with null for a cell that is missing. A column that is missing in all rows is refused."""
    _require_all(layout, rows)
    filled = [[None if value is msgspec.UNSET else value for value in row] for row in rows]
    for index, column in enumerate(layout.columns):
        has_null = column.depth == 0 and column.spec.datatype in ("FP32", "FP64", "BYTES")
        if not has_null and any(row[index] is None for row in filled):
            raise BadRequest(f"Column {column.name} is missing in some rows; {column.spec.datatype} has no null.")
    return filled


def _read_unnamed_records(layout: Layout, raw: msgspec.Raw) -> dict[str, Tensor]:
    rows = _decoded(mapping_decoder(layout), raw)
    check_rows(layout, len(rows))
    names = list(rows[0])
    if len(names) != len(layout.columns) or any(row.keys() != rows[0].keys() for row in rows):
        raise BadRequest(f"Each record must have the same {len(layout.columns)} columns; the model names none.")
    return tensors_of(layout, [[row[name] for row in rows] for name in names], len(rows))


def _require_all(layout: Layout, rows: Sequence[Sequence[Any]]) -> None:
    """Raise `BadRequest` if a column is missing in all rows."""
    given = [
        column.name
        for index, column in enumerate(layout.columns)
        if any(row[index] is not msgspec.UNSET for row in rows)
    ]
    if len(given) < len(layout.columns) and rows:
        raise missing(layout, given)


def _layout_of(signature: Signature, names: Sequence[str]) -> Layout:
    """Return the layout whose columns all have names that are given.

    Raises:
        BadRequest: there is none; the sentence is about the likeliest.
    """
    given, first = set(names), layouts(signature)[0]
    for layout in layouts(signature):
        if layout.is_named and given.issuperset(layout.names):
            return layout
    if first.is_named:
        raise missing(first, names)
    return first


def _decoded(decode: Decode, raw: msgspec.Raw) -> Any:
    try:
        return decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BadRequest(f"The table does not fit the model: {json_fault(error, raw)}.") from error
    except RecursionError:
        raise BadRequest("The body is nested too deeply.") from None


_split = msgspec.json.Decoder(_Split).decode
