"""A short run of the simulation keeps its promises. The long run is made by hand."""

import math
from collections.abc import Iterable

import numpy as np
import pytest

from loadtests.studies.verdicts import nulls, power
from loadtests.studies.verdicts.__main__ import Part, measure
from loadtests.studies.verdicts.finding import Finding, growth


def unmet(findings: Iterable[Finding]) -> list[Finding]:
    """Return the findings that are not met. There must be some that are."""
    all_findings = list(findings)
    assert all_findings
    return [finding for finding in all_findings if not finding.met]


def test_the_theory_without_a_margin_is_the_divergence_from_the_pooled_rate():
    pooled = 0.05 * 0.03 + 0.95 * 0.01
    by_hand = 0.03 * math.log(0.03 / pooled) + 0.97 * math.log(0.97 / (1 - pooled))
    by_hand += 19 * (0.01 * math.log(0.01 / pooled) + 0.99 * math.log(0.99 / (1 - pooled)))
    assert growth(0.05, 0.0, 0.03, 0.01) == pytest.approx(by_hand, rel=1e-6)


def test_few_of_a_few_hundred_canaries_are_wrongly_aborted():
    assert unmet(measure([Part.NULLS], 200, looks=200)) == []


def test_no_unlike_users_have_a_canary_wrongly_aborted(monkeypatch):
    some = list(nulls.users_of_nulls())[::3]
    monkeypatch.setattr(nulls, "users_of_nulls", lambda: iter(some))
    assert unmet(measure([Part.UNIT_NULLS], 10)) == []


def test_bad_canaries_are_stopped_in_seconds():
    assert unmet(measure([Part.DETECTION], 200, good_s=(0, 120))) == []


def test_the_table_of_power_has_every_rate_factor_share_and_margin_that_is_worse_than_allowed():
    table = list(power.cases())
    assert len(table) == len(set(table)) == 138
    assert all(case.rate > case.other_rate + case.margin for case in table)


def test_bad_canaries_are_found_at_every_rate(monkeypatch):
    table = list(power.cases())[::12]
    monkeypatch.setattr(power, "cases", lambda: iter(table))
    assert unmet(power.of_drawn_requests(30, np.random.default_rng(1))) == []


def test_bad_canaries_are_found_among_units_of_equal_activity(monkeypatch):
    table = [case for case in power.cases() if case.share > 0.01][::12]
    monkeypatch.setattr(power, "cases", lambda: iter(table))
    assert unmet(power.of_units(10, 0.0, np.random.default_rng(1))) == []
