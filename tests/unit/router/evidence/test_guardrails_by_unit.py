"""On a sticky route a verdict needs the evidence of units, too."""

from collections import Counter

import pytest

from router.evidence.sums import BUCKET_S, ERRORS, FLIPS, GROUP_BUCKET_S, GROUPS, MILLION, PAIRS, REQUESTS
from router.evidence.verdict import FEW_UNITS, VerdictState
from tests.unit.router.evidence.test_guardrails import FIRST_S, counts, find, judge, key, rollout

STICKY = {"unit": "header:x-user-id"}


def by_groups(requests, events, groups, arm="canary", bucket_s=0, event=ERRORS, among=REQUESTS, **more):
    """Return sums of which each of some groups has an equal part."""
    counted = Counter()
    for group in groups:
        for name, value in ((among, requests), (event, events)):
            whole = key(name, arm=arm, bucket_s=bucket_s, **more)
            counted[whole._replace(group=group)] = value // len(groups)
    return counted


TOTALS = counts(640, 128) + counts(64_000, 640, arm="stable")


def test_without_sums_by_group_nothing_is_said_against_an_arm():
    (found,) = judge(rollout(**STICKY), TOTALS)
    assert found.verdict.state is VerdictState.UNDECIDED
    assert found.verdict.awaits_units
    assert FEW_UNITS in found.verdict.reason


def test_an_arm_on_which_the_requests_of_all_groups_fail_is_unhealthy():
    groups = by_groups(640, 128, range(GROUPS)) + by_groups(64_000, 640, range(GROUPS), arm="stable")
    (found,) = judge(rollout(**STICKY), TOTALS, groups=groups)
    assert found.verdict.state is VerdictState.UNHEALTHY
    assert not found.verdict.awaits_units


def test_an_arm_on_which_the_requests_of_one_unit_fail_is_undecided_and_the_reason_says_why():
    groups = by_groups(640, 0, range(GROUPS)) + by_groups(64_000, 640, range(GROUPS), arm="stable")
    groups[key(ERRORS)._replace(group=7)] = 128
    groups[key(REQUESTS)._replace(group=7)] += 128
    (found,) = judge(rollout(**STICKY), TOTALS, groups=groups)
    assert found.verdict.state is VerdictState.UNDECIDED
    assert found.verdict.reason.endswith(f"By requests alone it is worse, but that may be chance: {FEW_UNITS}.")


def test_where_requests_are_drawn_the_sums_by_group_do_not_matter():
    (found,) = judge(rollout(), TOTALS)
    assert found.verdict.state is VerdictState.UNHEALTHY


def test_a_good_past_of_the_units_does_not_protect_a_canary_that_turned_bad():
    late_s = (FIRST_S // GROUP_BUCKET_S + 50) * GROUP_BUCKET_S
    late = counts(640, 320, bucket_s=late_s) + counts(64_000, 64, arm="stable", bucket_s=late_s)
    before = counts(64_000, 64) + counts(6_400_000, 6400, arm="stable")
    totals = before + Counter({each._replace(bucket_s=0): value for each, value in late.items()})
    late_groups = by_groups(640, 320, range(GROUPS), bucket_s=late_s)
    late_groups += by_groups(64_000, 64, range(GROUPS), arm="stable", bucket_s=late_s)
    groups = by_groups(64_640, 384, range(GROUPS)) + by_groups(6_464_000, 6464, range(GROUPS), arm="stable")
    (found,) = judge(rollout(**STICKY), totals, late, groups=groups, recent_groups=late_groups)
    assert found.verdict.state is VerdictState.UNHEALTHY
    assert late_s % BUCKET_S == 0


@pytest.mark.parametrize(("groups", "state"), [(range(GROUPS), VerdictState.UNHEALTHY), ([5], VerdictState.UNDECIDED)])
def test_disagreement_of_one_unit_is_not_that_of_all(groups, state):
    document = rollout({"disagreement": {"above": "5%"}}, **STICKY)
    of_pairs = {"arm": "stable", "against": "canary"}
    totals = Counter({key(PAIRS, **of_pairs): 6400, key(FLIPS, **of_pairs): 1280 * MILLION})
    counted = by_groups(6400, 0, range(GROUPS), event=FLIPS, among=PAIRS, **of_pairs)
    counted += by_groups(0, 1280 * MILLION, groups, event=FLIPS, among=PAIRS, **of_pairs)
    found = find(document, totals, groups=counted)
    assert [each.verdict.state for each in found] == [state]
