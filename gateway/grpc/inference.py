"""Predictions over gRPC: decode, infer, encode.

No framework, no generated servicer and no log call on this path. Methods take and return the bytes of messages.
"""

import time
from functools import partial

from gateway.errors import ClientGone
from gateway.grpc.messages import time_left_s
from gateway.grpc.method import Method
from gateway.grpc.status import Failed, failure_of
from gateway.inference.service import InferenceService, Prediction, new_decision_id
from gateway.protocols.open_inference_pb2 import ModelInferRequest
from gateway.protocols.request import Headers
from gateway.protocols.v2_grpc import decode, encode, encode_streamed, encode_streamed_error, is_typed, parse


class GrpcInference:
    """One per replica."""

    def __init__(self, service: InferenceService) -> None:
        self._service = service

    def methods(self) -> dict[str, Method]:
        """Return the methods by name."""
        return {"ModelInfer": Method(self.infer), "ModelStreamInfer": Method(self.infer_streamed, is_stream=True)}

    async def infer(self, content: bytes, headers: Headers) -> bytes:
        """Answer one request. Run the coroutine with `gateway.eventloop.driver`.

        Raises:
            Failed: the request could not be answered.
            ClientGone: the client has left.
        """
        started_s, decision_id = time.perf_counter(), new_decision_id()
        try:
            return await self._infer(parse(content), headers, decision_id, started_s)
        except ClientGone:
            raise
        except Exception as error:
            raise Failed(failure_of(error, decision_id)) from error

    async def infer_streamed(self, content: bytes, headers: Headers) -> bytes:
        """Answer one request of a stream. An error ends this request, not the stream.

        Raises:
            ClientGone: the client has left.
        """
        started_s, decision_id = time.perf_counter(), new_decision_id()
        message = ModelInferRequest()
        try:
            message = parse(content)
            return encode_streamed(await self._infer(message, headers, decision_id, started_s))
        except ClientGone:
            raise
        except Exception as error:  # noqa: BLE001  # the caller gets the error; a fault of ours is logged
            return encode_streamed_error(failure_of(error).sentence, message.model_name, message.id or decision_id)

    async def _infer(self, message: ModelInferRequest, headers: Headers, decision_id: str, started_s: float) -> bytes:
        prediction = await self._service.infer(
            message.model_name,
            headers,
            partial(decode, message),
            decision_id=decision_id,
            started_s=started_s,
            version=message.model_version or None,
            read_time_left_s=time_left_s,
        )
        return _encoded(prediction, typed=is_typed(message))


def _encoded(prediction: Prediction, *, typed: bool) -> bytes:
    request, answer, response = prediction
    return encode(response, request.outputs, answer.arm.signature.outputs, answer.tensors, typed=typed)
