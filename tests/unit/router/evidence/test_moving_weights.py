"""Guardrails on a bandit, whose weights move within a version of its document while the rates of events drift."""

import numpy as np
import pytest

from router.document.apply import apply
from router.document.commands import Declare
from router.document.document import Document
from router.evidence.evidence import compare
from router.evidence.guardrails import findings
from router.evidence.looks import looks_of
from router.evidence.strata import Counted, Watched
from router.evidence.sums import ALL_UNITS, ERRORS, GROUP_BUCKET_S, GROUPS, MILLION, REQUESTS, SumKey, weighed
from router.evidence.units import by_group, compare_units
from router.evidence.verdict import VerdictState
from router.spec.parse import parse_spec

BEGAN_S = 1_000_000
BUCKETS = 30
REQUESTS_A_BUCKET = 200
SWINGING = ((0.1, 0.02), (0.5, 0.05), (0.9, 0.2))
"""The share of arm b, and the rate of errors of arm a then: arm b has most of the traffic in the worst of times."""
AGAINST = ((0.9, 0.02), (0.5, 0.05), (0.1, 0.2))
"""Arm b has most of the traffic in the best of times."""
STEADY = ((0.5, 0.02),)
RARE = ((0.02, 0.02), (0.05, 0.02))


def declared(**more: object) -> Document:
    spec = parse_spec({
        "route": "shop", "arms": {"a": "m:1", "b": "m:2"}, "fallback": "a",
        "metrics": {"click": {"window": "1h"}}, "bandit": {"policy": "thompson", "reward": "click"},
        "guardrails": [{"errors": {"worse_by": "1%"}}], **more,
    })  # fmt: skip
    return apply(None, Declare(spec, float(BEGAN_S)))


def counted(
    rng: np.random.Generator,
    drift: tuple[tuple[float, float], ...],
    worse_by: float = 0.0,
    *,
    by_unit: bool = False,
    is_old: bool = False,
) -> Counted:
    """Return what is counted of two arms. The weights and the rates change with every few requests.

    The rate of arm b is that of arm a, and `worse_by` more. If `is_old`, no time buckets are left.
    """
    sums: dict[SumKey, int] = {}

    def add(begins_s: int, arm: str, name: str, group: int, value: int) -> None:
        for bucket_s in (0,) if is_old else (0, begins_s):
            key = SumKey(bucket_s, 1, arm, "2" if arm == "b" else "1", "", name, "", group)
            sums[key] = sums.get(key, 0) + value

    for number in range(BUCKETS * REQUESTS_A_BUCKET):
        share, rate = drift[number // 40 % len(drift)]
        is_b = rng.random() < share
        arm, other, other_share = ("b", "a", 1 - share) if is_b else ("a", "b", share)
        has_failed = rng.random() < rate + worse_by * is_b
        for group in (ALL_UNITS, int(rng.integers(GROUPS))) if by_unit else (ALL_UNITS,):
            length_s = 10 if group == ALL_UNITS else GROUP_BUCKET_S
            begins_s = (BEGAN_S + 20 + 10 * (number // REQUESTS_A_BUCKET)) // length_s * length_s
            for name in (REQUESTS, ERRORS)[: 1 + has_failed]:
                add(begins_s, arm, name, group, 1)
                add(begins_s, arm, weighed(name, other), group, round(MILLION * other_share))
    whole = {key: value for key, value in sums.items() if key.group == ALL_UNITS}
    groups = {key: value for key, value in sums.items() if key.group != ALL_UNITS}
    totals, recent = ({k: v for k, v in whole.items() if bool(k.bucket_s) is dated} for dated in (False, True))
    of_groups, recent_groups = (
        {k: v for k, v in groups.items() if bool(k.bucket_s) is dated} for dated in (False, True)
    )
    return Counted({1: {"a": 5_000, "b": 5_000}}, totals, recent, by_group(of_groups), by_group(recent_groups))


def states(document: Document, seen: Counted) -> set[VerdictState]:
    return {each.verdict.state for each in findings(document, versions={"a": "1", "b": "2"}, counted=seen)}


@pytest.mark.parametrize("is_old", [False, True])
def test_an_arm_that_got_its_traffic_in_bad_times_is_not_aborted(is_old):
    """By their counts alone it would be: 18 % of its requests fail, and 3 % of those of the other arm."""
    document = declared()
    for seed in range(10):
        seen = counted(np.random.default_rng(seed), SWINGING, is_old=is_old)
        assert VerdictState.UNHEALTHY not in states(document, seen)
        (look, _) = looks_of(document.spec.guardrails[0])
        assert compare(Watched(document, "b", "2", seen).strata(look), look.margin, by_unit=True).against > 20


@pytest.mark.parametrize("is_old", [False, True])
@pytest.mark.parametrize("drift", [STEADY, RARE, SWINGING, AGAINST])
def test_a_bad_arm_is_found_however_weights_and_rates_move(drift, is_old):
    """Even if it got its traffic in good times, so that fewer of its requests fail than of the other arm's."""
    seen = counted(np.random.default_rng(1), drift, 0.2 if drift is RARE else 0.1, is_old=is_old)
    assert VerdictState.UNHEALTHY in states(declared(), seen)


def test_an_arm_that_is_as_good_is_healthy():
    seen = counted(np.random.default_rng(1), ((0.5, 0.001),))
    assert VerdictState.HEALTHY in states(declared(), seen)


def test_the_counts_that_are_shown_are_those_of_requests():
    seen = counted(np.random.default_rng(1), SWINGING)
    (finding, _) = findings(declared(), versions={"a": "1", "b": "2"}, counted=seen)
    requests, errors = (
        sum(value for key, value in seen.totals.items() if (key.arm, key.name) == ("b", name))
        for name in (REQUESTS, ERRORS)
    )
    assert f"{errors} of {requests} (" in finding.verdict.reason


@pytest.mark.parametrize("drift", [STEADY, SWINGING])
def test_a_bad_arm_is_found_where_units_are_drawn(drift):
    document = declared(unit="header:x-user")
    rng = np.random.default_rng(2)
    assert VerdictState.UNHEALTHY in states(document, counted(rng, drift, 0.2, by_unit=True))
    assert VerdictState.UNHEALTHY not in states(document, counted(rng, drift, by_unit=True))


def test_groups_of_units_alone_are_not_fooled_by_the_time_of_their_requests():
    document = declared(unit="header:x-user")
    seen = counted(np.random.default_rng(3), SWINGING, by_unit=True, is_old=True)
    look = looks_of(document.spec.guardrails[0])[0]
    (stratum,) = Watched(document, "b", "2", seen).unit_strata(look)
    assert float(compare_units([stratum], look.margin).against) < 5
    assert float(compare_units([stratum._replace(weighed=None)], look.margin).against) > 20


def test_weights_that_stay_give_the_groups_the_same_evidence_as_a_split():
    document = declared(unit="header:x-user")
    seen = counted(np.random.default_rng(4), ((0.25, 0.02),), 0.1, by_unit=True, is_old=True)
    look = looks_of(document.spec.guardrails[0])[0]
    (stratum,) = Watched(document, "b", "2", seen).unit_strata(look)
    assert stratum.share == pytest.approx(0.25)
    of_split = compare_units([stratum._replace(weighed=None)], look.margin)
    assert np.allclose(compare_units([stratum], look.margin), of_split)
