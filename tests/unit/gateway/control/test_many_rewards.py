"""A segment with very many rewards is counted in steps that hold up no other writer of the store for long."""

from collections.abc import Mapping

import pytest

from inference_log.record import Reward, RewardContext
from router.evidence.sums import Sums
from router.rewards.events import Operation
from router.spec.metric import MetricSpec
from store.interface import NO_REWARDS, Rewarded
from tests.unit.gateway.control.support import NOON_US, Machine, MemorySums, context_of

MOST, LEAST_BYTES = 100, 2048
CONTEXT = RewardContext(0, "fraud", 1, 3, "canary", "17", (MetricSpec("click", 60.0),))


class SeenSums(MemorySums):
    """Notes how many outcomes each step changes, and how many bytes it counts."""

    def __init__(self) -> None:
        super().__init__()
        self.steps: list[tuple[int, int]] = []

    def count(
        self, source: str, before: int, after: int, added: Mapping[str, Sums], rewarded: Rewarded = NO_REWARDS
    ) -> int:
        self.steps.append((len(rewarded.outcomes), after - before))
        return super().count(source, before, after, added, rewarded)


def append_rewards(machine: Machine, count: int) -> None:
    for _ in range(count):
        assert machine.writer.append(
            CONTEXT,
            lambda number, sequence: Reward(
                number, sequence, f"{sequence:024x}", NOON_US, 1500, 0.5, -1, "click", "e1", Operation.ADD, NOON_US,
                1.0, NOON_US, False, "http",
            ),
        )  # fmt: skip


@pytest.fixture
def store() -> SeenSums:
    return SeenSums()


@pytest.fixture
def machine(tmp_path, store, monkeypatch):
    monkeypatch.setattr("gateway.control.log_counter._MOST_REWARDS", MOST)
    monkeypatch.setattr("gateway.control.log_counter._LEAST_PIECE_BYTES", LEAST_BYTES)
    made = Machine(tmp_path, "w", store)
    yield made
    made.seat.release()


def test_no_step_counts_more_than_so_many_rewards(machine, store):
    append_rewards(machine, 2500)
    machine.counter.tick()
    assert machine.counter.behind_bytes == 0
    assert sum(outcomes for outcomes, _ in store.steps) == 2500
    assert MOST / 4 < max(outcomes for outcomes, _ in store.steps) <= MOST
    [total] = [value for key, value in store.rewards["fraud"].items() if key.metric == "click"]
    assert (total.rewarded, total.total) == (2500, 2500 * 1_000_000)


def test_after_many_rewards_steps_of_requests_are_large_again(machine, store):
    append_rewards(machine, 1000)
    for _ in range(2000):
        machine.append(context_of("canary", 1), NOON_US)
    machine.counter.tick()
    assert machine.counter.behind_bytes == 0
    assert max(size for outcomes, size in store.steps if not outcomes) > 20 * LEAST_BYTES


def test_a_step_that_cannot_be_smaller_counts_what_it_has(machine, store, monkeypatch):
    monkeypatch.setattr("gateway.control.log_counter._MOST_REWARDS", 1)
    append_rewards(machine, 100)
    machine.counter.tick()
    assert sum(outcomes for outcomes, _ in store.steps) == 100
    assert all(size <= 2 * LEAST_BYTES for _, size in store.steps[:-1])
