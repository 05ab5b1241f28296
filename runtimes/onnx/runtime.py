"""The runtime of ONNX models: ONNX Runtime on the CPU, with one thread per operator by default.

Tensors of NumPy's own types are passed to ONNX Runtime as they are. BYTES and BF16 must be converted: see
`runtimes.onnx.values`.
"""

import threading
from collections.abc import Mapping, Sequence
from typing import Any

import onnxruntime

from runtimes.datatypes import Tensor
from runtimes.errors import ModelFailed, ModelRefused
from runtimes.load_options import LoadOptions
from runtimes.manifest import Files, Manifest, Signature, TensorSpec
from runtimes.onnx.values import check_datatypes, from_strings, run_with_values, to_feed

_DATATYPE_OF = {
    "tensor(bool)": "BOOL",
    "tensor(uint8)": "UINT8",
    "tensor(uint16)": "UINT16",
    "tensor(uint32)": "UINT32",
    "tensor(uint64)": "UINT64",
    "tensor(int8)": "INT8",
    "tensor(int16)": "INT16",
    "tensor(int32)": "INT32",
    "tensor(int64)": "INT64",
    "tensor(float16)": "FP16",
    "tensor(float)": "FP32",
    "tensor(double)": "FP64",
    "tensor(bfloat16)": "BF16",
    "tensor(string)": "BYTES",
}
_ERRORS_ONLY = 3  # ONNX Runtime's log severity


class _LimitedSession:
    """A session whose runs end after a while (`RunOptions.terminate`, which is looked at before each operator)."""

    def __init__(self, session: Any, limit_s: float) -> None:
        self._session = session
        self._limit_s = limit_s

    def run(self, outputs: Sequence[str], inputs: Mapping[str, Any]) -> Any:
        """See `InferenceSession.run`."""
        return self._run(self._session.run, outputs, inputs)

    def run_with_ort_values(self, outputs: Sequence[str], inputs: Mapping[str, Any]) -> Any:
        """See `InferenceSession.run_with_ort_values`."""
        return self._run(self._session.run_with_ort_values, outputs, inputs)

    def _run(self, run: Any, outputs: Sequence[str], inputs: Mapping[str, Any]) -> Any:
        options = onnxruntime.RunOptions()
        timer = threading.Timer(self._limit_s, lambda: setattr(options, "terminate", True))
        timer.daemon = True
        timer.start()
        try:
            return run(outputs, inputs, options)
        except Exception as error:
            if options.terminate:
                raise ModelFailed(f"it had not answered after {self._limit_s:g} s.") from error
            raise
        finally:
            timer.cancel()


class OnnxRuntime:
    """See `runtimes.runtime.Runtime`."""

    def __init__(self, session: onnxruntime.InferenceSession | _LimitedSession, signature: Signature) -> None:
        self.signature = signature
        self.unbatched_because = ""
        self._session = session
        taken, given = ({spec.datatype for spec in specs} for specs in (signature.inputs, signature.outputs))
        # Functions and no bound methods: a runtime that refers to itself would keep its weights until Python looks for
        # cycles, which a replica hardly ever does.
        if "BF16" in given:
            self._execute = OnnxRuntime._run_with_values
        elif taken & {"BF16", "BYTES"} or "BYTES" in given:
            self._execute = OnnxRuntime._run_converted
        else:
            self._execute = OnnxRuntime._run

    def limited(self, limit_s: float) -> "OnnxRuntime":
        """Return the same model for a warm-up: a run that takes longer than the limit is broken off, and fails."""
        return OnnxRuntime(_LimitedSession(self._session, limit_s), self.signature)

    def run(self, inputs: Mapping[str, Tensor], outputs: Sequence[str]) -> Sequence[Tensor]:
        """See `Runtime.run`."""
        try:
            return self._execute(self, inputs, outputs)
        except ModelFailed:
            raise
        except Exception as error:  # ONNX Runtime has one class per status, without a common base
            raise ModelFailed(f"ONNX Runtime: {error}") from error

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


def load_onnx(files: Files, manifest: Manifest, settings: LoadOptions) -> OnnxRuntime:
    """Build a session from the bytes of `model.onnx`.

    Raises:
        ModelRefused: the bytes are not a model, its tensors differ from the manifest, or their datatypes cannot be
            used together.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = settings.intra_op_threads
    options.inter_op_num_threads = 1
    options.log_severity_level = _ERRORS_ONLY
    # An arena would keep the most that the model ever took, rounded up to powers of two: 530 MB after 16 requests of
    # 16 MB. Without it, 1 to 64 rows of a small model take the same time, and batches of 1,000 rows of a multi-layer
    # perceptron of 512 units 10 to 25 % more.
    options.enable_cpu_mem_arena = False
    try:
        session = onnxruntime.InferenceSession(files[manifest.file], options, providers=["CPUExecutionProvider"])
    except Exception as error:  # as above: no common base
        raise ModelRefused(f"ONNX Runtime cannot load the model: {error}.") from error
    check_datatypes(manifest.signature)
    _compare("input", manifest.inputs, session.get_inputs())
    _compare("output", manifest.outputs, session.get_outputs())
    return OnnxRuntime(session, manifest.signature)


def _compare(kind: str, declared: Sequence[TensorSpec], actual: Sequence[Any]) -> None:
    """Raise `ModelRefused` unless names, datatypes and fixed dimensions agree, in any order."""
    by_name = {node.name: node for node in actual}
    if by_name.keys() != {spec.name for spec in declared}:
        raise ModelRefused(
            f"model.yaml declares the {kind}s {', '.join(spec.name for spec in declared)}; "
            f"the model has {', '.join(by_name)}."
        )
    for spec in declared:
        node = by_name[spec.name]
        datatype = _DATATYPE_OF.get(node.type, node.type)
        shape = [size if isinstance(size, int) else -1 for size in node.shape]
        fits = len(shape) == len(spec.shape) and all(
            want == got or -1 in (want, got) for want, got in zip(spec.shape, shape, strict=True)
        )
        if datatype != spec.datatype or not fits:
            raise ModelRefused(
                f"model.yaml declares {kind} {spec.name} as {spec.datatype} {list(spec.shape)}; "
                f"the model has {datatype} {shape}."
            )
