"""The outputs that a V2 request asks for, and in which form."""

from collections.abc import Sequence

from gateway.errors import BadRequest
from gateway.protocols.classification import parse_classes
from gateway.protocols.request import Parameters, RequestedOutput
from gateway.protocols.tensor_json import NOT_IN_JSON
from gateway.protocols.v2_body import Output, refuse_shared_memory
from runtimes.manifest import Signature, TensorSpec

_BINARY_BY_DEFAULT = "binary_data_output"


def requested_outputs(
    outputs: Sequence[Output] | None, parameters: Parameters | None, signature: Signature
) -> Sequence[RequestedOutput] | None:
    """Return the outputs to send, in order. None means all of them, as JSON.

    Raises:
        BadRequest: an output does not exist or is requested twice, a parameter has another type, or JSON cannot carry
            the datatype. The last is checked here so that no model runs for a response that cannot be written.
    """
    binary = _flag(f"Parameter {_BINARY_BY_DEFAULT}", (parameters or {}).get(_BINARY_BY_DEFAULT, False))
    if outputs:
        specs = {spec.name: spec for spec in signature.outputs}
        requested = [_requested(output, specs, binary=binary) for output in outputs]
        if len({output.name for output in requested}) != len(requested):
            raise BadRequest("An output is requested twice.")
        return requested
    if binary:
        return all_binary(signature)
    require_json(signature)
    return None


def all_binary(signature: Signature) -> Sequence[RequestedOutput]:
    """Return every output, as bytes."""
    return [RequestedOutput(spec.name, binary=True) for spec in signature.outputs]


def require_json(signature: Signature) -> None:
    """Raise `BadRequest` unless every output can be written as JSON."""
    for spec in signature.outputs:
        _require_json(spec)


def _requested(output: Output, specs: dict[str, TensorSpec], *, binary: bool) -> RequestedOutput:
    spec = specs.get(output.name)
    if spec is None:
        raise BadRequest(f"The model has no output {output.name!r}; its outputs are {', '.join(specs)}.")
    parameters = output.parameters or {}
    refuse_shared_memory(output.name, parameters)
    binary = _flag(f"Output {output.name}: binary_data", parameters.get("binary_data", binary))
    classes = parse_classes(spec, parameters["classification"]) if "classification" in parameters else 0
    if not binary and not classes:
        _require_json(spec)
    return RequestedOutput(output.name, binary, classes)


def _flag(what: str, value: object) -> bool:
    if not isinstance(value, bool):
        raise BadRequest(f"{what} is {value!r}; it must be true or false.")
    return value


def _require_json(spec: TensorSpec) -> None:
    if spec.datatype in NOT_IN_JSON:
        raise BadRequest(
            f"Output {spec.name} is {spec.datatype}, which JSON cannot carry; ask for it with binary_data: true."
        )
