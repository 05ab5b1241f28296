"""The rows of rewards."""

from inference_log.record import Reward, RewardContext, SegmentHeader
from inference_log.rows import partition_rows
from inference_log.schema import REWARDS, Partition
from inference_log.segment import Segment
from router.rewards.events import Operation
from router.spec.metric import MetricSpec

NOON_US = 1_767_268_800_000_000  # 2026-01-01
DAY_US = 86_400_000_000
CONTEXT = RewardContext(0, "shop", 5, 3, "canary", "17", (MetricSpec("click", 3600.0),))


def reward(**more) -> Reward:
    values = {
        "context": 0, "writer_seq": 4, "decision_id": "d1", "decided_us": NOON_US, "latency_us": 900,
        "propensity": 0.25, "group": 7, "metric": "click", "event": "e1", "operation": Operation.ADD,
        "event_us": NOON_US + 1_500, "value": 1.0, "arrived_us": NOON_US + 2_001, "is_late": False, "source": "http",
    }  # fmt: skip
    return Reward(**{**values, **more})


def rows_of(*rewards: Reward) -> dict[Partition, list[dict]]:
    segment = Segment(SegmentHeader("w1", 0), {}, [], [], 0, {0: CONTEXT}, list(rewards), [], [])
    return {partition: rows.to_pylist() for partition, rows in partition_rows(segment).items()}


def test_a_reward_is_one_row():
    ((partition, (row,)),) = rows_of(reward()).items()
    assert partition == Partition(REWARDS, ("shop", "2026-01-01"))
    times = {name: row.pop(name).timestamp() for name in ("reward_ts", "ingested_ts")}
    assert times == {"reward_ts": 1_767_268_800.001, "ingested_ts": 1_767_268_800.002}
    assert len(row.pop("reward_id")) == 32
    assert row == {
        "decision_id": "d1", "metric": "click", "event_id": "e1", "op": "add", "value": 1.0, "label": None,
        "reward_ts_us": NOON_US + 1_500, "ingested_ts_us": NOON_US + 2_001, "schema_version": 2,
        "decision_ts_us": NOON_US, "inference_dt": "2026-01-01", "late": False, "source": "http", "arm": "canary",
        "policy_version": 3, "model_version": "17", "propensity": 0.25, "unit_group": 7, "latency_us": 900,
        "declared_us": 5, "writer_id": "w1", "writer_seq": 4, "weights": None,
    }  # fmt: skip


def test_a_label_is_a_text_and_no_value():
    (((row,)),) = rows_of(reward(value="cat", group=-1, propensity=None)).values()
    assert (row["value"], row["label"], row["unit_group"], row["propensity"]) == (None, "cat", None, None)


def test_the_partition_is_the_day_of_arrival_and_the_row_names_that_of_the_decision():
    found = rows_of(reward(), reward(arrived_us=NOON_US + DAY_US))
    assert [each.values for each in found] == [("shop", "2026-01-01"), ("shop", "2026-01-02")]
    assert {row["inference_dt"] for rows in found.values() for row in rows} == {"2026-01-01"}


def test_rewards_that_say_the_same_have_one_id():
    later = {"event_us": NOON_US + 9_000, "arrived_us": NOON_US + 9_000, "writer_seq": 5}
    said = [
        reward(), reward(value=0.0), reward(event="e2"), reward(metric="buy"), reward(decision_id="d2"),
        reward(operation=Operation.SET), reward(operation=Operation.SET, **later), reward(operation=Operation.RETRACT),
    ]  # fmt: skip
    ((rows),) = rows_of(*said, reward(**later)).values()
    ids = [row["reward_id"] for row in rows]
    assert len(set(ids)) == len(said)
    assert ids[-1] in ids[:-1]
