"""Tables as CSV, with a header line as MLflow wants it, or without one as SageMaker's built-in models take it.

An empty cell is missing: NaN among floats, an empty text among texts. Among floats, so is what
pandas reads as missing.
"""

import csv
from collections.abc import Callable, Sequence
from io import StringIO
from typing import Any

import msgspec

from gateway.errors import BadRequest
from gateway.protocols.frame_header import BOOLS, MISSING, is_header
from gateway.protocols.frame_json import MOST_EXTRA_COLUMNS, read_split
from gateway.protocols.frame_layout import Column, Layout, check_rows, layouts, missing, tensors_of
from runtimes.datatypes import Tensor
from runtimes.manifest import Signature

_FLOATS = ("FP32", "FP64")
_MOST_ROWS = 1_000_000
"""Each row takes some 100 bytes beside its cells, which is fifty times as much as it has in the body."""
_IN_NUMBERS = b"0123456789+-.eE,\n"


def read_csv(signature: Signature, content: bytes, says: bool | None = None) -> dict[str, Tensor]:
    """Return the tensors of a table. `says` is what the content type says about a header.

    Raises:
        BadRequest: no CSV in UTF-8, lines of different length, columns and cells that do not fit the model, or a first
            line that may be a header or a row.
    """
    flat = [layout for layout in layouts(signature) if layout.is_flat]
    if not flat:
        raise BadRequest("The model's inputs are no columns of single values, which CSV needs; send JSON.")
    if max(content.count(b"\n"), content.count(b"\r")) > _MOST_ROWS:
        raise BadRequest(f"The CSV has more than {_MOST_ROWS} lines; send fewer rows at a time.")
    layout = flat[0]
    widest = len(layout.columns) + MOST_EXTRA_COLUMNS
    head = content.partition(b"\n")[0]
    if b'"' not in head and head.count(b",") >= widest:
        raise BadRequest(f"The first line has more than {widest} cells; the model takes {len(layout.columns)}.")
    plain = _read_plain(signature, layout, content, says)
    if plain is not None:
        return plain
    first, *others = _lines(content)
    if is_header(layout, first, says):
        rows = others
        if len(set(first)) != len(first):
            raise BadRequest("The header names a column twice.")
        at = _positions(layout, first)
    else:
        rows, at = [first, *others], list(range(len(layout.columns)))
    width = len(first) if rows is others else len(layout.columns)
    for number, row in enumerate(rows):
        if len(row) != width:
            raise BadRequest(f"Row {number + 1} of the table has {len(row)} cells and not {width}.")
    check_rows(layout, len(rows))
    cells = list(zip(*rows, strict=True))
    columns = [_reader(column)(column, cells[index]) for column, index in zip(layout.columns, at, strict=True)]
    return tensors_of(layout, columns, len(rows))


def _read_plain(signature: Signature, layout: Layout, content: bytes, says: bool | None) -> dict[str, Tensor] | None:
    """Return the tensors of a table of nothing but numbers, or None if it is not one.

    With brackets around its lines it is JSON, which is read ten times as fast.
    """
    head, _, rest = content.replace(b"\r\n", b"\n").rstrip(b"\n").partition(b"\n")
    if b'"' in head or rest.translate(None, _IN_NUMBERS):
        return None
    try:
        first = head.decode("utf-8-sig").split(",")
        has_header = is_header(layout, first, says)
        if not has_header and head.translate(None, _IN_NUMBERS):
            return None
        if has_header and len(set(first)) != len(first):
            return None
        names = None if not layout.is_named else first if has_header else layout.names
        lines = rest if has_header else head + b"\n" + rest if rest else head
        rows = b"[[" + lines.replace(b"\n", b"],[") + b"]]"
        split = msgspec.json.encode({"columns": names, "data": msgspec.Raw(rows)})
        return read_split(signature, msgspec.Raw(split))
    except (BadRequest, UnicodeDecodeError):
        return None  # the other reader says what is wrong


def _lines(content: bytes) -> list[list[str]]:
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise BadRequest(f"The CSV is not UTF-8: {error}.") from error
    if "\0" in text:
        raise BadRequest("The CSV has a NUL byte.")
    try:
        lines = [line for line in csv.reader(StringIO(text, newline=""), strict=True) if line]
    except csv.Error as error:
        raise BadRequest(f"The body is no CSV: {error}.") from error
    if not lines:
        raise BadRequest("The body is empty; send CSV with at least one row.")
    return lines


def _positions(layout: Layout, header: Sequence[str]) -> list[int]:
    if not layout.is_named:
        if len(header) != len(layout.columns):
            raise BadRequest(f"The table has {len(header)} columns; the model takes {len(layout.columns)}.")
        return list(range(len(header)))
    by_name = {name: index for index, name in enumerate(header)}
    if not by_name.keys() >= set(layout.names):
        raise missing(layout, header)
    return [by_name[name] for name in layout.names]


def _reader(column: Column) -> Callable[[Column, Sequence[str]], Sequence[Any]]:
    datatype = column.spec.datatype
    return (
        _floats if datatype in _FLOATS else _bools if datatype == "BOOL" else _texts if datatype == "BYTES" else _ints
    )


def _floats(column: Column, cells: Sequence[str]) -> Sequence[float]:
    if "_" in "".join(cells):
        raise _refusal(column, next(cell for cell in cells if "_" in cell))
    try:
        return list(map(float, cells))
    except ValueError:
        return [_float(column, cell) for cell in cells]


def _float(column: Column, cell: str) -> float:
    try:
        return float(cell)
    except ValueError:
        if cell.strip() in MISSING:
            return float("nan")
        raise _refusal(column, cell) from None


def _ints(column: Column, cells: Sequence[str]) -> Sequence[int]:
    for cell in cells:
        if not cell.strip().lstrip("+-").isdecimal():
            raise _refusal(column, cell)
    try:
        return list(map(int, cells))
    except ValueError:  # more digits than Python reads, or two signs
        raise _refusal(column, max(cells, key=len)) from None


def _bools(column: Column, cells: Sequence[str]) -> Sequence[bool]:
    for cell in cells:
        if cell not in BOOLS:
            raise _refusal(column, cell)
    return [BOOLS[cell] for cell in cells]


def _texts(_: Column, cells: Sequence[str]) -> Sequence[str]:
    return cells


def _refusal(column: Column, cell: str) -> BadRequest:
    what = column.name or column.spec.name
    return BadRequest(f"Column {what} holds {cell[:64]!r}; the model takes {column.spec.datatype}.")
