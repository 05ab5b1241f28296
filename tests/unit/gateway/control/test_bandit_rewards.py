"""A guardrail on the reward of a bandit, through the loop: decisions, rewards, learned weights, an abort.

The bandit maximises clicks, which the bad arm has most of. The guardrail watches what is earned.
"""

import random

import pytest

from gateway.control.in_force import documents_in_force
from gateway.control.learning.learner import Learner
from gateway.inference.contexts import sealed_slots
from gateway.inference.log_context import log_context
from inference_log.exposures import tally_exposures
from inference_log.record import Record, Reward, RewardContext
from inference_log.reward_tally import weigh
from inference_log.writer import LogWriter
from router.compile import Pin, compile_route
from router.evidence.verdict import VerdictState
from router.plan import plan
from router.rewards.events import Operation
from router.rewards.sums import merge_sums
from store.rewarded import Rewarded

ROUTE = {
    "route": "shop",
    "arms": {arm: {"value": {"layout": arm}} for arm in ("trusted", "good", "bad")},
    "fallback": "trusted",
    "metrics": {"click": {"window": "10s"}, "earned": {"window": "10s", "range": [0, 50]}},
    "bandit": {"policy": "thompson", "reward": "click", "floor": "10%"},
    "guardrails": [{"reward": {"metric": "earned", "worse_by": "1%"}}],
    "alpha": "5%",
}
CLICKS = {"trusted": 0.1, "good": 0.1, "bad": 0.3}
SALES = {"trusted": 0.4, "good": 0.4, "bad": 0.05}
EARNED = 30.0
DECISIONS, BUCKETS = 200, 24


class Shop:
    """A route whose decisions and rewards are counted as from a log. Sales are twice as frequent in every other five
    buckets.
    """

    def __init__(self, site, tmp_path) -> None:
        (tmp_path / "spool").mkdir()
        self.site, self.dice, self.numbers = site, random.Random(5), 0  # noqa: S311  # a simulation
        self.learner = Learner(site.store.real, site.replica, site.replica.changes, LogWriter(tmp_path / "spool", "w"))
        self.propensities: dict[str, set[float]] = {arm: set() for arm in CLICKS}

    def run(self, buckets: int, sales: dict[str, float] = SALES) -> None:
        for bucket in range(buckets):
            self._decide(0.5 + 0.5 * (bucket // 5 % 2), sales)
            self.site.now_s += 10.0
            for step in (self.site.look, lambda: self.learner.tick(self.site.now_s)):
                self.site.replica.seen = documents_in_force(self.site.store.real)
                step()

    def _decide(self, level: float, sales: dict[str, float]) -> None:
        document = documents_in_force(self.site.store.real)["shop"]
        serving = self.site.replica.candidates("shop")
        served = compile_route(document, {arm: Pin(each.version, each.digest) for arm, each in serving.items()})
        contexts = {n: log_context(served, arm, None, "primary", "hash") for n, arm in enumerate(served.arms)}
        of_rewards = {
            n: RewardContext(
                n, "shop", document.declared_us, document.version, arm.name, arm.version, document.spec.metrics,
                document.spec.maximised, document.spec.weighing,
            )
            for n, arm in enumerate(served.arms)
        }  # fmt: skip
        slots = sealed_slots(served)(None)
        records, rewards = [], []
        for _ in range(DECISIONS):
            self.numbers += 1
            number, decided_us = str(self.numbers), int(self.site.now_s * 1e6) + self.dice.randrange(10**7)
            planned = plan(served, number)
            arm = served.arms[planned.primary].name
            self.propensities[arm].add(planned.propensity)
            records.append(
                Record(
                    planned.primary, self.numbers, number, 0, decided_us + 1500, planned.reason, planned.propensity,
                    None, 200, "ok", "", 1500, 1, 1, "", "",
                )
            )  # fmt: skip
            said = ("click", 1.0, CLICKS[arm]), ("earned", EARNED, level * sales[arm])
            rewards += [
                Reward(
                    planned.primary, self.numbers, number, decided_us, 1500, planned.propensity, -1, metric, "",
                    Operation.ADD, decided_us, value, decided_us, False, "test", None, slots,
                )
                for metric, value, rate in said if self.dice.random() < rate
            ]  # fmt: skip
        sums = merge_sums(tally_exposures(contexts, records), weigh(of_rewards, rewards, {}).added)
        self.site.store.real.count(f"s{self.numbers}", 0, 1, {}, Rewarded(sums))


@pytest.fixture
def shop(site, tmp_path):
    site.declare(ROUTE)
    return Shop(site, tmp_path)


def test_an_arm_that_earns_less_is_taken_out_though_the_bandit_favours_it_and_an_honest_one_stays(shop):
    shop.run(BUCKETS)
    assert max(shop.propensities["bad"]) > 0.6  # the bandit has moved the weights
    document = documents_in_force(shop.site.store.real)["shop"]
    assert document.weights["bad"] == 0
    assert document.weights["good"] >= 1000
    assert shop.site.driver.aborts == {("shop", "bad", "reward earned"): 1}
    assert "earned has a mean of" in shop.site.newest("shop").why
    for seen in shop.propensities.values():
        seen.clear()
    shop.run(1)
    assert shop.propensities["bad"] == set()
    assert sum(map(max, (shop.propensities["trusted"], shop.propensities["good"]))) == pytest.approx(1)


def test_arms_that_earn_as_much_stay_wherever_the_bandit_sends_the_traffic(shop):
    shop.run(BUCKETS, dict.fromkeys(SALES, 0.4))
    assert max(shop.propensities["bad"]) > 0.6
    assert shop.site.driver.aborts == {}
    found = shop.site.driver.verdicts["shop"]
    assert {each.arm for each in found} == {"good", "bad"}
    assert all(each.verdict.state is not VerdictState.UNHEALTHY for each in found)
