"""Sequences and maps as tensors, for a protocol that has only tensors.

- A sequence of maps (what ZipMap writes: for each row, a probability by class) is [rows, columns].
- A map is [columns].
- A sequence of tensors of one shape is that shape with one more dimension: the first one, or the second one if the
  first dimension of each member counts instances.

`columns` in the manifest are the keys. A key that a map does not have is 0 or an empty string, as in the sparse rows
that such maps come from. A key that is no column is left out.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from runtimes.datatypes import BYTES, NUMPY_OF, Tensor
from runtimes.errors import ModelFailed, ModelRefused
from runtimes.manifest import Signature, TensorSpec
from runtimes.onnx.node_types import Kind, node_type
from runtimes.onnx.values import to_feed
from runtimes.runtime import example_inputs


class Flat(NamedTuple):
    """A tensor, and the keys of its last dimension if it was made of maps."""

    tensor: Tensor
    columns: tuple[str, ...] = ()


class Flattening(NamedTuple):
    """How one output is made a tensor. `axis` is where the members of a sequence of tensors go."""

    name: str
    kind: Kind
    datatype: str
    columns: tuple[str, ...] = ()
    axis: int = 0

    def __call__(self, answer: Any) -> Tensor:
        """Return the tensor.

        Raises:
            ModelFailed: the members of a sequence have different shapes.
        """
        if self.kind == "tensor":
            tensor: Tensor = answer
        elif self.kind == "sequence of tensors":
            tensor = _stacked(self.name, answer, self.axis, self.datatype)
        else:
            tensor = self._of_maps(answer)
        return tensor

    def _of_maps(self, answer: Any) -> Tensor:
        maps = [answer] if self.kind == "map" else answer
        nothing = "" if self.datatype == "BYTES" else 0
        rows = [[row.get(column, nothing) for column in self.columns] for row in map(_by_text, maps)]
        tensor = np.array(rows, NUMPY_OF[self.datatype]).reshape(len(maps), len(self.columns))
        return tensor[0] if self.kind == "map" else tensor


def member_axis(answers: Sequence[Any], rows: Sequence[int]) -> int:
    """Return where the members of sequences of tensors go, which answered so many instances: 1 if they have them."""
    if len(set(rows)) < 2 or len({len(members) for members in answers}) > 1:
        return 0
    return int(all(each.shape[:1] == (n,) for members, n in zip(answers, rows, strict=True) for each in members))


def flat(answer: Any, axis: int = 0) -> Flat | None:
    """Return any answer of ONNX Runtime as a tensor, or None if it cannot be one."""
    if isinstance(answer, np.ndarray):
        return Flat(answer)
    if isinstance(answer, dict):
        return Flat(np.array(list(answer.values())), tuple(map(str, answer)))
    if not isinstance(answer, list):
        return None
    if all(isinstance(each, dict) for each in answer):
        columns = tuple(dict.fromkeys(key for row in map(_by_text, answer) for key in row))
        rows = [[row.get(column, 0) for column in columns] for row in map(_by_text, answer)]
        return Flat(np.array(rows).reshape(len(answer), len(columns)), columns)
    if len({getattr(each, "shape", None) for each in answer}) == 1 and isinstance(answer[0], np.ndarray):
        return Flat(np.stack(answer, axis))
    return None


def _by_text(row: Any) -> dict[str, Any]:
    return {str(key): value for key, value in row.items()}


def _stacked(name: str, members: Sequence[Tensor], axis: int, datatype: str) -> Tensor:
    shapes = {member.shape for member in members}
    if len(shapes) != 1:
        raise ModelFailed(f"The output {name} is a sequence of tensors of different shapes: {sorted(shapes)}.")
    return np.stack(members, axis).astype(BYTES if datatype == "BYTES" else NUMPY_OF[datatype], copy=False)


def flattenings(
    signature: Signature, session: Any, nodes: Sequence[Any], classes: Mapping[str, tuple[str, ...]]
) -> dict[str, Flattening]:
    """Return how each output that is no tensor is made one, by the name that callers see.

    `classes` are the keys that the graph gives for some of them. For sequences of tensors the model is run once or
    twice, to see where their members go.

    Raises:
        ModelRefused: maps without columns.
    """
    kinds = {node.name: found for node in nodes if (found := node_type(node.type)) and found.kind != "tensor"}
    made = {}
    for spec in signature.outputs:
        found = kinds.get(spec.own_name)
        if found is None:
            continue
        columns = spec.columns or classes.get(spec.own_name, ())
        if found.kind != "sequence of tensors" and len(columns) != spec.shape[-1]:
            raise ModelRefused(
                f"The output {spec.own_name} is made of maps. Name their keys as its `columns` in model.yaml, with the "
                "shape [-1, number of keys], or leave it out."
            )
        axis = _axis(signature, spec, session) if found.kind == "sequence of tensors" else 0
        made[spec.name] = Flattening(spec.name, found.kind, found.datatype, columns, axis)
    return made


def _axis(signature: Signature, spec: TensorSpec, session: Any) -> int:
    """Return where the members of a sequence go. Without two runs that show it, they are the first dimension."""
    if not signature.takes_several or not signature.counts_instances(spec):
        return 0
    answers, rows = [], (2, 3)
    for number in rows:
        inputs = example_inputs(signature, number)
        feed = {each.own_name: to_feed(each.name, inputs[each.name]) for each in signature.inputs}
        try:
            answers += session.run([spec.own_name], feed)
        except Exception:  # noqa: BLE001  # the warm-up says what the model fails on
            return 0
    return member_axis(answers, rows)
