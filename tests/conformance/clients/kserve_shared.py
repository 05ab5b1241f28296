"""What KServe's REST and gRPC clients have in common: its InferRequest and InferResponse."""

from typing import Any

from kserve import InferInput, InferRequest
from kserve.protocol.infer_type import InferResponse, RequestedOutput
from wire import Json, array, tensor


def encode_request(request: Json, *, binary_in: bool) -> InferRequest:
    """Build the request. Its parameters say how outputs are wanted, which only the REST client heeds."""
    inputs = []
    for given in request["inputs"]:
        value = array(given)
        made = InferInput(given["name"], list(value.shape), given["datatype"])
        made.set_data_from_numpy(value, binary_data=binary_in)
        inputs.append(made)
    outputs = None
    if request["outputs"] is not None:
        outputs = [RequestedOutput(name, _wanted(request)) for name in request["outputs"]]
    parameters = dict(request["parameters"])
    if request["binary_out"] and outputs is None:
        parameters["binary_data_output"] = True
    if request["timeout_us"] is not None:
        parameters["timeout"] = request["timeout_us"]
    return InferRequest(
        request["route"],
        inputs,
        request_id=request["id"] or None,
        parameters=parameters or None,
        request_outputs=outputs,
        model_version=request["version"] or None,
    )


def decode_response(response: InferResponse, parameters: Any) -> Json:
    """Read an InferResponse, each tensor through `as_numpy`."""
    return {
        "id": response.id,
        "route": response.model_name,
        "version": response.model_version,
        "parameters": parameters,
        "outputs": [tensor(each.name, each.datatype, each.as_numpy()) for each in response.outputs],
    }


def _wanted(request: Json) -> Json:
    wanted: Json = {"binary_data": request["binary_out"]}
    if request["classes"]:
        wanted["classification"] = request["classes"]
    return wanted
