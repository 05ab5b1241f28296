"""Prints what `pointsman status` shows: one line for each route, or all details of one route."""

import json
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from gateway.cli.output import console, format_by_arm, print_table
from gateway.cli.printable import printable
from gateway.cli.wait import phase_of
from router.quantities import format_rough_duration

_MOST_CHARS = 60
"""So much of the value of an arm is shown."""


def print_status(status: Mapping[str, Any]) -> None:
    """Print all routes and all replicas. If something is wrong with the store, print that first."""
    _print_store(status["store"])
    print_table(
        ["ROUTE", "VERSION", "PHASE", "WEIGHTS", "SERVES", "GUARDRAILS", "SHADOWS", "LIVE ON ALL"],
        [
            (
                route["route"],
                route["version"],
                phase_of(route),
                format_by_arm(route["weights"]),
                format_by_arm(route["serves"]),
                route["worst"],
                "; ".join(map(_in_short, route["shadows"])),
                _live_and_silent(route, status["store"]),
            )
            for route in status["routes"]
        ],
    )
    console.print()
    print_table(
        ["REPLICA", "PID", "STATE", "AGE", "UP", "SNAPSHOT", "APPLIED", "PROBLEMS"],
        [
            (
                replica["replica"],
                replica["pid"],
                replica["state"],
                format_rough_duration(replica["age_s"]),
                format_rough_duration(replica["up_s"]),
                replica["snapshot"],
                " ".join(f"{name}@{version}" for name, version in replica["routes"].items()),
                _troubles(replica),
            )
            for replica in status["replicas"]
        ],
    )


def print_route(route: Mapping[str, Any], status: Mapping[str, Any]) -> None:
    """Print all details of one route, with the sentences that explain them."""
    _print_store(status["store"])
    live = {
        "yes": "live on all replicas",
        "no": "not live on all replicas yet",
        None: "live on this replica" if route["converged"] else "not live on this replica yet",
    }[_live(route, status["store"])]
    console.print(f"{route['route']} is at version {route['version']}, {live}.")
    if route["silent"]:
        _line(f"Silent, so that it is not known what they serve: {', '.join(route['silent'])}.")
    rollout = route["rollout"]
    if rollout is not None:
        of = "" if rollout["candidate"] is None else f"; the candidate is {rollout['candidate']}"
        _line(f"Its rollout is {phase_of(route)}{_since(rollout)}{of}. Next: {rollout['next']}")
    bandit = route.get("bandit")  # a gateway of an earlier version knows none
    if bandit is not None:
        what = "bandit" if bandit["acts"] else "observing policy"
        number = f"is at policy {bandit['number']}" if bandit["number"] else "has learned nothing yet"
        _line(f"Its {what} ({bandit['policy']} on {bandit['reward']}) is {bandit['phase']}, and {number}.")
    for held in route["quarantine"]:
        _line(f"{held['model']}:{held['version']} is in quarantine since {_when(held['at_s'])} UTC: {held['why']}")
    _print_replicas(route["route"], status["replicas"])
    if bandit is not None:
        _print_late_policies(route["route"], bandit["number"], status["replicas"])
    console.print()
    _print_arms(route)
    _print_guardrails(route["guardrails"])
    _print_shadows(route["shadows"])
    _print_rewards(route.get("rewards", []))


def _line(text: str) -> None:
    """Print one line. What an operator or a model wrote cannot begin another one."""
    console.print(printable(text))


def _print_store(store: Mapping[str, Any]) -> None:
    if store["state"] != "REACHABLE":
        _line(
            f"The store is {store['state']}, last heard of {format_rough_duration(store['stale_s'])} ago; "
            f"below is what this replica knows. {store['trouble']}"
        )
        console.print()


def _live(route: Mapping[str, Any], store: Mapping[str, Any]) -> str | None:
    """Return `yes` if all replicas serve the route. Return None without the store: a replica then knows only itself."""
    if store["state"] == "UNREACHABLE":
        return None
    return "yes" if route["converged"] else "no"


def _live_and_silent(route: Mapping[str, Any], store: Mapping[str, Any]) -> str | None:
    live = _live(route, store)
    return f"{live}, {len(route['silent'])} silent" if live and route["silent"] else live


def _troubles(replica: Mapping[str, Any]) -> str:
    """Return all sentences of a replica, each once: a registry that is away is a warning of every route."""
    sentences = [*replica["problems"].values(), *replica["warnings"].values(), replica["trouble"]]
    return " ".join(sentence for sentence in dict.fromkeys(sentences) if sentence)


def _since(rollout: Mapping[str, Any]) -> str:
    """Return when the phase began. For a rollout that has not ended, only the beginning of its step is known."""
    if rollout["since_s"] is None:
        return ""
    when = f"{_when(rollout['since_s'])} UTC"
    return f" since {when}" if rollout["phase"] in ("PROMOTED", "ABORTED") else f", in a step that began {when}"


def _print_late_policies(route: str, newest: int, replicas: Sequence[Mapping[str, Any]]) -> None:
    """Print which replicas serve older weights. One policy is no delay: reports are a second apart."""
    for replica in replicas:
        number = replica.get("policies", {}).get(route, 0)
        if replica["state"] == "LIVE" and newest - number > 1:
            _line(f"{replica['replica']} still has policy {number}, {newest - number} behind.")


def _print_replicas(route: str, replicas: Sequence[Mapping[str, Any]]) -> None:
    for replica in replicas:
        for sentence in (replica["problems"].get(route), replica["warnings"].get(route)):
            if sentence:
                _line(f"{replica['replica']}: {sentence}")


def _print_arms(route: Mapping[str, Any]) -> None:
    counts = {each["arm"]: each for each in route["counts"]}
    ratio = route.get("sample_ratio")  # a gateway of an earlier version tests none
    expected = {} if ratio is None else ratio["expected"]
    if counts and route["trial_s"]:
        ago = format_rough_duration(time.time() - route["trial_s"])
        console.print(f"Drawn requests are counted since the trial began, {ago} ago.")
    print_table(
        ["ARM", "BOUND TO", "SERVES", "WEIGHT", "REQUESTS", "EXPECTED", "ERRORS", "LEFT"],
        [
            (
                arm,
                _bound_to(route, arm),
                route["serves"].get(arm),
                weight,
                counts[arm]["requests"] if arm in counts else None,
                f"{expected[arm]:.1f}" if arm in expected else None,
                counts[arm]["errors"] if arm in counts else None,
                counts[arm]["left"] if arm in counts else None,
            )
            for arm, weight in route["weights"].items()
        ],
    )
    if ratio is not None:
        console.print()
        _line(f"Sample ratio: {ratio['state']}. {ratio['reason']}")


def _bound_to(route: Mapping[str, Any], arm: str) -> str:
    """Return an arm's reference and, if this replica does not serve it yet, the version to which it is bound."""
    declared = route["spec"]["arms"][arm]
    ref = declared if isinstance(declared, str) else _in_few_words(declared["value"])
    bound = route.get("bound", {}).get(arm)
    is_served = bound is None or bound["version"] == route["serves"].get(arm)
    return ref if is_served else f"{ref} = {bound['version']}"


def _in_few_words(value: Mapping[str, Any]) -> str:
    """Return the beginning of what an arm without a model answers."""
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _MOST_CHARS else f"{text[: _MOST_CHARS - 1]}…"


def _print_guardrails(guardrails: Sequence[Mapping[str, Any]]) -> None:
    if guardrails:
        console.print()
        print_table(
            ["ARM", "GUARDRAIL", "STATE", "REASON"],
            [(each["arm"], each["guardrail"], each["state"], each["reason"]) for each in guardrails],
        )


def _print_shadows(shadows: Sequence[Mapping[str, Any]]) -> None:
    if shadows:
        console.print()
        print_table(
            ["SHADOW", "VERSION", "AGAINST", "ANSWERS", "FAILURES", "PAIRS", "FLIPS", "DIFFERENCE", "SLOWER BY"],
            [
                (
                    each["shadow"],
                    each["version"],
                    each["against"],
                    each["answers"],
                    each["failures"],
                    each["pairs"],
                    f"{each['flips']:.4g} ({_percents(each['flip_rate'])})" if each["pairs"] else None,
                    _interval(each["mean_difference"], ".3g"),
                    _interval(each["delay_ms"], ".2f", " ms"),
                )
                for each in shadows
            ],
        )


def _print_rewards(rewards: Sequence[Mapping[str, Any]]) -> None:
    if rewards:
        console.print()
        print_table(
            ["METRIC", "ARM", "DECISIONS", "REWARDED", "MEAN", "INTERVAL", "WAITING", "LATE", "REWARDS"],
            [
                (
                    each["metric"],
                    each["arm"],
                    each["decisions"],
                    each["rewarded"],
                    None if each["mean"] is None else f"{each['mean']:.4g}",
                    _interval(each["interval"], ".4g"),
                    each["waiting"],
                    each["late"],
                    f"stopped for decisions since {_when(each['silent_since_s'])} UTC"
                    if each["silent_since_s"] is not None
                    else "come"
                    if each["rewarded"]
                    else None,
                )
                for each in rewards
            ],
        )


def _in_short(shadow: Mapping[str, Any]) -> str:
    if not shadow["pairs"]:
        return f"{shadow['shadow']}: nothing compared yet"
    return f"{shadow['shadow']} vs {shadow['against']}: {_percents(shadow['flip_rate'])} differ"


def _percents(share: Sequence[float]) -> str:
    low, high = share
    return f"{100 * low:.2g}% to {100 * high:.2g}%"


def _interval(interval: Sequence[float] | None, form: str, unit: str = "") -> str | None:
    return None if interval is None else f"{interval[0]:{form}} to {interval[1]:{form}}{unit}"


def _when(at_s: float) -> str:
    return datetime.fromtimestamp(at_s, UTC).strftime("%Y-%m-%d %H:%M:%S")
