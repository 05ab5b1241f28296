"""A gRPC server on a port of its own with a stub behind it, and a channel to it."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Callable, Mapping
from types import SimpleNamespace
from typing import Any, NamedTuple

import grpc
import numpy as np

from gateway.eventloop.driver import Pending
from gateway.eventloop.end_of_turn import EndOfTurn
from gateway.grpc.connection import Method
from gateway.grpc.server import SERVICE, GrpcServer
from gateway.http.server import bind
from gateway.protocols.open_inference_pb2 import ModelInferRequest, ModelInferResponse
from gateway.protocols.request import InferenceRequest
from router.errors import UnknownRoute
from runtimes.manifest import Signature, TensorSpec

SIGNATURE = Signature(
    inputs=(TensorSpec("X", "FP32", (-1, 2)),),
    outputs=(TensorSpec("label", "INT64", (-1,)), TensorSpec("scores", "FP32", (-1, 1))),
)
ARM = SimpleNamespace(arm=SimpleNamespace(name="a", version="7"), signature=SIGNATURE)


# ruff: noqa: ARG002  # the stub takes what a Reception takes


class StubReception:
    """Knows one route, `r`, and answers with as many ones as there are rows. Or it raises, or waits for `go_on`."""

    def __init__(self, raises: Exception | None = None, *, hangs: bool = False) -> None:
        self.raises, self.hangs = raises, hangs
        self.asked: list[dict[str, Any]] = []
        self.refused: list[tuple[Exception, Any]] = []
        self.waiting, self.left = asyncio.Event(), asyncio.Event()
        self._pending: Pending[None] = Pending()

    def find(self, name: str, headers: Mapping[bytes, bytes]) -> Any:
        if name != "r":
            raise UnknownRoute(f"There is no route {name!r}.")
        self.headers = headers
        return SimpleNamespace(route=SimpleNamespace(name="r"), signature=SIGNATURE)

    def call(self, live: Any, headers: Mapping[bytes, bytes], request: InferenceRequest, **more: Any) -> Any:
        self.asked.append(more)
        return request

    async def predict(self, live: Any, call: InferenceRequest) -> Any:
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
        tensors = [np.ones(call.batch_size, np.int64), np.ones((call.batch_size, 1), np.float32)]
        return SimpleNamespace(arm=ARM, tensors=tensors, reason="WEIGHTED", propensity=0.5)

    def go_on(self) -> None:
        """Answer the call that waits."""
        self._pending.succeed(None)

    def refuse(self, error: Exception, live: Any, decision_id: str, started_s: float) -> None:
        self.refused.append((error, live))


def request(rows: int = 1, **more: Any) -> ModelInferRequest:
    tensor = {"name": "X", "datatype": "FP32", "shape": [rows, 2]}
    given = {"model_name": "r", "inputs": [tensor], "raw_input_contents": [bytes(8 * rows)], **more}
    return ModelInferRequest(**given)


class Client:
    """Calls methods with bytes, so that a test may send bytes that are no message."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self.channel = channel

    def call(self, method: str, content: bytes, **more: Any) -> Any:
        return self.channel.unary_unary(f"/{SERVICE}/{method}")(content, **more)

    async def infer(self, message: ModelInferRequest, **more: Any) -> ModelInferResponse:
        return ModelInferResponse.FromString(await self.call("ModelInfer", message.SerializeToString(), **more))

    async def failure(self, method: str, content: bytes, **more: Any) -> tuple[str, str, dict[str, str]]:
        """Make a call that must fail. Return its status, sentence and trailing metadata."""
        try:
            await self.call(method, content, **more)
        except grpc.aio.AioRpcError as error:
            return error.code().name, error.details() or "", dict(error.trailing_metadata())
        raise AssertionError("The call did not fail.")


class Served(NamedTuple):
    """A server, its port, and a client on a connection of its own."""

    listener: GrpcServer
    port: int
    client: Client


@contextlib.asynccontextmanager
async def serving(
    methods: Mapping[str, Method],
    is_ready: Callable[[], bool] = lambda: True,
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    max_message_bytes: int = 100_000,
    tls: ssl.SSLContext | None = None,
) -> AsyncIterator[Served]:
    listener = GrpcServer(methods, is_ready, EndOfTurn(), max_message_bytes=max_message_bytes, tls=tls)
    bound = bind(host, port)
    await listener.start(bound)
    try:
        async with channel_to(bound.getsockname()[1], host) as channel:
            yield Served(listener, bound.getsockname()[1], Client(channel))
    finally:
        await listener.drain(0)


def channel_to(port: int, host: str = "127.0.0.1", credentials: grpc.ChannelCredentials | None = None) -> Any:
    """Open a connection of its own, past any proxy that the environment names."""
    options = [("grpc.use_local_subchannel_pool", 1), ("grpc.enable_http_proxy", 0)]
    target = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    if credentials is not None:
        return grpc.aio.secure_channel(target, credentials, options=options)
    return grpc.aio.insecure_channel(target, options=options)
