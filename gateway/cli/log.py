"""`pointsman log`: query the inference log where it is stored, compare the sums with it, and erase from it."""

import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from gateway.cli.log_close import close
from gateway.cli.log_compact import compact
from gateway.cli.log_ddl import ddl
from gateway.cli.log_recover import recover
from gateway.cli.log_retention import expire, lifecycle
from gateway.cli.log_sweep import sweep
from gateway.cli.output import errors_printed, print_json, print_table, say
from gateway.cli.settings_flags import Home, read_settings

if TYPE_CHECKING:  # slow to import, and not needed to show the help
    from gateway.control.log_verify import Difference, Verified

_MOST_SHOWN = 20
_PROGRESS_EVERY_S = 5.0

app = typer.Typer(help="Query, verify, compact and erase the inference log.", no_args_is_help=True)
for _command in (close, compact, expire, lifecycle, recover, sweep):
    app.command()(_command)


@app.callback()
def group() -> None:
    """Query, verify and erase from the inference log."""


@app.command()
@errors_printed()
def query(
    sql: Annotated[
        str, typer.Argument(help="SQL over inferences, rewards, labelled, audit, … (DuckDB's dialect).")
    ] = "",
    named: Annotated[str, typer.Option("--named", help="A query that `log queries` lists, instead of SQL.")] = "",
    route: Annotated[str, typer.Option("--route", help="The route that a named query is about.")] = "",
    since: Annotated[str, typer.Option("--since", help="How many days a named query reads: 7d, ….")] = "7d",
    given: Annotated[
        list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="Another parameter of a named query.")
    ] = None,
    printed: Annotated[bool, typer.Option("--print", help="Print a named query as Athena takes it.")] = False,
    athena: Annotated[bool, typer.Option("--athena", help="The SQL is in Athena's dialect.")] = False,
    home: Home = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON list of objects.")] = False,
) -> None:
    """Run SQL over the log, including the rows that are not in Parquet yet."""
    from inference_log.athena.translate import to_duckdb
    from inference_log.files.open import open_files
    from inference_log.query import run_query  # DuckDB and PyArrow are slow to import

    if bool(sql) == bool(named):
        raise ValueError("Give either SQL, or --named with one of the queries that `pointsman log queries` lists.")
    if named:
        sql = named_sql(named, route, since, given or ())
        if printed:
            say(sql)
            return
    if named or athena:
        sql = to_duckdb(sql)
    settings = read_settings(home=home)
    columns, rows = run_query(open_files(settings.log), settings.spool, sql, lambda: _say_empty(settings.log))
    if as_json:
        print_json([dict(zip(columns, row, strict=True)) for row in rows])
    else:
        print_table(columns, rows)


@app.command()
@errors_printed()
def queries() -> None:
    """List the named queries: what they answer, what they scan, and their parameters."""
    from inference_log.athena.named_queries import named_queries

    for each in named_queries():
        say(
            f"{each.name}  ({', '.join(each.parameters) or 'no parameters'})\n  {each.answers}\n  Scans: {each.scans}\n"
        )


app.command()(ddl)


def _say_empty(log: str) -> None:
    say(f"The log {log} has no files yet, and no rows wait to be shipped.", err=True)


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
    from inference_log.files.open import open_files
    from store.open import open_store

    settings = read_settings(home=home)
    store = open_store(settings.store)
    began_s = time.monotonic()
    try:
        verified = verify_log(store, open_files(settings.log), settings.spool, _Progress().say)
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


@app.command()
@errors_printed(exit_code=2)
def erase(
    unit: Annotated[str | None, typer.Option(help="The unit, as requests name it.")] = None,
    unit_hash: Annotated[str | None, typer.Option(help="Its hash, as the column unit_hash has it.")] = None,
    route: Annotated[str | None, typer.Option(help="Only on this route. Without it, on all.")] = None,
    why: Annotated[str, typer.Option(help="The reason, for the table audit.")] = "",
    home: Home = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON object.")] = False,
) -> None:
    """Remove the rows of one unit from the log: requests, rewards, bodies, and what was set aside.

    Exit code 1 if some of them wait in segments, or cannot be read. It may be run again at any time.
    """
    from gateway.cli.log_erase import note_erasure, print_erasure, unit_hash_of
    from inference_log.erase.erase import erase_unit  # PyArrow is slow to import
    from inference_log.files.open import open_files

    settings = read_settings(home=home)
    hashed = unit_hash_of(settings, unit, unit_hash)
    done = erase_unit(open_files(settings.log, settings.log_kms_key), settings.spool, hashed, route, _Progress().say)
    note_erasure(settings, hashed, route, why, done)
    if as_json:
        print_json({"unit_hash": hashed, "complete": done.is_complete, **vars(done), "removed": done.removed})
    else:
        print_erasure(done, hashed)
    if not done.is_complete:
        raise typer.Exit(1)


def named_sql(name: str, route: str, since: str, given: Sequence[str]) -> str:
    """Return a named query in Athena's dialect, with the day of `since` and the values that are `given`.

    Raises:
        QueryRefused: there is no such query, or its parameters are not these.
    """
    from inference_log.athena.named_queries import named_queries, named_query
    from router.quantities import parse_duration_s

    values = dict(_pair(each) for each in given)
    parameters = {each.name: each.parameters for each in named_queries()}.get(name, ())
    if route:
        values["route"] = route
    if "since" in parameters:
        began = datetime.now(UTC) - timedelta(seconds=parse_duration_s(since, "--since"))
        values["since"] = began.strftime("%Y-%m-%d")
    return named_query(name, values)


def _pair(text: str) -> tuple[str, str]:
    name, sign, value = text.partition("=")
    if not sign:
        raise ValueError(f"--set takes NAME=VALUE, not {text!r}.")
    return name, value


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
    if verified.not_shipped:
        say(
            f"{len(verified.not_shipped)} segments of other machines have rows in _strict/ that are not Parquet. If a "
            "machine was lost, `pointsman log recover` stores them."
        )
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
