"""The gRPC calls that the benchmark makes itself: readiness, configuration, and one prediction."""

from typing import Any, Final

import grpc
import numpy as np

from gateway.protocols import open_inference_pb2 as pb
from loadtests.bench.launch import StartError
from loadtests.bench.payload import Rows
from loadtests.servers.onnx_session import NUMPY_OF

_SERVICE: Final = "/inference.GRPCInferenceService/"
_LIMIT_S: Final = 30.0


def is_ready(address: str, limit_s: float) -> bool:
    """Return True if a server reports that it is ready."""
    try:
        return bool(_call(address, "ServerReady", pb.ServerReadyRequest(), pb.ServerReadyResponse, limit_s).ready)
    except StartError:
        return False


def counts_rows_apart(address: str, model: str) -> bool:
    """Return True if a model's configured shapes leave the number of rows out, as Triton's do when it may batch.

    Raises:
        StartError: it rejected the call.
    """
    response = _call(address, "ModelConfig", pb.ModelConfigRequest(name=model), pb.ModelConfigResponse)
    return bool(response.config.max_batch_size)


def infer(address: str, model: str, rows: Rows) -> dict[str, list[float]]:
    """Return a server's prediction for rows that are sent as raw bytes.

    Raises:
        StartError: it rejected the call.
    """
    response = _call(address, "ModelInfer", infer_request(model, rows), pb.ModelInferResponse)
    return {
        output.name: np.frombuffer(raw, NUMPY_OF[output.datatype]).tolist()
        for output, raw in zip(response.outputs, response.raw_output_contents, strict=True)
    }


def infer_request(model: str, rows: Rows) -> pb.ModelInferRequest:
    """Return the request for a prediction, with its rows as raw bytes."""
    tensor = pb.ModelInferRequest.InferInputTensor(name="X", datatype="FP32", shape=rows.shape)
    return pb.ModelInferRequest(model_name=model, inputs=[tensor], raw_input_contents=[rows.tobytes()])


def _call(address: str, name: str, request: Any, response: Any, limit_s: float = _LIMIT_S) -> Any:
    with grpc.insecure_channel(address) as channel:
        call: Any = channel.unary_unary(
            _SERVICE + name,
            request_serializer=type(request).SerializeToString,
            response_deserializer=response.FromString,
        )
        try:
            return call(request, timeout=limit_s)
        except grpc.RpcError as error:
            raise StartError(f"It rejected {name} over gRPC: {error.code().name}, {error.details()}.") from error
