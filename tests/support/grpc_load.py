"""gRPC clients at a steady rate, each with a connection of its own that it keeps as long as the server lets it."""

import time
from dataclasses import dataclass, field

import grpc

from gateway.protocols import open_inference_pb2 as pb
from tests.support.client_threads import ClientThreads

_METHOD = "/inference.GRPCInferenceService/ModelInfer"
_TIMEOUT_S = 30.0
_OPTIONS = (("grpc.use_local_subchannel_pool", 1),)


@dataclass
class GrpcLoad(ClientThreads):
    """`with GrpcLoad(port, route, row) as load: ...`: sends requests of one row until the block ends."""

    port: int
    route: str
    row: list[float]
    per_second: float = 20.0
    clients: int = 8
    answered: set[str] = field(default_factory=set)
    """The decisions."""
    failed: list[str] = field(default_factory=list)

    def _run(self, _: int) -> None:
        message = self._message()
        with grpc.insecure_channel(f"127.0.0.1:{self.port}", options=_OPTIONS) as channel:
            infer = channel.unary_unary(
                _METHOD, pb.ModelInferRequest.SerializeToString, pb.ModelInferResponse.FromString
            )
            due_s = time.monotonic()
            while not self._stop.wait(max(0.0, due_s - time.monotonic())):
                due_s += self.clients / self.per_second
                try:
                    answer = infer(message, timeout=_TIMEOUT_S)
                except grpc.RpcError as error:
                    self.failed.append(f"gRPC: {error.code().name} {error.details()}")
                else:
                    self.answered.add(answer.parameters["decision_id"].string_param)

    def _message(self) -> pb.ModelInferRequest:
        message = pb.ModelInferRequest(model_name=self.route)
        tensor = message.inputs.add(name="X", datatype="FP32", shape=[1, len(self.row)])
        tensor.contents.fp32_contents.extend(self.row)
        return message
