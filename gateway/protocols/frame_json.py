"""Tables in JSON, as pandas writes them: `dataframe_split`, records, and an object of columns.

Columns go by name, in any order. What the model does not take is dropped, as MLflow's schema enforcement does. An
integer becomes a float, but no float becomes an integer and no text a number. Null is NaN among floats, and an empty
text among texts. A column that is missing in some records is null there.
"""

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import msgspec

from gateway.errors import BadRequest
from gateway.protocols.frame_layout import Column, Layout, check_rows, layouts, matrix_of, missing, tensors_of
from gateway.protocols.json_fault import json_fault
from gateway.protocols.tensor_json import flatten, nested
from gateway.protocols.v1_rows import cell_type
from runtimes.datatypes import Tensor
from runtimes.manifest import Signature

_Decode = Callable[[msgspec.Raw], Any]
_MOST_EXTRA_COLUMNS = 16
"""The parser of a table with more columns that the model does not take is not remembered."""


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
        return _read_by_position(_layouts(signature)[0], split.data)
    if tuple(split.columns) == _layouts(signature)[0].names:
        return _read_by_position(_layouts(signature)[0], split.data)
    names = tuple(map(str, split.columns))
    if len(set(names)) != len(names):
        raise BadRequest("The table names a column twice.")
    layout = _layout_of(signature, names)
    if not layout.is_named or names == layout.names:
        return _read_by_position(layout, split.data)
    build = _row_parser if len(names) <= len(layout.columns) + _MOST_EXTRA_COLUMNS else _row_parser.__wrapped__
    rows = _decoded(build(layout, names), split.data)
    columns = list(zip(*rows, strict=True)) if rows else [()] * len(names)
    return tensors_of(layout, [columns[names.index(name)] for name in layout.names], len(rows))


def read_records(signature: Signature, raw: msgspec.Raw) -> dict[str, Tensor]:
    """Return the tensors of `[{"column": value, ...}, ...]`. Without names, the order of the first record counts.

    Raises:
        BadRequest: columns are missing, or a cell does not fit.
    """
    first: BadRequest | None = None
    for layout in _layouts(signature):
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
    for layout in _layouts(signature):
        if not layout.is_named:
            continue
        for depth in (1, 0):
            try:
                return _read_columns(layout, depth, raw)
            except BadRequest as error:
                first = first or error
    raise first or AssertionError("The last layout has names.")


def _read_columns(layout: Layout, depth: int, raw: msgspec.Raw) -> dict[str, Tensor]:
    strict, tolerant = _record_decoders(layout, depth)
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
        rows = _decoded(_row_parser(layout, layout.names), data)
        columns = list(zip(*rows, strict=True)) if rows else [()] * len(layout.columns)
        return tensors_of(layout, columns, len(rows))
    rows = _decoded(_matrix_parser(layout), data)
    check_rows(layout, len(rows))
    elements, (_, width) = flatten(layout.columns[0].spec.name, rows, 2)
    if width != len(layout.columns):
        raise BadRequest(f"The table has {width} columns; the model takes {len(layout.columns)}.")
    return {layout.columns[0].spec.name: matrix_of(layout, elements, len(rows))}


def _read_named_records(layout: Layout, raw: msgspec.Raw) -> dict[str, Tensor]:
    strict, tolerant = _record_decoders(layout, None)
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
    rows = _decoded(_mapping_parser(layout), raw)
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
    given, first = set(names), _layouts(signature)[0]
    for layout in _layouts(signature):
        if layout.is_named and given.issuperset(layout.names):
            return layout
    if first.is_named:
        raise missing(first, names)
    return first


def _decoded(decode: _Decode, raw: msgspec.Raw) -> Any:
    try:
        return decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BadRequest(f"The table does not fit the model: {json_fault(error, raw)}.") from error
    except RecursionError:
        raise BadRequest("The body is nested too deeply.") from None


_layouts = lru_cache(maxsize=256)(layouts)
_split = msgspec.json.Decoder(_Split).decode


def _tolerant(kind: Callable[[bool], Any]) -> _Decode:
    """Return a decoder for `kind(False)`, which falls back to `kind(True)`, where there may be nulls and words."""
    strict, tolerant = msgspec.json.Decoder(kind(False)).decode, msgspec.json.Decoder(kind(True)).decode

    def decode(raw: msgspec.Raw) -> Any:
        try:
            return strict(raw)
        except msgspec.ValidationError:
            return tolerant(raw)

    return decode


def _cell(column: Column, words: bool, depth: int | None = None) -> Any:
    depth = column.depth if depth is None else depth
    kind = cell_type(column.spec, 0, words)
    if words and column.spec.datatype == "BYTES":
        kind |= None
    return nested(kind, depth)


@lru_cache(maxsize=256)
def _row_parser(layout: Layout, names: tuple[str, ...]) -> _Decode:
    """Return the decoder of rows with these columns. What the model does not take may be anything."""
    by_name = {column.name: column for column in layout.columns}

    def rows(words: bool) -> Any:
        kinds = [_cell(by_name[name], words) if name in by_name else Any for name in names]
        return list[tuple[*kinds]]  # type: ignore[valid-type]  # made at run time

    return _tolerant(rows)


@lru_cache(maxsize=256)
def _matrix_parser(layout: Layout) -> _Decode:
    return _tolerant(lambda words: nested(_cell(layout.columns[0], words), 2))


@lru_cache(maxsize=256)
def _mapping_parser(layout: Layout) -> _Decode:
    return _tolerant(lambda words: list[dict[str, _cell(layout.columns[0], words)]])  # type: ignore[misc]


@lru_cache(maxsize=256)
def _record_decoders(layout: Layout, deeper: int | None) -> tuple[_Decode, _Decode]:
    """Return the decoders of a list of records or, with a depth, of one object whose columns are nested deeper by it.

    The second one takes nulls and words, and records in which columns are missing: they are `UNSET`.
    """
    names = {f"field_{index}": column.name for index, column in enumerate(layout.columns)}

    def decode(words: bool) -> _Decode:
        more = 0 if layout.takes_one else deeper or 0
        kinds = [_cell(column, words, column.depth + more) for column in layout.columns]
        fields: list[Any] = (
            [(field, kind | msgspec.UnsetType, msgspec.UNSET) for field, kind in zip(names, kinds, strict=True)]
            if words
            else list(zip(names, kinds, strict=True))
        )
        record = msgspec.defstruct("Row", fields, rename=names, frozen=True)
        return msgspec.json.Decoder(nested(record, 1) if deeper is None else record).decode

    return decode(False), decode(True)
