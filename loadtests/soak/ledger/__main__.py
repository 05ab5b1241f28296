"""A million requests at full speed while S3 is slow, refuses, hangs, is full, denies, is killed; and processes with it.

Before each fault is a stretch of the same length without one: the control. In each stretch the companion is killed with
`kill -9`, and in every other one the replica, which is started again. Afterwards every answered request must be in the
bucket once, and the loss audit must say zero. Then a gateway with little disk gets requests while S3 refuses. All must
be answered, the disk must stay within its bound, and the loss audit must say how many rows were left out.
`python -m loadtests.soak.ledger --requests 100000` takes about five minutes.
"""

import json
import os
import signal
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated, Any, Final

import httpx
import numpy as np
import typer

from inference_log.files.open import open_files
from inference_log.waiting import SpoolMeter, Waiting
from loadtests.soak.gateway import Gateway, declare, serving
from loadtests.soak.ledger.bucket import look
from loadtests.soak.ledger.faults import FAULTS, Fault, Storage
from loadtests.soak.ledger.load import Numbers, Prober, send
from loadtests.soak.models import publish
from tests.support.faulty_proxy import FaultyProxy
from tests.support.s3_server import S3Server

REQUESTS: Final = 1_000_000
LOG: Final = "s3://logs/ledger"
MAX_DISK_BYTES: Final = 2 * 1024**3
LITTLE_DISK_BYTES: Final = 10 * 1024**2
"""A replica and the companion allocate 4 MiB each. The rows take 13 MB, more than there is."""
LITTLE_DISK_REQUESTS: Final = 60_000
_SLACK_BYTES: Final = 5 * 1024**2
"""What is written in two seconds, and a segment that is opened meanwhile."""
_SENDERS: Final = 2
_KILL_COMPANION, _KILL_REPLICA = 0.7, 0.85
"""The shares of a stretch after which they are killed. What was answered before counts for the percentiles."""
_SETTINGS: Final = {"SEGMENT_MAX_AGE_S": "2"}
_SHIPPED_WITHIN_S: Final = 600.0
_POLL_S: Final = 0.2


@dataclass(slots=True)
class Report:
    """What was seen. `faults` is empty if all is well. Times are milliseconds unless their names say otherwise."""

    requests: int
    seconds: float = 0.0
    answered: int = 0
    stretches: list[dict[str, Any]] = field(default_factory=list)
    replicas_killed: int = 0
    companions_killed: int = 0
    spool_peak_mb: float = 0.0
    shipped_after_s: float = 0.0
    p99_control: float = 0.0
    p99_faults: float = 0.0
    bucket: dict[str, int] = field(default_factory=dict)
    metrics: dict[str, float] = field(default_factory=dict)
    little_disk: dict[str, float] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)


class Run:
    """One gateway that is killed and started again, with its load."""

    def __init__(
        self, home: Path, port: int, storage: Storage, report: Report, *, log: str = LOG, max_disk_bytes: int
    ) -> None:
        self.home, self._port, self._storage, self.report = home, port, storage, report
        self._settings = {**_SETTINGS, "LOG": log, "LOG_MAX_DISK_BYTES": str(max_disk_bytes)}
        os.environ.update({**storage.server.environment, "AWS_ENDPOINT_URL_S3": storage.proxy.url})
        self.numbers = Numbers(report.requests)
        self._meter = SpoolMeter(home / "spool")
        self._stack = ExitStack()
        self._gateway: Gateway | None = None

    def start(self) -> None:
        """Start the gateway."""
        self._gateway = self._stack.enter_context(serving(self.home, self._port, **self._settings))

    def end(self) -> None:
        """End the gateway in order."""
        self._stack.close()

    def stretch(self, prober: Prober, fault: Fault | None, end: int, *, kills_replica: bool) -> None:
        """Send requests up to the number `end` while S3 fails so, or not at all."""
        name, report, first = fault.name if fault else "control", self.report, self.numbers.taken
        if fault is not None:
            fault.begin(self._storage)
        prober.label, began_s, length = name, time.monotonic(), end - first
        self._send_up_to(first + int(length * _KILL_COMPANION))
        prober.label = ""
        self._send_up_to(first + int(length * _KILL_REPLICA), self._kill_companion)
        self._send_up_to(end, self._kill_replica if kills_replica else None)
        took_s = time.monotonic() - began_s
        if fault is not None:
            fault.end(self._storage)
        report.stretches.append({
            "name": name,
            "seconds": round(took_s, 1),
            "requests_per_s": round((self.numbers.taken - first) / took_s),
            "spool_mb": round(self._sample().total_bytes / 1e6, 1),
        })  # fmt: skip

    def _send_up_to(self, end: int, kill: Callable[[], None] | None = None) -> None:
        """Send requests up to the number `end`, and kill a process as soon as they are under way."""
        self.numbers.allow(end)
        threads = [threading.Thread(target=send, args=(self._port, self.numbers), daemon=True) for _ in range(_SENDERS)]
        for thread in threads:
            thread.start()
        if kill is not None:
            kill()
        while any(thread.is_alive() for thread in threads):
            self._sample()
            time.sleep(_POLL_S)

    def await_shipped(self) -> float:
        """Wait until no segment has rows that are not stored. Return the seconds that it took."""
        began_s = time.monotonic()
        while self._rows_wait() and time.monotonic() - began_s < _SHIPPED_WITHIN_S:
            time.sleep(_POLL_S)
        return round(time.monotonic() - began_s, 1)

    def metrics(self) -> dict[str, float]:
        """Return what the gateway publishes of its log."""
        text = httpx.get(f"http://127.0.0.1:{self._port}/metrics", trust_env=False, timeout=60).text
        lines = [line.rsplit(" ", 1) for line in text.splitlines() if line.startswith("pointsman_log_")]
        return {name: float(value) for name, value in lines}

    def _rows_wait(self) -> bool:
        # Segments that are being written have no rows once the load has ended, and age closes those that have.
        return bool(list((self.home / "spool").glob("[0-9]*/*.segment")))

    def _sample(self) -> Waiting:
        with suppress(OSError):
            found = self._meter.measure()
            self.report.spool_peak_mb = max(self.report.spool_peak_mb, round(found.total_bytes / 1e6, 1))
            return found
        return Waiting()

    def _kill_companion(self) -> None:
        with suppress(OSError, ValueError, IndexError):
            os.kill(int((self.home / "spool" / "companion" / "lock").read_text().split()[0]), signal.SIGKILL)
            self.report.companions_killed += 1

    def _kill_replica(self) -> None:
        if self._gateway is not None:
            self._gateway.process.kill()
            self._gateway.process.wait()
        self.report.replicas_killed += 1
        self.start()


@contextmanager
def storing(folder: Path) -> Iterator[Storage]:
    """Start a server with the bucket `logs` behind a proxy; end both after the block."""
    server = S3Server(folder, "logs")
    server.start()
    proxy = FaultyProxy(server.url)
    try:
        yield Storage(server, proxy)
    finally:
        proxy.close()
        server.kill()


def run(home: Path, port: int, storage: Storage, report: Report, faults: tuple[Fault, ...] = FAULTS) -> None:
    """Send the requests, with a control before each fault, and look into the bucket."""
    began_s = time.monotonic()
    declare(home, publish(home / "models", ("FP32",)))
    one = Run(home, port, storage, report, max_disk_bytes=MAX_DISK_BYTES)
    one.start()
    try:
        prober, each = Prober(port, one.numbers), report.requests // (2 * len(faults))
        for number, fault in enumerate(faults):
            one.stretch(prober, None, (2 * number + 1) * each, kills_replica=False)
            one.stretch(prober, fault, (2 * number + 2) * each, kills_replica=number % 2 == 1)
        prober.stop()
        report.shipped_after_s = one.await_shipped()
        report.metrics = one.metrics()
    finally:
        one.end()
    report.seconds = round(time.monotonic() - began_s, 1)
    report.answered = int(one.numbers.answered.sum())
    of_control = prober.taken_s.get("control", [0.0])
    of_faults = [taken_s for fault in faults for taken_s in prober.taken_s.get(fault.name, [])] or [0.0]
    report.p99_control, report.p99_faults = (
        round(1e3 * np.percentile(each, 99), 2) for each in (of_control, of_faults)
    )
    for stretch in report.stretches:
        taken_s = prober.taken_s.get(stretch["name"], [0.0])
        stretch["p50_ms"], stretch["p99_ms"] = _ms(taken_s, 50), _ms(taken_s, 99)
    os.environ["AWS_ENDPOINT_URL_S3"] = storage.server.url
    report.bucket = look(open_files(LOG), one.numbers.answered)._asdict()
    judge(report)


def run_with_little_disk(home: Path, port: int, storage: Storage, report: Report) -> None:
    """Send requests while S3 refuses, until there is no room, and some more when it answers again."""
    log, little, extra = f"{LOG}-little", Report(LITTLE_DISK_REQUESTS), 200
    declare(home, publish(home / "models", ("FP32",)))
    one = Run(home, port, storage, little, log=log, max_disk_bytes=LITTLE_DISK_BYTES)
    one.start()
    try:
        prober = Prober(port, one.numbers)
        refusing = next(fault for fault in FAULTS if fault.name == "refusing")
        one.stretch(prober, refusing, little.requests - extra, kills_replica=False)
        one.await_shipped()
        one.stretch(prober, None, little.requests, kills_replica=False)  # so that the numbers have an end
        prober.stop()
        one.await_shipped()
        dropped = one.metrics()['pointsman_log_dropped_total{reason="bound"}']
    finally:
        one.end()
    os.environ["AWS_ENDPOINT_URL_S3"] = storage.server.url
    found = look(open_files(log), one.numbers.answered)
    answered = int(one.numbers.answered.sum())
    report.little_disk = {
        "answered": answered, "rows": found.rows, "dropped": dropped, "lost": found.lost, "missing": found.missing,
        "spool_peak_mb": little.spool_peak_mb, "max_disk_mb": LITTLE_DISK_BYTES / 1e6,
    }  # fmt: skip
    if not answered == little.requests == found.rows + dropped or not dropped == found.lost == found.missing > 0:
        report.faults.append(f"With little disk: {report.little_disk}")
    if little.spool_peak_mb > (LITTLE_DISK_BYTES + _SLACK_BYTES) / 1e6:
        report.faults.append(f"With little disk, the spool took {little.spool_peak_mb} MB.")


def _ms(taken_s: list[float], percentile: float) -> float:
    return round(1e3 * float(np.percentile(taken_s, percentile)), 2)


def judge(report: Report) -> None:
    """Note what is wrong."""
    for name in ("missing", "twice", "repeated", "lost"):
        if report.bucket[name]:
            report.faults.append(f"{report.bucket[name]:,} rows are {name}.")
    if report.spool_peak_mb > MAX_DISK_BYTES / 1e6:
        report.faults.append(f"The spool took {report.spool_peak_mb:,} MB.")
    if report.answered < 0.9 * report.requests:
        report.faults.append(f"Only {report.answered:,} requests were answered.")


def main(
    requests: Annotated[int, typer.Option(help="Requests in all.")] = REQUESTS,
    port: Annotated[int, typer.Option(help="HTTP is here, gRPC one above.")] = 8864,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write all figures to this file.")] = None,
) -> None:
    """Send the requests, and exit with 1 if a row is missing, is there twice, or the disk was not bounded."""
    report = Report(requests)
    with (
        tempfile.TemporaryDirectory(prefix="pointsman-soak-", ignore_cleanup_errors=True) as folder,
        storing(Path(folder) / "s3") as storage,
    ):
        for name, part in (("home", run), ("little", run_with_little_disk)):
            home = Path(folder) / name
            home.mkdir()
            part(home, port, storage, report)
    if json_file is not None:
        json_file.write_text(json.dumps(asdict(report), indent=1))
    for stretch in report.stretches:
        print(f"  {stretch}")  # noqa: T201
    shown = {name: value for name, value in asdict(report).items() if name not in ("stretches", "faults")}
    print(f"ledger: {shown}")  # noqa: T201
    for fault in report.faults[:20]:
        print(f"  fault: {fault}")  # noqa: T201
    raise typer.Exit(1 if report.faults else 0)


if __name__ == "__main__":
    typer.run(main)
