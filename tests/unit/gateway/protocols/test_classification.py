"""The best classes of an output: order, labels, shapes."""

import numpy as np
import pytest

from gateway.protocols.classification import classify
from runtimes.datatypes import NUMPY_OF
from runtimes.manifest import TensorSpec


def classes(values, count, shape=(-1, 3), columns=(), datatype="FP32"):
    spec = TensorSpec("y", datatype, shape, columns)
    result = classify(spec, np.array(values, NUMPY_OF[datatype]), count)
    assert result.dtype == object
    return result.shape, [element.decode() for element in result.ravel()]


def test_the_largest_come_first_for_each_instance():
    assert classes([[0.5, 0.25, 0.75], [3, 2, 1]], 2) == ((2, 2), ["0.75:2", "0.5:0", "3.0:0", "2.0:1"])


def test_labels_are_the_columns_of_the_output():
    assert classes([[0.5, 0.25, 0.75]], 2, columns=("a", "b", "c:d")) == ((1, 2), ["0.75:2:c:d", "0.5:0:a"])


def test_more_than_there_are_means_all():
    assert classes([[0.5, 0.25, 0.75]], 2**62) == ((1, 3), ["0.75:2", "0.5:0", "0.25:1"])


@pytest.mark.parametrize(
    ("values", "shape", "expected"),
    [
        ([0.5, 0.25, 0.75], (3,), ((1,), ["0.75:2"])),
        ([0.5, 0.25], (-1,), ((2, 1), ["0.5:0", "0.25:0"])),
        (0.5, (), ((1,), ["0.5:0"])),
        ([[[1, 2], [4, 3]]], (-1, 2, 2), ((1, 1), ["4.0:2"])),
        (np.empty((0, 3)), (-1, 3), ((0, 1), [])),
        (np.empty((2, 0)), (-1, -1), ((2, 0), [])),
        (np.empty((0, 0)), (-1, -1), ((0, 0), [])),
    ],
)
def test_shapes(values, shape, expected):
    assert classes(values, 1, shape) == expected


@pytest.mark.parametrize(
    ("datatype", "values", "expected"),
    [
        ("INT8", [-128, 127, 0], ["127:1", "0:2", "-128:0"]),
        ("UINT8", [0, 255, 1], ["255:1", "1:2", "0:0"]),
        ("INT64", [2**53, 2**53 + 1, -(2**63)], [f"{2**53 + 1}:1", f"{2**53}:0", f"{-(2**63)}:2"]),
        ("UINT64", [0, 2**64 - 1, 2**64 - 2], [f"{2**64 - 1}:1", f"{2**64 - 2}:2", "0:0"]),
        ("FP16", [0.5, 2, 1], ["2.0:1", "1.0:2", "0.5:0"]),
        ("BF16", [0.5, 2, 1], ["2:1", "1:2", "0.5:0"]),
        ("FP32", [0.1, np.nan, np.inf], ["inf:2", "0.1:0", "nan:1"]),
        ("FP64", [1, 1, 1], ["1.0:0", "1.0:1", "1.0:2"]),
    ],
)
def test_every_kind_of_number_has_an_order(datatype, values, expected):
    assert classes([values], 3, datatype=datatype)[1] == expected


def test_of_equal_values_the_first_comes_first_however_many_there_are():
    values = [[index % 3 for index in range(300)]]
    best = sorted(range(300), key=lambda index: (-values[0][index], index))
    assert classes(values, 300, (-1, 300), datatype="INT32")[1] == [f"{values[0][index]}:{index}" for index in best]


def test_an_output_without_a_dimension_of_instances_has_labels():
    spec = TensorSpec("y", "FP32", (4,), ("a", "b", "c", "d"))
    assert classify(spec, np.float32([1, 4, 2, 3]), 2).tolist() == [b"4.0:1:b", b"3.0:3:d"]
