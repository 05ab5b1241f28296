"""The Open Inference Protocol over gRPC: decode requests, which protobuf parses."""

from collections.abc import Mapping, Sequence

from google.protobuf.message import DecodeError

from gateway.errors import BadRequest
from gateway.protocols.classification import parse_classes
from gateway.protocols.open_inference_pb2 import (
    InferParameter,
    ModelInferRequest,
)
from gateway.protocols.request import InferenceRequest, Parameters, RequestedOutput, batch_size, unknown_inputs
from gateway.protocols.tensor_binary import decode_tensor
from gateway.protocols.v2_body import refuse_shared_memory
from gateway.protocols.v2_grpc_contents import decode_contents
from runtimes.datatypes import Tensor
from runtimes.manifest import Signature, TensorSpec

_Input = ModelInferRequest.InferInputTensor
_MISSING = (None, None)


def parse(content: bytes | memoryview) -> ModelInferRequest:
    """Return the message that some bytes hold.

    Raises:
        BadRequest: they are not a ModelInferRequest.
    """
    try:
        return ModelInferRequest.FromString(content)  # type: ignore[arg-type]  # it takes both
    except DecodeError as error:
        raise BadRequest("The bytes are not a ModelInferRequest.") from error


def is_typed(message: ModelInferRequest) -> bool:
    """Return True if a request has typed contents. Its response is typed then, too."""
    return not message.raw_input_contents and any(tensor.HasField("contents") for tensor in message.inputs)


def decode(message: ModelInferRequest, signature: Signature) -> InferenceRequest:
    """Check a request against the signature and return its tensors.

    Raises:
        BadRequest: a missing or unknown tensor, another datatype, shape or size, or raw and typed contents mixed.
    """
    given, raw = message.inputs, message.raw_input_contents
    inputs: dict[str, tuple[_Input, bytes | None]]
    if raw:
        if len(raw) != len(given):
            raise BadRequest(f"raw_input_contents has {len(raw)} entries for {len(given)} inputs; each has its own.")
        inputs = {tensor.name: (tensor, content) for tensor, content in zip(given, raw, strict=True)}
    else:
        inputs = {tensor.name: (tensor, None) for tensor in given}
    if len(inputs) != len(given):
        raise BadRequest("An input is given twice.")
    tensors = {spec.name: _tensor(spec, *inputs.pop(spec.name, _MISSING)) for spec in signature.inputs}
    if inputs:
        raise unknown_inputs(inputs, signature)
    outputs = _outputs(message.outputs, signature) if message.outputs else None
    parameters = _parameters(message.parameters) if message.parameters else {}
    return InferenceRequest(message.id, parameters, tensors, outputs, batch_size(signature, tensors))


def _tensor(spec: TensorSpec, given: _Input | None, raw: bytes | None) -> Tensor:
    if given is None:
        raise BadRequest(f"Input {spec.name} is missing.")
    datatype = given.datatype
    if datatype != spec.datatype:
        raise BadRequest(f"Tensor {spec.name} has datatype {datatype}; the model takes {spec.datatype}.")
    shape = tuple(given.shape)
    mismatch = spec.shape_mismatch(shape)
    if mismatch is not None:
        raise BadRequest(mismatch)
    if raw is None:
        return _typed(spec, given, shape)
    if given.HasField("contents"):
        raise BadRequest(f"Tensor {spec.name} has contents beside raw_input_contents; send one of them.")
    return decode_tensor(spec.name, datatype, shape, raw)


def _typed(spec: TensorSpec, given: _Input, shape: tuple[int, ...]) -> Tensor:
    refuse_shared_memory(spec.name, dict(given.parameters))
    if 0 in shape and not given.HasField("contents"):
        return decode_tensor(spec.name, spec.datatype, shape, b"")
    return decode_contents(spec.name, spec.datatype, shape, given.contents)


def _outputs(
    outputs: Sequence[ModelInferRequest.InferRequestedOutputTensor], signature: Signature
) -> Sequence[RequestedOutput]:
    specs = {spec.name: spec for spec in signature.outputs}
    by_name: dict[str, RequestedOutput] = {}
    for output in outputs:
        name = output.name
        if name not in specs:
            raise BadRequest(f"The model has no output {name!r}; its outputs are {', '.join(specs)}.")
        parameters = _parameters(output.parameters)
        refuse_shared_memory(name, parameters)
        classes = parameters.get("classification")
        by_name[name] = RequestedOutput(name, True, 0 if classes is None else parse_classes(specs[name], classes))
    if len(by_name) != len(outputs):
        raise BadRequest("An output is requested twice.")
    return tuple(by_name.values())


def _parameters(given: Mapping[str, InferParameter]) -> Parameters:
    parameters: Parameters = {}
    for name, parameter in given.items():
        choice = parameter.WhichOneof("parameter_choice")
        if choice is None:
            raise BadRequest(f"Parameter {name} has no value of a type that the protocol knows.")
        parameters[name] = getattr(parameter, choice)
    return parameters
