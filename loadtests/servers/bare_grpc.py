"""The floor of the gRPC comparison: grpc.aio on uvloop, with only protobuf, NumPy and the model.

It also serves the calls that perf_analyzer makes before it sends requests.
"""

import sys
from typing import Any, Final

import grpc
import numpy as np
import uvloop

from gateway.protocols import open_inference_pb2 as pb
from loadtests.servers.onnx_session import DATATYPES, OUTPUT_NAMES, model_file, open_session, run

_SERVICE: Final = "inference.GRPCInferenceService"
_SESSION: Final = open_session(model_file())
_COLUMNS: Final = 30
_CLASSES: Final = 2
_OUTPUT_SHAPES: Final = {"label": [-1], "probabilities": [-1, _CLASSES]}


async def infer(request: pb.ModelInferRequest, _: Any) -> pb.ModelInferResponse:
    """Predict for raw rows, on the event loop."""
    rows = np.frombuffer(request.raw_input_contents[0], np.float32).reshape(request.inputs[0].shape)
    response = pb.ModelInferResponse(model_name="cancer", id=request.id)  # perf_analyzer finds its request by the id
    for name, array in zip(OUTPUT_NAMES, run(_SESSION, rows), strict=True):
        response.outputs.add(name=name, datatype=DATATYPES[name], shape=array.shape)
        response.raw_output_contents.append(array.tobytes())
    return response


async def ready(_: Any, __: Any) -> pb.ServerReadyResponse:
    """Report that the model is ready."""
    return pb.ServerReadyResponse(ready=True)


async def about(_: Any, __: Any) -> pb.ServerMetadataResponse:
    """Name the server."""
    return pb.ServerMetadataResponse(name="bare-grpc", version="1")


async def metadata(_: Any, __: Any) -> pb.ModelMetadataResponse:
    """Describe the model's tensors."""
    response = pb.ModelMetadataResponse(name="cancer", versions=["1"], platform="onnx_onnxv1")
    response.inputs.add(name="X", datatype="FP32", shape=[-1, _COLUMNS])
    for name, shape in _OUTPUT_SHAPES.items():
        response.outputs.add(name=name, datatype=DATATYPES[name], shape=shape)
    return response


async def configuration(_: Any, __: Any) -> pb.ModelConfigResponse:
    """Report the model's configuration, in which the shapes include the number of rows."""
    config = pb.ModelConfig(name="cancer", platform="onnx_onnxv1")
    config.input.add(name="X", data_type=pb.TYPE_FP32, dims=[-1, _COLUMNS])
    for name, shape in _OUTPUT_SHAPES.items():
        config.output.add(name=name, data_type=pb.DataType.Value(f"TYPE_{DATATYPES[name]}"), dims=shape)
    return pb.ModelConfigResponse(config=config)


async def statistics(_: Any, __: Any) -> pb.ModelStatisticsResponse:
    """Report empty statistics."""
    return pb.ModelStatisticsResponse(model_stats=[pb.ModelStatistics(name="cancer", version="1")])


async def main(port: int) -> None:
    """Serve until the process is ended."""
    server = grpc.aio.server()
    calls: dict[str, tuple[Any, Any]] = {
        "ModelInfer": (infer, pb.ModelInferRequest),
        "ServerReady": (ready, pb.ServerReadyRequest),
        "ServerMetadata": (about, pb.ServerMetadataRequest),
        "ModelMetadata": (metadata, pb.ModelMetadataRequest),
        "ModelConfig": (configuration, pb.ModelConfigRequest),
        "ModelStatistics": (statistics, pb.ModelStatisticsRequest),
    }
    handlers: dict[str, Any] = {
        name: grpc.unary_unary_rpc_method_handler(call, kind.FromString, lambda response: response.SerializeToString())
        for name, (call, kind) in calls.items()
    }
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(_SERVICE, handlers),))
    server.add_insecure_port(f"127.0.0.1:{port}")
    await server.start()
    await server.wait_for_termination()


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1])))
