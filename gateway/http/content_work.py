"""Where the content of predictions is decoded and encoded: on the event loop, or in a thread if it takes long."""

from functools import partial

from gateway.eventloop.body_budget import Holding
from gateway.eventloop.driver import Pending
from gateway.eventloop.offload import LARGE_BYTES, UNCOUNTED_BYTES, Offload, caller_of
from gateway.http.content import (
    bytes_to_decode,
    bytes_to_encode,
    decode_body,
    decode_large,
    encode_large,
    encode_prediction,
)
from gateway.http.response import Response
from gateway.inference.service import Prediction
from gateway.protocols.paths import PredictionPath
from gateway.protocols.request import Headers, InferenceRequest
from runtimes.manifest import Signature

HeldBody = list[bytes | memoryview]
"""A body, until the thread that decodes it takes it out."""


class ContentWork:
    """Decodes bodies of at most `max_body_bytes`, and encodes predictions."""

    def __init__(self, offload: Offload, max_body_bytes: int) -> None:
        self._offload = offload
        self._max_body_bytes = max_body_bytes

    def decode(
        self, target: PredictionPath, headers: Headers, body: HeldBody, holding: Holding, signature: Signature
    ) -> InferenceRequest | Pending[InferenceRequest]:
        """Return the request that a body holds, or what a thread will return. Raises what the decoders raise."""
        size = len(body[0])
        if size > UNCOUNTED_BYTES or b"content-encoding" in headers:
            count = bytes_to_decode(headers, size, signature)
            if count > LARGE_BYTES or not self._offload.allows_here(count):
                work = partial(decode_large, target, headers, body, self._max_body_bytes, signature, holding)
                return self._offload.run(work, caller_of(headers), holding.connection)
        return decode_body(target, headers, body[0], self._max_body_bytes, signature)

    def encode(
        self, target: PredictionPath, headers: Headers, decision_id: str, prediction: Prediction, holding: Holding
    ) -> Response | Pending[Response]:
        """Return the response with a prediction, or what a thread will return. Raises what the encoders raise."""
        count = bytes_to_encode(headers, prediction)
        if count and (count > LARGE_BYTES or not self._offload.allows_here(count)):
            work = partial(encode_large, target, headers, decision_id, prediction, holding)
            return self._offload.run(work, caller_of(headers), holding.connection)
        return encode_prediction(target, headers, decision_id, prediction)
