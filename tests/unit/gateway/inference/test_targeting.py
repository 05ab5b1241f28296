"""Targeting: where attributes come from, which requests match, and that no request raises."""

import subprocess
import sys

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from gateway.inference.targeting import Targeting
from router.errors import Rejected
from router.spec.condition import check_condition
from runtimes.datatypes import NUMPY_OF, tensor_of_bytes


def matches(condition, headers=None, parameters=None, inputs=None, unit=None, unbatched=()):
    check_condition(condition)
    return Targeting(condition, unbatched).matches(headers or {}, parameters or {}, inputs or {}, unit)


def test_each_source_of_attributes():
    condition = {
        "headers.x-country": "nl",
        "parameters.tier": "gold",
        "inputs.X.2": {"$gte": 3},
        "unit": {"$ne": "u-1"},
    }
    request = {
        "headers": {b"x-country": b"nl", b"host": b"here"},
        "parameters": {"tier": "gold"},
        "inputs": {"X": np.array([[1.0, 2.0, 3.0]])},
        "unit": "u-2",
    }
    assert matches(condition, **request)
    for key, other in {
        "headers": {b"x-country": b"de"},
        "parameters": {"tier": "silver"},
        "inputs": {"X": np.array([[1.0, 2.0, 2.9]])},
        "unit": "u-1",
    }.items():
        assert not matches(condition, **{**request, key: other}), key


@pytest.mark.parametrize("path", ["headers.x", "parameters.x", "inputs.x", "inputs.x.1", "unit"])
def test_what_a_request_does_not_have_is_null(path):
    assert matches({path: None})
    assert matches({path: {"$exists": False}})
    assert not matches({path: {"$exists": True}})
    assert not matches({path: "x"})
    assert matches({path: {"$lt": 1}})  # null counts as 0, as the vectors of GrowthBook have it


@pytest.mark.parametrize(
    ("header", "operators", "expected"),
    [
        (b"8", {"$gt": 5, "$lt": 10}, True),
        (b"11", {"$gt": 5, "$lt": 10}, False),
        (b"8", {"$gt": "5"}, True),  # compared as text
        (b"10", {"$gt": "5"}, False),
        (b" 8.5e0 ", {"$gte": 8.5}, True),
        (b"eight", {"$gt": 5}, False),
        (b"eight", {"$lt": 5}, False),
        (b"", {"$lt": 5}, False),
        (b"nan", {"$gte": 5}, False),
        (b"+NaN ", {"$lte": 5}, False),
        (b"nan", {"$eq": "nan"}, True),
        (b"nan", {"$gte": "nan"}, True),
        (b"10.2.0", {"$vgt": "10.1.9"}, True),
        (b"v10.10.0", {"$vlt": "10.9.0"}, False),
        (b"NL", {"$ini": ["nl"]}, True),
        (b"NL", {"$in": ["nl"]}, False),
        (b"iPhone Mobile", {"$regex": "(Mobile|Tablet)"}, True),
        ("Größe".encode(), "Größe", True),
        (b"Gr\xf6\xdfe", "Gr\ufffd\ufffde", True),
        (b"1", {"$type": "string"}, True),
    ],
)
def test_a_header_is_text(header, operators, expected):
    assert matches({"headers.x": operators}, headers={b"x": header}) is expected


@pytest.mark.parametrize(
    ("value", "operand", "expected"),
    [(True, True, True), (1, True, False), (True, 1, False), (1, 1.0, True), ("1", 1, False), (0, None, False)],
)
def test_a_bare_value_is_of_its_own_type(value, operand, expected):
    assert matches({"parameters.x": operand}, parameters={"x": value}) is expected
    assert matches({"parameters.x": {"$eq": operand}}, parameters={"x": value}) is expected
    assert matches({"$and": [{"$not": {"parameters.x": operand}}]}, parameters={"x": value}) is not expected


@pytest.mark.parametrize("datatype", sorted(NUMPY_OF.keys() - {"BOOL", "BYTES"}))
def test_a_number_of_every_datatype(datatype):
    tensor = np.array([[1, 2], [3, 4]], NUMPY_OF[datatype])
    assert matches({"inputs.X.1": 2, "inputs.X": {"$lt": 2, "$type": "number"}}, inputs={"X": tensor})
    assert not matches({"inputs.X.1": 3}, inputs={"X": tensor})


def test_booleans_and_strings_of_tensors():
    inputs = {"B": np.array([[False, True]]), "S": tensor_of_bytes(["é".encode(), b"\xff"], (1, 2))}
    assert matches({"inputs.B.1": True, "inputs.B": False, "inputs.S": "é", "inputs.S.1": "\ufffd"}, inputs=inputs)
    assert not matches({"inputs.B.1": 1}, inputs=inputs)


def test_a_value_of_fp32_is_what_it_is():
    inputs = {"X": np.array([[0.1]], np.float32), "H": np.array([[0.1]], ml_dtypes.bfloat16)}
    assert not matches({"inputs.X": 0.1}, inputs=inputs)
    assert matches({"inputs.X": {"$gt": 0.1, "$lt": 0.1000001}, "inputs.H": {"$gt": 0.1, "$lt": 0.101}}, inputs=inputs)


def test_nan_is_above_and_below_nothing():
    inputs = {"X": np.array([np.nan])}
    for operator in ("$gt", "$gte", "$lt", "$lte", "$eq"):
        assert not matches({"inputs.X": {operator: 0}}, inputs=inputs), operator
    assert matches({"inputs.X": {"$ne": 0}}, inputs=inputs)


def test_values_are_counted_in_row_major_order_within_the_first_instance():
    tensor = np.asfortranarray(np.arange(12).reshape(2, 2, 3))
    assert matches({f"inputs.X.{offset}": offset for offset in range(6)}, inputs={"X": tensor})
    assert matches({"inputs.X.6": None}, inputs={"X": tensor})
    assert matches({"inputs.X.6": 6, "inputs.X.11": 11, "inputs.X.12": None}, inputs={"X": tensor}, unbatched={"X"})
    assert matches({"inputs.X": 7, "inputs.X.1": None}, inputs={"X": np.array(7)})
    assert matches({"inputs.X": None}, inputs={"X": np.zeros((0, 3))})
    assert matches({"inputs.X": None}, inputs={"X": np.zeros((2, 0))})


def test_a_value_and_its_neighbour_of_tensors_with_dots_in_their_names():
    inputs = {"x": np.array([[1, 2]]), "x.1": np.array([[3]])}
    assert matches({"inputs.x": 1, "inputs.x.1": 2, "inputs.x.1.0": 3}, inputs=inputs)


def test_conditions_are_joined():
    condition = {"$or": [{"headers.a": "1"}, {"$not": {"headers.b": {"$exists": True}}}], "$nor": [{"unit": "u"}]}
    assert matches(condition, headers={b"a": b"1", b"b": b"2"})
    assert matches(condition)
    assert not matches(condition, headers={b"b": b"2"})
    assert not matches(condition, unit="u")


@pytest.mark.parametrize("operators", [{"$ne": "x"}, {"$notRegex": "x"}, {"$exists": True}])
def test_a_value_of_more_than_1024_characters_is_not_looked_at(operators):
    assert matches({"headers.x": operators}, headers={b"x": b"a" * 1024})
    assert not matches({"headers.x": operators}, headers={b"x": b"a" * 1025})
    assert not matches({"parameters.x": operators}, parameters={"x": "a" * 1025})
    assert not matches({"inputs.x": operators}, inputs={"x": tensor_of_bytes([b"a" * 1025], (1,))})
    assert not matches({"$not": {"unit": "b"}}, unit="a" * 1025)


def test_an_error_of_the_library_does_not_match():
    target = Targeting({"$not": {"parameters.x": 1}})

    class Hostile:
        def __getattribute__(self, name: str) -> None:
            raise RuntimeError(name)

    assert not target.matches({}, {"x": Hostile()}, {}, None)


def test_an_attribute_that_no_request_has_is_refused():
    with pytest.raises(Rejected, match="target asks for 'country'"):
        Targeting({"country": "nl"})


EVERYTHING = {
    "$or": [
        {path: {operator: operand}}
        for path in ("headers.x", "parameters.x", "inputs.x", "inputs.x.2", "unit")
        for operator, operand in {
            "$gt": 5,
            "$lte": "5",
            "$in": ["never", None],
            "$nini": ["x"],
            "$regexi": "^never$",
            "$vgt": "999999.0.0",
            "$type": "null",
        }.items()
    ]
}
_tensors = arrays.arrays(
    st.sampled_from([dtype for name, dtype in NUMPY_OF.items() if name not in ("BYTES", "BF16")]),
    arrays.array_shapes(min_dims=0, min_side=0, max_side=3),
)


@given(
    st.dictionaries(st.sampled_from([b"x", b"y"]), st.binary(max_size=20)),
    st.dictionaries(st.sampled_from(["x", "y"]), st.text(max_size=9) | st.integers() | st.floats() | st.booleans()),
    st.dictionaries(st.sampled_from(["x", "y"]), _tensors),
    st.none() | st.text(st.characters(), max_size=9),
)
def test_no_request_makes_it_raise(headers, parameters, inputs, unit):
    check_condition(EVERYTHING)
    assert Targeting(EVERYTHING).matches(headers, parameters, inputs, unit) in (True, False)


def test_the_library_is_not_imported_before_there_is_a_target_and_then_says_nothing():
    code = """if True:
        import logging, sys
        import gateway.inference.targeting
        assert "growthbook" not in sys.modules
        target = gateway.inference.targeting.Targeting({"headers.x": {"$regex": "["}})
        assert "growthbook" in sys.modules
        assert not target.matches({b"x": b"x"}, {}, {}, None)
        assert not logging.getLogger().handlers
    """
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
