"""Sequences and maps as tensors, for a protocol that has only tensors.

- A sequence of maps (what ZipMap writes: for each row, a probability by class) is [rows, columns].
- A map is [columns].
- A sequence of tensors of one shape is that shape with one more dimension: the first one, or the second one if the
  first dimension of each member counts instances.

`columns` in the manifest are the keys. A key that a map does not have is 0 or an empty string, as in the sparse rows
that such maps come from. A key that is no column is left out.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from runtimes.datatypes import BYTES, NUMPY_OF, Tensor
from runtimes.errors import ModelFailed
from runtimes.onnx.node_types import Kind


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
