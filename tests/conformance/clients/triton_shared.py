"""What the four clients of tritonclient have in common."""

from typing import Any

from wire import Json, array, tensor


def http_arguments(module: Any, request: Json) -> Json:
    """Build a request as `infer` of the two HTTP clients takes it."""
    inputs, outputs = [], None
    for given in request["inputs"]:
        value = array(given)
        made = module.InferInput(given["name"], list(value.shape), given["datatype"])
        inputs.append(made.set_data_from_numpy(value, binary_data=request["binary_in"]))
    if request["outputs"] is not None:
        outputs = [
            module.InferRequestedOutput(name, binary_data=request["binary_out"], class_count=request["classes"])
            for name in request["outputs"]
        ]
    return {
        **_common(request, inputs, outputs),
        "request_compression_algorithm": request["compression_in"],
        "response_compression_algorithm": request["compression_out"],
    }


def grpc_arguments(module: Any, request: Json) -> Json:
    """Build the same for the two gRPC clients."""
    inputs, outputs = [], None
    for given in request["inputs"]:
        value = array(given)
        made = module.InferInput(given["name"], list(value.shape), given["datatype"])
        made.set_data_from_numpy(value)
        inputs.append(made)
    if request["outputs"] is not None:
        outputs = [module.InferRequestedOutput(name, class_count=request["classes"]) for name in request["outputs"]]
    return {**_common(request, inputs, outputs), "compression_algorithm": request["compression_in"]}


def streamed_arguments(module: Any, request: Json) -> Json:
    """Build the same for one request of a stream. Headers and compression belong to the whole stream."""
    arguments = grpc_arguments(module, request)
    return {name: value for name, value in arguments.items() if name not in ("headers", "compression_algorithm")}


def http_response(result: Any) -> Json:
    """Read an InferResult of the HTTP clients, each tensor through `as_numpy`."""
    response = result.get_response()
    outputs = [tensor(each["name"], each["datatype"], result.as_numpy(each["name"])) for each in response["outputs"]]
    return {
        "id": response["id"],
        "route": response["model_name"],
        "version": response["model_version"],
        "parameters": response["parameters"],
        "outputs": outputs,
    }


def grpc_response(result: Any) -> Json:
    """Read an InferResult of the gRPC clients, each tensor through `as_numpy`."""
    response = result.get_response()
    parameters = {
        name: getattr(value, value.WhichOneof("parameter_choice")) for name, value in response.parameters.items()
    }
    return {
        "id": response.id,
        "route": response.model_name,
        "version": response.model_version,
        "parameters": parameters,
        "outputs": [tensor(each.name, each.datatype, result.as_numpy(each.name)) for each in response.outputs],
    }


def _common(request: Json, inputs: list[Any], outputs: list[Any] | None) -> Json:
    return {
        "model_name": request["route"],
        "model_version": request["version"],
        "inputs": inputs,
        "outputs": outputs,
        "request_id": request["id"],
        "priority": request["priority"],
        "timeout": request["timeout_us"],
        "parameters": request["parameters"],
        "headers": dict(request["headers"]),
    }
