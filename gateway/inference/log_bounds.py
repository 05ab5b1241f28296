"""What the log keeps of the values of one request, which may be too many.

A request with more instances than `max_instances` is logged as a sample of them: evenly spaced, so the same request
gives the same rows, with the first and the last. Of a text of an input the log keeps the beginning. Values that take
more than `max_bytes` are left out: of the inputs' texts if they take more than half of it, otherwise all. Sums must
stay exact all the same, so the record then says whether an output lacked a value.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from gateway.inference.redaction import Redactor
from inference_log.record import Context, Kept
from inference_log.values import STRINGS, kept_instances
from runtimes.datatypes import Tensor, least_bytes, tensor_bytes
from runtimes.logged_tensors import MAX_TEXT_BYTES


class LogBounds(NamedTuple):
    """The most that one request may log. `max_instances` is at least 2."""

    max_instances: int = 1000
    max_bytes: int = 1024 * 1024


DEFAULT_BOUNDS = LogBounds()


class Logged(NamedTuple):
    """The bytes of inputs and outputs that a record holds, and what `kept` is of them if they are not all."""

    inputs: tuple[bytes, ...]
    outputs: tuple[bytes, ...]
    kept: Kept | None


def logged_values(
    bounds: LogBounds,
    context: Context,
    batch_size: int,
    inputs: Sequence[Tensor],
    outputs: Sequence[Tensor],
    logged_outputs: tuple[int, ...],
    redactor: Redactor | None = None,
) -> Logged:
    """Return what is logged of a request: all `inputs`, and the `outputs` with the indices `logged_outputs`.

    The `redactor` gets them before anything else is done but to take a sample.
    """
    held, kept_inputs, kept_outputs = batch_size, inputs, outputs
    if batch_size > bounds.max_instances:
        held = bounds.max_instances
        kept_inputs, kept_outputs = _sample(inputs, batch_size, held), _sample(outputs, batch_size, held)
    if redactor is not None:
        kept_inputs = redactor.inputs(kept_inputs)
        if context.label is not None and context.label[1] == STRINGS:
            instances = None if held == batch_size else kept_instances(batch_size, held)
            kept_outputs = redactor.outputs(kept_outputs, context.label[0], batch_size, instances)
    if context.categories and inputs:
        kept_inputs = _with_short_texts(bounds, kept_inputs, len(context.categories))
    of_inputs: tuple[bytes, ...] = ()
    of_outputs: tuple[bytes, ...] = ()
    fits = True
    for tensor in (*kept_inputs, *kept_outputs):
        if tensor.nbytes > bounds.max_bytes:  # to write 16 MB of strings takes half a second
            logged = [tensor for index, tensor in enumerate(kept_outputs) if index in logged_outputs]
            fits = sum(map(least_bytes, (*kept_inputs, *logged))) <= bounds.max_bytes
            break
    if fits:
        of_inputs = tuple([tensor_bytes(tensor) for tensor in kept_inputs])
        of_outputs = tuple(
            [tensor_bytes(tensor) if index in logged_outputs else b"" for index, tensor in enumerate(kept_outputs)]
        )
        fits = sum(map(len, of_inputs)) + sum(map(len, of_outputs)) <= bounds.max_bytes
        if fits and held == batch_size:
            return Logged(of_inputs, of_outputs, None)
    kept = Kept(held, fits, lacks_value(context, outputs, batch_size))
    return Logged(of_inputs, of_outputs, kept) if fits else Logged((), (), kept)


def without_values(context: Context, batch_size: int, outputs: Sequence[Tensor]) -> Logged:
    """Return what is logged of a request that is not in the sample of its route."""
    return Logged((), (), Kept(0, has_values=False, is_missing=lacks_value(context, outputs, batch_size)))


def _with_short_texts(bounds: LogBounds, inputs: Sequence[Tensor], count: int) -> Sequence[Tensor]:
    """Return the inputs with the beginning of each text of the last `count`, or with none if they take too much."""
    numbers, texts = inputs[:-count], inputs[-count:]
    short = [_beginnings(tensor) for tensor in texts]
    taken = sum(len(each) + 4 for tensor in short for each in tensor.tolist())
    if taken > bounds.max_bytes // 2:
        short = [tensor[:0] for tensor in short]
    return [*numbers, *short]


def _beginnings(tensor: Tensor) -> Tensor:
    return np.array([each[:MAX_TEXT_BYTES] for each in tensor.ravel().tolist()], tensor.dtype)


def lacks_value(context: Context, outputs: Sequence[Tensor], batch_size: int) -> bool:
    """Return True if an output lacks a value, by the rules of `inference_log.tally`."""
    if context.prediction is not None:
        index = context.prediction[0]
        if index < len(outputs) and not bool(np.isfinite(outputs[index]).all()):
            return True
    if context.label is None or context.label[1] != STRINGS:
        return False
    index = context.label[0]
    labels = outputs[index].ravel().tolist() if index < len(outputs) else []
    return b"" in labels or len(labels) < batch_size


def _sample(tensors: Sequence[Tensor], batch_size: int, kept: int) -> list[Tensor]:
    """Return the rows of the kept instances; none of a tensor that does not have a row for each instance."""
    instances = kept_instances(batch_size, kept)
    return [
        tensor[instances] if tensor.shape[:1] == (batch_size,) else tensor.ravel()[:0]  # by a faulty model
        for tensor in tensors
    ]
