"""A frame is read as it was written: every datatype, every shape, every outcome."""

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as st_numpy

from gateway.execution.process.frames import (
    PREFIX_BYTES,
    BatchResult,
    ModelLoaded,
    ModelNotLoaded,
    RunBatch,
    frame,
    measure,
    outcomes_of,
    read,
    result_frame,
)
from runtimes.datatypes import NUMPY_OF, tensor_bytes, tensor_of_bytes
from runtimes.errors import InputRefused, ModelFailed

shapes = st_numpy.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4)


@st.composite
def tensors(draw):
    datatype, shape = draw(st.sampled_from(sorted(NUMPY_OF))), draw(shapes)
    count = int(np.prod(shape))
    if datatype == "BYTES":
        return tensor_of_bytes(draw(st.lists(st.binary(max_size=5), min_size=count, max_size=count)), shape)
    numbers = np.array(draw(st.lists(st.integers(0, 1), min_size=count, max_size=count)), np.int64)
    return numbers.astype(NUMPY_OF[datatype]).reshape(shape)


def through(parts):
    """Read parts as the other side does."""
    received = np.frombuffer(b"".join(parts), np.uint8).copy()
    head_bytes, total_bytes = measure(received[:PREFIX_BYTES])
    assert PREFIX_BYTES + total_bytes == len(received)
    return read(received[PREFIX_BYTES:].copy(), head_bytes)


def assert_same(one, other):
    assert (one.dtype, one.shape, tensor_bytes(one)) == (other.dtype, other.shape, tensor_bytes(other))


@given(st.lists(tensors(), max_size=4), st.lists(st.integers(0, 9), max_size=3))
def test_a_frame_is_read_as_it_was_written(sent, rows):
    message = RunBatch(tuple(rows), tuple(f"ä{index}" for index in range(len(sent))))
    received, got = through(frame(message, sent))
    assert received == message
    for one, other in zip(sent, got, strict=True):
        assert_same(one, other)
        assert other.flags.aligned
        assert other.flags.writeable


@given(st.lists(st.lists(tensors(), max_size=3) | st.sampled_from([ModelFailed, InputRefused]), max_size=4))
def test_outcomes_are_read_as_they_were_written(outcomes):
    outcomes = [each("because") if isinstance(each, type) else each for each in outcomes]
    message, got = through(result_frame(outcomes, 0.25))
    assert isinstance(message, BatchResult)
    assert message.duration_s == 0.25
    for one, other in zip(outcomes, outcomes_of(message, got), strict=True):
        if isinstance(one, Exception):
            assert (type(one), str(one)) == (type(other), str(other))
        else:
            for sent, received in zip(one, other, strict=True):
                assert_same(sent, received)


@pytest.mark.parametrize("message", [ModelLoaded("no"), ModelNotLoaded("no")])
def test_messages_without_tensors(message):
    assert through(frame(message)) == (message, [])


def test_tensors_that_are_not_contiguous_and_large_ones_pass():
    large = np.arange(40_000, dtype=np.float32).reshape(200, 200).T
    halves = large.astype(ml_dtypes.bfloat16)[::2, 1:]
    _, got = through(frame(RunBatch((1,), ("a", "b")), [large, halves]))
    assert_same(got[0], large)
    assert_same(got[1], halves)
