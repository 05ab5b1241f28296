"""The calls that the benchmark makes over gRPC itself: is it ready, how is it asked, what does it predict. Acts."""

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
    """Return whether a server says that it is ready."""
    try:
        return bool(_call(address, "ServerReady", pb.ServerReadyRequest(), pb.ServerReadyResponse, limit_s).ready)
    except StartError:
        return False


def counts_rows_apart(address: str, model: str) -> bool:
    """Return whether a model's configured shapes leave the number of rows out, as Triton's do if it may batch.

    Raises:
        StartError: it refused.
    """
    answer = _call(address, "ModelConfig", pb.ModelConfigRequest(name=model), pb.ModelConfigResponse)
    return bool(answer.config.max_batch_size)


def infer(address: str, model: str, rows: Rows) -> dict[str, list[float]]:
    """Return what a server predicts for rows that it gets as raw bytes.

    Raises:
        StartError: it refused.
    """
    answer = _call(address, "ModelInfer", infer_request(model, rows), pb.ModelInferResponse)
    return {
        output.name: np.frombuffer(raw, NUMPY_OF[output.datatype]).tolist()
        for output, raw in zip(answer.outputs, answer.raw_output_contents, strict=True)
    }


def infer_request(model: str, rows: Rows) -> pb.ModelInferRequest:
    """Return the request for a prediction, its rows as raw bytes."""
    tensor = pb.ModelInferRequest.InferInputTensor(name="X", datatype="FP32", shape=rows.shape)
    return pb.ModelInferRequest(model_name=model, inputs=[tensor], raw_input_contents=[rows.tobytes()])


def _call(address: str, name: str, request: Any, answer: Any, limit_s: float = _LIMIT_S) -> Any:
    with grpc.insecure_channel(address) as channel:
        ask: Any = channel.unary_unary(
            _SERVICE + name,
            request_serializer=type(request).SerializeToString,
            response_deserializer=answer.FromString,
        )
        try:
            return ask(request, timeout=limit_s)
        except grpc.RpcError as error:
            raise StartError(f"It refused {name} over gRPC: {error.code().name}, {error.details()}.") from error
