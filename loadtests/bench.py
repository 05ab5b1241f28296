"""The gateway beside other ways of serving the same model: `python -m loadtests.bench`."""

import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Final

import orjson
import typer
from rich.console import Console
from rich.markup import escape

from loadtests.facts import environment_facts
from loadtests.fleet import end_in_order_on_signals
from loadtests.generators import GeneratorMissingError
from loadtests.processes import StartError
from loadtests.report import print_report, results_json
from loadtests.runner import Plan, run
from loadtests.scenarios import DEFAULT_DURATION_S, Kind, Scenario, load_scenarios
from loadtests.targets import BUILDERS, DEFAULT_TARGETS, REPOSITORY

DEFAULT_WORK: Final = REPOSITORY / ".bench"
DEFAULT_BASE_PORT: Final = 18600
DEFAULT_ROUNDS: Final = 5
_INTERRUPTED: Final = 130
_FILE_WIDTH: Final = 120

Rounds = Annotated[int, typer.Option(min=1, help="How often every server is measured.")]
DurationS = Annotated[int, typer.Option(min=1, max=60, help="Seconds of each load.")]
Connections = Annotated[int | None, typer.Option(min=1, help="Connections of closed loops; else the scenario's.")]
RatePerS = Annotated[int | None, typer.Option(min=1, help="Rate of open loops; else the scenario's.")]
BasePort = Annotated[int, typer.Option(help="First of the twenty ports that the servers listen on.")]
WorkDir = Annotated[Path, typer.Option(help="Folder for the peers' environments and the logs.")]
Home = Annotated[Path | None, typer.Option(help="The gateway's home; else 'home' in the work folder.")]
JsonFile = Annotated[Path | None, typer.Option("--json", help="Write everything measured to this file.")]


def main(
    scenario: Annotated[str, typer.Option(help="closed, open or all.")] = "all",
    only: Annotated[str, typer.Option(help="Servers, with commas between them.")] = ",".join(DEFAULT_TARGETS),
    rounds: Rounds = DEFAULT_ROUNDS,
    duration_s: DurationS = DEFAULT_DURATION_S,
    connections: Connections = None,
    rate_per_s: RatePerS = None,
    base_port: BasePort = DEFAULT_BASE_PORT,
    work_dir: WorkDir = DEFAULT_WORK,
    home: Home = None,
    json_file: JsonFile = None,
) -> None:
    """Measure the gateway beside a bare ASGI server, MLServer and KServe, in turn, with the same model."""
    scenarios = [_with_options(one, duration_s, connections, rate_per_s) for one in load_scenarios(_kinds(scenario))]
    work = work_dir.resolve()
    plan = Plan(_targets(only), scenarios, rounds, base_port, work, (home or work / "home").resolve())
    raise typer.Exit(bench(plan, json_file))


def bench(plan: Plan, json_file: Path | None) -> int:
    """Run the plan and report; return the exit code: 0 only if what was needed was measured and all was answered."""
    console = Console(width=None if sys.stdout.isatty() else _FILE_WIDTH)
    end_in_order_on_signals()
    load_average = os.getloadavg()
    try:
        results = run(plan, console)
    except (GeneratorMissingError, StartError) as error:
        console.print(f"[bold red]Not measured[/]: {escape(str(error))}", highlight=False)
        return 1
    except KeyboardInterrupt:
        console.print("Interrupted; every server was stopped.")
        return _INTERRUPTED
    print_report(results, console)
    if json_file is not None:
        document = results_json(results, environment_facts(plan.work, load_average))
        json_file.parent.mkdir(parents=True, exist_ok=True)
        json_file.write_bytes(orjson.dumps(document, option=orjson.OPT_INDENT_2))
        console.print(f"Written to {json_file}.")
    measured = any(results.samples.values()) and not (plan.all_needed and results.skipped)
    return 1 if results.failed or not measured else 0


def _kinds(scenario: str) -> frozenset[Kind]:
    if scenario == "all":
        return frozenset(Kind)
    if scenario not in list(Kind):
        raise typer.BadParameter(f"'{scenario}' is none of closed, open, all.", param_hint="--scenario")
    return frozenset({Kind(scenario)})


def _targets(only: str) -> list[str]:
    names = [name.strip() for name in only.split(",") if name.strip()]
    unknown = sorted(set(names) - BUILDERS.keys())
    if unknown or not names:
        known = ", ".join(BUILDERS)
        raise typer.BadParameter(f"name some of {known}; not {', '.join(unknown)}", param_hint="--only")
    return list(dict.fromkeys(names))


def _with_options(scenario: Scenario, duration_s: int, connections: int | None, rate_per_s: int | None) -> Scenario:
    if scenario.kind is Kind.CLOSED:
        return replace(scenario, duration_s=duration_s, connections=connections or scenario.connections)
    rate_per_s = rate_per_s or scenario.rate_per_s or 1
    open_connections = min(scenario.connections, rate_per_s)
    return replace(scenario, duration_s=duration_s, rate_per_s=rate_per_s, connections=open_connections)


if __name__ == "__main__":
    typer.run(main)
