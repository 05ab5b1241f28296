"""An HTTP/1.1 client at the level of bytes: what it writes to a connection, and what it reads."""

import json
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np

from tests.support.polling import PATIENCE_S


@contextmanager
def connection(gateway: Any, tls: ssl.SSLContext | None = None) -> Iterator[socket.socket]:
    """Open a connection to a replica under test."""
    with socket.create_connection(("127.0.0.1", gateway.port), timeout=PATIENCE_S) as opened:
        opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if tls is None:
            yield opened
        else:
            with tls.wrap_socket(opened, server_hostname="localhost") as wrapped:
                yield wrapped


def head(length: int, *more: str, method: str = "POST", path: str = "/v2/models/plain/infer") -> bytes:
    """Return everything before a body of `length`."""
    lines = [f"{method} {path} HTTP/1.1", "Host: gateway", f"Content-Length: {length}", *more]
    return "\r\n".join([*lines, "", ""]).encode()


def json_request(rows: Any, route: str = "plain", *more: str) -> bytes:
    """Return a JSON request with these `rows` of X."""
    array = np.asarray(rows, np.float32)
    tensor = {"name": "X", "datatype": "FP32", "shape": array.shape, "data": array.ravel().tolist()}
    body = json.dumps({"inputs": [tensor]}).encode()
    return head(len(body), *more, path=f"/v2/models/{route}/infer") + body


def binary_request(rows: Any, route: str = "plain", request_id: str = "") -> bytes:
    """Return a request with these `rows` of X, as JSON followed by the tensor's bytes."""
    array = np.asarray(rows, np.float32)
    parameters = {"binary_data_size": array.nbytes}
    tensor = {"name": "X", "datatype": "FP32", "shape": array.shape, "parameters": parameters}
    body = json.dumps({"id": request_id, "inputs": [tensor]}).encode()
    length = f"Inference-Header-Content-Length: {len(body)}"
    return head(len(body) + array.nbytes, length, path=f"/v2/models/{route}/infer") + body + array.tobytes()


class Response(NamedTuple):
    """A response. Header names are in lower case."""

    status: int
    headers: dict[str, str]
    content: bytes

    def scores(self) -> Any:
        """Return the output `scores`."""
        assert self.status == 200, self.content
        output = next(each for each in json.loads(self.content)["outputs"] if each["name"] == "scores")
        return np.array(output["data"], np.float32).reshape(output["shape"])


def read_response(opened: socket.socket) -> Response:
    """Read one response with a Content-Length, and not a byte more."""
    received = b""
    while not received.endswith(b"\r\n\r\n"):
        byte = opened.recv(1)
        assert byte, f"the connection ended after {received!r}"
        received += byte
    first, *lines = received.decode().split("\r\n")[:-2]
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    content = bytearray()
    while len(content) < int(headers["content-length"]):
        content += opened.recv(int(headers["content-length"]) - len(content))
    return Response(int(first.split()[1]), headers, bytes(content))
