"""Guardrails on a bandit, whose weights move within a version of its document."""

import numpy as np
import pytest

from router.document.apply import apply
from router.document.commands import Declare
from router.document.document import Document
from router.evidence.guardrails import findings
from router.evidence.strata import Counted
from router.evidence.sums import ALL_UNITS, ERRORS, EXPECTED, GROUPS, REQUESTS, SumKey
from router.evidence.units import by_group
from router.evidence.verdict import VerdictState
from router.spec.parse import parse_spec

BEGAN_S = 1_000_000
BUCKETS = 30
REQUESTS_A_BUCKET = 200
SWINGING = (0.1, 0.5, 0.9)


def declared(**more: object) -> Document:
    spec = parse_spec({
        "route": "shop", "arms": {"a": "m:1", "b": "m:2"}, "fallback": "a",
        "metrics": {"click": {"window": "1h"}}, "bandit": {"policy": "thompson", "reward": "click"},
        "guardrails": [{"errors": {"worse_by": "1%"}}], **more,
    })  # fmt: skip
    return apply(None, Declare(spec, float(BEGAN_S)))


def counted(
    rng: np.random.Generator, rates: tuple[float, float], shares: tuple[float, ...] = SWINGING, *, by_unit: bool = False
) -> Counted:
    """Return what is counted of two arms, of which the second has one of `shares` in each time bucket."""
    sums: dict[SumKey, int] = {}

    def add(begins_s: int, arm: str, version: str, name: str, group: int, value: int) -> None:
        for bucket_s in (0, begins_s):
            key = SumKey(bucket_s, 1, arm, version, "", name, "", group)
            sums[key] = sums.get(key, 0) + value

    for bucket in range(BUCKETS):
        share = float(rng.choice(shares))
        for _ in range(REQUESTS_A_BUCKET):
            is_b = rng.random() < share
            arm, version = ("b", "2") if is_b else ("a", "1")
            has_failed = rng.random() < rates[is_b]
            for group in (ALL_UNITS, int(rng.integers(GROUPS))) if by_unit else (ALL_UNITS,):
                length_s = 10 if group == ALL_UNITS else 60
                begins_s = (BEGAN_S + 20 + 10 * bucket) // length_s * length_s
                add(begins_s, arm, version, REQUESTS, group, 1)
                add(begins_s, arm, version, ERRORS, group, int(has_failed))
                add(begins_s, "b", "", EXPECTED, group, round(10_000 * share))
                add(begins_s, "a", "", EXPECTED, group, round(10_000 * (1 - share)))
    whole = {key: value for key, value in sums.items() if key.group == ALL_UNITS}
    groups = {key: value for key, value in sums.items() if key.group != ALL_UNITS}
    totals, recent = ({k: v for k, v in whole.items() if bool(k.bucket_s) is dated} for dated in (False, True))
    of_groups, recent_groups = (
        {k: v for k, v in groups.items() if bool(k.bucket_s) is dated} for dated in (False, True)
    )
    return Counted({1: {"a": 5_000, "b": 5_000}}, totals, recent, by_group(of_groups), by_group(recent_groups))


def states(document: Document, seen: Counted) -> set[VerdictState]:
    return {each.verdict.state for each in findings(document, versions={"a": "1", "b": "2"}, counted=seen)}


@pytest.mark.parametrize("rate", [0.02, 0.2])
def test_equal_arms_are_not_aborted_because_one_got_more_traffic(rate):
    document = declared()
    for seed in range(10):
        assert VerdictState.UNHEALTHY not in states(document, counted(np.random.default_rng(seed), (rate, rate)))


@pytest.mark.parametrize("shares", [SWINGING, (0.02, 0.05)])
def test_a_bad_arm_is_found_also_with_little_traffic(shares):
    """The document says 50 %. By that share few of its errors would be no surprise."""
    assert VerdictState.UNHEALTHY in states(declared(), counted(np.random.default_rng(1), (0.02, 0.2), shares))


def test_a_bad_arm_is_found_where_units_are_drawn():
    document = declared(unit="header:x-user")
    rng = np.random.default_rng(2)
    assert VerdictState.UNHEALTHY in states(document, counted(rng, (0.02, 0.3), by_unit=True))
    assert VerdictState.UNHEALTHY not in states(document, counted(rng, (0.1, 0.1), by_unit=True))
