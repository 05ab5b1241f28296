"""Every estimator of scikit-learn: served with its own answers, or refused with a sentence that says what to do."""

import re
import warnings

import pytest

from tests.support.components import in_soak
from tests.support.sklearn_estimators import PAGE, Outcome, fitted, page, tried, with_table

ADVICE = re.compile(r"\b(Fit|Train|Use|use|Serve|serve|Name|fit|Give)\b")


@pytest.fixture(scope="module")
def outcomes() -> list[Outcome]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return [tried(name, estimator) for name, estimator in fitted()]


@in_soak
def test_every_estimator_is_served_or_refused_with_advice(outcomes):
    assert len(outcomes) > 180
    refused = [outcome for outcome in outcomes if outcome.draft is None]
    assert len(refused) < 30
    for outcome in refused:
        assert ADVICE.search(outcome.refusal), outcome
        assert "made up for it" not in outcome.refusal, outcome


def test_the_page_lists_every_estimator(outcomes):
    text = PAGE.read_text()
    assert text == with_table(text, page(outcomes)), "run python -m tests.support.sklearn_estimators"
