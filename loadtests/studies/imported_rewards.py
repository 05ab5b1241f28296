"""The time and memory of `pointsman reward import` against a large log, by each key and rule, and what it counts.

The log has `--decisions` decisions, of which each tenth key has two: the first of arm `a`, the second of arm `b`. The
file has as many outcomes, the last three of which have no decision. So it is known how many outcomes have a decision,
and which arm gets how many rewards. The gateway is one replica without Ray.
`python -m loadtests.studies.imported_rewards [--decisions N] [--only unit-last,request_id-all] [--json]`.
"""

import json
import os
import subprocess
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import duckdb
import typer

from gateway.inference.unit_secret import hash_unit, load_unit_secret
from inference_log.record import Context, Record
from inference_log.spool import segments, take_seat
from inference_log.writer import LogWriter
from loadtests.soak.gateway import COMMAND, Gateway, declare, new_home, serving
from loadtests.studies.many_models import publish
from router.document.document import Document
from store.interface import Store
from store.open import open_store

_RULES = ("first", "last", "all")
_KEYS = ("unit", "request_id")
_UNKNOWN = 3
_LIMIT_S = 1800.0
_ROUTE: dict[str, Any] = {
    "route": "learns",
    "unit": "header:x-customer",
    "arms": {"a": "model-0000:1", "b": "model-0000:2"},
    "split": {"a": "50%", "b": "50%"},
    "metrics": {f"{key}_{rule}": {"window": "1d"} for key in _KEYS for rule in (*_RULES, "none")},
}


@dataclass(frozen=True, slots=True)
class _Case:
    """One import, and what it must come to."""

    key: str
    rule: str
    matched: int
    rewards: int
    rewarded: Mapping[str, int]
    """How many decisions of each arm get a reward."""

    @property
    def metric(self) -> str:
        return f"{self.key}_{self.rule}"


def main(
    decisions: Annotated[int, typer.Option(min=100, help="Decisions in the log, and outcomes in the file.")] = 100_000,
    only: Annotated[str, typer.Option(help="Only these, such as unit-last,request_id-all.")] = "",
    port: Annotated[int, typer.Option(help="The first of the two ports of the gateway.")] = 8844,
    home: Annotated[Path | None, typer.Option(help="Keep the gateway's folder here.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Import outcomes by each key and rule, and once more; compare what is counted with what must be."""
    with new_home(home) as folder:
        publish(folder / "models", 1)
        declare(folder, [_ROUTE])
        store = open_store(f"sqlite:///{folder / 'pointsman.db'}")
        entry = store.read("learns")
        if entry is None:
            raise AssertionError("The route was not declared.")
        spool = _write_log(folder, entry.document, decisions)
        _write_outcomes(folder / "outcomes.parquet", decisions)
        with serving(folder, port) as gateway:
            _wait_until_shipped(store, spool, decisions)
            for case in _cases(decisions):
                if not only or f"{case.key}-{case.rule}" in only.split(","):
                    found = _measure(gateway, store, case)
                    typer.echo(json.dumps(found) if as_json else _sentence(case, found))
            for key in _KEYS:
                typer.echo(_refused(gateway, key))
        store.close()


def _own_keys(decisions: int) -> int:
    return decisions - decisions // 10


def _write_log(home: Path, document: Document, decisions: int) -> Path:
    """Write segments as a replica does, of decisions that were made one microsecond after the other."""
    secret, own = load_unit_secret(home), _own_keys(decisions)
    contexts = {
        arm: Context(
            0, "learns", arm, "primary", "split", 1, "abc", {"a": 0.5, "b": 0.5}, "model-0000", version, "d" * 64,
            metrics=document.spec.metrics,
        )
        for arm, version in (("a", "1"), ("b", "2"))
    }  # fmt: skip
    seat = take_seat(home / "spool")
    writer = LogWriter(seat.folder, "study")
    for number in range(decisions):
        name = number % own
        unit, request = hash_unit(f"c{name}", secret), f"r{name}"

        def record(
            context: int, sequence: int, number: int = number, unit: str = unit, request: str = request
        ) -> Record:
            return Record(
                context, sequence, f"{number:024x}", 0, document.declared_us + number + 900, "STICKY", 0.5, unit, 200,
                "ok", "", 900, 250, 1, request, "",
            )  # fmt: skip

        writer.append(contexts["a" if number < own else "b"], record)
    writer.close()
    seat.release()
    return seat.folder


def _write_outcomes(path: Path, decisions: int) -> None:
    """Write as many outcomes: of each key one, of some a second, and some of keys that no decision has."""
    own, known = _own_keys(decisions), decisions - _UNKNOWN
    duckdb.execute(
        f"""COPY (SELECT if(i < {known}, 'r' || i % {own}, 'gone-' || i) AS request_id,
        if(i < {known}, 'c' || i % {own}, 'gone-' || i) AS unit, 1 AS value, 'e' || i AS event
        FROM range({decisions}) AS t(i)) TO '{path}' (FORMAT parquet)"""  # noqa: S608  # numbers and a path of ours
    )


def _cases(decisions: int) -> Iterator[_Case]:
    own, known = _own_keys(decisions), decisions - _UNKNOWN
    twice = decisions - own  # keys with two decisions; of most there are two outcomes
    for key in _KEYS:
        yield _Case(key, "first", known, known, {"a": own, "b": 0})
        yield _Case(key, "last", known, known, {"a": own - twice, "b": twice})
        yield _Case(key, "all", known, known + twice + known - own, {"a": own, "b": twice})


def _wait_until_shipped(store: Store, spool: Path, decisions: int) -> None:
    until_s = time.monotonic() + _LIMIT_S
    while time.monotonic() < until_s:
        counted = sum(value.decisions for value in store.reward_sums("learns", 0, 1).totals.values())
        if counted == decisions * len(_ROUTE["metrics"]) and not segments(spool):
            return
        time.sleep(1.0)
    raise AssertionError(f"The log was not shipped after {_LIMIT_S:.0f} s.")


def _measure(gateway: Gateway, store: Store, case: _Case) -> dict[str, Any]:
    """Import the file twice. Return what was counted, and the time and the memory of each import.

    Raises:
        AssertionError: it is not what it must be.
    """
    first, taken_s, most_mb = _import(gateway, case)
    again, again_s, again_mb = _import(gateway, case)
    rewarded = {
        arm: sum(
            value.rewarded
            for key, value in store.reward_sums("learns", 0, 1).totals.items()
            if (key.metric, key.arm) == (case.metric, arm)
        )
        for arm in "ab"
    }
    found = {
        "key": case.key, "rule": case.rule, "s": round(taken_s), "mb": round(most_mb),
        "again_s": round(again_s), "again_mb": round(again_mb), "rewarded": rewarded,
        **{name: first[name] for name in ("matched", "rewards", "counted", "unmatched", "unmatched_keys")},
        "taken": first["counted"] + first["duplicate"],  # what was sent again, for want of an answer, is a duplicate
        "again_counted": again["counted"], "again_duplicate": again["duplicate"],
    }  # fmt: skip
    expected = {
        "matched": case.matched, "rewards": case.rewards, "taken": case.rewards, "unmatched": _UNKNOWN,
        "again_counted": 0, "again_duplicate": case.rewards, "rewarded": case.rewarded,
    }  # fmt: skip
    if found | expected != found or len(found["unmatched_keys"]) != _UNKNOWN:
        raise AssertionError(f"Found {found}, expected {expected}.")
    return found


def _import(gateway: Gateway, case: _Case) -> tuple[Mapping[str, Any], float, float]:
    """Import by a rule. Return the report, and the time and the most memory of the command, in seconds and MB."""
    began_s = time.monotonic()
    command = _command(gateway, case.key, case.metric, "--rule", case.rule)
    process = subprocess.Popen(command, env=_environment(gateway), stdout=subprocess.PIPE)  # noqa: S603  # our own
    with process:
        content = b"" if process.stdout is None else process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise AssertionError(f"{' '.join(command)} ended with {process.returncode}.")
    return json.loads(content), time.monotonic() - began_s, usage.ru_maxrss / 1024


def _refused(gateway: Gateway, key: str) -> str:
    """Import without a rule, and return why it is refused.

    Raises:
        AssertionError: it is not.
    """
    done = subprocess.run(  # noqa: S603  # our own command
        _command(gateway, key, f"{key}_none"), env=_environment(gateway), capture_output=True, text=True, check=False
    )
    if done.returncode == 0:
        raise AssertionError(f"Ambiguous keys were imported: {done.stdout}")
    return done.stderr.strip()


def _command(gateway: Gateway, key: str, metric: str, *more: str) -> list[str]:
    file = str(gateway.home / "outcomes.parquet")
    return [*COMMAND, "reward", "import", file, "--route", "learns", "--metric", metric, "--key", key,
            "--event-column", "event", "--json", *more]  # fmt: skip


def _environment(gateway: Gateway) -> dict[str, str]:
    return {**gateway.environment, "POINTSMAN_URL": f"http://127.0.0.1:{gateway.port}"}


def _sentence(case: _Case, found: Mapping[str, Any]) -> str:
    return (
        f"{case.key}, {case.rule}: {found['s']} s and {found['mb']} MB for {found['counted']:,} counted of "
        f"{found['rewards']:,}; {found['unmatched']} unmatched; again {found['again_s']} s"
    )


if __name__ == "__main__":
    typer.run(main)
