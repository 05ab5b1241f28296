"""`pointsman log`: query the inference log in the files where it is stored, and compare the sums with it."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gateway.cli.log_close import close
from gateway.cli.log_compact import compact
from gateway.cli.log_retention import expire, lifecycle
from gateway.cli.output import errors_printed, print_json, print_table, say
from gateway.cli.settings_flags import Home, read_settings

if TYPE_CHECKING:  # slow to import, and not needed to show the help
    from gateway.control.log_verify import Difference, Verified

_MOST_SHOWN = 20
_PROGRESS_EVERY_S = 5.0

app = typer.Typer(help="Query and verify the inference log.", no_args_is_help=True)
for _command in (close, compact, expire, lifecycle):
    app.command()(_command)


@app.callback()
def group() -> None:
    """Query and verify the inference log."""


@app.command()
@errors_printed()
def query(
    sql: Annotated[str, typer.Argument(help="SQL over inferences, rewards, labelled, audit, … (DuckDB's dialect).")],
    home: Home = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON list of objects.")] = False,
) -> None:
    """Run SQL over the log, including the rows that are not in Parquet yet."""
    from inference_log.query import run_query  # DuckDB and PyArrow are slow to import

    settings = read_settings(home=home)
    columns, rows = run_query(Path(settings.log), settings.spool, sql)
    if as_json:
        print_json([dict(zip(columns, row, strict=True)) for row in rows])
    else:
        print_table(columns, rows)


@app.command()
@errors_printed(exit_code=2)
def verify(
    home: Home = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON object with all differences.")] = False,
) -> None:
    """Rebuild the sums of requests and rewards from the log, and compare them with the store's, to the integer.

    Exit code 1 if they differ. A gateway may go on meanwhile.
    """
    from gateway.control.log_verify import verify_log  # DuckDB and PyArrow are slow to import
    from store.open import open_store

    settings = read_settings(home=home)
    store = open_store(settings.store)
    began_s = time.monotonic()
    try:
        verified = verify_log(store, Path(settings.log), settings.spool, _Progress().say)
    finally:
        store.close()
    if as_json:
        differences = [each._asdict() for each in verified.differences]
        lost = [each._asdict() for each in verified.lost]
        print_json({**vars(verified), "equal": not differences, "lost": lost, "differences": differences})
    else:
        _print(verified, time.monotonic() - began_s)
    if verified.differences:
        raise typer.Exit(1)


class _Progress:
    """Says what is done now, every five seconds, on standard error."""

    def __init__(self) -> None:
        self._said_s = time.monotonic()

    def say(self, text: str) -> None:
        """Say it, unless something was said just now."""
        if time.monotonic() - self._said_s >= _PROGRESS_EVERY_S:
            self._said_s = time.monotonic()
            say(f"· {text} …", err=True)


def _print(verified: "Verified", took_s: float) -> None:
    read = f"{verified.decisions:,} decisions and {verified.rewards:,} rewards were read in {took_s:.1f} s"
    if verified.older_versions:
        say(f"{verified.older_versions} older policy versions were not compared: the store no longer tells their sums.")
    if verified.set_aside:
        say(f"{verified.set_aside} segments were set aside (dead-letter); what was counted of them is not in the log.")
    if verified.lost:
        print_table(("WRITER", "ROUTE", "DROPPED", "TORN", "SEGMENTS", "UNKNOWN"), verified.lost)
        say(f"{sum(each.rows for each in verified.lost):,} rows are lost: no row of the log has their number.")
    if not verified.differences:
        say(f"The log and the store agree in all {verified.sums:,} sums; {read}.")
        return
    print_table(("ROUTE", "VERSION", "ARM", "METRIC", "GROUP", "SUM", "STORE", "LOG"), _rows(verified.differences))
    say(f"{len(verified.differences):,} of {verified.sums:,} sums differ; {read}. --json prints all.")


def _rows(differences: "Sequence[Difference]") -> list[tuple[object, ...]]:
    return [
        (each.route, each.policy_version, each.arm, each.metric, each.group, name, stored, each.log[name])
        for each in differences[:_MOST_SHOWN]
        for name, stored in each.store.items()
        if stored != each.log[name]
    ]
