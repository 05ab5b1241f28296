"""What the four clients of tritonclient have in common."""

from typing import Any

from wire import Json, array, tensor


def http_arguments(module: Any, ask: Json) -> Json:
    """A request as `infer` of the two HTTP clients takes it."""
    inputs, outputs = [], None
    for given in ask["inputs"]:
        value = array(given)
        made = module.InferInput(given["name"], list(value.shape), given["datatype"])
        inputs.append(made.set_data_from_numpy(value, binary_data=ask["binary_in"]))
    if ask["outputs"] is not None:
        outputs = [
            module.InferRequestedOutput(name, binary_data=ask["binary_out"], class_count=ask["classes"])
            for name in ask["outputs"]
        ]
    return {
        **_common(ask, inputs, outputs),
        "request_compression_algorithm": ask["compression_in"],
        "response_compression_algorithm": ask["compression_out"],
    }


def grpc_arguments(module: Any, ask: Json) -> Json:
    """The same for the two gRPC clients."""
    inputs, outputs = [], None
    for given in ask["inputs"]:
        value = array(given)
        made = module.InferInput(given["name"], list(value.shape), given["datatype"])
        made.set_data_from_numpy(value)
        inputs.append(made)
    if ask["outputs"] is not None:
        outputs = [module.InferRequestedOutput(name, class_count=ask["classes"]) for name in ask["outputs"]]
    return {**_common(ask, inputs, outputs), "compression_algorithm": ask["compression_in"]}


def streamed_arguments(module: Any, ask: Json) -> Json:
    """The same for one request of a stream, which has headers and compression as a whole."""
    arguments = grpc_arguments(module, ask)
    return {name: value for name, value in arguments.items() if name not in ("headers", "compression_algorithm")}


def http_answer(result: Any) -> Json:
    """An InferResult of the HTTP clients, each tensor through `as_numpy`."""
    said = result.get_response()
    outputs = [tensor(each["name"], each["datatype"], result.as_numpy(each["name"])) for each in said["outputs"]]
    return {
        "id": said["id"],
        "route": said["model_name"],
        "version": said["model_version"],
        "parameters": said["parameters"],
        "outputs": outputs,
    }


def grpc_answer(result: Any) -> Json:
    """An InferResult of the gRPC clients, each tensor through `as_numpy`."""
    said = result.get_response()
    parameters = {name: getattr(value, value.WhichOneof("parameter_choice")) for name, value in said.parameters.items()}
    return {
        "id": said.id,
        "route": said.model_name,
        "version": said.model_version,
        "parameters": parameters,
        "outputs": [tensor(each.name, each.datatype, result.as_numpy(each.name)) for each in said.outputs],
    }


def _common(ask: Json, inputs: list[Any], outputs: list[Any] | None) -> Json:
    return {
        "model_name": ask["route"],
        "model_version": ask["version"],
        "inputs": inputs,
        "outputs": outputs,
        "request_id": ask["id"],
        "priority": ask["priority"],
        "timeout": ask["timeout_us"],
        "parameters": ask["parameters"],
        "headers": dict(ask["headers"]),
    }
