"""Shows how a bandit learns: for people a table that changes, for programs one line of JSON a second."""

from collections.abc import Mapping

import orjson
from rich.console import Group
from rich.table import Table
from rich.text import Text

from gateway.cli.demo_bandit.tally import Figures

_BAR_CELLS = 16


def to_line(figures: Figures) -> str:
    """Return the figures as one line of JSON."""
    return orjson.dumps(figures._asdict()).decode()


def to_table(figures: Figures, rates: Mapping[str, float], route: str) -> Group:
    """Return the figures as what a terminal shows. `rates` are what the crowd likes, which the bandit does not know."""
    best, weights = best_arm(rates), figures.weights or {}
    table = Table("ARM", "WEIGHT", "", "DECISIONS", "CLICKS", "P(BEST)", "IN TRUTH", box=None, padding=(0, 2, 0, 0))
    for arm, rate in rates.items():
        weight = weights.get(arm)
        table.add_row(
            arm,
            "?" if weight is None else f"{weight:.1%}",
            "█" * round(_BAR_CELLS * (weight or 0.0)),
            f"{figures.decisions[arm]:,}",
            _share(figures.clicks[arm], figures.matured[arm]),
            f"{figures.p_best[arm]:.3f}",
            f"{rate:.0%}{' best' if arm == best else ''}",
        )
    policy = "nothing learned yet" if not figures.policy else f"policy {figures.policy}"
    return Group(
        Text(f"{route}: {figures.second} s, {sum(figures.decisions.values()):,} decisions, {policy}"),
        table,
        Text(_rewards(figures)),
        Text(f"regret: {figures.regret:,.0f} clicks fewer than an oracle; equal weights {figures.uniform_regret:,.0f}"),
    )


def to_sentence(figures: Figures, rates: Mapping[str, float]) -> str:
    """Return what came of a session."""
    best, weights = best_arm(rates), figures.weights or {}
    share = f"has {weights[best]:.0%} of the traffic" if best in weights else "has an unknown share of the traffic"
    return f"{best}, which the crowd likes best, {share} after {figures.second} s."


def best_arm(rates: Mapping[str, float]) -> str:
    """Return the arm that the crowd likes best."""
    return max(rates, key=lambda arm: rates[arm])


def _share(clicks: int, matured: int) -> str:
    return f"{clicks / matured:.1%}" if matured else ""


def _rewards(figures: Figures) -> str:
    rewards = dict(figures.rewards)
    parts = [f"{rewards.pop('counted', 0):,} counted", f"{rewards.pop('on the way'):,} on the way"]
    parts += [f"{count:,} {result}" for result, count in sorted(rewards.items())]
    waiting = sum(figures.decisions.values()) - sum(figures.matured.values())
    failed = f"; {figures.failed:,} requests failed ({figures.trouble})" if figures.failed else ""
    return f"rewards: {', '.join(parts)}; {waiting:,} decisions are open{failed}"
