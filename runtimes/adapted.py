"""A model seen through another signature: what callers see, where the artifact has something else that means the same.

Some differences need no other model. A datatype of floats is converted. Columns of the same names are put into the
other order. A first dimension that is 1 in the artifact and varies for callers means that the model takes one instance
at a time: the instances of a request are run one after the other. Names of tensors are the business of the runtimes
(`TensorSpec.source`).
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from msgspec import structs

from runtimes.constant.runtime import ConstantRuntime
from runtimes.datatypes import NUMPY_OF, Tensor
from runtimes.errors import ModelFailed
from runtimes.manifest import Example, Signature, TensorSpec
from runtimes.runtime import Interruptible, Runtime, found_examples, with_examples

_NUMBERS = "fV"
_MOST_NAMED = 6


class AdaptedRuntime:
    """See `runtimes.runtime.Runtime`. `signature` is what callers see."""

    def __init__(self, runtime: Runtime, signature: Signature) -> None:
        own = runtime.signature
        self.signature = with_examples(signature, found_examples(own, signature))
        self._runtime = runtime
        self._one_by_one = signature.takes_several and not own.takes_several
        self.unbatched_because = (
            "the model takes one instance at a time" if self._one_by_one else runtime.unbatched_because
        )
        self._taken = {spec.name: NUMPY_OF[spec.datatype] for spec in own.inputs}
        self._given = {spec.name: NUMPY_OF[spec.datatype] for spec in signature.outputs}
        self._orders_in = _orders(signature.inputs, own.inputs)
        self._orders_out = _orders(own.outputs, signature.outputs)
        self._by_instance = {spec.name for spec in signature.inputs if signature.counts_instances(spec)}

    def limited(self, limit_s: float) -> "AdaptedRuntime":
        """See `Interruptible`: each run of the model is limited if it can be broken off."""
        inner = self._runtime
        return AdaptedRuntime(inner.limited(limit_s) if isinstance(inner, Interruptible) else inner, self.signature)

    def run(self, inputs: Mapping[str, Tensor], outputs: Sequence[str]) -> Sequence[Tensor]:
        """See `Runtime.run`."""
        taken = {name: self._take(name, tensor) for name, tensor in inputs.items()}
        answered = self._run_each(taken, outputs) if self._one_by_one else self._runtime.run(taken, outputs)
        return [self._give(name, tensor) for name, tensor in zip(outputs, answered, strict=True)]

    def _take(self, name: str, tensor: Tensor) -> Tensor:
        """Return an input as the model takes it."""
        if name in self._orders_in:
            tensor = tensor[..., self._orders_in[name]]
        with np.errstate(over="ignore"):
            taken = tensor.astype(self._taken[name], copy=False)
        if taken is not tensor and taken.dtype.kind == "f" and bool((np.isinf(taken) & np.isfinite(tensor)).any()):
            raise ModelFailed(f"Input {name} has a number that is too large for {taken.dtype}.")
        return taken

    def _give(self, name: str, tensor: Tensor) -> Tensor:
        """Return an output as callers see it."""
        if name in self._orders_out:
            tensor = tensor[..., self._orders_out[name]]
        with np.errstate(over="ignore"):
            return tensor.astype(self._given[name], copy=False)

    def _run_each(self, inputs: Mapping[str, Tensor], outputs: Sequence[str]) -> Sequence[Tensor]:
        """Run one instance after the other, and put the answers together."""
        rows = next(len(tensor) for name, tensor in inputs.items() if name in self._by_instance)
        if rows == 0:
            raise ModelFailed("The model takes one instance at a time, so it cannot answer a request without any.")
        answers = [
            self._runtime.run(
                {
                    name: tensor[row : row + 1] if name in self._by_instance else tensor
                    for name, tensor in inputs.items()
                },
                outputs,
            )
            for row in range(rows)
        ]
        if any(len(part) != 1 for parts in answers for part in parts):
            raise ModelFailed("The model takes one instance at a time, and answers with more or fewer rows than one.")
        return answers[0] if rows == 1 else [np.concatenate(parts) for parts in zip(*answers, strict=True)]


def adapt(runtime: Runtime, signature: Signature) -> Runtime:
    """Return the runtime behind a signature: itself if it has that one already. They must be alike (`difference`)."""
    if isinstance(runtime, ConstantRuntime):
        return ConstantRuntime(runtime.value, signature)
    return runtime if is_same(runtime.signature, signature) else AdaptedRuntime(runtime, signature)


def own_examples(own: Signature, seen: Signature) -> Signature:
    """Return `seen` with the examples of `own`, and with no others: they are what the model of `own` can answer.

    Where `own` has none, its model answers zeros and empty strings; it may know no category of another model's example.
    """
    orders = _orders(own.inputs, seen.inputs)
    examples = {spec.name: _in_order(spec.example, orders.get(spec.name)) for spec in own.inputs}
    return structs.replace(
        seen, inputs=tuple(structs.replace(spec, example=examples.get(spec.name)) for spec in seen.inputs)
    )


def _in_order(example: Example | None, order: list[int] | None) -> Example | None:
    """Return an example with its columns in another order."""
    if example is None or example.data is None or order is None:
        return example
    array = np.array(example.data, object)
    return structs.replace(example, data=_nested(array[..., order])) if array.shape[-1:] == (len(order),) else example


def _nested(array: np.ndarray[Any, Any]) -> tuple[Any, ...]:
    """Return an array as tuples, which are hashable."""
    return tuple(map(_nested, array)) if array.ndim > 1 else tuple(array.tolist())


def difference(own: Signature, seen: Signature) -> str:
    """Return why callers of `seen` cannot be answered by a model with `own`: a clause that names the tensor.

    An empty text means that they can, if need be through `adapt`.
    """
    one_by_one = seen.takes_several and not own.takes_several
    for kind, mine, theirs in (("input", own.inputs, seen.inputs), ("output", own.outputs, seen.outputs)):
        by_name = {spec.name: spec for spec in mine}
        if by_name.keys() != {spec.name for spec in theirs}:
            return (
                f"it has the {kind}s {', '.join(sorted(by_name))} and not {', '.join(sorted(s.name for s in theirs))}"
            )
        for spec in theirs:
            clause = _differs(
                by_name[spec.name], spec, gathers=one_by_one and (kind == "output" or seen.counts_instances(spec))
            )
            if clause:
                return f"its {kind} {clause}"
    if own.takes_several and not seen.takes_several:
        return "its requests hold several instances"
    return ""


def _differs(own: TensorSpec, seen: TensorSpec, *, gathers: bool) -> str:
    said = f"{own.name} is {own.datatype} {list(own.shape)} and not {seen.datatype} {list(seen.shape)}"
    kinds = {NUMPY_OF[spec.datatype].kind for spec in (own, seen)}
    if own.datatype != seen.datatype and not kinds <= set(_NUMBERS):
        return said
    shape = own.shape
    if gathers and own.shape[:1] == (1,):
        shape = (-1, *own.shape[1:])
    if shape != seen.shape:
        return said
    if own.columns and seen.columns and set(own.columns) != set(seen.columns):
        only = sorted(set(own.columns).symmetric_difference(seen.columns))
        return f"{own.name} has other columns: {', '.join(only[:_MOST_NAMED])} are on one side only"
    return ""


def is_same(one: Signature, other: Signature) -> bool:
    """Return True if both take and give the same tensors in the same order."""
    return (
        one.takes_several == other.takes_several
        and _are_alike(one.inputs, other.inputs)
        and _are_alike(one.outputs, other.outputs)
    )


def _are_alike(some: Sequence[TensorSpec], others: Sequence[TensorSpec]) -> bool:
    return len(some) == len(others) and all(
        (one.name, one.datatype, one.shape) == (other.name, other.datatype, other.shape)
        and (one.columns == other.columns or not one.columns or not other.columns)
        for one, other in zip(some, others, strict=True)
    )


def _orders(given: Sequence[TensorSpec], wanted: Sequence[TensorSpec]) -> dict[str, list[int]]:
    """Return, by tensor, where each wanted column stands among the given ones; only where that is another place."""
    columns = {spec.name: spec.columns for spec in given}
    return {
        spec.name: [columns[spec.name].index(column) for column in spec.columns]
        for spec in wanted
        if spec.columns and columns.get(spec.name) and columns[spec.name] != spec.columns
    }
