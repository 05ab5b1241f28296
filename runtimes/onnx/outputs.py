"""The signature of outputs, from what a model really answered. The graph's word on their shapes is often wrong."""

from collections.abc import Sequence

from runtimes.errors import ModelRefused
from runtimes.manifest import Batch, TensorSpec
from runtimes.onnx.batch import Run, flats_of
from runtimes.onnx.flatten import Flat
from runtimes.onnx.graph import Value
from runtimes.onnx.node_types import NodeType
from runtimes.onnx.probe import BATCH

_MOST_COLUMNS = 10_000


def output_spec(
    value: Value, kind: NodeType, runs: Sequence[Run], batch: Batch, labels: tuple[str, ...]
) -> tuple[TensorSpec | None, str]:
    """Return the spec of one output and a remark, or None and why the output is left out.

    `labels` are the classes that the graph gives for it. `runs` differ in their sizes.
    """
    flats = [each for each in flats_of(value.name, runs) if each is not None]
    if len(flats) < len(runs):
        return None, f"The output {value.name} is left out: it is a sequence of tensors of different shapes."
    shapes = [each.tensor.shape for each in flats]
    if kind.kind in ("map", "sequence of maps"):
        return _of_maps(value.name, kind.datatype, flats, labels, is_map=kind.kind == "map")
    if kind.kind == "sequence of tensors":
        shape = observed(shapes, runs, batch)
        return TensorSpec(value.name, kind.datatype, shape), f"The output {value.name} is a sequence: {list(shape)}."
    shape, remark = _tensor_shape(value, shapes, runs, batch)
    return TensorSpec(value.name, kind.datatype, shape), remark


def _of_maps(
    name: str, datatype: str, flats: Sequence[Flat], labels: tuple[str, ...], *, is_map: bool
) -> tuple[TensorSpec | None, str]:
    columns = labels or tuple(dict.fromkeys(column for each in flats for column in each.columns))
    if not columns or len(columns) > _MOST_COLUMNS:
        return None, f"The output {name} is left out: it is maps, whose keys could not be found by running the model."
    shape = (len(columns),) if is_map else (-1, len(columns))
    where = "from the graph" if labels else "from an answer: if other inputs give more keys, add them"
    remark = f"The output {name} is made of maps; its {len(columns)} columns are their keys ({where})."
    return TensorSpec(name, datatype, shape, columns), remark


def _tensor_shape(
    value: Value, shapes: Sequence[tuple[int, ...]], runs: Sequence[Run], batch: Batch
) -> tuple[tuple[int, ...], str]:
    """Return the shape by the graph where the answers fit it, and else by the answers."""
    seen = observed(shapes, runs, batch)
    said = value.shape
    if said is None:
        return seen, f"The graph does not say the shape of {value.name}; {list(seen)} was found by running the model."
    fits = len(said) == len(seen) and all(
        not isinstance(size, int) or size == 0 or all(shape[at] == size for shape in shapes)
        for at, size in enumerate(said)
    )
    if not fits:
        graph = [size if isinstance(size, int) else -1 for size in said]
        return seen, f"The graph says {graph} of {value.name}, but the model answers {list(seen)}."
    if batch == 0 and said and isinstance(said[0], str) and seen[0] != -1:
        return (seen[0], *_open(said[1:])), ""  # its rows do not count instances
    return _open(said), ""


def _open(said: Sequence[int | str]) -> tuple[int, ...]:
    return tuple(size if isinstance(size, int) and size > 0 else -1 for size in said)


def have_one_rank(runs: Sequence[Run]) -> bool:
    """Return True if each output has the same number of dimensions in all runs."""
    return all(
        len({each.tensor.ndim for each in flats_of(name, runs) if each is not None}) <= 1 for name in runs[0].answers
    )


def observed(shapes: Sequence[tuple[int, ...]], runs: Sequence[Run], batch: Batch) -> tuple[int, ...]:
    """Return the shape that all these answers have, with -1 where they differ."""
    if len({len(shape) for shape in shapes}) > 1:
        raise ModelRefused("An output has another number of dimensions for other inputs, so no signature fits it.")
    sizes = [
        each.pop() if len(each := set(sizes)) == 1 and 0 not in each else -1 for sizes in zip(*shapes, strict=True)
    ]
    varies = len({run.found.sizes.get(BATCH) for run in runs}) > 1
    if batch == "none" and not varies and sizes and shapes[0][0] == 1 and len(runs) == 1:
        sizes[0] = -1  # one run says nothing
    return tuple(sizes)
