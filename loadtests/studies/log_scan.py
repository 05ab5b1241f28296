"""Bytes that each named query reads of a day in S3: of its many small files, and of what `log compact` makes of them.

A route with three arms and 30 features logs a day of requests and clicks, which are shipped in small files. Each query
is run over a real S3 server behind a proxy, which adds up the bytes that the server sends for objects. Then the day is
compacted, what was replaced is removed, and the queries are run again; their rows must be the same. The last two lines
are a feature's mean over the map of features, and over its column in the table `wide`.
`python -m loadtests.studies.log_scan [--requests N] [--files N] [--json]`.
"""

import json
import os
import random
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final

import duckdb
import numpy as np
import pyarrow.dataset as ds
import typer
from rich.console import Console
from rich.table import Table

from inference_log.athena.named_queries import named_queries, named_query
from inference_log.athena.translate import to_duckdb
from inference_log.compaction.day import compact_day
from inference_log.files.open import open_files
from inference_log.query import run_query
from inference_log.sinks.open import open_sink
from runtimes.manifest import Manifest, TensorSpec
from tests.support.faulty_proxy import FaultyProxy
from tests.support.logged_bandit import BANDIT, BEGAN_S, Asked, LoggedBandit
from tests.support.s3_server import S3Server

DAY: Final = "2026-01-01"
LOG: Final = "s3://logs/scan"
FEATURES: Final = 30
_SPLIT: Final = {key: value for key, value in BANDIT.items() if key != "bandit"} | {
    "split": {"a": "20%", "b": "30%", "c": "50%"}
}
_RATES: Final = {"a": 0.1, "b": 0.2, "c": 0.3}
_VALUES: Final = {"route": "shop", "since": DAY, "metric": "click", "arm": "c", "feature": "x3"}
_UNITS: Final = 20_000
_DECIDED_WITHIN_S: Final = 40_000
_FROM_MAP: Final = "SELECT avg(element_at(features_num, 'x3')[1]) FROM inferences WHERE route = 'shop'"
_MB: Final = 1e6


def main(
    requests: Annotated[int, typer.Option(min=1, help="Requests of the day.")] = 200_000,
    files: Annotated[int, typer.Option(min=1, help="How often they are shipped.")] = 200,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
) -> None:
    """Run each named query over a day before and after it is compacted, and show what it has read."""
    console = Console(stderr=True)
    with tempfile.TemporaryDirectory(prefix="pointsman-scan-") as folder:
        work = Path(folder)
        console.print(f"· logging {requests:,} requests in {files} parts …")
        _fill(work, requests, files)
        server = S3Server(work / "s3", "logs")
        server.start()
        proxy = FaultyProxy(server.url)
        try:
            os.environ.update({**server.environment, "AWS_ENDPOINT_URL_S3": proxy.url})
            _upload(server, work / "log")
            report = _measured(proxy, work, console)
        finally:
            proxy.close()
            server.kill()
    if as_json:
        typer.echo(json.dumps(report, indent=1))
    else:
        _print(report)


def _measured(proxy: FaultyProxy, work: Path, console: Console) -> dict[str, Any]:
    before = _size()
    opened, rows = _scan(proxy, work, console)
    console.print("· compacting …")
    for _ in range(2):  # the second run removes what the first has replaced
        made = compact_day(
            open_files(LOG), open_sink(LOG, work / "staged"), work / "read", DAY,
            now=lambda: time.time_ns() // 1000, target_bytes=256 * 1024**2, keep_us=0, force=True,
        )  # fmt: skip
        list(made)
    after = _size()
    compacted, again = _scan(proxy, work, console)
    unlike = [name for name, found in rows.items() if not _alike(found, again[name])]
    from_map = _sent(proxy, lambda: run_query(open_files(LOG), work / "none", _FROM_MAP))
    wide = _sent(proxy, _mean_of_wide)
    return {
        "open": before, "compacted": after, "unlike": unlike,
        "queries": {name: {"open": opened[name], "compacted": compacted[name]} for name in opened},
        "mean_of_a_feature": {"map": from_map, "wide": wide},
    }  # fmt: skip


def _fill(work: Path, requests: int, files: int) -> None:
    """Write the day's log into the directory `log`."""
    names = tuple(f"x{number}" for number in range(FEATURES))
    inputs = (TensorSpec("x", "FP32", (-1, FEATURES), names),)
    manifest = Manifest(
        runtime="onnx", file="m", sha256="0" * 64, inputs=inputs, outputs=(TensorSpec("y", "FP32", (-1,)),)
    )
    values = np.random.default_rng(0)

    def ask(_: random.Random) -> Asked:
        return Asked(_RATES, (values.normal(size=FEATURES).astype(np.float32).tobytes(),))

    logged = LoggedBandit(work, _SPLIT, _RATES, ask=ask, manifest=manifest)
    for part in range(files):
        count = requests * (part + 1) // files - requests * part // files
        logged.decide(count, BEGAN_S + part * _DECIDED_WITHIN_S // files, units=_UNITS)
        logged.ship()


def _upload(server: S3Server, log: Path) -> None:
    client = server.client()
    for path in log.rglob("*.parquet"):
        client.upload_file(str(path), "logs", f"scan/{path.relative_to(log)}")


def _scan(proxy: FaultyProxy, work: Path, console: Console) -> tuple[dict[str, int], dict[str, Any]]:
    """Return the bytes that each query has read, and its rows."""
    read, rows = {}, {}
    for query in named_queries():
        console.print(f"· {query.name} …")
        sql = to_duckdb(named_query(query.name, {name: _VALUES[name] for name in query.parameters}))
        found: list[Any] = []
        read[query.name] = _sent(proxy, lambda sql=sql, found=found: found.extend(_run(sql, work)))
        rows[query.name] = found
    return read, rows


def _run(sql: str, work: Path) -> list[tuple[Any, ...]]:
    return run_query(open_files(LOG), work / "none", sql)[1]


def _sent(proxy: FaultyProxy, run: Any) -> int:
    """Return the bytes of objects that the server has sent while `run` ran."""
    before = proxy.sent_bytes
    run()
    return proxy.sent_bytes - before


def _mean_of_wide() -> None:
    files = open_files(LOG)
    stored = [files.path(each.key) for each in files.list("wide/")]
    wide = ds.dataset(stored, filesystem=files.filesystem, format="parquet")
    with duckdb.connect() as connection:
        connection.register("wide", wide)
        connection.execute("SELECT avg(feature_x3) FROM wide").fetchall()


def _size() -> dict[str, float]:
    stored = open_files(LOG).list("inferences/")
    return {"files": len(stored), "mb": round(sum(each.size for each in stored) / _MB, 2)}


def _alike(one: Any, other: Any) -> bool:
    """Return True if rows are the same but for the last digits of sums."""
    return [list(map(_about, row)) for row in one] == [list(map(_about, row)) for row in other]


def _about(value: object) -> object:
    return float(f"{value:.9g}") if isinstance(value, float) else value


def _print(report: Mapping[str, Any]) -> None:
    table = Table("query", "open day, MB", "compacted, MB", "÷", box=None)
    for name, read in report["queries"].items():
        table.add_row(name, *(f"{read[each] / _MB:.2f}" for each in ("open", "compacted")), _ratio(read))
    of_mean = report["mean_of_a_feature"]
    table.add_row("mean of a feature: map, wide", f"{of_mean['map'] / _MB:.2f}", f"{of_mean['wide'] / _MB:.2f}", "")
    console = Console()
    console.print(table)
    for name in ("open", "compacted"):
        console.print(f"{name}: {report[name]['files']} files, {report[name]['mb']} MB of inferences")
    console.print(f"queries whose rows differ: {', '.join(report['unlike']) or 'none'}")


def _ratio(read: Mapping[str, int]) -> str:
    return f"{read['compacted'] / read['open']:.2f}" if read["open"] else "-"


if __name__ == "__main__":
    typer.run(main)
