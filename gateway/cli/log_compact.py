"""`pointsman log compact`: turn the small files of a closed day into few large ones."""

import tempfile
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gateway.cli.output import errors_printed, print_json, print_table, say
from gateway.cli.settings_flags import Home, read_settings

if TYPE_CHECKING:  # slow to import, and not needed to show the help
    from inference_log.compaction.run import Compacted

_MB = 1024 * 1024
_MINUTE_US = 60_000_000

Day = Annotated[str, typer.Option("--day", metavar="DAY", help="A UTC day, YYYY-MM-DD.")]
Routes = Annotated[list[str] | None, typer.Option("--route", help="Only this route; may be repeated. Default: all.")]


@errors_printed(exit_code=2)
def compact(
    day: Day,
    routes: Routes = None,
    target_mb: Annotated[int, typer.Option(min=1, max=4096, help="Size of the new files.")] = 256,
    keep_min: Annotated[
        int, typer.Option(min=0, help="Minutes for which replaced files stay. A later run removes them.")
    ] = 60,
    force: Annotated[bool, typer.Option(help="Compact it though it is not closed.")] = False,
    home: Home = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON list of what was done.")] = False,
) -> None:
    """Turn the small files of a closed day into few large ones, without duplicates, sorted by time.

    It also makes the table wide, which has a column for each feature. What was written is read back and compared before
    anything is removed. It may run twice, beside readers and shippers, and be killed. Temporary files are in TMPDIR.
    """
    from inference_log.compaction.day import compact_day  # DuckDB and PyArrow are slow to import
    from inference_log.files.open import open_files
    from inference_log.sinks.open import open_sink

    settings = read_settings(home=home)
    with tempfile.TemporaryDirectory(prefix="pointsman-") as folder:
        made = compact_day(
            open_files(settings.log),
            open_sink(settings.log, Path(folder) / "staged", settings.log_kms_key),
            Path(folder) / "read",
            day,
            now=lambda: time.time_ns() // 1000,
            routes=routes or (),
            target_bytes=target_mb * _MB,
            keep_us=keep_min * _MINUTE_US,
            force=force,
            progress=lambda text: say(f"· {text} …", err=True),
        )
        if as_json:
            print_json([each._asdict() for each in made])
        else:
            _print(made, day)


def _print(made: "Iterable[Compacted]", day: str) -> None:
    done = list(made)
    if done:
        columns = ("TABLE", "ROUTE", "ROWS", "DUPLICATES", "FILES", "MB", "INTO", "MB", "WIDE COLUMNS", "REMOVED")
        print_table(columns, list(_rows(done)))
    else:
        say(f"{day} has nothing to compact.")


def _rows(made: "Iterable[Compacted]") -> Iterator[tuple[object, ...]]:
    for each in made:
        sizes = (f"{each.input_bytes / _MB:.1f}", f"{each.output_bytes / _MB:.1f}")
        yield (
            each.table, each.route, each.rows, each.duplicates, each.inputs, sizes[0], each.outputs, sizes[1],
            each.wide_columns, each.removed,
        )  # fmt: skip
