"""`pointsman log sweep`: ship what machines that are gone have left in a folder of homes."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gateway.cli.output import errors_printed, print_json, print_table, say
from gateway.cli.settings_flags import read_settings

if TYPE_CHECKING:  # slow to import, and not needed to show the help
    from gateway.companion.sweep import Swept


@errors_printed(exit_code=2)
def sweep(
    homes: Annotated[Path, typer.Argument(help="The folder that has a home for each machine.")],
    idle_min: Annotated[float, typer.Option(min=0, help="Minutes for which no process must have used a home.")] = 10.0,
    every_s: Annotated[float, typer.Option(min=0, help="Look again and again, after so many seconds. 0: once.")] = 0.0,
    within_s: Annotated[float, typer.Option(min=1, help="About how long one home may take in a turn.")] = 300.0,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON list of the homes.")] = False,
) -> None:
    """Count and ship what machines that are gone have left, and remove their homes.

    A home that a process uses, or has used shortly before, is left alone. Store and log are those of POINTSMAN_STORE
    and POINTSMAN_LOG. Without --every-s, exit code 1 if something could not be shipped.
    """
    if not homes.is_dir():
        raise ValueError(f"{homes} is no folder; give the one that has the homes of the machines.")
    while True:
        found = list(_swept(homes, idle_min * 60, within_s))
        _print(found, as_json=as_json, quiet=bool(every_s))
        if not every_s:
            break
        time.sleep(every_s)
    if any(each.trouble or each.left for each in found):
        raise typer.Exit(1)


def _swept(homes: Path, idle_s: float, within_s: float) -> "Iterator[Swept]":
    from gateway.companion.sweep import Swept, abandoned, sweep
    from store.open import open_store

    for home in abandoned(homes, idle_s, time.time()):
        settings = read_settings(home=home)
        store = open_store(settings.store)
        try:
            yield sweep(settings, store, within_s=within_s)
        except OSError as error:  # of this home; others may be swept
            yield Swept(str(home), 0, 0, 0, removed=False, trouble=str(error))
        finally:
            store.close()


def _print(found: "list[Swept]", *, as_json: bool, quiet: bool) -> None:
    if quiet and not found:
        return
    if as_json:
        print_json([each._asdict() for each in found])
    elif found:
        columns = ("HOME", "SHIPPED", "LEFT", "SET ASIDE", "REMOVED", "TROUBLE")
        print_table(columns, [tuple(each) for each in found])
    else:
        say("No machine that is gone has left anything.")
