"""Every datatype survives encoding and decoding bit for bit, as JSON and as binary, in both directions."""

import json

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from gateway.protocols.request import RequestedOutput
from gateway.protocols.v2_http import decode
from runtimes.datatypes import NAME_OF, NUMPY_OF, Tensor, tensor_of_bytes
from tests.unit.gateway.protocols.support import binary_body, encode_outputs, read_response, signature, spec_of

_shapes = hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=3)
_text = st.text(max_size=5).map(str.encode)


@st.composite
def tensors(draw: st.DrawFn, *, as_json: bool) -> Tensor:
    datatype = draw(st.sampled_from([name for name in NUMPY_OF if not (as_json and name in ("FP16", "BF16"))]))
    shape = draw(_shapes)
    count = int(np.prod(shape))
    if datatype == "BYTES":
        elements = _text if as_json else st.binary(max_size=5)
        return tensor_of_bytes(draw(st.lists(elements, min_size=count, max_size=count)), shape)
    dtype = NUMPY_OF[datatype]
    if datatype == "BOOL":
        return draw(hnp.arrays(dtype, shape))
    content = draw(st.binary(min_size=count * dtype.itemsize, max_size=count * dtype.itemsize))
    tensor = np.frombuffer(content, dtype).reshape(shape)
    return np.nan_to_num(tensor, posinf=1, neginf=-1) if as_json and dtype.kind == "f" else tensor


def equal(one: Tensor, other: Tensor) -> bool:
    if (one.dtype, one.shape) != (other.dtype, other.shape):
        return False
    return one.tolist() == other.tolist() if one.dtype == object else one.tobytes() == other.tobytes()


@given(tensors(as_json=True))
def test_json_responses(tensor):
    content, header_length = encode_outputs({"y": tensor})
    assert header_length is None
    assert equal(read_response(content, None)["y"], tensor)


@given(st.lists(tensors(as_json=False), min_size=1, max_size=3))
def test_binary_responses(given_tensors):
    outputs = {f"y{index}": tensor for index, tensor in enumerate(given_tensors)}
    content, header_length = encode_outputs(outputs, [RequestedOutput(name, binary=True) for name in outputs])
    read = read_response(content, header_length)
    assert all(equal(read[name], outputs[name]) for name in outputs)


@given(st.lists(tensors(as_json=False), min_size=1, max_size=3))
def test_binary_requests(given_tensors):
    inputs = {f"x{index}": tensor for index, tensor in enumerate(given_tensors)}
    body, header_length = binary_body(inputs)
    # Fixed dimensions, because batch sizes that vary would have to agree. That is not tested here.
    specs = [spec_of(name, tensor) for name, tensor in inputs.items()]
    fixed = [type(spec)(spec.name, spec.datatype, inputs[spec.name].shape) for spec in specs]
    for content in (body, memoryview(body)):
        request = decode(content, header_length, signature(*fixed))
        assert all(equal(request.inputs[name], inputs[name]) for name in inputs)


@given(tensors(as_json=True), st.booleans())
def test_json_requests(tensor, flat):
    content, _ = encode_outputs({"X": tensor})
    output = json.loads(content)["outputs"][0]
    if not flat:
        output["data"] = np.array(output["data"], object).reshape(tensor.shape).tolist()
    request = decode(json.dumps({"inputs": [output]}).encode(), None, signature(spec_of("X", tensor)))
    assert equal(request.inputs["X"], tensor)
    assert NAME_OF[request.inputs["X"].dtype] == output["datatype"]
