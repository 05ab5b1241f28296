"""Inference over gRPC: decode, find, predict, encode. Acts.

No framework, no generated servicer and no log call on this path. Methods take and give bytes.
"""

import time

from gateway.errors import ClientGone
from gateway.grpc.messages import time_left_s
from gateway.grpc.method import Method
from gateway.grpc.status import Failed, failure_of
from gateway.inference.live_table import LiveRoute
from gateway.inference.predictor import Answer
from gateway.inference.service import Headers, InferenceService, answered_with, new_decision_id
from gateway.protocols.open_inference_pb2 import ModelInferRequest
from gateway.protocols.request import InferenceRequest
from gateway.protocols.v2_grpc import decode, encode, encode_streamed, encode_streamed_error, is_typed, parse


class GrpcInference:
    """One per replica."""

    def __init__(self, reception: InferenceService) -> None:
        self._reception = reception

    def methods(self) -> dict[str, Method]:
        """By name."""
        return {"ModelInfer": Method(self.infer), "ModelStreamInfer": Method(self.infer_streamed, is_stream=True)}

    async def infer(self, content: bytes, headers: Headers) -> bytes:
        """One prediction. To be driven by `gateway.eventloop.driver`.

        Raises:
            Failed: there is no answer.
            ClientGone: nobody waits for one.
        """
        started_s, decision_id = time.perf_counter(), new_decision_id()
        live: LiveRoute | None = None
        try:
            message = parse(content)
            live = self._reception.find(message.model_name, headers)
            return await self._answer(live, headers, message, decision_id, started_s)
        except ClientGone:
            raise
        except Exception as error:
            self._reception.refuse(error, live, decision_id, started_s)
            raise Failed(failure_of(error, decision_id)) from error

    async def infer_streamed(self, content: bytes, headers: Headers) -> bytes:
        """One of a stream of predictions: an error ends its request, not the stream.

        Raises:
            ClientGone: nobody waits for an answer.
        """
        started_s, decision_id = time.perf_counter(), new_decision_id()
        live: LiveRoute | None = None
        message = ModelInferRequest()
        try:
            message = parse(content)
            live = self._reception.find(message.model_name, headers)
            return encode_streamed(await self._answer(live, headers, message, decision_id, started_s))
        except ClientGone:
            raise
        except Exception as error:  # noqa: BLE001  # told to the caller; a fault of ours is logged
            self._reception.refuse(error, live, decision_id, started_s)
            return encode_streamed_error(failure_of(error).sentence, message.model_name, message.id or decision_id)

    async def _answer(
        self, live: LiveRoute, headers: Headers, message: ModelInferRequest, decision_id: str, started_s: float
    ) -> bytes:
        request = decode(message, live.signature)
        call = self._reception.call(
            live,
            headers,
            request,
            decision_id=decision_id,
            started_s=started_s,
            version=message.model_version or None,
            time_left_s=time_left_s(headers),
        )
        answer = await self._reception.predict(live, call)
        return _encoded(live.route.name, request, decision_id, answer, typed=is_typed(message))


def _encoded(route: str, request: InferenceRequest, decision_id: str, answer: Answer, *, typed: bool) -> bytes:
    answered = answered_with(route, request, decision_id, answer)
    return encode(answered, request.outputs, answer.arm.signature.outputs, answer.tensors, typed=typed)
