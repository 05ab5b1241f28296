"""`pointsman simulate`: a trial run of a declared bandit over logged decisions."""

import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gateway.cli.output import errors_printed, format_by_arm, print_json, say
from gateway.cli.progress_bar import progress_bar
from gateway.cli.settings_flags import Home, read_settings
from router.quantities import parse_duration_s

if TYPE_CHECKING:  # slow to import, and not needed to show the help
    from analysis.simulate.contexts import DeclaredContext
    from analysis.simulate.run import Learn
    from analysis.simulate.simulate import Simulated
    from gateway.settings import Settings
    from router.spec.spec import RouteSpec


@errors_printed()
def simulate(
    file: Annotated[Path, typer.Option("--file", "-f", help="A YAML file that declares one route, with a bandit.")],
    since: Annotated[str, typer.Option("--since", help="How long a time of the log to use.")] = "14d",
    runs: Annotated[int, typer.Option("--runs", min=2, help="Runs, of which the mean is predicted.")] = 3,
    home: Home = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON object.")] = False,
) -> None:
    """Predict what a bandit would have earned over logged decisions of its route.

    The log must have tried all arms: a split has, and a bandit with its floor. Nothing is changed.

    If the log cannot tell, a sentence says why, and the exit code is 1.
    """
    from analysis.errors import AnalysisRefused
    from analysis.simulate.simulate import simulate as run_simulation  # DuckDB and PyArrow are slow to import
    from bandits.errors import BanditError
    from gateway.cli.route_files import read_declared
    from gateway.control.learning.check import check_policy
    from inference_log.files.open import open_files

    since_us = time.time_ns() // 1000 - round(1e6 * parse_duration_s(since, "--since"))
    (declared, *others) = read_declared(file)
    if others:
        raise ValueError(f"{file} declares {1 + len(others)} routes; give a file with one.")
    check_policy(declared.spec)
    settings = read_settings(home=home)
    with progress_bar() as progress:
        try:
            found = run_simulation(
                open_files(settings.log), settings.spool, declared.spec, learner(declared.spec), progress,
                since_us=since_us, runs=runs, context=declared_context(declared.spec, settings),
            )  # fmt: skip
        except BanditError as error:
            raise AnalysisRefused(f"Route {declared.spec.route}: {error}") from error
    if as_json:
        print_json(vars(found))
    else:
        _print(found)


def learner(spec: "RouteSpec") -> "Learn":
    """Return how the gateway learns the next policy of a bandit, if a version serves each arm."""
    from gateway.control.learning.bounds import bounds_of
    from gateway.control.learning.contextual import next_contextual
    from gateway.control.learning.learning import learning_of
    from gateway.control.learning.next import next_policy
    from router.document.document import Candidate, Document
    from router.document.learned import LearnedPolicy
    from router.evidence.reward_counts import ReadSums
    from router.rewards.sums import ContextSums, RewardSums

    serving = {arm: Candidate(str(ref), str(ref)) for arm, ref in spec.arms.items()}

    def learn(
        document: Document, known: LearnedPolicy | None, recent: RewardSums, contexts: ContextSums, now_s: float
    ) -> LearnedPolicy | None:
        learning = learning_of(document)
        if learning is None:
            return None
        bounds = bounds_of(document, learning.bandit, serving)
        if learning.bandit.context:
            return next_contextual(learning, known, ReadSums({}, recent), contexts, bounds, now_s=now_s)
        return next_policy(learning, known, ReadSums({}, recent), bounds, now_s=now_s)

    return learn


def declared_context(spec: "RouteSpec", settings: "Settings") -> "DeclaredContext | None":
    """Return the context of a route's bandit, and how the log names the values that it needs; None without one."""
    from analysis.simulate.contexts import DeclaredContext
    from gateway.inference.contexts import encoder_of

    columns = () if spec.bandit is None else spec.bandit.context
    if not columns:
        return None
    reads_inputs = any(column.attribute.source == "inputs" for column in columns)
    return DeclaredContext(columns, encoder_of(columns), _names_in_log(spec, settings) if reads_inputs else {})


def _names_in_log(spec: "RouteSpec", settings: "Settings") -> dict[str, tuple[str, ...]]:
    """Return how the log names the values of each input, by the first arm's model that the registry knows."""
    from gateway.cli.models_validate import NoSuchVersion, resolve
    from registry_sync.errors import RegistryError
    from registry_sync.open import open_registry
    from runtimes.errors import ModelRefused
    from runtimes.logged_tensors import feature_names, numeric_inputs

    for ref in spec.arms.values():
        if ref.value is not None:
            continue
        with suppress(RegistryError, ModelRefused, NoSuchVersion):
            named = resolve(ref, settings)
            signature = open_registry(settings.registry).manifest(named.model, str(named.version)).signature
            return {
                each.name: feature_names(each, signature.counts_instances(each)) for each in numeric_inputs(signature)
            }
    return {}


def _print(found: "Simulated") -> None:
    say(
        f"{found.policy} on route {found.route} would have earned a mean {found.metric} of {found.predicted:.4g} "
        f"(95 %: {found.low:.4g} to {found.high:.4g}); the log earned {found.logged:.4g}."
    )
    weights = format_by_arm({arm: f"{100 * share:.3g}%" for arm, share in found.weights.items()})
    say(f"Weights at the end: {weights}, after {found.policies:,.0f} learned policies.")
    say(
        f"{found.decisions:,} decisions were used, which weigh like {found.effective_sample_size:,.0f} of its own. "
        f"Each of {found.runs} runs learned from {found.taken:,.0f} of them; in production it learns from all, sooner."
    )
    say(f"Checks: {found.accepted:.4g} on the decisions that it took, {found.snips:.4g} self-normalised.")
    for why, count in found.left_out.items():
        say(f"{count:,} decisions were left out: {why}.")
    for note in found.notes:
        say(note)
