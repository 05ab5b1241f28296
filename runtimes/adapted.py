"""A model seen through another signature: what callers see, where the artifact has something else that means the same.

Two differences need no other model. A datatype of numbers is converted. A first dimension that is 1 in the artifact and
varies for callers means that the model takes one instance at a time: the instances of a request are run one after the
other. Names are the business of the runtimes (`TensorSpec.source`).
"""

from collections.abc import Mapping, Sequence

import numpy as np
from msgspec import structs

from runtimes.datatypes import NUMPY_OF, Tensor
from runtimes.errors import ModelFailed
from runtimes.manifest import Signature, TensorSpec
from runtimes.runtime import Interruptible, Runtime, found_examples, with_examples

_NUMBERS = "fV"


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
        self._by_instance = {spec.name for spec in signature.inputs if signature.counts_instances(spec)}

    def limited(self, limit_s: float) -> "AdaptedRuntime":
        """See `Interruptible`: each run of the model is limited if it can be broken off."""
        inner = self._runtime
        return AdaptedRuntime(inner.limited(limit_s) if isinstance(inner, Interruptible) else inner, self.signature)

    def run(self, inputs: Mapping[str, Tensor], outputs: Sequence[str]) -> Sequence[Tensor]:
        """See `Runtime.run`."""
        taken = {name: tensor.astype(self._taken[name], copy=False) for name, tensor in inputs.items()}
        answered = self._run_each(taken, outputs) if self._one_by_one else self._runtime.run(taken, outputs)
        return [tensor.astype(self._given[name], copy=False) for name, tensor in zip(outputs, answered, strict=True)]

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
        return answers[0] if rows == 1 else [np.concatenate(parts) for parts in zip(*answers, strict=True)]


def adapt(runtime: Runtime, signature: Signature) -> Runtime:
    """Return the runtime behind a signature: itself if it has that one already. They must be alike (`difference`)."""
    return runtime if is_same(runtime.signature, signature) else AdaptedRuntime(runtime, signature)


def own_examples(own: Signature, seen: Signature) -> Signature:
    """Return `seen` with the examples of `own`, and with no others: they are what the model of `own` can answer.

    Where `own` has none, its model answers zeros and empty strings; it may know no category of another model's example.
    """
    examples = {spec.name: spec.example for spec in own.inputs}
    return structs.replace(
        seen, inputs=tuple(structs.replace(spec, example=examples.get(spec.name)) for spec in seen.inputs)
    )


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
    return "" if shape == seen.shape else said


def is_same(one: Signature, other: Signature) -> bool:
    """Return True if both take and give the same tensors in the same order. Readers of the log may see a difference."""
    return _essence(one) == _essence(other)


def _essence(signature: Signature) -> tuple[object, ...]:
    """Return the parts of a signature that decide which tensors go in and come out."""
    inputs, outputs = (
        [(spec.name, spec.datatype, spec.shape) for spec in specs] for specs in (signature.inputs, signature.outputs)
    )
    return inputs, outputs, signature.takes_several
