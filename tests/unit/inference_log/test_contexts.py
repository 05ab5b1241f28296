"""Sums of contexts: decisions begin them, rewards change them, and both together are those of the final rewards."""

import random

from bandits.linear.context import SCALE
from bandits.linear.packed import pack
from bandits.linear.sums import MILLION, combine, exposure, from_integers
from inference_log.exposures import tally_contexts
from inference_log.record import Context, Record, Reward, RewardContext
from inference_log.reward_tally import weigh
from router.rewards.events import Operation
from router.rewards.sums import RewardKey, merge_contexts
from router.spec.parse_metrics import parse_metrics

METRICS = parse_metrics({"click": {"window": "10m", "default": 0.25}, "seen": {"window": "10m"}})
AT_US = 1_800_000_000_000_000
LATENCY_US = 3_000


def context(number: int, maximised: str) -> Context:
    known = {"metrics": METRICS, "maximised": maximised}
    return Context(number, "shop", "a", "primary", "bandit", 3, "hash", {"a": 1.0}, "m", "1", "d", **known)


def record(number: int, vector: bytes, *, of: int = 1, reason: str = "WEIGHTED", outcome: str = "ok") -> Record:
    return Record(
        of, number, f"d{number}", 0, AT_US + LATENCY_US + 4_000_000 * number, reason, 0.5, None, 200, outcome, "",
        LATENCY_US, 1, 1, "", "", vector=vector,
    )  # fmt: skip


def reward(number: int, vector: bytes, value: float, *, of: int = 1, metric: str = "click") -> Reward:
    decided_us = AT_US + 4_000_000 * number
    return Reward(
        of, number, f"d{number}", decided_us, LATENCY_US, 0.5, -1, metric, "e", Operation.SET, decided_us + 5, value,
        decided_us + 9, False, "http", vector,
    )  # fmt: skip


def test_decisions_and_rewards_add_up_to_the_sums_over_the_final_rewards():
    draw = random.Random(5)  # noqa: S311  # a simulation
    vectors = [(SCALE, draw.randint(0, SCALE), draw.randint(0, SCALE)) for _ in range(12)]
    contexts = {1: context(1, "click"), 2: context(2, "")}
    begun = tally_contexts(
        contexts,
        [record(number, pack(vector)) for number, vector in enumerate(vectors)]
        + [record(50, pack(vectors[0]), of=2)]  # nothing learns from it
        + [record(51, pack(vectors[0]), reason="EVALUATED"), record(52, pack(vectors[0]), outcome="error")]
        + [record(53, b"\xff\xff\xff"), record(54, b"")],  # damaged, and without a context
    )
    final = {number: draw.choice([0.0, 1.0, 0.5]) for number in range(0, 12, 2)}
    rewards = [reward(number, pack(vectors[number]), 1 - value) for number, value in final.items()]
    rewards += [_later(reward(number, pack(vectors[number]), value)) for number, value in final.items()]
    rewards += [reward(1, pack(vectors[1]), 1.0, metric="seen")]
    weighed = weigh({1: RewardContext(1, "shop", 7, 3, "a", "1", METRICS, "click")}, rewards, {})
    (sums,) = merge_contexts(begun, weighed.contexts).values()
    by_bucket: dict[int, list] = {}
    for number, vector in enumerate(vectors):
        decided_us = AT_US + 4_000_000 * number
        part = exposure(vector, round(MILLION * final.get(number, 0.25)))
        by_bucket.setdefault(decided_us // 10_000_000 * 10, []).append(part)
    expected = {RewardKey(start_s, 10, 3, "a", "1", "click"): combine(parts, 3) for start_s, parts in by_bucket.items()}
    assert {key: from_integers(integers, 3) for key, integers in sums.items()} == expected


def _later(one: Reward) -> Reward:
    """Return the same report, made a moment later."""
    values = {name: getattr(one, name) for name in one.__struct_fields__}
    return Reward(**values | {"event_us": one.event_us + 1})


def test_what_no_bandit_learns_from_adds_nothing():
    vector = pack((SCALE, 5))
    contexts = {1: RewardContext(1, "shop", 7, 3, "a", "1", METRICS)}
    assert weigh(contexts, [reward(1, vector, 1.0)], {}).contexts == {}
    damaged = {1: RewardContext(1, "shop", 7, 3, "a", "1", METRICS, "click")}
    assert weigh(damaged, [reward(1, b"\xff", 1.0)], {}).contexts == {}
    assert weigh(damaged, [reward(1, b"", 1.0)], {}).contexts == {}
