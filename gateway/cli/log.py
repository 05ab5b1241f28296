"""`pointsman log`: query the inference log in the files where it is stored."""

from pathlib import Path
from typing import Annotated

import typer

from gateway.cli.output import errors_printed, print_json, print_table
from gateway.cli.settings_flags import Home, read_settings

app = typer.Typer(help="Query the inference log.", no_args_is_help=True)


@app.callback()
def group() -> None:
    """Query the inference log."""


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
