"""Sessions of ONNX Runtime: on the CPU, from bytes, without a look at the file system."""

import re
import threading
from collections.abc import Mapping, Sequence
from typing import Any

import onnxruntime

from runtimes.errors import ModelFailed, ModelRefused
from runtimes.load_options import LoadOptions
from runtimes.onnx.external import SelfContained

_ERRORS, _FATAL = 3, 4  # ONNX Runtime's log severities
_MOST_OF_A_SENTENCE = 600
_FRAMES = re.compile(r"\[ONNXRuntimeError\] : \d+ : \w+ : |/onnxruntime_src/\S+ |(?:void )?\S+::\S+\(.*\)(?: const)? ")


class LimitedSession:
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
        options.log_severity_level = _FATAL  # who runs this looks for inputs, or raises the error in a sentence
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


def open_session(model: SelfContained, settings: LoadOptions, *, is_quiet: bool = False) -> Any:
    """Build a session. A quiet one does not log runs that fail.

    Raises:
        ModelRefused: a library cannot be loaded, or ONNX Runtime does not take the model.
    """
    options = _options(settings, _FATAL if is_quiet else _ERRORS)
    model.give_to(options)
    try:
        return onnxruntime.InferenceSession(model.content, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime has one class per status, without a common base
        raise ModelRefused(f"ONNX Runtime cannot load the model: {sentence_of(error)}") from error


def _options(settings: LoadOptions, severity: int) -> Any:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = settings.intra_op_threads
    options.inter_op_num_threads = 1
    options.log_severity_level = severity
    options.add_session_config_entry("session.load_model_format", "ONNX")
    # An arena would keep the most that the model ever took, rounded up to powers of two: 530 MB after 16 requests of
    # 16 MB. Without it, 1 to 64 rows of a small model take the same time, and batches of 1,000 rows of a multi-layer
    # perceptron of 512 units 10 to 25 % more.
    options.enable_cpu_mem_arena = False
    for library in settings.custom_operators:
        try:
            options.register_custom_ops_library(library)
        except Exception as error:  # as above: no common base
            raise ModelRefused(f"The library of operators {library} cannot be loaded: {sentence_of(error)}") from error
    return options


def sentence_of(error: Exception) -> str:
    """Return ONNX Runtime's sentence without the places in its source, and what to do where that is known."""
    said = " ".join(_FRAMES.sub("", str(error)).split())[:_MOST_OF_A_SENTENCE].rstrip(". ") + "."
    if ("opset" in said and "till" in said) or "Unsupported model IR version" in said:
        return (
            f"{said} This is ONNX Runtime {onnxruntime.__version__}: export the model for an older opset or IR "
            "version, or install a newer onnxruntime."
        )
    if "is not a registered function/op" in said or "No opset import for domain" in said:
        return (
            f"{said} If the operator is in a library of custom operators, name that library in "
            "POINTSMAN_CUSTOM_OPERATORS."
        )
    return said
