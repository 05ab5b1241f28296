"""`pointsman replay`: compute the decisions of the log again, bit for bit."""

import time
from typing import TYPE_CHECKING, Annotated

import typer

from gateway.cli.output import errors_printed, print_json, print_table, say
from gateway.cli.progress_bar import progress_bar
from gateway.cli.settings_flags import Home, read_settings
from router.quantities import parse_duration_s

if TYPE_CHECKING:  # slow to import, and not needed to show the help
    from analysis.replay.report import Replayed

_MOST_SHOWN = 20


@errors_printed(exit_code=2)
def replay(
    route: Annotated[str | None, typer.Option("--route", help="Only this route.", show_default="all")] = None,
    since: Annotated[
        str | None, typer.Option("--since", help="Only the last 1h, 14d, ….", show_default="the whole log")
    ] = None,
    home: Home = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON object with the differences.")] = False,
) -> None:
    """Compute the decisions and learned policies of the log again, and compare every bit.

    Exit code 1 if any differ. What the log lacks is said, and is no difference.

    Of decisions for units, the log has only a hash: their propensity is computed, not their arm.
    """
    from analysis.replay.replay import replay_log  # DuckDB and PyArrow are slow to import
    from inference_log.files.open import open_files

    since_us = 0 if since is None else time.time_ns() // 1000 - round(1e6 * parse_duration_s(since, "--since"))
    settings = read_settings(home=home)
    began_s = time.monotonic()
    with progress_bar() as progress:
        found = replay_log(open_files(settings.log), settings.spool, progress, route=route, since_us=since_us)
    if as_json:
        print_json({**vars(found), "differences": [each._asdict() for each in found.differences]})
    else:
        _print(found, time.monotonic() - began_s)
    if found.differ:
        raise typer.Exit(1)


def _print(found: "Replayed", took_s: float) -> None:
    say(f"{found.decisions:,} decisions were computed again: arm, reason and propensity.")
    if found.by_propensity:
        say(
            f"Of {found.by_propensity:,} decisions for units it was the propensity, and that a unit had one arm under "
            f"each slot table: {found.units:,} pairs."
        )
    say(f"{found.policies:,} learned policies were computed again: weights and slots. All took {took_s:.1f} s.")
    for sentence, count in found.gaps.most_common(_MOST_SHOWN):
        say(f"Not computed ({count:,}): {sentence}")
    if len(found.gaps) > _MOST_SHOWN:
        say(f"… and {len(found.gaps) - _MOST_SHOWN:,} more; --json prints all.")
    if not found.differ:
        say("Nothing differs.")
        return
    columns = ("ROUTE", "VERSION", "POLICY", "OF", "WHAT", "LOGGED", "COMPUTED")
    print_table(columns, found.differences[:_MOST_SHOWN])
    say(f"{found.differ:,} differ. --json prints the first {len(found.differences):,}.")
