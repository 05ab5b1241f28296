"""From when on an arm is quiet: soon, by cohorts of any age, and not where the other arms have no more."""

import pytest

from router.rewards.quiet import quiet_since
from router.rewards.silence import Cohort

MATURED = 60
"""How many cohorts have matured. The others have fewer rewards, the younger they are."""
BUCKETS = 100
ARMS = ("a", "b", "c")


def history(**cuts: int) -> dict[str, list[Cohort]]:
    """Return cohorts of 300 decisions, of which 120 are rewarded in the end: evenly, in the time of 40 buckets.

    From a bucket on, what would still come for an arm is lost.
    """
    made = {}
    for arm in ARMS:
        until = cuts.get(arm, BUCKETS)
        rewarded = [120 * min(max(until - each, 0), 40) // 40 for each in range(BUCKETS)]
        made[arm] = [Cohort(10 * each, 300, rewarded[each]) for each in range(BUCKETS)]
    return made


def quiet(cohorts: dict[str, list[Cohort]], silent: tuple[str, ...] = ()) -> dict[str, int]:
    return quiet_since(cohorts, 10 * (MATURED - 1), silent)


def test_no_arm_is_quiet_for_the_youth_of_its_decisions():
    assert quiet(history()) == {}


@pytest.mark.parametrize("cut", [90, 80, 70])
def test_an_arm_is_quiet_since_its_rewards_were_cut_off_before_one_of_these_decisions_has_matured(cut):
    found = quiet(history(a=cut))
    assert set(found) == {"a"}
    assert 10 * (cut - 20) <= found["a"] <= 10 * cut  # those of before have lost a part


def test_arms_that_have_all_become_quiet_are_so_by_what_has_matured():
    cohorts = {
        arm: [each._replace(rewarded=0) if each.begins_s >= 500 else each for each in of_arm]
        for arm, of_arm in history().items()
    }
    found = quiet(cohorts)
    assert set(found) == set(ARMS)
    assert all(480 <= each <= 500 for each in found.values())


def test_arms_that_got_fewer_at_night_are_not_quiet():
    cohorts = {
        arm: [each._replace(rewarded=each.rewarded // 2) if each.begins_s >= 400 else each for each in of_arm]
        for arm, of_arm in history().items()
    }
    assert quiet(cohorts) == {}


def test_a_worse_arm_is_not_quiet():
    cohorts = history()
    cohorts["a"] = [
        each._replace(rewarded=each.rewarded // 3) if each.begins_s >= 400 else each for each in cohorts["a"]
    ]
    assert quiet(cohorts) == {}


def test_an_arm_without_a_past_is_not_quiet():
    cohorts = history()
    cohorts["a"] = [each._replace(rewarded=0) for each in cohorts["a"]]
    assert quiet(cohorts) == {}


def test_an_arm_that_is_silent_says_nothing_of_the_others():
    cohorts = history(b=55, c=55)
    del cohorts["c"]
    assert "a" not in quiet(cohorts)
    cohorts["a"] = history(a=70)["a"]  # beside b, which has lost more, it would not be quiet
    assert "a" in quiet(history(a=70) | {"b": cohorts["b"]}, silent=("b",))


def test_a_route_of_one_arm_is_seen_by_what_has_matured():
    assert quiet({"a": history(a=70)["a"]}) == {}
    since = quiet({"a": history(a=30)["a"]})
    assert 100 <= since["a"] <= 300
    assert quiet({}) == {}
