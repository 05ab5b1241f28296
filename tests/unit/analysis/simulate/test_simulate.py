"""What is predicted from a log of the gateway, what is left out of it, and what is refused."""

import json

import pytest

from analysis.errors import AnalysisRefused
from analysis.simulate.simulate import simulate
from gateway.cli.simulate import learner
from inference_log.files.directory import DirectoryFiles
from router.document.commands import Declare, Shift
from router.quantities import parse_share
from router.spec.parse import parse_spec
from tests.support.components import in_soak
from tests.support.logged_bandit import BANDIT, BEGAN_S, RATES, LoggedBandit

EVEN = {"a": "33.33%", "b": "33.33%", "c": "33.34%"}
SPLIT = {key: value for key, value in BANDIT.items() if key != "bandit"} | {"split": EVEN}
NOW_S = 1.8e9


def split(home, weights=EVEN, *, buckets: int = 60, decisions: int = 100, units: int = 0, **more) -> LoggedBandit:
    """Return a split that has logged decisions."""
    logged = LoggedBandit(home, SPLIT | {"split": weights} | more)
    for start_s in range(BEGAN_S, BEGAN_S + 10 * buckets, 10):
        logged.decide(decisions, start_s, units)
    return logged


def simulated(home, declared=BANDIT, **options):
    spec = parse_spec(declared)
    return simulate(DirectoryFiles(home / "log"), home / "spool", spec, learner(spec), lambda *_: None, **options)


def test_a_bandit_is_predicted_to_find_the_best_arm_of_an_even_log(tmp_path):
    split(tmp_path)
    found = simulated(tmp_path)
    assert found.decisions == 6000
    assert found.logged == pytest.approx(0.2, abs=0.02)
    assert found.weights["c"] > 0.8
    assert found.low < found.predicted < found.high < RATES["c"]
    assert found.predicted > 0.24
    assert found.taken == pytest.approx(2000, abs=150)
    assert found.accepted == pytest.approx(found.predicted, abs=0.03)
    assert found.snips == pytest.approx(found.predicted, abs=0.03)
    assert (found.left_out, found.notes) == ({}, [])


@in_soak
def test_a_log_with_other_weights_leads_to_the_same_prediction(tmp_path):
    """Both predictions have an error, of .011 and .015."""
    even, uneven = tmp_path / "even", tmp_path / "uneven"
    split(even)
    split(uneven, {"a": "60%", "b": "25%", "c": "15%"}, buckets=120)
    assert simulated(uneven, runs=2).predicted == pytest.approx(simulated(even, runs=2).predicted, abs=0.05)


def test_the_same_log_gives_the_same_figures(tmp_path):
    split(tmp_path, buckets=20)
    assert simulated(tmp_path, runs=2) == simulated(tmp_path, runs=2)


def test_a_bandit_that_never_leaves_its_burn_in_earns_what_its_first_weights_earn(tmp_path):
    split(tmp_path, buckets=40)
    bandit = BANDIT["bandit"] | {"burn_in": 10**6, "from": {"a": "100%", "b": "0%", "c": "0%"}, "floor": "1%"}
    found = simulated(tmp_path, BANDIT | {"bandit": bandit})
    assert found.weights == pytest.approx({"a": 0.98, "b": 0.01, "c": 0.01})
    assert found.predicted == pytest.approx(0.1, abs=0.03)
    assert found.low < 0.1 < found.high


def test_an_arm_that_the_log_lacks_is_refused(tmp_path):
    split(tmp_path)
    wider = BANDIT | {"arms": BANDIT["arms"] | {"d": "ranker:4"}}
    with pytest.raises(AnalysisRefused, match=r"says nothing of arm d: it was never drawn with a probability of 0\.1%"):
        simulated(tmp_path, wider)


def test_an_arm_that_was_never_given_weight_is_refused(tmp_path):
    split(tmp_path, {"a": "50%", "b": "50%", "c": "0%"})
    with pytest.raises(AnalysisRefused, match="says nothing of arm c"):
        simulated(tmp_path)


def test_a_log_that_hardly_tried_the_best_arm_is_refused(tmp_path):
    split(tmp_path, {"a": "98.8%", "b": "1%", "c": "0.2%"})
    first = BANDIT["bandit"] | {"from": {"a": "0%", "b": "0%", "c": "100%"}, "burn_in": 10**6}
    with pytest.raises(AnalysisRefused, match="says too little of this policy: its 6,000 decisions weigh like"):
        simulated(tmp_path, BANDIT | {"bandit": first})


def test_decisions_of_other_versions_and_of_arms_without_weight_are_left_out(tmp_path):
    logged = split(tmp_path, {"a": "50%", "b": "50%", "c": "0%"}, buckets=5)
    logged.command(Declare(parse_spec(SPLIT | {"arms": SPLIT["arms"] | {"a": "other:1"}}), 0.0), BEGAN_S + 50)
    logged.decide(300, BEGAN_S + 50)
    logged.command(Declare(parse_spec(SPLIT), 0.0), BEGAN_S + 60)
    for start_s in range(BEGAN_S + 60, BEGAN_S + 360, 10):
        logged.decide(100, start_s)
    found = simulated(tmp_path, runs=2)
    assert found.decisions == 3000
    assert found.left_out == {
        "an arm had a weight of less than 0.1%": 500,
        "another version served one of the arms": 300,
    }


def test_arms_that_follow_an_alias_count_whatever_version_served_them(tmp_path):
    split(tmp_path, buckets=20)
    arms = BANDIT["arms"] | {"c": "ranker@champion"}
    assert simulated(tmp_path, BANDIT | {"arms": arms}, runs=2).decisions == 2000
    fixed = BANDIT["arms"] | {"c": "ranker:4"}
    with pytest.raises(AnalysisRefused, match="of 2,000, another version served one of the arms"):
        simulated(tmp_path, BANDIT | {"arms": fixed})


def test_an_arm_that_is_not_declared_is_never_chosen(tmp_path):
    split(tmp_path)
    fewer = BANDIT | {"arms": {arm: BANDIT["arms"][arm] for arm in "ab"}}
    found = simulated(tmp_path, fewer)
    assert found.decisions == 6000
    assert found.weights["b"] > 0.8
    assert 0.15 < found.low < found.predicted < 0.2


def test_units_whose_weights_moved_count_once(tmp_path, monkeypatch):
    monkeypatch.setattr("analysis.simulate.simulate.MOST_UPDATES", 10)  # with units, one takes a second
    logged = split(tmp_path, units=3000, unit="header:x-user")
    logged.command(Shift({"a": parse_share("60%", "a")}), BEGAN_S + 600)
    for start_s in range(BEGAN_S + 600, BEGAN_S + 900, 10):
        logged.decide(100, start_s, 3000)
    found = simulated(tmp_path, BANDIT | {"unit": "header:x-user"}, runs=2)
    assert 2700 < found.decisions < 3000
    assert found.left_out == {"their unit was on its arm already": 9000 - found.decisions}
    assert "each unit counts once, with its first decision" in found.notes[0]


def test_units_whose_weights_stayed_count_in_full_with_an_error_by_groups(tmp_path, monkeypatch):
    monkeypatch.setattr("analysis.simulate.simulate.MOST_UPDATES", 10)  # with units, one takes a second
    split(tmp_path, units=2000, unit="header:x-user")
    found = simulated(tmp_path, BANDIT | {"unit": "header:x-user"}, runs=2)
    assert found.decisions == 6000
    assert "the error is computed by groups of units" in found.notes[0]


def test_a_bandit_for_units_on_a_log_without_any_says_so(tmp_path):
    split(tmp_path, buckets=20)
    found = simulated(tmp_path, BANDIT | {"unit": "header:x-user"}, runs=2)
    assert any("no units of these decisions" in note for note in found.notes)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"bandit": None, "split": EVEN}, "declares no bandit"),
        ({"bandit": None, "split": EVEN, "observe": {"policy": "thompson", "reward": "click"}}, "declares no bandit"),
        ({"route": "fraud"}, "no decisions of route fraud; it has shop"),
        ({"metrics": {"sale": {"window": "1m"}}, "bandit": {"policy": "thompson", "reward": "sale"}}, "metric sale"),
    ],
)
def test_what_the_log_cannot_know_is_refused(tmp_path, changes, words):
    split(tmp_path, buckets=2)
    with pytest.raises(AnalysisRefused, match=words):
        simulated(tmp_path, BANDIT | changes)


def test_a_time_without_decisions_is_refused(tmp_path):
    split(tmp_path, buckets=2)
    with pytest.raises(AnalysisRefused, match="no decisions of route shop in this time"):
        simulated(tmp_path, since_us=round(1e6 * NOW_S))


def test_a_long_log_is_learned_from_less_often(tmp_path, monkeypatch):
    monkeypatch.setattr("analysis.simulate.simulate.MOST_UPDATES", 20)
    split(tmp_path, buckets=60, decisions=40)
    found = simulated(tmp_path, runs=2)
    assert found.policies <= 20
    assert "The bandit learned every 30s; in the gateway it does every 10s." in found.notes
    assert json.dumps(vars(found))
