"""The decoders of tables in JSON, which check each cell's type while they parse. They are built once for a layout."""

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import msgspec

from gateway.protocols.frame_layout import Column, Layout
from gateway.protocols.tensor_json import nested
from gateway.protocols.v1_rows import cell_type

Decode = Callable[[msgspec.Raw], Any]


def _tolerant(kind: Callable[[bool], Any]) -> Decode:
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


def row_decoder(layout: Layout, names: tuple[str, ...]) -> Decode:
    """Return the decoder of rows with these columns. What the model does not take may be anything.

    Callers choose the columns and their order. So few decoders are remembered of wide tables.
    """
    return (_narrow if len(names) <= _NARROW else _wide)(layout, names)


def _row_decoder(layout: Layout, names: tuple[str, ...]) -> Decode:
    by_name = {column.name: column for column in layout.columns}

    def rows(words: bool) -> Any:
        kinds = [_cell(by_name[name], words) if name in by_name else Any for name in names]
        return list[tuple[*kinds]]  # type: ignore[valid-type]  # made at run time

    return _tolerant(rows)


_NARROW = 64
"""A decoder takes some 250 bytes for each column."""
_narrow, _wide = lru_cache(maxsize=256)(_row_decoder), lru_cache(maxsize=16)(_row_decoder)


@lru_cache(maxsize=256)
def matrix_decoder(layout: Layout) -> Decode:
    """Return the decoder of the rows of a matrix, in the model's order."""
    return _tolerant(lambda words: nested(_cell(layout.columns[0], words), 2))


@lru_cache(maxsize=256)
def mapping_decoder(layout: Layout) -> Decode:
    """Return the decoder of records of a matrix whose columns have no names."""
    return _tolerant(lambda words: list[dict[str, _cell(layout.columns[0], words)]])  # type: ignore[misc]


@lru_cache(maxsize=256)
def record_decoders(layout: Layout, deeper: int | None) -> tuple[Decode, Decode]:
    """Return the decoders of a list of records or, with a depth, of one object whose columns are nested deeper by it.

    The second one takes nulls and words, and records in which columns are missing: they are `UNSET`.
    """
    names = {f"field_{index}": column.name for index, column in enumerate(layout.columns)}

    def decode(words: bool) -> Decode:
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
