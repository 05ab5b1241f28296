"""What MLServer's two clients have in common: its types and codecs."""

from typing import Any

from mlserver import types
from mlserver.codecs import NumpyCodec
from wire import Json, array, from_list


def request(ask: Json) -> types.InferenceRequest:
    """The request, its numbers by the NumPy codec."""
    outputs = None
    if ask["outputs"] is not None:
        classes = {"classification": ask["classes"]} if ask["classes"] else {}
        outputs = [types.RequestOutput(name=name, parameters=types.Parameters(**classes)) for name in ask["outputs"]]
    parameters = types.Parameters(**ask["parameters"]) if ask["parameters"] else None
    inputs = [_input(given) for given in ask["inputs"]]
    return types.InferenceRequest(id=ask["id"] or None, parameters=parameters, inputs=inputs, outputs=outputs)


def answer(said: types.InferenceResponse) -> Json:
    """The answer, its numbers by the NumPy codec."""
    return {
        "id": said.id,
        "route": said.model_name,
        "version": said.model_version,
        "parameters": said.parameters.model_dump() if said.parameters else {},
        "outputs": [_output(each) for each in said.outputs],
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
