"""Readers that turn V1's rows and columns into tensors: one for each way to write them, built for a signature."""

import base64
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from gateway.errors import BadRequest
from gateway.protocols.json_fault import json_fault
from gateway.protocols.request import is_one_instance
from gateway.protocols.tensor_json import build, element_type, flatten, nested, refuse_datatype
from runtimes.datatypes import Tensor
from runtimes.manifest import Signature, TensorSpec

Reader = Callable[[msgspec.Raw], dict[str, Tensor]]


class _Base64(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Bytes that are not UTF-8."""

    b64: str


def read_nothing(raw: msgspec.Raw) -> dict[str, Tensor]:
    """Read the one instance of a route that takes no inputs: `[{}]` or `{}`.

    Raises:
        BadRequest: it is something else.
    """
    try:
        found = msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        found = None
    if found not in ([{}], {}):
        raise BadRequest('The route takes no inputs, and answers once: send {"instances": [{}]}, or use V2.')
    return {}


def row_readers(signature: Signature, *, objects: bool) -> tuple[Reader, ...]:
    """Return the readers for a list of rows, which are `objects` or not. The first that accepts the rows is right."""
    specs = signature.inputs
    is_one = is_one_instance(signature)
    for spec in specs:
        refuse_datatype(spec.name, spec.datatype)
        if not spec.shape and not is_one:
            raise BadRequest(f"Tensor {spec.name} is a single value, which has no rows; use V2.")
    if is_one:
        return _one_instance_readers(specs, objects=objects)
    if len(specs) > 1:
        has_singles = any(spec.shape == (-1, 1) for spec in specs)
        return (_rows_by_name(specs), _rows_by_name(specs, singles=True)) if has_singles else (_rows_by_name(specs),)
    (spec,) = specs
    if not objects:
        return (_rows(spec),)
    readers = [_rows_by_name(specs)]
    if spec.columns:
        readers.append(_rows_by_column(spec))
    if spec.datatype == "BYTES":
        readers.append(_rows(spec))
    return tuple(readers)


def input_readers(signature: Signature, *, objects: bool) -> tuple[Reader, ...]:
    """Return the readers for `inputs` as a list: rows or, if a request is one instance, also its one tensor."""
    readers = row_readers(signature, objects=objects)
    if is_one_instance(signature) and len(signature.inputs) == 1:
        return (_rows(signature.inputs[0]), *readers)
    return readers


def column_readers(signature: Signature) -> tuple[Reader, ...]:
    """Return the readers for an object of columns. The first that accepts it is right."""
    specs = signature.inputs
    for spec in specs:
        refuse_datatype(spec.name, spec.datatype)
    readers = [_tensors_by_name(specs)]
    if len(specs) == 1 and specs[0].columns:
        readers.append(_values_by_column(specs[0]) if is_one_instance(signature) else _columns(specs[0]))
    return tuple(readers)


def _one_instance_readers(specs: Sequence[TensorSpec], *, objects: bool) -> tuple[Reader, ...]:
    """Return the readers for a list of one instance: of one tensor, or of an object of tensors or of columns."""
    if not objects and len(specs) == 1:
        return (_single(_rows(specs[0])),)
    readers = [_single(_tensors_by_name(specs))]
    if len(specs) == 1 and len(specs[0].shape) == 1 and specs[0].columns:
        readers.append(_single(_values_by_column(specs[0])))
    if len(specs) == 1 and specs[0].datatype == "BYTES":
        readers.append(_single(_rows(specs[0])))
    return tuple(readers)


_instances = msgspec.json.Decoder(list[msgspec.Raw]).decode


def _single(read: Reader) -> Reader:
    """Return a reader for a list with one element, which `read` reads."""

    def read_single(raw: msgspec.Raw) -> dict[str, Tensor]:
        instances = _instances(raw)
        if len(instances) != 1:
            raise BadRequest(f"The model takes one instance in each request, not {len(instances)}.")
        return read(instances[0])

    return read_single


def _rows(spec: TensorSpec) -> Reader:
    parse = parser(lambda words: cell_type(spec, len(spec.shape), words))
    return lambda raw: {spec.name: tensor_of(spec, parse(raw))}


def _rows_by_name(specs: Sequence[TensorSpec], *, singles: bool = False) -> Reader:
    """Return a reader for objects by name. With `singles`, a row of an input [-1, 1] is a value, not a list."""
    is_plain = [singles and spec.shape == (-1, 1) for spec in specs]
    depths = [0 if flat else len(spec.shape) - 1 for spec, flat in zip(specs, is_plain, strict=True)]
    names = [spec.name for spec in specs]

    def kinds(words: bool) -> Any:
        cells = [cell_type(spec, depth, words) for spec, depth in zip(specs, depths, strict=True)]
        return nested(object_of(names, cells), 1)

    parse = parser(kinds)

    def read(raw: msgspec.Raw) -> dict[str, Tensor]:
        rows = [msgspec.structs.astuple(row) for row in parse(raw)]
        return {
            spec.name: tensor_of(spec, [[row[index]] if is_plain[index] else row[index] for row in rows])
            for index, spec in enumerate(specs)
        }

    return read


def _rows_by_column(spec: TensorSpec) -> Reader:
    parse = parser(lambda words: nested(object_of(spec.columns, [cell_type(spec, 0, words)] * len(spec.columns)), 1))
    return lambda raw: {spec.name: tensor_of(spec, [msgspec.structs.astuple(row) for row in parse(raw)])}


def _tensors_by_name(specs: Sequence[TensorSpec]) -> Reader:
    names = [spec.name for spec in specs]
    parse = parser(lambda words: object_of(names, [cell_type(spec, len(spec.shape), words) for spec in specs]))

    def read(raw: msgspec.Raw) -> dict[str, Tensor]:
        values = msgspec.structs.astuple(parse(raw))
        return {spec.name: tensor_of(spec, value) for spec, value in zip(specs, values, strict=True)}

    return read


def _values_by_column(spec: TensorSpec) -> Reader:
    parse = parser(lambda words: object_of(spec.columns, [cell_type(spec, 0, words)] * len(spec.columns)))
    return lambda raw: {spec.name: tensor_of(spec, msgspec.structs.astuple(parse(raw)))}


def _columns(spec: TensorSpec) -> Reader:
    parse = parser(lambda words: object_of(spec.columns, [cell_type(spec, 1, words)] * len(spec.columns)))

    def read(raw: msgspec.Raw) -> dict[str, Tensor]:
        columns = msgspec.structs.astuple(parse(raw))
        flatten(spec.name, columns, 2)  # rejects columns of different lengths
        return {spec.name: tensor_of(spec, list(zip(*columns, strict=True)))}

    return read


def parser(kind: Callable[[bool], Any]) -> Callable[[msgspec.Raw], Any]:
    """Return a parser for `kind(False)`, which falls back to `kind(True)`, where numbers may also be words."""
    strict, tolerant = msgspec.json.Decoder(kind(False)).decode, msgspec.json.Decoder(kind(True)).decode

    def parse(raw: msgspec.Raw) -> Any:
        try:
            try:
                return strict(raw)
            except msgspec.ValidationError:
                return tolerant(raw)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise BadRequest(f"The rows do not fit the model: {json_fault(error, raw)}.") from error

    return parse


def object_of(names: Sequence[str], kinds: Sequence[Any]) -> Any:
    """Return the type of an object with exactly these fields. Their names may hold any characters."""
    fields = [(f"field_{index}", kind) for index, kind in enumerate(kinds)]
    rename = {field: name for (field, _), name in zip(fields, names, strict=True)}
    return msgspec.defstruct("Row", fields, rename=rename, frozen=True, forbid_unknown_fields=True)


def cell_type(spec: TensorSpec, depth: int, words: bool) -> Any:
    """Return the type of a value of a tensor, in lists nested `depth` deep.

    With `words`, see `element_type`; a string may be null then, too, which is an empty one.
    """
    strings = str | _Base64 | None if words else str | _Base64
    kind = strings if spec.datatype == "BYTES" else element_type(spec.datatype, words=words)
    return nested(kind, depth)


def tensor_of(spec: TensorSpec, value: Any) -> Tensor:
    """Return the tensor of nested rows. An empty one gets the other dimensions from the model's signature."""
    elements, shape = flatten(spec.name, value, len(spec.shape))
    if shape[:1] == (0,):
        shape = (0, *(max(size, 0) for size in spec.shape[1:]))
    mismatch = spec.shape_mismatch(shape)
    if mismatch is not None:
        raise BadRequest(mismatch)
    if spec.datatype == "BYTES":
        elements = [plain(spec.name, element) for element in elements]
    return build(spec.name, spec.datatype, elements, shape)


def plain(name: str, element: str | _Base64 | None) -> str | bytes:
    """Return an element of BYTES as text or bytes. null is an empty one, as NaN is the null of floats.

    Raises:
        BadRequest: it says that it is Base64, and is not.
    """
    if element is None:
        return ""
    if isinstance(element, str):
        return element
    try:
        return base64.b64decode(element.b64, validate=True)
    except ValueError as error:  # also raised for text that is not ASCII
        raise BadRequest(f"Tensor {name} has a b64 that is not Base64: {error}.") from error
