"""The foreign clients, each a worker process in its environment, and the requests that they send."""

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from tests.conformance.clients import wire
from tests.conformance.models import DATATYPES

_WORKERS = Path(__file__).parent / "clients"
_END_S = 60

Compression = str | None


@dataclass(frozen=True)
class Kind:
    """A client: its environment (None means ours), and what it can do."""

    name: str
    environment: str | None
    datatypes: tuple[str, ...] = DATATYPES
    encodings: tuple[tuple[bool, bool], ...] = ((True, True),)
    """Pairs: are inputs binary, are outputs binary."""
    compressions: tuple[tuple[Compression, Compression], ...] = ((None, None),)
    """Pairs: of the request, of the response."""

    @property
    def is_grpc(self) -> bool:
        return "grpc" in self.name


_ALL_ENCODINGS = ((False, False), (False, True), (True, False), (True, True))
_ALL_COMPRESSIONS = ((None, None), ("gzip", "gzip"), ("deflate", "deflate"))
_ONE_COMPRESSION = ((None, None), ("gzip", None), ("deflate", None))
_NO_BF16 = tuple(name for name in DATATYPES if name != "BF16")
"""KServe's and MLServer's clients do not know it."""

KINDS = {
    kind.name: kind
    for kind in (
        Kind("triton_http", "clients", DATATYPES, _ALL_ENCODINGS, _ALL_COMPRESSIONS),
        Kind("triton_http_aio", "clients", DATATYPES, _ALL_ENCODINGS, _ALL_COMPRESSIONS),
        Kind("triton_grpc", "clients", DATATYPES, compressions=_ONE_COMPRESSION),
        Kind("triton_grpc_aio", "clients", DATATYPES, compressions=_ONE_COMPRESSION),
        Kind("kserve_v2", "clients", _NO_BF16, _ALL_ENCODINGS),
        Kind("kserve_v1", "clients", _NO_BF16),
        Kind("kserve_grpc", "clients", _NO_BF16, ((False, False), (True, True))),
        Kind("mlserver_http", "mlserver", _NO_BF16, ((False, False),)),
        Kind("mlserver_grpc", "mlserver", _NO_BF16, ((False, False),)),
        Kind("curl", None, DATATYPES, ((False, False),)),
    )
}
V2 = tuple(name for name in KINDS if name != "kserve_v1")
TRITON = tuple(name for name in KINDS if name.startswith("triton"))


class Raised(Exception):
    """A client raised. `kind` is its class, `status` the server's status as the client shows it."""

    def __init__(self, client: str, kind: str, status: str, sentence: str, trace: str) -> None:
        super().__init__(f"{client}: {kind} [{status}] {sentence}\n{trace}")
        self.kind, self.status, self.sentence = kind, status, sentence


@dataclass(frozen=True)
class Request:
    """A request, which any client can send. `version` and `outputs` are not sent unless they are given."""

    route: str
    inputs: tuple[Mapping[str, Any], ...]
    outputs: tuple[str, ...] | None = None
    version: str = ""
    id: str = ""
    binary_in: bool = True
    binary_out: bool = True
    compression_in: Compression = None
    compression_out: Compression = None
    classes: int = 0
    priority: int = 0
    timeout_us: int | None = None
    parameters: Mapping[str, Any] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Response:
    """A response as a client presents it."""

    id: str
    route: str
    version: str | None
    parameters: Mapping[str, Any]
    outputs: Sequence[Mapping[str, Any]]

    @property
    def names(self) -> list[str]:
        return [each["name"] for each in self.outputs]

    def array(self, name: str) -> np.ndarray[Any, Any]:
        """Return one output, which must be there exactly once."""
        (found,) = (each for each in self.outputs if each["name"] == name)
        array: np.ndarray[Any, Any] = wire.array(found)
        return array


class Foreign:
    """A client in a process of its own."""

    def __init__(self, kind: Kind, python: Path, http: str, grpc: str) -> None:
        self.kind = kind
        self._process = subprocess.Popen(
            [python, str(_WORKERS / "worker.py"), kind.name, http, grpc],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=sys.stderr if sys.stderr.isatty() else subprocess.DEVNULL,
            text=True,
        )

    def call(self, operation: str, **arguments: Any) -> Any:
        """Call the client in its process, and return what it returned.

        Raises:
            Raised: the client raised.
        """
        process = self._process
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(json.dumps([operation, arguments]) + "\n")
        process.stdin.flush()
        line = process.stdout.readline()
        assert line, f"The worker of {self.kind.name} ended with code {process.wait(_END_S)}."
        result = json.loads(line)
        if "raised" in result:
            raise Raised(self.kind.name, **result["raised"])
        return result["value"]

    def infer(self, request: Request) -> Response:
        """Send tensors in the wanted encoding, or in the one that this client has."""
        if (request.binary_in, request.binary_out) not in self.kind.encodings:
            binary_in, binary_out = self.kind.encodings[-1]
            request = replace(request, binary_in=binary_in, binary_out=binary_out)
        return Response(**self.call("infer", request=asdict(request)))

    def describe(self, call: str, *given: Any) -> Any:
        """Make a call that describes the server."""
        return self.call("describe", call=call, given=given)

    def dismiss(self) -> None:
        """Let the worker end."""
        assert self._process.stdin is not None
        self._process.stdin.close()

    def end(self) -> None:
        """Wait until the worker has ended. Kill it if it does not end in time."""
        assert self._process.stdout is not None
        with self._process.stdout:
            try:
                self._process.wait(_END_S)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
