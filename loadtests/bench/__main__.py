"""The benchmark's command line: `python -m loadtests.bench`."""

import os
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Final

import orjson
import typer
from rich.console import Console
from rich.markup import escape

from loadtests.bench.facts import environment_facts
from loadtests.bench.fleet import end_in_order_on_signals
from loadtests.bench.generators import GeneratorMissingError
from loadtests.bench.launch import StartError
from loadtests.bench.report import print_report
from loadtests.bench.results_json import results_json
from loadtests.bench.runner import Plan, Results, run
from loadtests.bench.scenarios import DEFAULT_DURATION_S, Kind, Scenario, load_scenarios
from loadtests.bench.setting import REPOSITORY
from loadtests.bench.suites import ALL, DEFAULT_SUITES, SUITES, chosen_suites
from loadtests.targets.registry import BUILDERS

DEFAULT_WORK: Final = REPOSITORY / ".bench"
DEFAULT_BASE_PORT: Final = 18600
DEFAULT_ROUNDS: Final = 4
_INTERRUPTED: Final = 130
_FILE_WIDTH: Final = 150

SuiteNames = Annotated[str, typer.Option("--suite", help=f"{', '.join(SUITES)}, separated by commas, or {ALL}.")]
Only = Annotated[str, typer.Option(help="Servers, separated by commas. Default: those of the suite.")]
Rounds = Annotated[int, typer.Option(min=1, help="How often every server is measured.")]
DurationS = Annotated[int, typer.Option(min=1, max=60, help="Seconds of each load.")]
Connections = Annotated[int | None, typer.Option(min=1, help="Connections of closed loops. Default: the scenario's.")]
RatePerS = Annotated[int | None, typer.Option(min=1, help="Rate of open loops. Default: the scenario's.")]
BasePort = Annotated[int, typer.Option(help="First of the thirty ports that the servers listen on.")]
WorkDir = Annotated[Path, typer.Option(help="Folder for the peers' environments and the logs.")]
Home = Annotated[Path | None, typer.Option(help="The gateway's home. Default: 'home' in the work folder.")]
JsonFile = Annotated[Path | None, typer.Option("--json", help="Write everything measured to this file.")]


def main(
    suite: SuiteNames = DEFAULT_SUITES,
    scenario: Annotated[str, typer.Option(help="Only scenarios of this kind: closed, open or all.")] = ALL,
    only: Only = "",
    rounds: Rounds = DEFAULT_ROUNDS,
    duration_s: DurationS = DEFAULT_DURATION_S,
    connections: Connections = None,
    rate_per_s: RatePerS = None,
    base_port: BasePort = DEFAULT_BASE_PORT,
    work_dir: WorkDir = DEFAULT_WORK,
    home: Home = None,
    json_file: JsonFile = None,
) -> None:
    """Measure the gateway and other servers of the same model in turn.

    http: one row as JSON. Also a bare ASGI server, MLServer, KServe, BentoML, LitServe and Triton.

    composition: the same request. Also Ray Serve's composition, an ingress deployment in front of a model deployment.

    grpc: raw tensors. Also a bare grpc.aio server and Triton.

    binary: the binary tensor extension, with a small request and one of a megabyte. Also Triton.

    batches: 1 to 256 rows, as JSON and as binary tensors. Also ONNX Runtime in a Python loop.

    replicas: one replica and two.

    placement: the model in the replica, and in an application of its own.
    """
    kinds, work = _kinds(scenario), work_dir.resolve()
    plans = []
    for name in _suites(suite):
        scenarios = [_with_options(one, duration_s, connections, rate_per_s) for one in load_scenarios(name, kinds)]
        if scenarios:
            targets = _targets(only) or SUITES[name]
            plans.append(Plan(targets, scenarios, rounds, base_port, work, (home or work / "home").resolve()))
    if not plans:
        raise typer.BadParameter(f"no scenario of '{suite}' is of this kind", param_hint="--scenario")
    raise typer.Exit(bench(plans, json_file))


def bench(plans: Sequence[Plan], json_file: Path | None) -> int:
    """Run the plans, print the report and return the exit code: 0 if every plan was measured and no request failed."""
    console = Console(width=None if sys.stdout.isatty() else _FILE_WIDTH)
    end_in_order_on_signals()
    load_average = os.getloadavg()
    suites: list[Results] = []
    for plan in plans:
        try:
            suites.append(run(plan, console))
            print_report(suites[-1], console)
        except (GeneratorMissingError, StartError) as error:
            console.print(f"[bold red]Not measured[/]: {escape(str(error))}", highlight=False)
        except KeyboardInterrupt:
            console.print("Interrupted; every server was stopped.")
            return _INTERRUPTED
    if json_file is not None and suites:
        document = results_json(suites, environment_facts(plans[0].work, load_average))
        json_file.parent.mkdir(parents=True, exist_ok=True)
        json_file.write_bytes(orjson.dumps(document, option=orjson.OPT_INDENT_2))
        console.print(f"Written to {json_file}.")
    return 0 if len(suites) == len(plans) and all(_is_valid(results) for results in suites) else 1


def _is_valid(results: Results) -> bool:
    measured = any(any(servers.values()) for servers in results.samples.values())
    return measured and not results.failed


def _suites(names: str) -> list[str]:
    try:
        return chosen_suites(names)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--suite") from error


def _kinds(scenario: str) -> frozenset[Kind]:
    if scenario == ALL:
        return frozenset(Kind)
    if scenario not in list(Kind):
        raise typer.BadParameter(f"'{scenario}' is none of closed, open, all.", param_hint="--scenario")
    return frozenset({Kind(scenario)})


def _targets(only: str) -> list[str]:
    names = [name.strip() for name in only.split(",") if name.strip()]
    if unknown := sorted(set(names) - BUILDERS.keys()):
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
