"""Merges what a person says about tensors over what was read out of the artifact.

1. If every tensor that is said has name, datatype and shape, these are the tensors.
2. If a tensor is said by its name alone, only the tensors that are said are kept, in that order.
3. Otherwise each tensor that is said changes the one of its name (or, with `source`, the artifact's tensor of that
   name), and the others stay as they were read.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from runtimes.errors import ModelRefused
from runtimes.manifest import TensorSpec

_WHOLE = {"name", "datatype", "shape"}
_FIELDS = tuple(field.name for field in msgspec.structs.fields(TensorSpec))


def merge_tensors(read: Sequence[TensorSpec], said: object, kind: str) -> tuple[TensorSpec, ...]:
    """Return the tensors of the version. `kind` is `input` or `output`, for sentences.

    Raises:
        ModelRefused: what is said is no list of tensors, or names a tensor that there is not.
    """
    if said is None:
        return tuple(read)
    items = tensors_said(said, kind)
    own = {spec.name: spec for spec in read} | {spec.own_name: spec for spec in read}
    whole = [each for each in items if isinstance(each, dict) and _is_whole(each)]
    if len(whole) == len(items):
        return tuple(_changed(own.get(_read_name(each)), each, kind) for each in whole)
    if any(is_name_alone(each) for each in items):
        return tuple(_of(own, each, kind) for each in items)
    changed = {_found(own, each, kind).name: _of(own, each, kind) for each in items}
    return tuple(changed.get(spec.name, spec) for spec in read)


def tensors_said(said: object, kind: str) -> list[str | dict[str, Any]]:
    """Return tensors as a person wrote them. Raises like `merge_tensors`."""
    if not isinstance(said, list) or not said:
        raise ModelRefused(f"{kind}s must be a list of tensors.")
    for each in said:
        if isinstance(each, dict) and isinstance(each.get("name"), str):
            unknown = [str(key) for key in each if key not in _FIELDS]
            if unknown:
                raise ModelRefused(
                    f"The {kind} {each['name']} has the key {', '.join(unknown)}; a tensor has {', '.join(_FIELDS)}."
                )
        elif not isinstance(each, str):
            raise ModelRefused(f"Each {kind} must be a name, or keys such as name, datatype and shape.")
    return said


def _is_whole(said: Mapping[str, Any]) -> bool:
    return said.keys() >= _WHOLE


def is_name_alone(said: object) -> bool:
    """Return True if a tensor is said by nothing but its name: `label`, or `{name: label}`."""
    return isinstance(said, str) or (isinstance(said, dict) and said.keys() == {"name"})


def all_whole(said: object) -> bool:
    """Return True if each tensor is said with name, datatype and shape, and there is one."""
    return isinstance(said, list) and bool(said) and all(isinstance(each, dict) and _is_whole(each) for each in said)


def _read_name(said: str | Mapping[str, Any]) -> str:
    return said if isinstance(said, str) else str(said.get("source") or said["name"])


def _found(own: Mapping[str, TensorSpec], said: str | Mapping[str, Any], kind: str) -> TensorSpec:
    name = _read_name(said)
    if name not in own:
        known = ", ".join(dict.fromkeys(spec.name for spec in own.values()))
        raise ModelRefused(
            f"The model has no {kind} {name!r}; it has {known or 'none that could be read'}. "
            "To give one another name, say which it is with source."
        )
    return own[name]


def _of(own: Mapping[str, TensorSpec], said: str | dict[str, Any], kind: str) -> TensorSpec:
    found = _found(own, said, kind)
    return found if isinstance(said, str) else _changed(found, said, kind)


def _changed(read: TensorSpec | None, said: Mapping[str, Any], kind: str) -> TensorSpec:
    """Return a tensor with what is said of it. What belonged to another shape or datatype is not kept."""
    fields: dict[str, Any] = {} if read is None else msgspec.structs.asdict(read)
    if read is not None and read.own_name != said["name"]:
        fields["source"] = read.own_name
    try:
        spec = msgspec.convert({**fields, **said}, TensorSpec, from_attributes=True)
    except (msgspec.ValidationError, TypeError) as error:
        raise ModelRefused(f"The {kind} {said['name']} cannot be read: {error}.") from error
    if (
        read is not None
        and spec.shape != read.shape
        and "columns" not in said
        and len(spec.columns) not in spec.shape[-1:]
    ):
        spec = msgspec.structs.replace(spec, columns=())
    if spec.source == spec.name:
        spec = msgspec.structs.replace(spec, source="")
    return spec
