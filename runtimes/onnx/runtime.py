"""The runtime of ONNX models: ONNX Runtime on the CPU, with one thread per operator by default.

Tensors of NumPy's own types are passed to ONNX Runtime as they are. BYTES and BF16 must be converted: see
`runtimes.onnx.values`. Sequences and maps are made tensors: see `runtimes.onnx.flatten`.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from runtimes.datatypes import Tensor
from runtimes.errors import ModelFailed, ModelRefused
from runtimes.load_options import LoadOptions
from runtimes.manifest import Files, Manifest, Signature
from runtimes.onnx.classes import zipmap_classes
from runtimes.onnx.examples import exemplified
from runtimes.onnx.external import SelfContained
from runtimes.onnx.flatten import Flattening, flattenings
from runtimes.onnx.graph import parse_graph, values_of
from runtimes.onnx.row_by_row import why_rows_mix
from runtimes.onnx.session import LimitedSession, open_session
from runtimes.onnx.signature import own_signature
from runtimes.onnx.values import check_datatypes, from_strings, run_with_values, to_feed


class OnnxRuntime:
    """See `runtimes.runtime.Runtime`. `flattened` has the outputs that ONNX Runtime does not give as tensors."""

    def __init__(
        self,
        session: Any,
        signature: Signature,
        unbatched_because: str = "",
        flattened: Mapping[str, Flattening] | None = None,
    ) -> None:
        self.signature = signature
        self.unbatched_because = unbatched_because
        self._session = session
        self._flattened = flattened or {}
        self._own_inputs = {spec.name: spec.own_name for spec in signature.inputs}
        self._own_outputs = {spec.name: spec.own_name for spec in signature.outputs}
        is_renamed = any(spec.source for spec in (*signature.inputs, *signature.outputs))
        taken, given = ({spec.datatype for spec in specs} for specs in (signature.inputs, signature.outputs))
        # Functions and no bound methods: a runtime that refers to itself would keep its weights until Python looks for
        # cycles, which a replica hardly ever does.
        if "BF16" in given:
            execute = OnnxRuntime._run_with_values
        elif taken & {"BF16", "BYTES"} or "BYTES" in given:
            execute = OnnxRuntime._run_converted
        else:
            execute = OnnxRuntime._run
        self._run_own = execute
        self._execute = OnnxRuntime._run_mapped if is_renamed or self._flattened else execute

    def limited(self, limit_s: float) -> "OnnxRuntime":
        """Return the same model for a warm-up: a run that takes longer than the limit is broken off, and fails."""
        limited = LimitedSession(self._session, limit_s)
        return OnnxRuntime(limited, self.signature, self.unbatched_because, self._flattened)

    def run(self, inputs: Mapping[str, Tensor], outputs: Sequence[str]) -> Sequence[Tensor]:
        """See `Runtime.run`."""
        try:
            return self._execute(self, inputs, outputs)
        except ModelFailed:
            raise
        except Exception as error:  # ONNX Runtime has one class per status, without a common base
            raise ModelFailed(f"ONNX Runtime: {error}") from error

    def _run_mapped(self, inputs: Mapping[str, Tensor], outputs: Sequence[str]) -> Sequence[Tensor]:
        """Run with the names that the graph has, and make tensors of sequences and maps."""
        own = self._own_inputs
        answers = self._run_own(
            self,
            {own.get(name, name): tensor for name, tensor in inputs.items()},
            [self._own_outputs.get(name, name) for name in outputs],
        )
        if not self._flattened:
            return answers
        flattened = self._flattened
        return [
            from_strings(flattened[name](each)) if name in flattened else each
            for name, each in zip(outputs, answers, strict=True)
        ]

    def _run(self, inputs: Mapping[str, Tensor], outputs: Sequence[str]) -> Sequence[Tensor]:
        tensors: Sequence[Tensor] = self._session.run(outputs, inputs)
        return tensors

    def _run_converted(self, inputs: Mapping[str, Tensor], outputs: Sequence[str]) -> Sequence[Tensor]:
        feed = {name: to_feed(name, tensor) for name, tensor in inputs.items()}
        try:
            tensors = self._session.run(outputs, feed)
        except UnicodeDecodeError as error:
            raise ModelFailed("The model answers bytes that are not UTF-8, which ONNX Runtime cannot give.") from error
        del feed  # millions of strings, before the outputs take as much again
        return [from_strings(tensor) for tensor in tensors]

    def _run_with_values(self, inputs: Mapping[str, Tensor], outputs: Sequence[str]) -> Sequence[Tensor]:
        return run_with_values(self._session, inputs, outputs)


def load_onnx(files: Files, manifest: Manifest, options: LoadOptions) -> OnnxRuntime:
    """Build a session from the bytes of the model and of its external data.

    Raises:
        ModelRefused: the bytes are not a model, it needs files that are not pinned, its tensors differ from the
            manifest, or their datatypes cannot be used together.
    """
    model = parse_graph(files[manifest.file])
    graph, classes, why_mixed = values_of(model.graph.input), zipmap_classes(model), why_rows_mix(model)
    pinned = {each.file: files[each.file] for each in manifest.files if each.file in files}
    contained = SelfContained(files[manifest.file], model, pinned)
    del model  # before ONNX Runtime makes its own copies of the weights
    session = open_session(contained, options)
    del contained
    signature = own_signature(manifest.signature, session, graph)
    check_datatypes(signature)
    signature = exemplified(signature, session, graph, options.within_s)
    flattened = flattenings(signature, LimitedSession(session, options.within_s), session.get_outputs(), classes)
    if flattened and any(spec.datatype == "BF16" for spec in signature.outputs):
        raise ModelRefused("ONNX Runtime cannot give BF16 beside sequences and maps; leave one of them out.")
    return OnnxRuntime(session, signature, why_mixed, flattened)
