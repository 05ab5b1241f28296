"""Whether the values of a request are too many to be logged is seen without writing them."""

import numpy as np
import pytest

from gateway.inference import log_bounds
from gateway.inference.log_bounds import LogBounds, logged_values
from inference_log.record import Context, Kept
from runtimes.datatypes import BYTES, least_bytes, tensor_bytes, tensor_of_bytes

CONTEXT = Context(0, "r", "a", "primary", "split", 1, "h", {"a": 1.0}, "m", "1", "d", features=(), inputs=("S",))
BOUNDS = LogBounds(1000, 64)


@pytest.mark.parametrize("tensor", [np.full((1, 17), b"", BYTES), np.zeros((1, 17), "f4")])
@pytest.mark.parametrize("is_input", [True, False])
def test_many_strings_or_numbers_are_not_written_in_order_to_be_counted(tensor, is_input, monkeypatch):
    written = []
    monkeypatch.setattr(log_bounds, "tensor_bytes", lambda given: written.append(given.size) or tensor_bytes(given))
    inputs, outputs = ([tensor], []) if is_input else ([], [tensor])
    assert logged_values(BOUNDS, CONTEXT, 1, inputs, outputs, (0,)) == ((), (), Kept(1, False, False))
    assert not written


def test_what_is_not_logged_does_not_count():
    outputs = [np.zeros((1, 17), "f4")]
    assert logged_values(BOUNDS, CONTEXT, 1, [], outputs, ()) == ((), (b"",), None)


@pytest.mark.parametrize("count", [0, 1, 65_535, 65_536, 65_537])
def test_strings_are_written_in_pieces(count):
    tensor = tensor_of_bytes([b"x" * (index % 7) for index in range(count)], (count,))
    expected = b"".join((index % 7).to_bytes(4, "little") + b"x" * (index % 7) for index in range(count))
    assert tensor_bytes(tensor) == expected
    assert 4 * count == least_bytes(tensor) <= len(expected)
