"""Examples for a manifest that gives none: inputs that the model answers, for warm-up and timing.

They are looked for by running the model (`runtimes.onnx.probe`), as for the draft of a manifest. This is done only if
it does not run with zeros in which every dimension that varies is 1.
"""

from collections.abc import Mapping
from typing import Any

from runtimes.manifest import Example, Signature, TensorSpec
from runtimes.onnx.graph import Value
from runtimes.onnx.probe import Found, Probe, TensorInput, size_of, value_of
from runtimes.onnx.session import LimitedSession
from runtimes.runtime import check_examples, example_inputs, with_examples

_WITHIN_S = 20.0
"""The time of all runs that look for examples. A trial has `options.within_s` for everything."""
_TIME = "length"
"""The name of a first dimension without a name that does not count instances. For the probe it is time."""


def exemplified(signature: Signature, session: Any, graph: Mapping[str, Value], within_s: float) -> Signature:
    """Return a signature with examples that were found, if the manifest gives none and the model does not run without.

    If none were found it is returned as it is, and the warm-up says why the model is refused.

    Raises:
        ModelRefused: an example of the manifest does not fit its input.
    """
    if all(spec.example for spec in signature.inputs):
        return signature
    check_examples(signature)
    plain = example_inputs(signature)
    outputs = tuple(spec.own_name for spec in signature.outputs)
    with_values = any(spec.datatype == "BF16" for spec in signature.outputs)
    inputs = tuple(
        TensorInput(
            spec.own_name,
            spec.datatype,
            _named_shape(spec, graph.get(spec.own_name), takes_several=signature.takes_several),
            plain[spec.name] if spec.example else None,
            spec.example,
        )
        for spec in signature.inputs
    )
    first = Probe(LimitedSession(session, within_s), inputs, outputs, within_s, with_values=with_values)
    if first.run({spec.own_name: plain[spec.name] for spec in signature.inputs}) is not None:
        return signature
    limit_s = min(_WITHIN_S, within_s)
    probe = Probe(LimitedSession(session, limit_s), inputs, outputs, limit_s, with_values=with_values)
    found = None if first.is_over() else probe.find(small_first=True)
    if found is None:
        return signature
    examples = {spec.name: example_of(probe, each, found) for spec, each in zip(signature.inputs, inputs, strict=True)}
    return with_examples(signature, {name: each for name, each in examples.items() if each is not None})


def example_of(probe: Probe, each: TensorInput, found: Found) -> Example | None:
    """Return the example of an input: the person's own, or what was found. Zeros of a fixed shape need none."""
    if each.example is not None:
        return each.example
    keys, value = probe.keys_of(each.name), value_of(each, found)
    shape = tuple(size_of(key, found.sizes) for key in keys)
    if value:
        return Example(shape, value.decode() if isinstance(value, bytes) else value)
    return Example(shape) if any(isinstance(key, str) or key == 0 for key in keys) else None


def _named_shape(spec: TensorSpec, value: Value | None, *, takes_several: bool) -> tuple[int | str, ...]:
    """Return an input's shape, with the graph's names for the dimensions that vary."""
    graph = value.shape if value is not None and value.shape is not None else ()
    names = graph if len(graph) == len(spec.shape) else ("",) * len(spec.shape)
    shape = [
        size if size != -1 else name if isinstance(name, str) else ""
        for size, name in zip(spec.shape, names, strict=True)
    ]
    return (_TIME, *shape[1:]) if not takes_several and shape[:1] == [""] else tuple(shape)
