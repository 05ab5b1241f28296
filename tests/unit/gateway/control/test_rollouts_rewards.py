"""Arms with less reward are taken out of traffic; arms whose rewards have stopped are not, and it is said."""

import numpy as np

from gateway.control.reward_reader import REWARDS_EVERY_S
from router.evidence.verdict import VerdictState
from router.rewards.buckets import settling_s
from router.rewards.sums import MILLION, RewardKey, RewardSum
from store.rewarded import Rewarded
from tests.unit.gateway.control.support_rollouts import SPLIT, T0

WINDOW_S, LENGTH_S = 600, 10
METRICS = {"click": {"window": "10m"}}
REWARD = {"guardrails": [{"reward": {"metric": "click", "worse_by": "2%"}}], "metrics": METRICS}
BUCKETS = 200


def add(site, rates: dict[str, float], cut: str = "", buckets: range = range(BUCKETS)) -> None:
    """Add 100 decisions a bucket of each arm. The clicks of `cut` end half-way."""
    rng = np.random.default_rng(3)
    sums = {}
    for arm, rate in rates.items():
        for bucket in buckets:
            clicks = 0 if arm == cut and bucket >= BUCKETS // 2 else int(rng.binomial(100, rate))
            version = {"stable": "1", "b": "2"}[arm]
            key = RewardKey(int(T0) + bucket * LENGTH_S, LENGTH_S, 1, arm, version, "click")
            sums[key] = RewardSum(100, clicks, clicks * MILLION, clicks * MILLION)
    source = f"{buckets} {rates}"
    assert site.store.real.count(source, 0, 1, {}, Rewarded({"s": sums})) == 1


def matured(site, buckets: int = BUCKETS) -> None:
    site.now_s = T0 + buckets * LENGTH_S + WINDOW_S + settling_s(WINDOW_S)
    site.tick()


def test_an_arm_with_less_reward_loses_its_traffic_once_its_decisions_have_matured(site):
    site.declare(SPLIT, **REWARD)
    add(site, {"stable": 0.12, "b": 0.05})
    site.now_s = T0 + WINDOW_S  # the decisions were made, and rewards may still come
    site.tick()
    assert site.driver.verdicts["s"][0].verdict.state is VerdictState.UNDECIDED
    assert site.document("s").weights["b"] == 5000
    matured(site)
    assert site.document("s").weights == {"stable": 10_000, "b": 0}
    assert site.driver.aborts == {("s", "b", "reward click"): 1}
    assert "click has a mean of 0.05" in site.newest("s").why


def test_an_arm_whose_rewards_have_stopped_keeps_its_traffic_and_is_named(site):
    site.declare(SPLIT, **REWARD)
    add(site, {"stable": 0.12, "b": 0.12}, cut="b")
    matured(site)
    assert site.driver.verdicts["s"][0].verdict.state is VerdictState.BLIND
    assert site.driver.silent == {("s", "click", "b")}
    assert site.document("s").weights["b"] == 5000


def test_when_rewards_come_back_it_goes_on_without_what_was_silent(site):
    site.declare(SPLIT, **REWARD)
    add(site, {"stable": 0.12, "b": 0.12}, cut="b")
    matured(site)
    add(site, {"stable": 0.12, "b": 0.121}, buckets=range(BUCKETS, 2 * BUCKETS))
    matured(site, 2 * BUCKETS)
    assert site.driver.silent == frozenset()
    found = site.driver.verdicts["s"][0].verdict
    assert found.state is VerdictState.HEALTHY, found.reason
    assert site.document("s").weights["b"] == 5000


def test_a_route_without_guardrails_is_watched_for_silence_too(site):
    site.declare({**SPLIT, "guardrails": []}, metrics=METRICS)
    add(site, {"stable": 0.12, "b": 0.12}, cut="b")
    matured(site)
    assert site.driver.silent == {("s", "click", "b")}
    assert "s" not in site.driver.verdicts


def test_rewards_are_read_every_few_seconds(site):
    site.declare(SPLIT, **REWARD)
    add(site, {"stable": 0.12, "b": 0.12})
    for number in range(20):
        site.count("stable", 1, route="s")  # so that the route is looked at
        site.tick(after_s=REWARDS_EVERY_S / 5)
        assert site.store.asked.count("reward_sums") <= 1 + number // 5 + 1
