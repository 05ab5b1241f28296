"""How the columns of a table become the tensors of a model.

A model may take a table in several layouts. One input [-1, n] is a matrix: each column is one of its n columns, by name
if the manifest names them, otherwise by position. Several inputs are a column each. A cell is then one value or, if the
input has more dimensions, a nested list. If a request is one instance, the table has one row.
"""

from collections.abc import Sequence
from functools import lru_cache
from itertools import chain
from typing import Any, NamedTuple

from gateway.errors import BadRequest
from gateway.protocols.request import is_one_instance
from gateway.protocols.tensor_json import build, flatten, refuse_datatype
from gateway.protocols.v1_rows import plain
from runtimes.datatypes import Tensor
from runtimes.manifest import Signature, TensorSpec


class Column(NamedTuple):
    """A column: its name (empty if only its position counts), its input, and how deep its cells are nested."""

    name: str
    spec: TensorSpec
    depth: int


class Layout(NamedTuple):
    """One way to write a model's inputs as a table. `is_matrix`: all columns are those of one input."""

    columns: tuple[Column, ...]
    is_matrix: bool
    takes_one: bool

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the columns. They are empty if only positions count."""
        return tuple(column.name for column in self.columns)

    @property
    def is_named(self) -> bool:
        """True if the columns go by name."""
        return all(self.names)

    @property
    def is_flat(self) -> bool:
        """True if each cell is one value, so that the table can be written as CSV."""
        return not any(column.depth for column in self.columns)


@lru_cache(maxsize=256)
def layouts(signature: Signature) -> tuple[Layout, ...]:
    """Return the layouts that a model takes, the likeliest first.

    Raises:
        BadRequest: an input has a datatype that JSON cannot carry.
    """
    specs, takes_one = signature.inputs, is_one_instance(signature)
    for spec in specs:
        refuse_datatype(spec.name, spec.datatype)
        if not spec.shape and not takes_one:
            raise BadRequest(f"Tensor {spec.name} is a single value, which has no rows; use V2.")
    instance = 0 if takes_one else 1
    found = []
    if len(specs) == 1 and len(specs[0].shape) == instance + 1 and specs[0].shape[-1] != -1:
        spec = specs[0]
        names = spec.columns or ("",) * spec.shape[-1]
        found.append(Layout(tuple(Column(name, spec, 0) for name in names), True, takes_one))
    if not takes_one and any(spec.shape == (-1, 1) for spec in specs):
        found.append(_by_input(specs, 1, takes_one=False, singles=True))
    found.append(_by_input(specs, instance, takes_one=takes_one))
    return tuple(found)


def _by_input(specs: Sequence[TensorSpec], instance: int, *, takes_one: bool, singles: bool = False) -> Layout:
    """Return the layout with a column for each input. With `singles`, the cells of inputs [-1, 1] are not nested."""
    depths = [0 if singles and spec.shape == (-1, 1) else len(spec.shape) - instance for spec in specs]
    columns = tuple(Column(spec.name, spec, depth) for spec, depth in zip(specs, depths, strict=True))
    return Layout(columns, False, takes_one)


def tensors_of(layout: Layout, columns: Sequence[Sequence[Any]], rows: int) -> dict[str, Tensor]:
    """Return the tensors of a table, given the cells of each column. Their types have been checked.

    Raises:
        BadRequest: there is no row, or another number of rows than allowed, or the cells do not fit.
    """
    check_rows(layout, rows)
    if not layout.is_matrix:
        return {
            column.spec.name: _tensor(column, cells, rows, takes_one=layout.takes_one)
            for column, cells in zip(layout.columns, columns, strict=True)
        }
    elements = columns[0] if len(columns) == 1 else list(chain.from_iterable(zip(*columns, strict=True)))
    return {layout.columns[0].spec.name: matrix_of(layout, elements, rows)}


def check_rows(layout: Layout, rows: int) -> None:
    """Raise `BadRequest` unless a table may have so many rows."""
    if rows == 0:
        raise BadRequest("The request has no rows; send at least one.")
    if layout.takes_one and rows != 1:
        raise BadRequest(f"The model takes one instance in each request, not {rows}.")


def matrix_of(layout: Layout, elements: Sequence[Any], rows: int) -> Tensor:
    """Return the one tensor of a matrix, given its elements row by row."""
    spec, width = layout.columns[0].spec, len(layout.columns)
    shape = (width,) if layout.takes_one else (rows, width)
    _require(spec, shape)
    return build(spec.name, spec.datatype, _plain_all(spec, elements), shape)


def _tensor(column: Column, cells: Sequence[Any], rows: int, *, takes_one: bool) -> Tensor:
    spec = column.spec
    elements, shape = flatten(spec.name, cells, column.depth + 1)
    if takes_one:
        shape = shape[1:]
    elif spec.shape == (-1, 1) and not column.depth:
        shape = (rows, 1)
    _require(spec, shape)
    return build(spec.name, spec.datatype, _plain_all(spec, elements), shape)


def _require(spec: TensorSpec, shape: tuple[int, ...]) -> None:
    mismatch = spec.shape_mismatch(shape)
    if mismatch is not None:
        raise BadRequest(mismatch)


def _plain_all(spec: TensorSpec, elements: Sequence[Any]) -> Sequence[Any]:
    """Return the elements; of BYTES as text or bytes. A missing text is an empty one."""
    if spec.datatype != "BYTES":
        return elements
    return [b"" if each is None else each if type(each) is str else plain(spec.name, each) for each in elements]


def missing(layout: Layout, given: Sequence[str]) -> BadRequest:
    """Return the error for a table that lacks columns."""
    there, wanted = set(given), set(layout.names)
    lacking = [name for name in layout.names if name not in there]
    extra = [name for name in given if name not in wanted]
    more = f" It has also {_listed(extra)}, which the model does not take." if extra else ""
    return BadRequest(f"The table lacks the columns {_listed(lacking)}.{more}")


_MOST_LISTED = 20
_LONGEST_NAME = 64


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(repr(name[:_LONGEST_NAME]) for name in names[:_MOST_LISTED])
    return shown if len(names) <= _MOST_LISTED else f"{shown} and {len(names) - _MOST_LISTED} more"
