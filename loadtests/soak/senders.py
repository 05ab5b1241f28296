"""Send one request to either port and read all of its response."""

import http.client
from typing import Any, Final

import grpc

from loadtests.soak.bodies import Body, Protocol

LIMIT_S: Final = 180.0
_METHOD: Final = "/inference.GRPCInferenceService/ModelInfer"
_READ_BYTES: Final = 1 << 20
_OPTIONS: Final = (
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.enable_http_proxy", 0),
    ("grpc.enable_retries", 0),
    ("grpc.max_receive_message_length", -1),
    ("grpc.max_send_message_length", -1),
)
_GRPC_ENCODINGS: Final = {"gzip": grpc.Compression.Gzip, "deflate": grpc.Compression.Deflate}


def send(protocol: Protocol, ports: tuple[int, int], route: str, body: Body, encoding: str) -> str:
    """Return what became of a request: the status of HTTP or gRPC, or the error of the connection."""
    if protocol.is_grpc:
        return _send_grpc(ports[1], body, encoding)
    path = f"/v1/models/{route}:predict" if protocol is Protocol.V1 else f"/v2/models/{route}/infer"
    return _send_http(ports[0], path, body, encoding)


def _send_http(port: int, path: str, body: Body, encoding: str) -> str:
    headers = {"content-type": "application/json", "accept-encoding": encoding}
    if encoding != "identity":
        headers["content-encoding"] = encoding
    if body.json_bytes is not None:
        headers |= {"inference-header-content-length": str(body.json_bytes), "content-type": "application/octet-stream"}
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=LIMIT_S)
    try:
        connection.request("POST", path, body.content, headers)
        response = connection.getresponse()
        while response.read(_READ_BYTES):
            pass
    except (OSError, http.client.HTTPException) as error:
        return type(error).__name__
    finally:
        connection.close()
    return str(response.status)


def _send_grpc(port: int, body: Body, encoding: str) -> str:
    with grpc.insecure_channel(f"127.0.0.1:{port}", options=_OPTIONS) as channel:
        call: Any = channel.unary_unary(_METHOD)
        compression = _GRPC_ENCODINGS.get(encoding, grpc.Compression.NoCompression)
        try:
            call(body.content, timeout=LIMIT_S, compression=compression)
        except grpc.RpcError as error:
            status: grpc.StatusCode = error.code()
            return status.name
    return "OK"
