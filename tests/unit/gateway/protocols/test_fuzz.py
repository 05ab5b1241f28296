"""Any input gives a request, or an error that says why. It causes no other exception and no large allocation."""

import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gateway.errors import BadRequest, TooLarge
from gateway.protocols import v1_http, v2_http
from gateway.protocols.compression import choose, decompress
from gateway.protocols.request import InferenceRequest
from gateway.protocols.tensor_binary import decode_tensor
from runtimes.datatypes import NUMPY_OF
from runtimes.manifest import TensorSpec
from tests.unit.gateway.protocols.support import signature

_specs = st.builds(
    TensorSpec,
    st.sampled_from(["X", "Y"]),
    st.sampled_from(list(NUMPY_OF)),
    st.lists(st.sampled_from([-1, 1, 2]), max_size=3).map(tuple),
)
_signatures = st.lists(_specs, min_size=1, max_size=2, unique_by=lambda spec: spec.name).map(
    lambda specs: signature(*specs)
)

_sizes = st.one_of(st.integers(-2, 4), st.sampled_from([2**31, 2**63 - 1, 2**63, 2**64, 10**30, -(2**63), 10**400]))
_shapes = st.lists(_sizes, max_size=4) | st.just([1] * 70)
_leaves = st.one_of(
    st.none(), st.booleans(), _sizes, st.floats(), st.text(max_size=3), st.sampled_from(["NaN", "\ud800", "Infinity"])
)
_values = st.recursive(
    _leaves,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["X", "Y", "b64", "a"]), inner, max_size=3)
    ),
    max_leaves=8,
)
_parameters = st.dictionaries(
    st.sampled_from(
        ["binary_data_size", "binary_data", "classification", "binary_data_output", "shared_memory_region"]
    ),
    _sizes | st.booleans() | _values,
    max_size=2,
)
_tensors = st.fixed_dictionaries(
    {"name": st.sampled_from(["X", "Y"]), "shape": _shapes, "datatype": st.sampled_from([*NUMPY_OF, "STRING"])},
    optional={"data": _values, "parameters": _parameters},
)
_outputs = st.fixed_dictionaries({"name": st.sampled_from(["y", "z"])}, optional={"parameters": _parameters})
_v2 = st.fixed_dictionaries(
    {"inputs": st.lists(_tensors, max_size=3) | _values},
    optional={"id": _values, "parameters": _parameters, "outputs": st.lists(_outputs, max_size=2)},
).map(lambda body: json.dumps(body).encode())
_v1 = st.dictionaries(st.sampled_from(["instances", "inputs", "parameters"]), _values).map(
    lambda body: json.dumps(body).encode()
)
_nested = st.tuples(st.sampled_from([b"[", b'{"a":', b'{"inputs":', b'{"instances":[']), st.integers(0, 3000)).map(
    lambda pair: pair[0] * pair[1]
)
_bytes = st.binary(max_size=100) | _nested


def read_or_refused(decode, *arguments: object):
    try:
        request = decode(*arguments)
    except BadRequest as refusal:
        assert str(refusal).endswith(".")  # noqa: PT017  # a request may also be accepted
    else:
        assert isinstance(request, InferenceRequest)


@given(_bytes | _v2, _signatures)
@example(b'{"inputs":[' + b"[" * 100_000, signature(TensorSpec("X", "FP32", (-1,))))
def test_v2_json(body, given_signature):
    read_or_refused(v2_http.decode, body, None, given_signature)


@given(_bytes | _v2, st.binary(max_size=40), st.integers(0, 200), _signatures)
def test_v2_binary(head, rest, length, given_signature):
    body = memoryview(head + rest)
    read_or_refused(v2_http.decode, body, min(length, len(body)), given_signature)
    read_or_refused(v2_http.decode, body, len(head), given_signature)


@given(_bytes | _v1, _signatures)
def test_v1(body, given_signature):
    read_or_refused(v1_http.decode, body, given_signature)


@given(st.sampled_from([*NUMPY_OF, "STRING"]), _shapes, st.binary(max_size=40))
def test_tensors(datatype, shape, content):
    try:
        tensor = decode_tensor("X", datatype, tuple(shape), content)
    except BadRequest:
        return
    assert tensor.shape == tuple(shape)


@given(st.binary(max_size=10), st.integers(0, 100))
def test_header_lengths(value, body_bytes):
    try:
        length = v2_http.parse_header_length(value, body_bytes)
    except BadRequest:
        return
    assert 0 <= length <= body_bytes


@given(st.binary(max_size=60), st.sampled_from([b"gzip", b"deflate", b"br", b"\xff"]))
@example(b"\x1f\x8b\x08\x00" + bytes(6), b"gzip")
def test_encodings(body, encoding):
    try:
        decompress(body, encoding, 10)
    except (BadRequest, TooLarge):
        return


@given(st.binary(max_size=40))
def test_accept_encodings(accept_encoding):
    assert choose(accept_encoding) in (None, "gzip", "deflate")


@pytest.mark.parametrize("shape", [[2**40], [2**20, 2**20], [0, 2**62]])
def test_a_shape_alone_allocates_nothing(shape):
    tensor = {"name": "X", "shape": shape, "datatype": "FP64", "data": []}
    spec = TensorSpec("X", "FP64", (-1,) * len(shape))
    with pytest.raises(BadRequest):
        v2_http.decode(json.dumps({"inputs": [tensor]}).encode(), None, signature(spec))
    with pytest.raises(BadRequest):
        decode_tensor("X", "BYTES", tuple(shape), b"")
