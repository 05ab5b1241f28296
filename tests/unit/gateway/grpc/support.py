"""A gRPC server on its own port, with a stub behind it, and a channel to it."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Callable, Mapping
from types import SimpleNamespace
from typing import Any, NamedTuple

import grpc
import numpy as np

from gateway.errors import BadRequest
from gateway.eventloop.body_budget import BodyBudget
from gateway.eventloop.driver import Pending
from gateway.eventloop.end_of_turn import EndOfTurn
from gateway.eventloop.offload import Offload
from gateway.grpc.http2.time_limits import TimeLimits
from gateway.grpc.inference import GrpcInference
from gateway.grpc.limits import GrpcLimits
from gateway.grpc.method import Method
from gateway.grpc.server import SERVICE, GrpcServer
from gateway.inference.call import Answer
from gateway.inference.service import Prediction
from gateway.protocols.open_inference_pb2 import ModelInferRequest, ModelInferResponse
from gateway.protocols.request import Headers, InferenceRequest, ResponseMeta
from gateway.replica.ports import bind_port
from router.errors import UnknownRoute
from router.plan import Reason
from runtimes.manifest import Signature, TensorSpec

SIGNATURE = Signature(
    inputs=(TensorSpec("X", "FP32", (-1, 2)),),
    outputs=(TensorSpec("label", "INT64", (-1,)), TensorSpec("scores", "FP32", (-1, 1))),
)
ARM: Any = SimpleNamespace(arm=SimpleNamespace(name="a", version="7"), signature=SIGNATURE)


class StubService:
    """Knows one route, `r`. It answers with as many ones as there are rows, or raises, or waits until `go_on`."""

    def __init__(self, raises: Exception | None = None, *, hangs: bool = False) -> None:
        self.raises, self.hangs = raises, hangs
        self.calls: list[dict[str, Any]] = []
        self.rejected: list[tuple[Exception, str]] = []
        self.waiting, self.left = asyncio.Event(), asyncio.Event()
        self._pending: Pending[None] = Pending()

    async def infer(
        self,
        route: str,
        headers: Headers,
        decode: Callable[[Signature], InferenceRequest | Pending[InferenceRequest]],
        *,
        read_time_left_s: Callable[[Headers], float | None],
        **more: Any,
    ) -> Prediction:
        """See `gateway.inference.service.InferenceService.infer`."""
        if route != "r":
            raise UnknownRoute(f"There is no route {route!r}.")
        self.headers = headers
        try:
            decoded = decode(SIGNATURE)
            request = await decoded if isinstance(decoded, Pending) else decoded
        except BadRequest as error:
            self.rejected.append((error, route))
            raise
        self.calls.append({**more, "time_left_s": read_time_left_s(headers)})
        if self.raises is not None:
            raise self.raises
        if self.hangs:
            self.waiting.set()
            self._pending = Pending()
            try:
                await self._pending
            except BaseException:
                self.left.set()
                raise
        tensors = [np.ones(request.batch_size, np.int64), np.ones((request.batch_size, 1), np.float32)]
        decision = {"decision_id": more["decision_id"], "arm": "a", "reason": "WEIGHTED", "propensity": 0.5}
        response = ResponseMeta("r", "7", request.id or more["decision_id"], decision)
        return Prediction(request, Answer(ARM, tensors, Reason.WEIGHTED, 0.5), response)

    def go_on(self) -> None:
        """Let the request that waits be answered."""
        self._pending.succeed(None)


def request(rows: int = 1, **more: Any) -> ModelInferRequest:
    tensor = {"name": "X", "datatype": "FP32", "shape": [rows, 2]}
    given = {"model_name": "r", "inputs": [tensor], "raw_input_contents": [bytes(8 * rows)], **more}
    return ModelInferRequest(**given)


def methods_of(service: Any) -> dict[str, Method]:
    """Return the methods of the inference service in front of `service`."""
    return GrpcInference(service, BodyBudget(1 << 30), Offload()).methods()


class Client:
    """A client of the inference service. `call` takes bytes, so that a test may send bytes that are no message."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self.channel = channel

    def call(self, method: str, content: bytes, **more: Any) -> Any:
        return self.channel.unary_unary(f"/{SERVICE}/{method}")(content, **more)

    async def infer(self, message: ModelInferRequest, **more: Any) -> ModelInferResponse:
        return ModelInferResponse.FromString(await self.call("ModelInfer", message.SerializeToString(), **more))

    async def failure(self, method: str, content: bytes, **more: Any) -> tuple[str, str, dict[str, str]]:
        """Return the status, the sentence and the trailing metadata of a call that must fail."""
        try:
            await self.call(method, content, **more)
        except grpc.aio.AioRpcError as error:
            return error.code().name, error.details() or "", dict(error.trailing_metadata())
        raise AssertionError("The call did not fail.")


class Served(NamedTuple):
    """A server, its port, and a client on its own connection."""

    listener: GrpcServer
    port: int
    client: Client


def limits_of(max_message_bytes: int, max_connections: int = 100, hello_s: float = 10.0) -> GrpcLimits:
    """Return limits of a server."""
    return GrpcLimits(max_message_bytes, max_connections, TimeLimits(hello_s=hello_s, stalled_s=60, idle_s=300))


@contextlib.asynccontextmanager
async def serving(
    methods: Mapping[str, Method],
    is_ready: Callable[[], bool] = lambda: True,
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    max_message_bytes: int = 100_000,
    max_unfinished_bytes: int = 1 << 30,
    max_connections: int = 100,
    hello_s: float = 10.0,
    tls: ssl.SSLContext | None = None,
) -> AsyncIterator[Served]:
    budget = BodyBudget(max_unfinished_bytes)
    listener = GrpcServer(
        methods,
        is_ready,
        EndOfTurn(),
        limits=limits_of(max_message_bytes, max_connections, hello_s),
        budget=budget,
        offload=Offload(),
        tls=tls,
    )
    bound = bind_port(host, port)
    await listener.start(bound)
    try:
        async with channel_to(bound.getsockname()[1], host) as channel:
            yield Served(listener, bound.getsockname()[1], Client(channel))
    finally:
        await listener.drain(0)


def channel_to(port: int, host: str = "127.0.0.1", credentials: grpc.ChannelCredentials | None = None) -> Any:
    """Return a channel with its own connection, which uses no proxy that the environment names."""
    options = [("grpc.use_local_subchannel_pool", 1), ("grpc.enable_http_proxy", 0)]
    target = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    if credentials is not None:
        return grpc.aio.secure_channel(target, credentials, options=options)
    return grpc.aio.insecure_channel(target, options=options)
