"""A small form of the study of predictions. The full one is `python -m loadtests.studies.simulate`."""

from statistics import fmean

import pytest

from loadtests.studies import simulate


def test_a_prediction_holds_what_the_bandit_then_earns(monkeypatch):
    """Intervals are of 95 %: with this seed both are right."""
    monkeypatch.setattr(simulate, "TIME_BUCKETS", 40)
    earned = fmean(simulate.run_bandit("epsilon-greedy", seed) for seed in range(8))
    for seed in range(2):
        predicted, low, high = simulate.predict("epsilon-greedy", seed)
        assert low < earned < high
        assert predicted == pytest.approx(earned, abs=0.02)


def test_what_the_log_hardly_tried_is_refused(monkeypatch):
    monkeypatch.setattr(simulate, "TIME_BUCKETS", 40)
    assert "says too little of this policy: its 8,000 decisions weigh like" in simulate.refusal()
