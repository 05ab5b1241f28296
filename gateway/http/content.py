"""The content of predictions over HTTP: bodies to requests, predictions to responses, and which of it takes long."""

from gateway.eventloop.body_budget import Holding
from gateway.eventloop.offload import LARGE_BYTES, UNCOUNTED_BYTES
from gateway.http.response import BINARY, JSON, Response, response_of
from gateway.http.scoring import decode_scoring, encode_scoring
from gateway.inference.fields import TOKEN_PARAMETER
from gateway.inference.service import Prediction
from gateway.protocols import v1_http, v2_http
from gateway.protocols.compression import choose, compress, decompress
from gateway.protocols.costs import bytes_to_copy, bytes_to_write, decoded_bytes
from gateway.protocols.paths import PredictionPath
from gateway.protocols.request import Headers, InferenceRequest
from runtimes.manifest import Signature

_WORTH_COMPRESSING_BYTES = 1024


def bytes_to_decode(headers: Headers, body_bytes: int, signature: Signature) -> int:
    """Return the bytes of a body that take time to decode. The bytes of binary numbers cost nothing."""
    if b"content-encoding" in headers:
        return LARGE_BYTES + body_bytes
    json_bytes = headers.get(b"inference-header-content-length", b"")
    if not json_bytes.isdigit() or any(spec.datatype == "BYTES" for spec in signature.inputs):
        return body_bytes
    return min(int(json_bytes[:18]), body_bytes)


def bytes_to_encode(headers: Headers, prediction: Prediction) -> int:
    """Return about how many bytes take time to encode. Binary outputs are only copied, unless they are packed."""
    count = bytes_to_write(prediction.answer.tensors)
    if count <= UNCOUNTED_BYTES:
        return 0
    outputs = prediction.request.outputs
    if outputs is None or b"accept-encoding" in headers or not all(output.binary for output in outputs):
        return count
    return bytes_to_copy(prediction.answer.tensors)


def decode_body(
    target: PredictionPath, headers: Headers, body: bytes | memoryview, max_bytes: int, signature: Signature
) -> InferenceRequest:
    """Return the request that a body holds, decompressed to at most `max_bytes`. Raises what the decoders raise."""
    encoding = headers.get(b"content-encoding")
    if encoding is not None:
        body = decompress(bytes(body), encoding, max_bytes)
    if target.protocol == "v1":
        return v1_http.decode(body, signature)
    if target.is_scoring:
        return decode_scoring(target, headers, body, signature)
    length = headers.get(b"inference-header-content-length")
    header_length = None if length is None else v2_http.parse_header_length(length, len(body))
    return v2_http.decode(body, header_length, signature)


def decode_large(
    target: PredictionPath,
    headers: Headers,
    body: list[bytes | memoryview],
    max_bytes: int,
    signature: Signature,
    holding: Holding,
) -> InferenceRequest:
    """Do as `decode_body`, and count what the tensors take beyond the body. It is taken out of its list, to be freed.

    Raises:
        Overloaded: the replica holds too many bytes.
    """
    content = body.pop()
    body_bytes = len(content)
    request = decode_body(target, headers, content, max_bytes, signature)
    holding.add(max(decoded_bytes(request.inputs.values()) - body_bytes, 0))
    return request


def encode_prediction(
    target: PredictionPath, request_headers: Headers, decision_id: str, prediction: Prediction
) -> Response:
    """Return the response with a prediction, compressed if the client takes it and it is worth it."""
    request, answer, meta = prediction
    arm = answer.arm
    headers = [(b"x-decision-id", decision_id.encode()), (b"x-reason", answer.reason.encode()), *arm.headers]
    if answer.propensity is not None:
        headers.append((b"x-propensity", repr(answer.propensity).encode()))
    token = meta.parameters.get(TOKEN_PARAMETER)
    if token is not None:
        headers.append((b"x-decision-token", token.encode()))
    header_length, kind = None, JSON
    if target.protocol == "v1":
        content = v1_http.encode(meta, request, arm.signature, answer.tensors)
    elif target.is_scoring:
        content, kind = encode_scoring(target, request_headers, prediction, headers)
    else:
        content, header_length = v2_http.encode(meta, request, arm.signature, answer.tensors)
    if header_length is not None:
        kind = BINARY
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
    return response_of(200, content, headers, kind)


def encode_large(
    target: PredictionPath, request_headers: Headers, decision_id: str, prediction: Prediction, holding: Holding
) -> Response:
    """Do as `encode_prediction`, and count the response instead of the request.

    Raises:
        Overloaded: too many responses wait for clients that do not read them.
    """
    response = encode_prediction(target, request_headers, decision_id, prediction)
    holding.become_response(len(response.content))
    return response
