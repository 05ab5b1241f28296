"""The processor time of commands, beside that of importing the libraries that they need.

User and system time of whole processes, by `wait4`. The runs are interleaved, so that a busy machine slows all of them.
`python -m loadtests.studies.command_line --url http://127.0.0.1:8000` needs a gateway that serves the demo's routes.
"""

import os
import statistics
import subprocess
import sys
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

_LIBRARIES = ("-c", "import typer, rich, httpx")
_COMMAND = ("-c", "from gateway.cli.main import main; main()")


def main(
    url: Annotated[str, typer.Option(help="The gateway to ask.")] = "http://127.0.0.1:8000",
    rounds: Annotated[int, typer.Option(help="Runs of each command.")] = 10,
) -> None:
    """Print the median of each command, and its ratio to the median of the imports."""
    commands = {
        "import typer, rich, httpx": _LIBRARIES,
        "pointsman --help": (*_COMMAND, "--help"),
        "pointsman status": (*_COMMAND, "status", "--url", url),
        "pointsman shift": (*_COMMAND, "shift", "cancer", "canary=10", "--url", url),
    }
    taken_s: dict[str, list[float]] = {name: [] for name in commands}
    for _ in range(rounds + 1):
        for name, arguments in commands.items():
            taken_s[name].append(_cpu_s(arguments))
    medians_s = {name: statistics.median(each[1:]) for name, each in taken_s.items()}  # the first fills the caches
    table = Table("command", "processor time, ms", "ratio")
    for name, median_s in medians_s.items():
        table.add_row(name, f"{1000 * median_s:.0f}", f"{median_s / medians_s['import typer, rich, httpx']:.2f}")
    Console().print(table)


def _cpu_s(arguments: tuple[str, ...]) -> float:
    process = subprocess.Popen([sys.executable, *arguments], stdout=subprocess.DEVNULL)  # noqa: S603  # our own commands
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"{' '.join(arguments)} ended with {process.returncode}.")
    return usage.ru_utime + usage.ru_stime


if __name__ == "__main__":
    typer.run(main)
