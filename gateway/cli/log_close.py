"""`pointsman log close`: close days of the log that every machine has shipped."""

import time
from typing import TYPE_CHECKING, Annotated

import typer

from gateway.cli.output import errors_printed, print_json, print_table, say
from gateway.cli.settings_flags import Home, read_settings

if TYPE_CHECKING:  # slow to import, and not needed to show the help
    from inference_log.completeness.close import Day

_DAYS = 3


@errors_printed(exit_code=2)
def close(
    days: Annotated[
        list[str] | None, typer.Option("--day", metavar="DAY", help="A UTC day, YYYY-MM-DD. Default: the last three.")
    ] = None,
    force: Annotated[bool, typer.Option(help="Close it whatever the machines say.")] = False,
    home: Home = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON list of the days.")] = False,
) -> None:
    """Close days that every machine has shipped: count their rows, and write the table closed and the day's marker.

    Companions do this by themselves. Exit code 1 if a day stays open.
    """
    from inference_log.completeness.close import close_day  # DuckDB and PyArrow are slow to import
    from inference_log.completeness.days import days_before
    from inference_log.files.open import open_files

    settings = read_settings(home=home)
    files = open_files(settings.log, settings.log_kms_key)
    now_us = int(time.time() * 1e6)
    found = []
    for day in days or days_before(now_us, _DAYS):
        say(f"· looking at {day} …", err=True)
        found.append(close_day(files, day, now_us, force=force))
    if as_json:
        print_json([{**day._asdict(), "routes": [each._asdict() for each in day.routes]} for day in found])
    else:
        _print(found)
    if any(day.why for day in found):
        raise typer.Exit(1)


def _print(found: "list[Day]") -> None:
    rows = [
        (day.day, each.route, each.inferences, each.rewards, each.writers, each.lost)
        for day in found
        for each in day.routes
    ]
    if rows:
        print_table(("DAY", "ROUTE", "INFERENCES", "REWARDS", "WRITERS", "LOST"), rows)
    for day in found:
        say(f"{day.day} stays open: {day.why}." if day.why else f"{day.day} is closed{_remarks(day)}.")


def _remarks(day: "Day") -> str:
    late = f", with {day.late_files} files that came after it was closed before" if day.late_files else ""
    away = f", without {', '.join(day.away)}, of which nothing was heard for a day" if day.away else ""
    return late + away
