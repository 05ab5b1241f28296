"""What came of decisions: regret, clicks within the window, P(best)."""

import json

import pytest

from gateway.cli.demo_bandit.tally import Figures, Tally
from gateway.cli.demo_bandit.view import to_line, to_sentence, to_table

RATES = {"a": 0.1, "b": 0.4}
WINDOW_S = 5.0
OVER_S = 100.0


def figures_of(tally: Tally, now_s: float = OVER_S) -> Figures:
    return tally.figures(3, now_s, policy=1, weights={"a": 0.25, "b": 0.75}, on_the_way=2)


@pytest.fixture
def tally() -> Tally:
    return Tally(tuple(RATES), WINDOW_S)


def test_regret_is_what_an_oracle_and_equal_weights_would_have_had_more(tally):
    for number, arm in enumerate("aab"):
        tally.decided(number, arm, RATES, 0.0)
    assert (figures_of(tally).regret, figures_of(tally).uniform_regret) == (0.6, pytest.approx(3 * 0.15, abs=0.06))
    assert figures_of(tally).decisions == {"a": 2, "b": 1}


def test_the_regret_of_a_decision_is_that_of_its_time(tally):
    tally.decided(0, "b", RATES, 0.0)
    assert figures_of(tally).regret == 0
    tally.decided(1, "b", {"a": 0.9, "b": 0.4}, 1.0)
    assert figures_of(tally).regret == 0.5


def test_only_rewards_that_count_are_clicks(tally):
    for number, result in enumerate(("counted", "late", "refused", "counted")):
        tally.decided(number, "b", RATES, 0.0)
        tally.rewarded(number, result)
    found = figures_of(tally)
    assert (found.clicks, found.matured) == ({"a": 0, "b": 2}, {"a": 0, "b": 4})
    assert found.rewards == {"counted": 2, "late": 1, "refused": 1, "on the way": 2}


def test_a_decision_counts_once_its_window_is_over(tally):
    tally.decided(0, "a", RATES, 0.0)
    tally.decided(1, "a", RATES, 3.0)
    assert figures_of(tally, 5.0).matured == {"a": 0, "b": 0}
    assert figures_of(tally, 6.5).matured == {"a": 1, "b": 0}
    assert figures_of(tally, 9.5).matured == {"a": 2, "b": 0}


def test_p_best_is_that_of_beta_posteriors(tally):
    """Beta(2, 1) and Beta(1, 1): 2/3 and 1/3."""
    tally.decided(0, "a", RATES, 0.0)
    tally.rewarded(0, "counted")
    assert figures_of(tally).p_best == {"a": 0.6667, "b": 0.3333}


def test_a_line_is_the_figures_as_json(tally):
    line = to_line(figures_of(tally))
    assert "\n" not in line
    assert json.loads(line) == figures_of(tally)._asdict()


def test_the_table_has_every_arm_and_both_regrets(tally):
    for number in range(4):
        tally.decided(number, "a", RATES, 0.0)
    tally.rewarded(0, "counted")
    text = shown(figures_of(tally))
    assert "banner: 3 s, 4 decisions, policy 1" in text
    assert "25.0%" in text
    assert "1 counted, 2 on the way; 0 decisions are open" in text
    assert "regret: 1 clicks fewer than an oracle; equal weights 1" in text
    assert "40% best" in text


def test_a_gateway_that_says_no_weights_is_shown(tally):
    silent = figures_of(tally)._replace(weights=None, policy=None)
    assert "?" in shown(silent)
    assert to_sentence(silent, RATES) == "b, which the crowd likes best, has an unknown share of the traffic after 3 s."


def test_the_sentence_says_what_the_best_arm_has(tally):
    assert to_sentence(figures_of(tally), RATES) == "b, which the crowd likes best, has 75% of the traffic after 3 s."


def shown(figures: Figures) -> str:
    from rich.console import Console

    console = Console(width=80)
    with console.capture() as printed:
        console.print(to_table(figures, RATES, "banner"))
    return printed.get()
