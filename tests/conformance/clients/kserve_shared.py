"""What KServe's REST and gRPC clients have in common: its InferRequest and InferResponse."""

from typing import Any

from kserve import InferInput, InferRequest
from kserve.protocol.infer_type import InferResponse, RequestedOutput
from wire import Json, array, tensor


def request(ask: Json, *, binary_in: bool) -> InferRequest:
    """The request; its parameters say how outputs are wanted, which only REST heeds."""
    inputs = []
    for given in ask["inputs"]:
        value = array(given)
        made = InferInput(given["name"], list(value.shape), given["datatype"])
        made.set_data_from_numpy(value, binary_data=binary_in)
        inputs.append(made)
    outputs = None
    if ask["outputs"] is not None:
        outputs = [RequestedOutput(name, _wanted(ask)) for name in ask["outputs"]]
    parameters = dict(ask["parameters"])
    if ask["binary_out"] and outputs is None:
        parameters["binary_data_output"] = True
    if ask["timeout_us"] is not None:
        parameters["timeout"] = ask["timeout_us"]
    return InferRequest(
        ask["route"],
        inputs,
        request_id=ask["id"] or None,
        parameters=parameters or None,
        request_outputs=outputs,
        model_version=ask["version"] or None,
    )


def answer(said: InferResponse, parameters: Any) -> Json:
    """An InferResponse, each tensor through `as_numpy`."""
    return {
        "id": said.id,
        "route": said.model_name,
        "version": said.model_version,
        "parameters": parameters,
        "outputs": [tensor(each.name, each.datatype, each.as_numpy()) for each in said.outputs],
    }


def _wanted(ask: Json) -> Json:
    wanted: Json = {"binary_data": ask["binary_out"]}
    if ask["classes"]:
        wanted["classification"] = ask["classes"]
    return wanted
