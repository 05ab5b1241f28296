"""`pointsman reward import FILE`: reports outcomes under a key of the business, which the log leads to decisions."""

import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gateway.cli.api_error import AnswerLost, ApiError
from gateway.cli.client import ApiClient
from gateway.cli.import_file import local_file
from gateway.cli.options import OURS, Json, Url
from gateway.cli.output import errors_printed, print_json, say
from gateway.cli.settings_flags import Home, read_settings

if TYPE_CHECKING:  # slow to import, and not needed to show the help
    from inference_log.outcome_join import Joined, Match

_BATCH = 1000
_TRIES = 30
_PAUSE_S = 1.0
_NOT_NOW = 503
_MEMORY = "1GB"
_SENTENCES = 5
_KEYS = ("decision_id", "request_id", "unit")
_RULES = ("", "first", "last", "all")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass
class _Report:
    """What became of the rows of a file."""

    source: str
    empty: int = 0
    matched: int = 0
    rewards: int = 0
    unmatched: int = 0
    unmatched_keys: Sequence[str] = ()
    results: Counter[str] = field(default_factory=Counter)
    refusals: list[str] = field(default_factory=list)

    def join(self, joined: "Joined") -> None:
        """Note which rows have a decision."""
        self.matched, self.rewards, self.unmatched, self.unmatched_keys = joined

    def add(self, results: Sequence[dict[str, Any]]) -> None:
        """Note what became of some rewards."""
        self.results.update(each["result"] for each in results)
        new = [each["error"] for each in results if each["result"] == "refused" and each["error"] not in self.refusals]
        self.refusals += new[: _SENTENCES - len(self.refusals)]


@errors_printed()
def import_file(
    file: Annotated[str, typer.Argument(metavar="FILE", help="A path or s3://…: .parquet, .csv or .jsonl.")],
    route: Annotated[str, typer.Option("--route", help="The route that made the decisions.")],
    metric: Annotated[str, typer.Option("--metric", help="A metric that the route declares.")],
    key: Annotated[str, typer.Option("--key", help="What the key is: decision_id, request_id or unit.")],
    column: Annotated[str, typer.Option("--column", help="The column of the key.", show_default="as --key")] = "",
    value_column: Annotated[
        str, typer.Option("--value-column", help="The column of the value.", show_default="value")
    ] = "",
    label_column: Annotated[str, typer.Option("--label-column", help="The column of the label, of a label.")] = "",
    time_column: Annotated[
        str, typer.Option("--time-column", help="The column of the time of the outcome.", show_default="now")
    ] = "",
    event_column: Annotated[
        str, typer.Option("--event-column", help="The column of the event's id.", show_default="a hash of the row")
    ] = "",
    rule: Annotated[str, typer.Option("--rule", help="Which of several decisions of a key: first, last or all.")] = "",
    home: Home = None,
    url: Url = OURS,
    as_json: Json = False,
) -> None:
    """Report outcomes from a file, joined to decisions by the log of this home.

    It may be repeated: an event of a decision counts once. Exit code 1 if some were refused.
    """
    _one_of("--key", key, _KEYS)
    _one_of("--rule", rule, _RULES)
    if value_column and label_column:
        raise ValueError("Name either --value-column or --label-column: a metric has values or labels.")
    from inference_log.outcome_file import OutcomeColumns

    columns = OutcomeColumns(
        column or key, value_column or ("" if label_column else "value"), label_column, time_column, event_column
    )
    report = _Report(f"import {file[-200:]}")
    with _joined(file, route, metric, key, rule, columns, home, report) as matches:
        if not as_json:
            say(f"{report.matched:,} rows have a decision, {report.unmatched:,} have none.", err=True)
        _send(ApiClient(url), route, metric, matches, report)
    _print(report, as_json=as_json)
    if report.results["refused"]:
        raise typer.Exit(1)


def _now_us() -> int:
    return time.time_ns() // 1000


def _one_of(option: str, given: str, allowed: Sequence[str]) -> None:
    if given not in allowed:
        raise ValueError(f"{option} must be {', '.join(filter(None, allowed))}, not {given!r}.")


@contextmanager
def _joined(
    file: str, route: str, metric: str, key: str, rule: str, columns: Any, home: Path | None, report: _Report
) -> "Iterator[Iterator[Match]]":
    """Yield the outcomes of a file with their decisions."""
    from gateway.inference.unit_secret import hash_unit, read_unit_secret
    from inference_log.declared_metrics import create_metrics
    from inference_log.files.open import open_files
    from inference_log.outcome_file import read_outcomes
    from inference_log.outcome_join import KeyKind, Rule, join_outcomes, matches
    from inference_log.query import open_log

    settings = read_settings(home=home)
    secret = read_unit_secret(settings.home, settings.unit_secret_file) if key == "unit" else b""
    if secret is None:
        raise ValueError(
            f"The log has hashes of units, and {settings.home / 'secret'}, the key that makes them, is not there. Run "
            "this with --home of a gateway of this log, or copy the file from there."
        )
    with (
        tempfile.TemporaryDirectory(prefix="pointsman-") as folder,
        local_file(file, Path(folder)) as path,
        open_log(open_files(settings.log), settings.spool) as connection,
    ):
        connection.execute(f"SET memory_limit = '{_MEMORY}'")
        connection.execute("SET temp_directory = ?", [folder])
        create_metrics(connection)
        report.empty = read_outcomes(connection, path, columns, _now_us())
        chosen = Rule(rule) if rule else None
        joined = join_outcomes(connection, route, metric, KeyKind(key), chosen, lambda unit: hash_unit(unit, secret))
        report.join(joined)
        yield matches(connection)


def _send(client: ApiClient, route: str, metric: str, matches: "Iterator[Match]", report: _Report) -> None:
    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("Importing", total=report.rewards)
        while batch := list(islice(matches, _BATCH)):
            report.add(_post(client, route, report, [_reward(metric, each) for each in batch]))
            progress.advance(task, len(batch))


def _post(client: ApiClient, route: str, report: _Report, rewards: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Send rewards, and again while it is not known that they were counted: each counts once."""
    for tries in range(1, _TRIES + 1):
        try:
            return client.import_rewards(route, report.source, rewards)
        except ApiError as error:
            was_there = isinstance(error, AnswerLost) or (error.status is None and bool(report.results))
            if tries == _TRIES or not (was_there or error.status == _NOT_NOW):
                raise
        time.sleep(_PAUSE_S)
    raise AssertionError  # the last try has raised


def _reward(metric: str, match: "Match") -> dict[str, Any]:
    reward: dict[str, Any] = {
        "decision": {
            "decision_id": match.decision_id,
            "policy_version": match.policy_version,
            "arm": match.arm,
            "propensity": match.propensity,
            "decided_us": match.decided_us,
            "latency_us": match.latency_us,
            "group": match.group,
            **({} if match.context is None else {"context": list(match.context)}),
            **({} if not match.weights else {"weights": dict(match.weights)}),
        },
        "metric": metric,
        "event": match.event,
        "time": (_EPOCH + timedelta(microseconds=match.us)).isoformat(),
    }
    if match.label is None:
        reward["value"] = match.value
    else:
        reward["label"] = match.label
    return reward


def _print(report: _Report, *, as_json: bool) -> None:
    if as_json:
        print_json(vars(report) | {name: report.results[name] for name in ("counted", "duplicate", "late", "refused")})
        return
    became = ", ".join(f"{count:,} {name}" for name, count in sorted(report.results.items())) or "nothing to report"
    say(f"{report.matched:,} rows have a decision ({report.rewards:,} rewards): {became}.")
    if report.unmatched:
        say(f"{report.unmatched:,} rows have no decision in the log, such as {', '.join(report.unmatched_keys)}.")
    if report.empty:
        say(f"{report.empty:,} rows have no key or no outcome.")
    for sentence in report.refusals:
        say(f"Refused: {sentence}", err=True)
