"""The command `pointsman doctor`."""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Annotated

import typer

from gateway.cli.doctor.finding import Finding, State, fault
from gateway.cli.output import Progress, errors_printed, print_json, print_table, say
from gateway.cli.settings_flags import Home, read_settings

if TYPE_CHECKING:  # slow to import, and not needed to show the help
    from gateway.settings import Settings

_MARKS = {State.OK: "✓", State.WARNING: "!", State.FAULT: "✗"}


@errors_printed(exit_code=2)
def doctor(
    home: Home = None, as_json: Annotated[bool, typer.Option("--json", help="Print a JSON list of findings.")] = False
) -> None:
    """Look at all that a gateway with these settings depends on, and say what to do.

    Exit code 1 if something must be mended. Nothing is changed; a small file is put to the log, in _doctor/.
    """
    settings = read_settings(home=home)
    found = list(_findings(settings, Progress()))
    if as_json:
        print_json([each._asdict() for each in found])
    else:
        print_table(
            ("", "SUBJECT", "FINDING", "WHAT TO DO"),
            [(_MARKS[each.state], each.subject, each.sentence, each.advice) for each in found],
        )
        say(_summary(found))
    if any(each.state is State.FAULT for each in found):
        raise typer.Exit(1)


def _findings(settings: "Settings", progress: Progress) -> Iterator[Finding]:
    from gateway.cli.doctor.access import check_access  # slow to import, as all code of the server is
    from gateway.cli.doctor.home import check_home
    from gateway.cli.doctor.log import check_log
    from gateway.cli.doctor.machine import check_machine
    from gateway.cli.doctor.registry import check_registry
    from gateway.cli.doctor.store import check_store

    checks: dict[str, Callable[[Settings], Iterator[Finding]]] = {
        "machine": check_machine,
        "home": check_home,
        "access": check_access,
        "store": check_store,
        "registry": check_registry,
        "log": check_log,
    }
    for subject, check in checks.items():
        progress.step(f"looking at the {subject}")
        try:
            yield from check(settings)
        except Exception as error:  # noqa: BLE001  # the other checks go on, and this one says what it met
            yield fault(subject, f"The check itself failed: {error!r}.", "Report this, with what is said here.")
    progress.done()


def _summary(found: list[Finding]) -> str:
    faults, warnings = (sum(each.state is state for each in found) for state in (State.FAULT, State.WARNING))
    return f"{faults} to mend, {warnings} to look at, {len(found) - faults - warnings} well."
