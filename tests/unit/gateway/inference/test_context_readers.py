"""Values of a context that are read together are those that are read one by one, whatever a client sends."""

import numpy as np
import pytest

from gateway.inference.attributes import reader
from gateway.inference.context_readers import readers_of
from router.spec.condition import Attribute

X = [(Attribute("inputs", "x", offset), True) for offset in (2, 0, 5)]
COLUMNS = [
    (Attribute("headers", "x-device"), False),
    *X,
    (Attribute("inputs", "y", 1), True),
    (Attribute("inputs", "x", 1), False),
    (Attribute("parameters", "age"), True),
    (Attribute("unit", ""), False),
]


def read(columns, inputs, parameters=None, unbatched=()):
    values = []
    for each in readers_of(columns, unbatched):
        values += each({b"x-device": b"phone"}, parameters or {}, inputs, "anna")
    return values


def one_by_one(columns, inputs, parameters=None, unbatched=()):
    return [
        reader(each, is_number, unbatched)({b"x-device": b"phone"}, parameters or {}, inputs, "anna")
        for each, is_number in columns
    ]


@pytest.mark.parametrize(
    "tensor",
    [
        np.arange(6, dtype=np.float32).reshape(1, 6) / 7,
        np.arange(6, dtype=np.float64).reshape(1, 2, 3),
        np.arange(12, dtype=np.int64).reshape(1, 12)[:, ::2],
        np.arange(12, dtype=np.float16).reshape(1, 12).T,
        np.arange(12, dtype=np.float32).reshape(3, 4).T,
        np.asfortranarray(np.arange(12, dtype=np.uint8).reshape(1, 3, 4)),
        np.array([[True, False, True, True, False, False]]),
        np.array([[np.nan, np.inf, -np.inf, -0.0, 1.0, 2.0]]),
        np.array([[b"1", b"x", b"nan", b"", b"7", b"\xff"]], dtype=object),
        np.arange(5, dtype=np.float32).reshape(1, 5),
        np.arange(12, dtype=np.float32).reshape(2, 6),
        np.arange(10, dtype=np.float32).reshape(2, 5),
        np.array(3.0),
        np.zeros((0, 6)),
        np.zeros((1, 0)),
    ],
)
@pytest.mark.parametrize("unbatched", [(), ("x",)])
def test_elements_of_a_tensor_are_read_as_one_by_one(tensor, unbatched):
    inputs = {"x": tensor, "y": np.array([[1.5, 2.5]])}
    found, wanted = (each(COLUMNS, inputs, {"age": 40}, unbatched) for each in (read, one_by_one))
    assert repr(found) == repr(wanted)
    assert list(map(type, found)) == list(map(type, wanted))


def test_a_tensor_that_is_not_there_has_no_values():
    assert read(X, {}) == [None, None, None]


@pytest.mark.parametrize(("sent", "value"), [([1], None), ({"a": 1}, None), (None, None), ("old", "old"), (4, 4)])
def test_a_parameter_that_is_a_list_or_a_mapping_is_none(sent, value):
    assert read([(Attribute("parameters", "age"), True)], {}, {"age": sent}) == [value]
