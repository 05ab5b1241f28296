"""What status says of rewards: by metric and arm, of what has matured, with what waits and what came late."""

import pytest

from gateway.api.operators.reward_status import reward_statuses
from router.document.declare import first_document
from router.evidence.reward_counts import ReadSums, reward_counts
from router.evidence.sums import SumKey, late
from router.rewards.buckets import settling_s
from router.rewards.sums import MILLION, RewardKey, RewardSum
from router.spec.parse import parse_spec

T0_S = 1_800_000_000
SPEC = parse_spec({
    "route": "shop",
    "arms": {"a": "m:1", "b": "m:2"},
    "split": {"a": "50%", "b": "50%"},
    "metrics": {
        "click": {"window": "10m"},
        "revenue": {"window": "10m", "range": [-100, 300], "aggregate": "sum"},
        "truth": {"label": True, "window": "1d"},
    },
})  # fmt: skip
DOCUMENT = first_document(SPEC, float(T0_S), {})
MATURED_S = T0_S + 10 + 600 + settling_s(600)


def statuses(added: dict[RewardKey, RewardSum], now_s: float = MATURED_S) -> dict[tuple[str, str], object]:
    totals: dict[RewardKey, RewardSum] = {}
    for key, value in added.items():
        whole = key._replace(bucket_s=0)
        totals[whole] = RewardSum(*(map(sum, zip(totals.get(whole, (0, 0, 0, 0)), value, strict=True))))
    read, nothing = ReadSums(totals, added), ReadSums({}, {})
    counts = {each.name: reward_counts(each, read, nothing, now_s) for each in SPEC.metrics if not each.is_label}
    too_late = {SumKey(0, 1, "b", "2", "", late("click")): 4}
    return {(each.metric, each.arm): each for each in reward_statuses(DOCUMENT, counts, too_late)}


def key(metric: str, arm: str, bucket_s: int = T0_S) -> RewardKey:
    return RewardKey(bucket_s, 10, 1, arm, "1", metric)


def test_each_metric_with_numbers_has_a_line_for_each_arm():
    found = statuses({})
    assert list(found) == [("click", "a"), ("click", "b"), ("revenue", "a"), ("revenue", "b")]
    nothing = found["click", "a"]
    assert (nothing.decisions, nothing.mean, nothing.interval, nothing.late) == (0, None, None, 0)
    assert found["click", "b"].late == 4


def test_means_are_those_of_what_has_matured():
    clicks = {
        key("click", "a"): RewardSum(200, 30, 30 * MILLION, 30 * MILLION),
        key("click", "a", T0_S + 10): RewardSum(50, 0, 0, 0),
    }
    click = statuses(clicks)["click", "a"]
    assert (click.decisions, click.rewarded, click.mean, click.waiting) == (200, 30, pytest.approx(0.15), 50)
    low, high = click.interval
    assert 0.07 < low < 0.15 < high < 0.25
    assert statuses(clicks, MATURED_S + 10)["click", "a"].mean == pytest.approx(30 / 250)


def test_means_are_in_the_units_of_the_metric():
    """400 decisions without a sale are worth 0, which is a quarter of the range; 100 sales are worth 100, a half."""
    total, squares = 400 * MILLION // 4 + 100 * MILLION // 2, 400 * MILLION // 16 + 100 * MILLION // 4
    revenue = statuses({key("revenue", "a"): RewardSum(500, 100, total, squares)})["revenue", "a"]
    assert revenue.mean == pytest.approx(20.0)
    low, high = revenue.interval
    assert 10 < low < 20 < high < 30  # the standard error is 1.8
