"""2,500 connections that never complete a request, of seven kinds, and 100 uploads without a key.

Each connection must be closed within the limit of its kind, while both ports answer health. An upload without a key
must be refused before its body: what is accepted of it is bounded, and no memory grows.
`python -m loadtests.soak.half_open`; `--short` sets all limits to two seconds.
"""

import json
import resource
import selectors
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from loadtests.soak.frames import DATA, PREFACE, SETTINGS, frame
from loadtests.soak.gateway import Gateway, declare, new_home, serving
from loadtests.soak.models import publish
from loadtests.soak.prober import Prober, probing
from loadtests.soak.uploads import HEAD, STREAM, try_uploads

CONNECTIONS: Final = 2500
UPLOADS: Final = 100
WORST_MS: Final = 250.0
_LATE_S: Final = 5.0
"""Connections are looked at once a second. The rest is for a busy machine."""
_PREFACE_S: Final = 10.0
_SHORT_S: Final = "2"
_SHORT: Final = dict.fromkeys(
    ("IDLE_TIMEOUT_S", "HEADER_TIMEOUT_S", "BODY_TIMEOUT_S", "GRPC_STALLED_S", "GRPC_IDLE_S"), _SHORT_S
)
_QUIET_S: Final = 3.0


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of connection: what its client sends, once and every second, and when it must be closed."""

    name: str
    is_grpc: bool
    sent: bytes
    limit_s: float
    dripped: bytes = b""


@dataclass(slots=True)
class Report:
    """What was seen. `faults` is empty if all is well."""

    kinds: list[dict[str, Any]] = field(default_factory=list)
    uploads: list[dict[str, Any]] = field(default_factory=list)
    quiet_ms: float = 0.0
    worst_ms: float = 0.0
    faults: list[str] = field(default_factory=list)


def kinds(*, short: bool) -> list[Kind]:
    """Return the kinds, with the limits that apply by default or in the short form."""
    idle_s, head_s, body_s, stalled_s, grpc_idle_s = (2.0,) * 5 if short else (75.0, 30.0, 60.0, 60.0, 300.0)
    return [
        Kind("nothing is sent", False, b"", idle_s),
        Kind("half of a request line", False, b"POST /v2/mod", head_s),
        Kind("headers without an end", False, HEAD + b"X-A: ", head_s, b"a"),
        Kind("a body that stops", False, HEAD + b"Content-Length: 1000\r\n\r\n{", body_s),
        Kind("gRPC: nothing is sent", True, b"", _PREFACE_S),
        Kind("gRPC: only the preface", True, PREFACE, _PREFACE_S),
        Kind("gRPC: no call", True, PREFACE + frame(SETTINGS, 0, 0), grpc_idle_s),
        # Its call ends first, then its connection has none.
        Kind("gRPC: a message that stops", True, STREAM + frame(DATA, 0, 1, bytes(7)), stalled_s + grpc_idle_s),
    ]


def hold(gateway: Gateway, kind: Kind, number: int) -> dict[int, float]:
    """Open connections of a kind, and wait. Return by index how long each of those took that were closed."""
    closed_s: dict[int, float] = {}
    with selectors.DefaultSelector() as selector:
        opened = [_open(gateway, kind) for _ in range(number)]
        began_s = time.monotonic()
        for index, client in enumerate(opened):
            selector.register(client, selectors.EVENT_READ, index)
        dripped_s = began_s
        while len(closed_s) < number and time.monotonic() < began_s + kind.limit_s + _LATE_S:
            for key, _ in selector.select(0.2):
                if _is_closed(key.fileobj):
                    closed_s[key.data] = time.monotonic() - began_s
                    selector.unregister(key.fileobj)
            if kind.dripped and time.monotonic() > dripped_s + 1:
                dripped_s = time.monotonic()
                for client in opened[::10]:
                    with suppress(OSError):
                        client.send(kind.dripped)
        for client in opened:
            client.close()
    return closed_s


def _open(gateway: Gateway, kind: Kind) -> socket.socket:
    client = socket.create_connection(("127.0.0.1", gateway.grpc_port if kind.is_grpc else gateway.port), timeout=10)
    client.sendall(kind.sent)
    client.setblocking(False)
    return client


def _is_closed(client: Any) -> bool:
    try:
        return not client.recv(65_536)
    except BlockingIOError:
        return False
    except OSError:
        return True


def try_kinds(gateway: Gateway, prober: Prober, report: Report, number: int, *, short: bool) -> None:
    """Hold connections of all kinds at once, and judge when they were closed."""
    tried = kinds(short=short)
    share = number // len(tried)
    with ThreadPoolExecutor(len(tried)) as pool:
        for kind, closed_s in zip(tried, pool.map(lambda each: hold(gateway, each, share), tried), strict=True):
            last_s = max(closed_s.values(), default=0.0)
            row = {"kind": kind.name, "closed": len(closed_s), "of": share, "limit_s": kind.limit_s}
            report.kinds.append(
                row | {"first_s": round(min(closed_s.values(), default=0.0), 1), "last_s": round(last_s, 1)}
            )
            if len(closed_s) < share:
                report.faults.append(f"{kind.name}: {share - len(closed_s)} of {share} open after {kind.limit_s:.0f} s")
    report.worst_ms = round(1e3 * prober.worst().both_s, 1)
    if report.worst_ms > WORST_MS:
        report.faults.append(f"half-open connections: health took {report.worst_ms} ms")


def main(
    connections: Annotated[int, typer.Option(help="Half-open connections, of all kinds together.")] = CONNECTIONS,
    uploads: Annotated[int, typer.Option(help="Uploads without a key, on each port.")] = UPLOADS,
    port: Annotated[int, typer.Option(help="HTTP is here, gRPC one above.")] = 8822,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write all figures to this file.")] = None,
    *,
    short: Annotated[bool, typer.Option("--short", help="All limits are two seconds.")] = False,
) -> None:
    """Hold connections open, and exit with 1 if one outlives its limit or an upload without a key is read."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    report = Report()
    with new_home() as home:
        declare(home, publish(home / "models", ("FP32",)))
        with serving(home, port, **(_SHORT if short else {})) as gateway, probing(port, port + 1) as prober:
            time.sleep(_QUIET_S)
            report.quiet_ms = round(1e3 * prober.worst().both_s, 1)
            prober.restart()
            try_kinds(gateway, prober, report, connections, short=short)
        with serving(home, port, ACCESS="required") as gateway:
            try_uploads(gateway, report.uploads, report.faults, uploads)
            if not gateway.is_alive:
                report.faults.append("The process ended.")
    if json_file is not None:
        json_file.write_text(json.dumps(asdict(report), indent=1))
    for row in (*report.kinds, *report.uploads):
        print(f"  {row}")  # noqa: T201
    print(f"half_open: health at worst {report.worst_ms} ms ({report.quiet_ms} before), {len(report.faults)} faults")  # noqa: T201
    for fault in report.faults:
        print(f"  fault: {fault}")  # noqa: T201
    raise typer.Exit(1 if report.faults else 0)


if __name__ == "__main__":
    typer.run(main)
