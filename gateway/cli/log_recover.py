"""`pointsman log recover`: store the rows that lost machines had put in the second place."""

import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gateway.cli.output import errors_printed, print_json, print_table, say
from gateway.cli.settings_flags import Home, read_settings

if TYPE_CHECKING:  # slow to import, and not needed to show the help
    from inference_log.strict.recover import Recovered


@errors_printed(exit_code=2)
def recover(
    older_than: Annotated[
        str,
        typer.Option("--older-than", help="Only segments whose last row is older. Machines that live ship theirs."),
    ] = "1h",
    home: Home = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON list of the segments.")] = False,
) -> None:
    """Make Parquet of the rows of strict routes that machines had put in S3, and not shipped before they were lost.

    It may be run twice, on any machine, beside gateways, and be killed. Exit code 1 if rows could not be stored.
    """
    from functools import partial

    from gateway.control.log_counter import LogCounter
    from inference_log.completeness.late import NotingSink
    from inference_log.files.open import open_files  # PyArrow is slow to import
    from inference_log.sinks.open import open_sink
    from inference_log.strict.recover import Recovery, State
    from router.quantities import parse_duration_s
    from store.open import open_store

    older_than_s = parse_duration_s(older_than, "--older-than")
    settings = read_settings(home=home)
    open_log = partial(open_files, settings.log, settings.log_kms_key)
    files, store = open_log(), open_store(settings.store)
    try:
        with tempfile.TemporaryDirectory(prefix="pointsman-") as folder:
            sink = open_sink(settings.log, Path(folder) / "staged", settings.log_kms_key)
            counter = LogCounter(store, Path(folder))

            def count(path: Path, was_stored: bool) -> None:  # of `Count`
                # What was stored, and is not known to the store any more, was counted to its end and forgotten.
                if store.counted(path.name) or not was_stored:
                    counter.count_now(path)

            recovery = Recovery(files, NotingSink(sink, open_log), Path(folder), count, time.time_ns() // 1000)
            found = list(recovery.run(older_than_s))
    finally:
        store.close()
    if as_json:
        print_json([each._asdict() for each in found])
    else:
        _print(found)
    if any(each.state in (State.INCOMPLETE, State.FAILED) for each in found):
        raise typer.Exit(1)


def _print(found: "list[Recovered]") -> None:
    if not found:
        say("No machine has rows in _strict/.")
        return
    rows = [(each.segment, each.state, each.rows, each.parts, "yes" if each.removed else "") for each in found]
    print_table(("SEGMENT", "STATE", "NEW ROWS", "PARTS", "REMOVED"), rows)
    for each in found:
        if each.sentence:
            say(f"{each.segment}: {each.sentence}.")
