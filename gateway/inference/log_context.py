"""What the log keeps of an arm's requests: computed once per snapshot, written once per segment.

Which output is the label, and which the prediction:

- The label is one integer, truth value or text for each instance: the output named `label`, or else the first such.
- The prediction is any number of floats for each instance: the output named `probabilities`, or else `prediction`, or
  else the first such.
- If the model has neither, integers of another shape are its prediction, or texts of another shape its label.

A model none of whose inputs has a dimension of instances takes one instance, so each of its outputs belongs to that
instance.
"""

import math
from collections.abc import Callable

from inference_log.record import Context, Role
from router.snapshot import Arm, Route, Shadow
from runtimes.datatypes import NUMPY_OF, TYPE_STRING_OF
from runtimes.manifest import Manifest, Signature, TensorSpec

MAX_LOGGED_VALUES = 4096
"""The log does not keep inputs with more values per instance: one column per value would be useless."""
MAX_LOGGED_TEXTS = 64
"""The log keeps so many texts per instance."""


def log_context(
    route: Route,
    arm: Arm | Shadow | None,
    manifest: Manifest | None,
    role: Role,
    snapshot_hash: str,
    against: Arm | None = None,
) -> Context:
    """Return what all records of this arm have in common. Without an arm: of the requests that were rejected."""
    inputs = _numeric_inputs(manifest.signature) if manifest else ()
    label, prediction = _seen(manifest.signature) if manifest else (None, None)
    return Context(
        number=0,
        route=route.name,
        arm=arm.name if arm else "",
        role=role,
        policy_kind=route.kind,
        policy_version=route.document_version,
        snapshot_hash=snapshot_hash,
        weights={each.name: each.propensity for each in route.arms},
        model_name=arm.model if arm else "",
        model_version=arm.version if arm else "",
        model_digest=arm.digest if arm else "",
        features=tuple(
            name for spec in inputs for name in _feature_names(spec, manifest.signature.counts_instances(spec))
        )
        if manifest
        else (),
        inputs=tuple(TYPE_STRING_OF[spec.datatype] for spec in inputs),
        label=label,
        prediction=prediction,
        slower_than_us=route.slower_than_us,
        against=against.name if against else "",
        against_version=against.version if against else "",
        has_fallback=isinstance(arm, Arm) and bool(route.fallbacks[route.arms.index(arm)]),
        categories=tuple(spec.name for spec in _text_inputs(manifest.signature)) if manifest else (),
        metrics=route.metrics,
    )


def logged_inputs(signature: Signature) -> tuple[TensorSpec, ...]:
    """Return the inputs whose values the log keeps: first those of numbers, then those of texts."""
    return (*_numeric_inputs(signature), *_text_inputs(signature))


def _numeric_inputs(signature: Signature) -> tuple[TensorSpec, ...]:
    """Return the inputs with numbers, equally many per instance, and not too many."""
    return tuple(
        spec
        for spec in signature.inputs
        if spec.datatype != "BYTES" and 0 <= _values_per_instance(signature, spec) <= MAX_LOGGED_VALUES
    )


def _text_inputs(signature: Signature) -> tuple[TensorSpec, ...]:
    """Return the first inputs with one text per instance."""
    texts = [
        spec for spec in signature.inputs if spec.datatype == "BYTES" and _values_per_instance(signature, spec) == 1
    ]
    return tuple(texts[:MAX_LOGGED_TEXTS])


def _values_per_instance(signature: Signature, spec: TensorSpec) -> int:
    """Return how many values an instance has in an input; -1 if it varies, or if they belong to no instance."""
    if signature.counts_instances(spec) != signature.takes_several:
        return -1
    of_instance = spec.shape[1:] if signature.takes_several else spec.shape
    return -1 if -1 in of_instance else math.prod(of_instance)


def logged_outputs(context: Context) -> tuple[int, ...]:
    """Return the indices of the outputs whose values the log keeps: the label and the prediction."""
    return tuple(sorted({kept[0] for kept in (context.label, context.prediction) if kept is not None}))


def _feature_names(spec: TensorSpec, counts_instances: bool) -> tuple[str, ...]:
    """Return the names of one instance's values: the declared columns, or the tensor's name and a position."""
    if spec.columns:
        return spec.columns
    width = 1
    for size in spec.shape[1:] if counts_instances else spec.shape:
        width *= max(size, 1)
    return (spec.name,) if width == 1 else tuple(f"{spec.name}_{position}" for position in range(width))


def _seen(signature: Signature) -> tuple[tuple[int, str] | None, tuple[int, str] | None]:
    """Return index and type of the outputs that hold the label and the prediction. Each may be None."""
    outputs, is_batched = signature.outputs, signature.takes_several

    def is_per_instance(spec: TensorSpec) -> bool:
        return not is_batched or signature.counts_instances(spec)

    def is_single(spec: TensorSpec) -> bool:
        of_instance = spec.shape[1:] if is_batched else spec.shape
        return (signature.batch == 0 and spec.shape == (-1,)) or (is_per_instance(spec) and math.prod(of_instance) == 1)

    label = _first(outputs, "iubO", is_single, "label")
    prediction = _first(outputs, "fV", is_per_instance, "probabilities", "prediction")
    if label is None and prediction is None:
        prediction = _first(outputs, "iub", is_per_instance)
    if label is None and prediction is None:
        label = _first(outputs, "O", lambda _: True)
    return label, prediction


def _first(
    outputs: tuple[TensorSpec, ...], kinds: str, fits: Callable[[TensorSpec], bool], *names: str
) -> tuple[int, str] | None:
    """Return index and type of an output whose NumPy kind is in `kinds` and whose shape fits.

    It is the one with the first of `names` that there is, or else the first.
    """
    found = [index for index, spec in enumerate(outputs) if NUMPY_OF[spec.datatype].kind in kinds and fits(spec)]
    if not found:
        return None
    by_name = {outputs[index].name: index for index in found}
    index = next((by_name[name] for name in names if name in by_name), found[0])
    return index, TYPE_STRING_OF[outputs[index].datatype]
