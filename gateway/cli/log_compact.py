"""`pointsman log compact`: turn the small files of a closed day into few large ones."""

import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gateway.cli.output import errors_printed, print_json, print_table, say
from gateway.cli.settings_flags import Home, read_settings

if TYPE_CHECKING:  # slow to import, and not needed to show the help
    from inference_log.compaction.iceberg import Committed
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
    iceberg: Annotated[
        str, typer.Option(metavar="CATALOG.NAMESPACE.TABLE", help="Commit the compacted rows to this table of Iceberg.")
    ] = "",
    home: Home = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON object with what was done.")] = False,
) -> None:
    """Turn the small files of a closed day into few large ones, without duplicates, sorted by time.

    It also makes the table wide, which has a column for each feature. What was written is read back and compared before
    anything is removed. It may run twice, beside readers and shippers, and be killed. Temporary files are in TMPDIR.
    """
    from inference_log.compaction.day import compact_day  # DuckDB and PyArrow are slow to import
    from inference_log.files.open import open_files
    from inference_log.sinks.open import open_sink

    settings = read_settings(home=home)
    files = open_files(settings.log, settings.log_kms_key)
    commit_day = _commit_day() if iceberg else None

    def progress(text: str) -> None:
        say(f"· {text} …", err=True)

    with tempfile.TemporaryDirectory(prefix="pointsman-") as folder:
        made = compact_day(
            files,
            open_sink(settings.log, Path(folder) / "staged", settings.log_kms_key),
            Path(folder) / "read",
            day,
            now=lambda: time.time_ns() // 1000,
            routes=routes or (),
            target_bytes=target_mb * _MB,
            keep_us=keep_min * _MINUTE_US,
            force=force,
            progress=progress,
        )
        done = list(made)
    committed = list(commit_day(iceberg, files, day, routes or (), progress)) if commit_day else []
    if as_json:
        print_json(
            {"compacted": [each._asdict() for each in done], "committed": [each._asdict() for each in committed]}
        )
    else:
        _print(done, day)
        for each in committed:
            say(f"{iceberg} {'got' if each.is_new else 'had'} the {each.rows:,} rows of {each.route}, {day}.")


def _commit_day() -> "Callable[..., Iterator[Committed]]":
    try:
        from inference_log.compaction.iceberg import commit_day
    except ModuleNotFoundError as error:
        raise ValueError(f"--iceberg needs PyIceberg ({error}); install pointsman[iceberg].") from error
    return commit_day


def _print(done: "list[Compacted]", day: str) -> None:
    if done:
        columns = ("TABLE", "ROUTE", "ROWS", "DUPLICATES", "FILES", "MB", "INTO", "MB", "FEATURES", "REMOVED")
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
