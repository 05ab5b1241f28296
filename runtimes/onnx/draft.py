"""The draft of a manifest for an ONNX model: what its graph says, and what it shows when it is run."""

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import msgspec
import numpy as np

from runtimes.datatypes import Tensor
from runtimes.draft import Draft
from runtimes.errors import ModelRefused
from runtimes.load_options import LoadOptions
from runtimes.manifest import Batch, Example, Files, Signature, TensorSpec
from runtimes.onnx.batch import Run, find_batch, with_rows
from runtimes.onnx.classes import zipmap_classes
from runtimes.onnx.examples import example_of
from runtimes.onnx.external import SelfContained, external_files
from runtimes.onnx.graph import Value, parse_graph, values_of
from runtimes.onnx.node_types import NodeType, node_type
from runtimes.onnx.outputs import have_one_rank, output_spec
from runtimes.onnx.probe import BATCH, Found, Probe, TensorInput
from runtimes.onnx.row_by_row import why_rows_mix
from runtimes.onnx.session import LimitedSession, open_session
from runtimes.runtime import check_examples, example_inputs

_TRIES_WITHIN_S = 120.0
"""The time of all runs that look for inputs which the model can answer."""

_HOW_TO_SAY = "If that is wrong, write it in a partial model.yaml."


def draft_onnx(files: Files, file: str, options: LoadOptions, said: Mapping[str, Any]) -> Draft:
    """Read the graph, run the model, and return what its manifest must say.

    Of `said`, the examples and shapes of inputs, `batch`, and the names of outputs are used.

    Raises:
        ModelRefused: ONNX Runtime does not take the model, or no input was found that it answers.
    """
    model = parse_graph(files[file])
    remarks = [_made_by(model)]
    weights = external_files(model)
    if weights:
        remarks.append(f"Its weights are in {', '.join(weights)}, which must be among the files of the version.")
    why_mixed, classes = why_rows_mix(model), zipmap_classes(model)
    given, answered = values_of(model.graph.input), values_of(model.graph.output)
    contained = SelfContained(files[file], model, files)
    del model  # before ONNX Runtime makes its own copies of the weights
    session = open_session(contained, options, is_quiet=True)
    inputs = tuple(_inputs(session, given, said))
    nodes = {node.name: node.type for node in session.get_outputs()}
    wanted = _wanted_outputs(nodes, said)
    kinds = {name: kind for name in wanted if (kind := node_type(nodes[name]))}
    for name in [name for name in wanted if name not in kinds]:
        remarks.append(f"The output {name} is left out: it is {nodes[name]}, which cannot be a tensor.")
        del wanted[name]
    limited = LimitedSession(session, options.within_s)
    limit_s = min(_TRIES_WITHIN_S, options.within_s)
    make = partial(
        Probe, limited, outputs=tuple(wanted), limit_s=limit_s, with_values="tensor(bfloat16)" in nodes.values()
    )
    probe = make(inputs=inputs)
    runs, batch, why = _tried(probe, said, why_mixed)
    if not have_one_rank(runs):
        probe = make(inputs=tuple(map(probe.of_one_instance, inputs)))
        runs, batch, _ = _tried(probe, said, why_mixed)
        why = "It answers several instances with another number of dimensions, so a request is one instance."
    remarks.append(why)
    specs, about = _outputs(wanted, answered, kinds, runs, batch, classes)
    remarks += about
    described, examples = _with_examples(probe, runs[0].found, batch, said)
    remarks.append(examples)
    if why_mixed:
        remarks.append(f"Requests are never merged: {why_mixed}.")
    more = {"batch": batch} if batch == "none" else {}
    return Draft("onnx", file, described, specs, tuple(filter(None, remarks)), more)


def _outputs(
    wanted: Mapping[str, str],
    graph: Mapping[str, Value],
    kinds: Mapping[str, NodeType],
    runs: Sequence[Run],
    batch: Batch,
    classes: Mapping[str, tuple[str, ...]],
) -> tuple[tuple[TensorSpec, ...], list[str]]:
    """Return the outputs that can be tensors, with the names that callers see, and a remark on each."""
    specs, remarks = [], []
    for name, seen_name in wanted.items():
        spec, remark = output_spec(graph[name], kinds[name], runs, batch, classes.get(name, ()))
        remarks.append(remark)
        if spec is not None:
            specs.append(spec if seen_name == name else msgspec.structs.replace(spec, name=seen_name, source=name))
    if not specs:
        raise ModelRefused(f"No output of the model can be answered as a tensor. {' '.join(remarks)}")
    return tuple(specs), remarks


def _made_by(model: Any) -> str:
    opsets = ", ".join(f"{each.domain or 'ai.onnx'} {each.version}" for each in model.opset_import)
    producer = f"{model.producer_name} {model.producer_version}".strip()
    return f"An ONNX model of IR version {model.ir_version}, opset {opsets}{f', made by {producer}' * bool(producer)}."


def _inputs(session: Any, graph: Mapping[str, Value], said: Mapping[str, Any]) -> Iterator[TensorInput]:
    """Yield the inputs that every run needs, with what a person said of them."""
    spoken = {each.get("source") or each.get("name"): each for each in said.get("inputs", ())}
    for node in session.get_inputs():
        kind = node_type(node.type)
        if kind is None or kind.kind != "tensor":
            raise ModelRefused(f"The model takes {node.name} as {node.type}; only tensors can be sent.")
        about = spoken.get(node.name, {})
        shape = graph[node.name].shape
        if about.get("shape") is not None:
            by_graph: Sequence[int | str] = shape or ()
            same_rank = len(by_graph) == len(about["shape"])
            shape = tuple(
                size if size != -1 else by_graph[at] if same_rank and isinstance(by_graph[at], str) else ""
                for at, size in enumerate(about["shape"])
            )
        if shape is None:
            raise ModelRefused(
                f"The graph does not say the shape of the input {node.name}. Write it in a partial model.yaml: "
                f"`inputs: [{{name: {node.name}, shape: [-1, 4]}}]`."
            )
        yield _with_given(TensorInput(node.name, kind.datatype, shape), about.get("example"))


def _with_given(taken: TensorInput, said: Any) -> TensorInput:
    """Return an input with the example that a person gave."""
    if not said:
        return taken
    sizes = tuple(size if isinstance(size, int) else -1 for size in taken.shape)
    try:
        example = msgspec.convert(said, Example)
        signature = Signature((TensorSpec(taken.name, taken.datatype, sizes, example=example),), (), "none")
        check_examples(signature)
    except msgspec.ValidationError as error:
        raise ModelRefused(f"The example {said} of the input {taken.name} cannot be read: {error}.") from error
    return taken._replace(given=example_inputs(signature)[taken.name], example=example)


def _answers_with_elements(probe: Probe, inputs: Mapping[str, Tensor]) -> bool:
    answers = probe.run(inputs)
    return answers is not None and not any(isinstance(each, np.ndarray) and not each.size for each in answers.values())


def _wanted_outputs(nodes: Mapping[str, str], said: Mapping[str, Any]) -> dict[str, str]:
    """Return the outputs to answer: their names in the graph, and those that callers see."""
    wanted = {each.get("source") or each.get("name"): each.get("name") for each in said.get("outputs", ())}
    unknown = wanted.keys() - nodes.keys()
    if unknown:
        raise ModelRefused(f"The model has no output {', '.join(sorted(unknown))}; it has {', '.join(nodes)}.")
    return wanted or {name: name for name in nodes}


def _tried(probe: Probe, said: Mapping[str, Any], why_mixed: str) -> tuple[list[Run], Batch, str]:
    """Return runs of different sizes, and which dimension counts instances, with the reason."""
    found = probe.find()
    answers = None if found is None else probe.answers(found)
    if found is None or answers is None:
        raise ModelRefused(
            f"No input was found that the model answers; the last error was: {probe.last_error} Give an example in a "
            "partial model.yaml, such as `inputs: [{name: x, example: {shape: [1, 3, 64, 64]}}]`."
        )
    first = Run(found, answers)
    several = [with_rows(probe, found, rows) for rows in (2, 3)] if BATCH in probe.variables() else []
    batch, why = find_batch(probe, first, several, why_mixed)
    if "batch" in said:
        batch, why = said["batch"], ""
    elif batch == "none":
        why = f"{why} {_HOW_TO_SAY}"
    runs = [first, *(run for run in several if run is not None), *_resized(probe, found)]
    return runs, batch, why


def _resized(probe: Probe, found: Found) -> list[Run]:
    """Return a run with other sizes of all dimensions but the first, if the model answers one."""
    names = [name for name in probe.variables() if name != BATCH]
    for sizes in ({name: found.sizes[name] * factor for name in names} for factor in (2, 3) if names):
        other = found._replace(sizes={**found.sizes, **sizes})
        answers = probe.answers(other)
        if answers is not None:
            return [Run(other, answers)]
    return []


def _with_examples(
    probe: Probe, found: Found, batch: Batch, said: Mapping[str, Any]
) -> tuple[tuple[TensorSpec, ...], str]:
    """Return the inputs, with examples if the model does not answer zeros with every dimension 1, and 2."""
    names = {each["source"]: each["name"] for each in said.get("inputs", ()) if each.get("source")}
    plain = tuple(
        TensorSpec(
            names.get(each.name, each.name),
            each.datatype,
            tuple(size if isinstance(size, int) and size > 0 else -1 for size in each.shape),
            source=each.name if each.name in names else "",
        )
        for each in probe.inputs
    )
    signature = Signature(plain, (), batch)
    if found.style == "zeros" and not any(each.given is not None for each in probe.inputs):
        bare = [
            {spec.own_name: each for spec, each in zip(plain, example_inputs(signature, rows).values(), strict=True)}
            for rows in (1, 2)
        ]
        if all(_answers_with_elements(probe, inputs) for inputs in bare):
            return plain, ""
    specs = tuple(
        msgspec.structs.replace(spec, example=example_of(probe, each, found))
        for spec, each in zip(plain, probe.inputs, strict=True)
    )
    tried = ", ".join(f"{spec.name} {list(spec.example.shape or ())}" for spec in specs if spec.example is not None)
    return specs, f"It does not answer zeros of size 1, so examples that it does answer are written: {tried}." * bool(
        tried
    )
