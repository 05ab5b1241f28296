"""Guardrails on a bandit whose weights depend on the request, so that its arms get unlike requests."""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import pytest

from router.document.apply import apply
from router.document.commands import Declare
from router.document.document import Document
from router.evidence.guardrails import findings
from router.evidence.looks import looks_of
from router.evidence.strata import Counted, Watched
from router.evidence.sums import (
    ALL_UNITS,
    ERRORS,
    GROUPS,
    MILLION,
    REQUESTS,
    SumKey,
    spread,
    weighed,
)
from router.evidence.units import by_group
from router.evidence.verdict import VerdictState
from router.spec.parse import parse_spec

ALPHA = 0.05
BEGAN_S = 1_000_020
ROUNDS, REQUESTS_A_ROUND, ROUND_S = 6, 600, 60
"""An arm is judged after each round."""


class Kind(NamedTuple):
    """One kind of request: its part of all requests, the share of arm b, and the rate of errors of arm a."""

    part: float
    share: float
    rate: float


PHONES = Kind(0.4, 0.95, 0.3), Kind(0.6, 0.05, 0.01)
"""Requests of phones fail, whoever answers them, and the policy sends them to arm b."""
TURNED = Kind(0.4, 0.05, 0.3), Kind(0.6, 0.95, 0.01)
"""It sends them to the other arm."""
MOVING = PHONES, TURNED


def declared(**more: object) -> Document:
    spec = parse_spec({
        "route": "shop", "arms": {"a": "m:1", "b": "m:2"}, "fallback": "a", "alpha": ALPHA,
        "metrics": {"click": {"window": "1h"}},
        "bandit": {"policy": "linucb", "reward": "click", "context": {"headers.x-device": ["phone", "desktop"]}},
        "guardrails": [{"errors": {"worse_by": "0%"}}], **more,
    })  # fmt: skip
    return apply(None, Declare(spec, float(BEGAN_S)))


def rounds(
    rng: np.random.Generator,
    policies: Sequence[tuple[Kind, ...]],
    worse_by: float = 0.0,
    *,
    a_unit: float = 0.0,
    knows_each: bool = True,
) -> Iterator[Counted]:
    """Yield what is counted of two arms after each round. The policy and its shares change with each round.

    The rates of arm b are those of arm a, and `worse_by` more. With `a_unit`, each unit has so many requests on
    average, and all of them fail if one does. Without `knows_each`, requests are weighed by the shares of an average
    request.
    """
    sums: Counter[SumKey] = Counter()
    for number in range(ROUNDS):
        kinds = np.array(policies[number % len(policies)])
        of_kind = rng.choice(len(kinds), REQUESTS_A_ROUND, p=kinds[:, 0])
        _, share, rate = kinds[of_kind].T
        is_b = rng.random(len(share)) < share
        has_failed = rng.random(len(share)) < rate + worse_by * is_b
        requests = rng.geometric(1 / a_unit, len(share)) if a_unit else np.ones(len(share), int)
        group = rng.integers(GROUPS, size=len(share))
        known = share if knows_each else np.full(len(share), kinds[:, 0] @ kinds[:, 1])
        begins_s = BEGAN_S + ROUND_S * (1 + number)
        for arm, other, of_arm, other_share in (("a", "b", ~is_b, known), ("b", "a", is_b, 1 - known)):
            for name, counts in ((REQUESTS, of_arm), (ERRORS, of_arm & has_failed)):
                spreads = np.sqrt(known * (1 - known))
                of_other = {weighed(name, other): MILLION * other_share, spread(name, other): MILLION * spreads}
                for of, value in {name: 1.0, **of_other}.items():
                    values = counts * requests * np.round(value)
                    groups = np.bincount(group, values, GROUPS) if a_unit else ()
                    for each, whole in ((ALL_UNITS, values.sum()), *enumerate(groups)):
                        key = SumKey(0, 1, arm, "2" if arm == "b" else "1", "", of, "", each)
                        sums[key] += int(whole)
                        sums[key._replace(bucket_s=begins_s)] += int(whole)
        yield _counted(sums)


def _counted(sums: Counter[SumKey]) -> Counted:
    whole, recent, groups, recent_groups = (
        {key: sums[key] for key in sums if (key.group == ALL_UNITS, key.bucket_s > 0) == of}
        for of in ((True, False), (True, True), (False, False), (False, True))
    )
    return Counted({1: {"a": 5_000, "b": 5_000}}, whole, recent, by_group(groups), by_group(recent_groups))


def is_aborted(document: Document, seen: Iterator[Counted]) -> bool:
    """Return True if a guardrail finds arm b unhealthy after any round."""
    return any(
        finding.verdict.state is VerdictState.UNHEALTHY
        for counted in seen
        for finding in findings(document, versions={"a": "1", "b": "2"}, counted=counted)
    )


@pytest.mark.parametrize(("policies", "runs"), [((PHONES,), 200), (MOVING, 60)])
def test_an_arm_that_gets_the_requests_that_fail_whoever_answers_them_is_not_aborted(policies, runs):
    document = declared()
    aborted = sum(is_aborted(document, rounds(np.random.default_rng(seed), policies)) for seed in range(runs))
    assert aborted / runs < ALPHA


def test_by_the_shares_of_an_average_request_it_would_be():
    seen = (rounds(np.random.default_rng(seed), (PHONES,), knows_each=False) for seed in range(5))
    assert all(is_aborted(declared(), each) for each in seen)


@pytest.mark.parametrize("policies", [(PHONES,), (TURNED,), MOVING])
def test_an_arm_that_is_worse_is_aborted_also_if_it_gets_the_requests_that_seldom_fail(policies):
    document = declared()
    assert all(is_aborted(document, rounds(np.random.default_rng(seed), policies, 0.3)) for seed in range(5))


def test_an_arm_that_only_gets_requests_of_its_own_is_compared_with_nothing():
    """No request of phones could go to arm a, and none of the others to arm b."""
    apart = Kind(0.4, 1.0, 0.9), Kind(0.6, 0.0, 0.0)
    assert not is_aborted(declared(), rounds(np.random.default_rng(1), (apart,)))


def test_requests_count_also_if_those_of_the_trusted_arm_were_none_that_the_arm_could_have_got():
    totals = {
        SumKey(0, 1, arm, version, "", name): value
        for arm, version, name, value in (
            ("a", "1", REQUESTS, 10), ("b", "2", REQUESTS, 4), ("b", "2", weighed(REQUESTS, "a"), 2 * MILLION),
        )
    }  # fmt: skip
    (look, _) = looks_of(declared().spec.guardrails[0])
    _, stratum = Watched(declared(), "b", "2", Counted({}, totals, {}, {}, {})).weighed_strata(look)
    assert stratum[:3] == (2, 0, 0)


def test_where_units_are_drawn_only_an_arm_that_is_worse_is_aborted():
    document = declared(unit="header:x-user")
    for policies in ((PHONES,), MOVING):
        assert is_aborted(document, rounds(np.random.default_rng(1), policies, 0.3, a_unit=3))
        assert not is_aborted(document, rounds(np.random.default_rng(1), policies, a_unit=3))
