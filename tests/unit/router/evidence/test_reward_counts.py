"""Guardrails on rewards: what has matured is compared, silence is left out, and no verdict comes of it."""

import numpy as np
import pytest

from router.document.declare import first_document
from router.document.document import Candidate
from router.evidence.guardrails import findings
from router.evidence.reward_counts import DECISIONS, SHORTFALL, ReadSums, reward_counts
from router.evidence.strata import Counted
from router.evidence.sums import ALL_UNITS, SumKey
from router.evidence.verdict import VerdictState
from router.rewards.buckets import settling_s
from router.rewards.sums import MILLION, RewardKey, RewardSum
from router.spec.parse import parse_spec

T0_S = 1_800_000_000
WINDOW_S, LENGTH_S = 3600, 60
SPEC = {
    "route": "shop",
    "arms": {"stable": "m:1", "canary": "m:2"},
    "split": {"stable": "50%", "canary": "50%"},
    "fallback": "stable",
    "metrics": {"click": {"window": "1h"}, "revenue": {"window": "1h", "range": [-100, 300], "aggregate": "sum"}},
    "guardrails": [{"reward": {"metric": "click", "worse_by": "2%"}}],
}
NO_GROUPS = ReadSums({}, {})


def key(arm: str, bucket_s: int, metric: str = "click") -> RewardKey:
    return RewardKey(bucket_s, LENGTH_S, 1, arm, {"stable": "1", "canary": "2"}[arm], metric)


def read(rates: dict[str, float], buckets: int, decisions: int = 100, cut: tuple[str, int] = ("", 0)) -> ReadSums:
    """Return sums of clicks with the same number of decisions in each bucket. Those of one arm may end at a bucket."""
    rng = np.random.default_rng(7)
    recent, totals = {}, {}
    for arm, rate in rates.items():
        for bucket in range(buckets):
            clicks = 0 if arm == cut[0] and bucket >= cut[1] else int(rng.binomial(decisions, rate))
            recent[key(arm, T0_S + bucket * LENGTH_S)] = RewardSum(
                decisions, clicks, clicks * MILLION, clicks * MILLION
            )
        totals[key(arm, 0)] = RewardSum(
            *(sum(value[i] for name, value in recent.items() if name.arm == arm) for i in range(4))
        )
    return ReadSums(totals, recent)


def judged(sums: ReadSums, now_s: float) -> tuple[VerdictState, str]:
    spec = parse_spec(SPEC)
    document = first_document(spec, float(T0_S), {"stable": Candidate("1", "d1"), "canary": Candidate("2", "d2")})
    counts = {"click": reward_counts(spec.metrics[0], sums, NO_GROUPS, now_s)}
    counted = Counted({1: {"stable": 5000, "canary": 5000}}, {}, {}, {}, {}, counts)
    (found,) = findings(document, versions={"stable": "1", "canary": "2"}, counted=counted)
    assert (found.arm, found.guardrail) == ("canary", "reward click")
    return found.verdict.state, found.verdict.reason


def matured_s(buckets: int) -> float:
    return T0_S + buckets * LENGTH_S + WINDOW_S + settling_s(WINDOW_S)


def test_what_has_not_matured_is_not_counted():
    sums = read({"stable": 0.12}, buckets=3)
    counts = reward_counts(parse_spec(SPEC).metrics[0], sums, NO_GROUPS, matured_s(2))
    whole = SumKey(0, 1, "stable", "1", "", DECISIONS, "", ALL_UNITS)
    assert counts.totals[whole] == 200
    assert {each.bucket_s for each in counts.recent} == {T0_S, T0_S + LENGTH_S}
    clicks = sum(value.total for name, value in sums.recent.items() if name.bucket_s < T0_S + 2 * LENGTH_S) / MILLION
    assert counts.totals[whole._replace(name=SHORTFALL)] == 200 - clicks


@pytest.mark.parametrize(
    ("rates", "state"),
    [
        ({"stable": 0.12, "canary": 0.05}, VerdictState.UNHEALTHY),
        ({"stable": 0.12, "canary": 0.14}, VerdictState.HEALTHY),
        ({"stable": 0.12, "canary": 0.10}, VerdictState.UNDECIDED),  # just as much worse as it may be
    ],
)
def test_an_arm_with_less_reward_is_found(rates, state):
    found, reason = judged(read(rates, 200), matured_s(200))
    assert found is state, reason
    assert "click has a mean of 0." in reason
    assert "over 20000 decisions of canary" in reason
    assert "allowed is 2% of the range less" in reason


def test_before_anything_has_matured_nothing_is_said():
    assert judged(read({"stable": 0.12, "canary": 0.0}, 50), T0_S + 50 * LENGTH_S)[0] is VerdictState.UNDECIDED


def test_an_arm_whose_rewards_have_stopped_is_not_judged():
    rates = {"stable": 0.12, "canary": 0.12}
    state, reason = judged(read(rates, 200, cut=("canary", 100)), matured_s(200))
    assert (state, reason) == (
        VerdictState.BLIND,
        "The rewards of click have stopped for canary, so nothing is known of canary.",
    )


def test_decisions_of_a_silent_time_are_left_out_for_both_arms():
    rates = {"stable": 0.12, "canary": 0.12}
    sums = read(rates, 200, cut=("canary", 100))
    counts = reward_counts(parse_spec(SPEC).metrics[0], sums, NO_GROUPS, matured_s(200))
    assert list(counts.silent) == ["canary"]
    begins_s = counts.silent["canary"]
    assert begins_s <= T0_S + 100 * LENGTH_S
    complete_s = begins_s - WINDOW_S  # a decision of later would have got rewards in the silence
    assert max(each.bucket_s for each in counts.recent) < complete_s
    for arm in ("stable", "canary"):
        whole = SumKey(0, 1, arm, {"stable": "1", "canary": "2"}[arm], "", DECISIONS, "", ALL_UNITS)
        assert counts.totals[whole] == (complete_s - T0_S) // LENGTH_S * 100


def read_at(now: int, arrives: dict[str, list[np.ndarray]], cut: str, cut_at: float, decisions: int = 200) -> ReadSums:
    """Return sums as they are at a time, in buckets. What would arrive for `cut` later than `cut_at` is lost."""
    recent, totals = {}, {}
    for arm, buckets in arrives.items():
        until = min(now, cut_at) if arm == cut else now
        for bucket, times in enumerate(buckets[:now]):
            clicks = int((times < until).sum())
            recent[key(arm, T0_S + bucket * LENGTH_S)] = RewardSum(
                decisions, clicks, clicks * MILLION, clicks * MILLION
            )
        totals[key(arm, 0)] = RewardSum(
            *(sum(value[i] for name, value in recent.items() if name.arm == arm) for i in range(4))
        )
    return ReadSums(totals, recent)


@pytest.mark.parametrize("cut", ["canary", "stable"])
@pytest.mark.parametrize("delay", [0.0, 10.0, 40.0])
def test_before_it_is_known_that_rewards_have_stopped_no_arm_is_found_to_be_worse(cut, delay):
    """The last decisions that matured have lost a part of their rewards, and those of the cut's bucket another."""
    rng = np.random.default_rng(11)
    arrives = {
        arm: [bucket + rng.random(100) + np.minimum(rng.exponential(delay, 100), 59.0) for bucket in range(260)]
        for arm in ("stable", "canary")
    }
    states = []
    for now in range(150, 260, 5):
        states.append(judged(read_at(now, arrives, cut, 149.5), T0_S + now * LENGTH_S + 1.0)[0])
        if states[-1] is VerdictState.BLIND:
            break
    assert states[-1] is VerdictState.BLIND
    assert VerdictState.UNHEALTHY not in states


def test_means_are_said_in_the_units_of_the_metric():
    spec = {**SPEC, "guardrails": [{"reward": {"metric": "revenue", "worse_by": "1%"}}]}
    parsed = parse_spec(spec)
    document = first_document(parsed, float(T0_S), {"stable": Candidate("1", "d1"), "canary": Candidate("2", "d2")})
    totals = {key(arm, 0, "revenue"): RewardSum(1000, 1000, 300 * MILLION, 0) for arm in ("stable", "canary")}
    counts = {"revenue": reward_counts(parsed.metrics[1], ReadSums(totals, {}), NO_GROUPS, matured_s(1))}
    counted = Counted({1: {"stable": 5000, "canary": 5000}}, {}, {}, {}, {}, counts)
    (found,) = findings(document, versions={"stable": "1", "canary": "2"}, counted=counted)
    assert found.verdict.reason.startswith("revenue has a mean of 20 over 1000 decisions of canary, against 20 over")
