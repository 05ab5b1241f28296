"""gRPC clients at a steady rate, each with a connection of its own that it keeps as long as the server lets it."""

import threading
import time
from dataclasses import dataclass, field
from types import TracebackType

import grpc

from gateway.protocols import open_inference_pb2 as pb

_METHOD = "/inference.GRPCInferenceService/ModelInfer"
_OPTIONS = (("grpc.use_local_subchannel_pool", 1),)
_TIMEOUT_S = 30.0


@dataclass
class GrpcLoad:
    """`with GrpcLoad(port, route, row) as load: ...`: sends requests of one row until the block ends."""

    port: int
    route: str
    row: list[float]
    per_second: float = 20.0
    clients: int = 8
    answered: set[str] = field(default_factory=set)
    """The decisions."""
    failed: list[str] = field(default_factory=list)

    def __enter__(self) -> "GrpcLoad":
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._run, daemon=True) for _ in range(self.clients)]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(2 * _TIMEOUT_S)

    def _run(self) -> None:
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
