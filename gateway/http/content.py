"""The content of predictions over HTTP: bodies to requests, predictions to responses, and which of it takes long."""

from gateway.eventloop.offload import LARGE_BYTES
from gateway.http.response import BINARY, JSON, Response, response_of
from gateway.inference.service import Prediction
from gateway.protocols import v1_http, v2_http
from gateway.protocols.compression import choose, compress, decompress
from gateway.protocols.paths import PredictionPath
from gateway.protocols.request import Headers, InferenceRequest
from runtimes.datatypes import BYTES, total_bytes
from runtimes.manifest import Signature

_WORTH_COMPRESSING_BYTES = 1024
_SLOW_TO_ENCODE = 4096
"""So many numbers take about 20 to 80 kB as JSON. zlib takes a millisecond for 20 to 50 kB."""


def is_slow_to_decode(headers: Headers, body_bytes: int, signature: Signature) -> bool:
    """Return True if decoding may take above a millisecond. Only the bytes of binary numbers cost nothing."""
    if b"content-encoding" in headers:
        return True
    if body_bytes <= LARGE_BYTES:
        return False
    json_bytes = headers.get(b"inference-header-content-length", b"")
    return (
        not json_bytes.isdigit()
        or int(json_bytes) > LARGE_BYTES
        or any(spec.datatype == "BYTES" for spec in signature.inputs)
    )


def is_slow_to_encode(headers: Headers, prediction: Prediction) -> bool:
    """Return True if encoding may take above a millisecond. Binary outputs are only copied, unless they are packed."""
    large = [
        tensor.size > _SLOW_TO_ENCODE or (tensor.dtype == BYTES and total_bytes((tensor,)) > LARGE_BYTES)
        for tensor in prediction.answer.tensors
    ]
    if True not in large:
        return False
    outputs = prediction.request.outputs
    return outputs is None or b"accept-encoding" in headers or not all(output.binary for output in outputs)


def decode_body(
    target: PredictionPath, headers: Headers, body: bytes | memoryview, max_bytes: int, signature: Signature
) -> InferenceRequest:
    """Return the request that a body holds, decompressed to at most `max_bytes`. Raises what the decoders raise."""
    encoding = headers.get(b"content-encoding")
    if encoding is not None:
        body = decompress(bytes(body), encoding, max_bytes)
    if target.is_v1:
        return v1_http.decode(body, signature)
    length = headers.get(b"inference-header-content-length")
    header_length = None if length is None else v2_http.parse_header_length(length, len(body))
    return v2_http.decode(body, header_length, signature)


def encode_prediction(
    target: PredictionPath, request_headers: Headers, decision_id: str, prediction: Prediction
) -> Response:
    """Return the response with a prediction, compressed if the client takes it and it is worth it."""
    request, answer, meta = prediction
    arm = answer.arm
    headers = [(b"x-decision-id", decision_id.encode()), (b"x-reason", answer.reason.encode()), *arm.headers]
    if answer.propensity is not None:
        headers.append((b"x-propensity", repr(answer.propensity).encode()))
    header_length: int | None = None
    if target.is_v1:
        content = v1_http.encode(meta, request, arm.signature, answer.tensors)
    else:
        content, header_length = v2_http.encode(meta, request, arm.signature, answer.tensors)
    if header_length is not None:
        headers.append((b"inference-header-content-length", str(header_length).encode()))
    accepted = request_headers.get(b"accept-encoding")
    if accepted is not None and len(content) >= _WORTH_COMPRESSING_BYTES:
        encoding = choose(accepted)
        if encoding is not None:
            packed = compress(content, encoding)
            headers.append((b"vary", b"accept-encoding"))
            if packed is not None:
                content = packed
                headers.append((b"content-encoding", encoding.encode()))
    return response_of(200, content, headers, JSON if header_length is None else BINARY)
