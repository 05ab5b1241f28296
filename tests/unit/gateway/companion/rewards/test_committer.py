"""Rewards go into the log, are counted from there, and each caller learns of its own, whatever fails in between."""

import json
import random
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from gateway.companion.rewards import committer as committer_module
from gateway.companion.rewards.client import PATIENCE_S
from gateway.companion.rewards.messages import Outcome
from gateway.control.log_counter import LogCounter
from store.errors import StoreUnavailable
from tests.support.polling import wait_until
from tests.unit.gateway.companion.rewards.support import Taken, reward, sums, words


class Dead(BaseException):
    """Stands for `kill -9`: nothing catches it."""


class Disturbed:
    """A real store whose `count` and `outcomes` may fail, before or after they are done."""

    def __init__(self, store) -> None:
        self._store = store
        self.before, self.after = lambda: None, lambda: None
        self.counts = 0
        self.asked: list[str] = []

    def __getattr__(self, name: str) -> Any:
        self.asked.append(name)
        return getattr(self._store, name)

    def count(self, *arguments: Any) -> int:
        self.before()
        ends = self._store.count(*arguments)
        self.counts += 1
        self.after()
        return ends


def fail() -> None:
    raise StoreUnavailable("The store does not answer.")


def die() -> None:
    raise Dead


@pytest.fixture
def disturbed(store):
    return Disturbed(store)


@pytest.fixture
def taken(tmp_path, disturbed):
    made = Taken(tmp_path / "spool", disturbed)
    made.look()
    yield made
    made.writer.close()


def body(*rewards: dict[str, Any]) -> bytes:
    return json.dumps({"rewards": rewards}).encode()


def clicks(store) -> int:
    return sums(store).get(("canary", "click"), (0, 0, 0))[0]


def test_while_the_store_is_known_to_be_down_nothing_is_written(taken, disturbed):
    disturbed.before = fail
    answered = taken.ask(body(reward(1)))
    assert (answered.outcome, answered.content) == (Outcome.NOT_COUNTED, b"The store does not answer.")
    assert len(taken.logged()) == 1
    disturbed.asked.clear()
    for number in range(5):
        assert taken.ask(body(reward(number))).outcome is Outcome.NOT_COUNTED
    assert (len(taken.logged()), disturbed.asked) == (1, [])
    disturbed.before = lambda: None
    taken.counter.tick()
    assert words(taken.send(reward(1), reward(2))) == ["duplicate", "counted"]
    assert clicks(disturbed) == 2


def test_a_store_that_is_not_believed_gets_no_rewards(taken):
    taken.trouble = "The store has lost its routes."
    answered = taken.ask(body(reward(1)))
    assert (answered.outcome, answered.content) == (Outcome.NOT_COUNTED, b"The store has lost its routes.")
    assert taken.logged() == []


def test_if_the_reply_of_the_store_was_lost_the_rewards_may_be_sent_again_and_count_once(taken, disturbed):
    disturbed.after = fail
    assert taken.ask(body(reward(1), reward(2))).outcome is Outcome.NOT_COUNTED
    disturbed.after = lambda: None
    taken.counter.tick()
    assert words(taken.send(reward(1), reward(2))) == ["duplicate", "duplicate"]
    assert clicks(disturbed) == 2


@pytest.mark.parametrize("step", ["before", "after"])
def test_a_companion_that_is_killed_while_it_counts_leaves_what_the_next_one_counts_once(
    tmp_path, taken, disturbed, step
):
    assert words(taken.send(reward(1))) == ["counted"]
    setattr(disturbed, step, die)
    with pytest.raises(Dead):
        taken.ask(body(reward(2), reward(3)))
    setattr(disturbed, step, lambda: None)
    following = Taken(tmp_path / "spool", disturbed, "here-rewards-2")
    following.look()
    following.counter.tick()
    assert clicks(disturbed) == 3
    assert words(following.send(reward(1), reward(2), reward(4))) == ["duplicate", "duplicate", "counted"]
    assert clicks(disturbed) == 4
    following.writer.close()


def test_a_companion_that_is_killed_before_it_counts_has_not_lost_what_is_in_the_log(tmp_path, taken, disturbed):
    taken.counter.count_now = lambda _: die()
    with pytest.raises(Dead):
        taken.ask(body(reward(1)))
    LogCounter(disturbed, taken.spool).tick()
    assert clicks(disturbed) == 1


def test_a_disk_that_is_full_is_said_and_what_was_written_before_counts_once(taken, disturbed, monkeypatch):
    append, left = taken.writer.append, [2]

    def limited(context, make):
        left[0] -= 1
        return left[0] >= 0 and append(context, make)

    monkeypatch.setattr(taken.writer, "append", limited)
    answered = taken.ask(body(reward(1), reward(2), reward(3)))
    assert answered.outcome is Outcome.NOT_COUNTED
    assert b"disk" in answered.content
    left[0] = 100
    assert words(taken.send(reward(1), reward(2), reward(3))) == ["duplicate", "duplicate", "counted"]
    assert clicks(disturbed) == 3


def test_rewards_that_have_waited_for_too_long_are_not_written(taken, disturbed):
    def pass_time() -> None:
        taken.clock_s += PATIENCE_S + 1
        disturbed.before = lambda: None

    disturbed.before = pass_time
    with ThreadPoolExecutor(2) as pool:
        entered = threading.Event()
        hold = threading.Event()
        disturbed.after = lambda: entered.set() or hold.wait(60)
        first = pool.submit(taken.ask, body(reward(1)))
        assert entered.wait(60)
        disturbed.after = lambda: None
        taken.clock_s = 0.0
        second = pool.submit(taken.ask, body(reward(2)))
        wait_until(lambda: taken.intake._committer._line)
        taken.clock_s = PATIENCE_S + 1
        hold.set()
        assert first.result(60).outcome is Outcome.RESULTS
        assert second.result(60).content == b"The rewards have waited for too long."
    assert [each.decision_id for each in taken.logged()] == [f"{1:024x}"]


def test_requests_that_wait_are_written_and_counted_together(taken, disturbed):
    entered, hold = threading.Event(), threading.Event()
    disturbed.after = lambda: entered.set() or hold.wait(60)
    with ThreadPoolExecutor(21) as pool:
        first = pool.submit(taken.send, reward(0))
        assert entered.wait(60)
        others = [pool.submit(taken.send, reward(number), reward(number)) for number in range(1, 21)]
        wait_until(lambda: len(taken.intake._committer._line) == 20)
        hold.set()
        assert words(first.result(60)) == ["counted"]
        assert [words(each.result(60)) for each in others] == [["counted", "duplicate"]] * 20
    assert disturbed.counts == 2
    assert clicks(disturbed) == 21


def test_a_round_has_a_limit(taken, disturbed, monkeypatch):
    monkeypatch.setattr(committer_module, "MOST_IN_A_ROUND", 3)
    entered, hold = threading.Event(), threading.Event()
    disturbed.after = lambda: entered.set() or hold.wait(60)
    with ThreadPoolExecutor(11) as pool:
        first = pool.submit(taken.send, reward(0))
        assert entered.wait(60)
        others = [pool.submit(taken.send, reward(number), reward(100 + number)) for number in range(1, 11)]
        wait_until(lambda: len(taken.intake._committer._line) == 10)
        hold.set()
        assert [words(each.result(60)) for each in (first, *others)] == [["counted"], *[["counted"] * 2] * 10]
    assert disturbed.counts == 1 + 5


def test_an_error_of_ours_ends_one_round_and_no_request_waits_for_ever(taken, disturbed):
    disturbed.before = lambda: 1 / 0
    with pytest.raises(ZeroDivisionError):
        taken.ask(body(reward(1)))
    disturbed.before = lambda: None
    taken.counter.tick()
    assert words(taken.send(reward(1), reward(2))) == ["duplicate", "counted"]


def test_results_are_those_of_each_request_while_segments_are_closed_counted_and_full(tmp_path, disturbed):
    taken = Taken(tmp_path / "other", disturbed, max_bytes=20_000)
    taken.look()
    done = threading.Event()

    def disturb() -> None:
        dice = random.Random(3)  # noqa: S311  # a test that can be repeated
        while not done.is_set():
            taken.counter.tick()
            closed = taken.writer.rotate(0, 0)
            if closed is not None and dice.random() < 0.5 and taken.counter.finish(closed):
                closed.unlink()
                taken.counter.deleted(closed)

    def send(client: int) -> None:
        for number in range(15):
            first, second = 1000 * client + number, 1000 * client + 500 + number
            results = taken.send(reward(first), reward(second), reward(first), reward(first, value=2))
            assert words(results) == ["counted", "counted", "duplicate", "refused"]

    other = threading.Thread(target=disturb)
    other.start()
    try:
        with ThreadPoolExecutor(4) as pool:
            for each in [pool.submit(send, client) for client in range(4)]:
                each.result(200)
    finally:
        done.set()
        other.join()
    assert clicks(disturbed) == 4 * 15 * 2
    taken.writer.close()


@pytest.mark.parametrize("seed", range(3))
def test_rewards_that_are_shuffled_repeated_and_retracted_at_two_machines_give_the_sums_of_a_clean_run(
    tmp_path, disturbed, seed
):
    dice = random.Random(seed)  # noqa: S311  # as above
    machines = [Taken(tmp_path / name, disturbed, f"{name}-rewards-1") for name in ("one", "two")]
    for each in machines:
        each.look()
    reports, expected = [], 0
    for number in range(40):
        values = [dice.randrange(0, 100) for _ in range(dice.randrange(1, 4))]
        for event, value in enumerate(values):
            reports.append(reward(number, "revenue", value, event=f"e{event}", time="2026-11-30T12:00:10Z"))
        if dice.random() < 0.3:
            reports.append(reward(number, "revenue", 0, event="e0", op="retract", time="2026-11-30T12:00:20Z"))
            values[0] = 0
        expected += 2000 * sum(values)  # millionths of a range of 500
    sent = reports * 3
    dice.shuffle(sent)
    batches = [sent[start : start + 10] for start in range(0, len(sent), 10)]
    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(lambda batch: dice.choice(machines).send(*batch), batches))
    assert {word for each in results for word in words(each)} <= {"counted", "duplicate"}
    assert sums(disturbed)["canary", "revenue"][1] == expected
    assert sum(len(each.logged()) for each in machines) == len(sent)
    for each in machines:
        each.writer.close()
