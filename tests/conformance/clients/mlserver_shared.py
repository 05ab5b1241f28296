"""What MLServer's two clients have in common: its types and codecs."""

from typing import Any

from mlserver import types
from mlserver.codecs import NumpyCodec
from wire import Json, array, from_list


def encode_request(request: Json) -> types.InferenceRequest:
    """Build the request. The NumPy codec encodes its numbers."""
    outputs = None
    if request["outputs"] is not None:
        classes = {"classification": request["classes"]} if request["classes"] else {}
        outputs = [
            types.RequestOutput(name=name, parameters=types.Parameters(**classes)) for name in request["outputs"]
        ]
    parameters = types.Parameters(**request["parameters"]) if request["parameters"] else None
    inputs = [_input(given) for given in request["inputs"]]
    return types.InferenceRequest(id=request["id"] or None, parameters=parameters, inputs=inputs, outputs=outputs)


def decode_response(response: types.InferenceResponse) -> Json:
    """Read the response. The NumPy codec decodes its numbers."""
    return {
        "id": response.id,
        "route": response.model_name,
        "version": response.model_version,
        "parameters": response.parameters.model_dump() if response.parameters else {},
        "outputs": [_output(each) for each in response.outputs],
    }


def _input(given: Json) -> types.RequestInput:
    value = array(given)
    if given["datatype"] == "BYTES":
        data: Any = value.ravel().tolist()
        return types.RequestInput(name=given["name"], shape=given["shape"], datatype="BYTES", data=data)
    encoded = NumpyCodec.encode_input(given["name"], value)
    encoded.shape = given["shape"]  # the codec adds a dimension to those of one, and one to a single value
    return encoded


def _output(given: types.ResponseOutput) -> Json:
    elements = list(given.data)
    if given.datatype != "BYTES" and elements:
        elements = NumpyCodec.decode_output(given).ravel().tolist()
    return from_list(given.name, given.datatype, given.shape, elements)
