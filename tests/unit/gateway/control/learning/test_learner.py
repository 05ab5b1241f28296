"""Learning on a real store: what is learned is in the log and in force, and of two machines one wins."""

import json

import pytest

from gateway.control.desired_state import DesiredState
from gateway.control.in_force import entry_in_force
from gateway.control.learning.learner import Learner
from inference_log.segment import read_segment
from inference_log.writer import LogWriter
from router.document.apply import apply
from router.document.commands import Command, Declare, Pause
from router.document.document import Candidate
from router.document.learned import policy_from_dict
from router.rewards.sums import MILLION, RewardKey, RewardSum
from router.spec.parse import parse_spec
from store.entry import Change, Entry
from store.rewarded import Rewarded
from store.sqlite.store import SQLiteStore

ROUTE = {
    "route": "shop",
    "arms": {"a": "m:1", "b": "m:2"},
    "metrics": {"click": {"window": "10m"}},
    "bandit": {"policy": "thompson", "reward": "click", "floor": "2%"},
}
BEGAN_S = 1_000_000
MATURED_S = BEGAN_S + 10 + 600 + 60.0


class Machine:
    """A machine with a view of a store, a log and a learner."""

    def __init__(self, folder, name: str) -> None:
        self.store = SQLiteStore(folder / "control.db", busy_timeout_s=30.0, now=lambda: MATURED_S)
        self.desired = DesiredState(self.store, None)
        (folder / name).mkdir()
        self.writer = LogWriter(folder / name, name)
        self.learner = Learner(self.store, self, self, self.writer)  # type: ignore[arg-type]  # it makes changes, too
        self.is_served = True

    @property
    def trouble(self) -> str:
        return ""

    @property
    def documents(self):
        return self.desired.documents

    def candidates(self, _: str):
        return {arm: Candidate(arm, f"digest-{arm}") for arm in "ab"} if self.is_served else None

    def change(self, route: str, command_for, _=None, expected: int | None = None) -> None:
        """Make a change as `gateway.control.changes` does."""
        known = entry_in_force(self.store, route)
        document = apply(None if known is None else known.document, command_for(None))
        assert expected is None or document.version == expected + 1
        self.store.compare_and_set([Entry(document, Change("ann", 0.0, "test"))])

    def command(self, command: Command) -> None:
        self.change("shop", lambda _: command)

    def count(self, source: str, bucket_s: int = BEGAN_S, *, b_clicks: int = 90) -> None:
        """Count a time bucket with 300 decisions of each arm, of which arm a got 30 rewards."""
        self.desired.look()
        version = self.documents["shop"].version
        sums = {
            RewardKey(bucket_s, 10, version, arm, "1", "click"): RewardSum(300, clicks, *2 * [clicks * MILLION])
            for arm, clicks in (("a", 30), ("b", b_clicks))
        }
        self.store.count(source, 0, 1, {}, Rewarded({"shop": sums}))

    def tick(self, now_s: float) -> None:
        self.desired.look()
        self.learner.tick(now_s)

    def logged(self):
        """Return the policies that are in the log."""
        path = self.writer.active_path
        segment = None if path is None else read_segment(path.read_bytes())
        return [] if segment is None else segment.learned


@pytest.fixture
def machine(tmp_path) -> Machine:
    made = Machine(tmp_path, "one")
    made.command(Declare(parse_spec(ROUTE), float(BEGAN_S)))
    return made


def test_what_is_learned_is_in_force_and_in_the_log(machine):
    machine.count("s1")
    machine.tick(MATURED_S)
    assert machine.desired.look()
    document = machine.documents["shop"]
    assert document.weights["b"] == 9_800
    assert (document.version, document.policy_number) == (1, 1)
    (logged,) = machine.logged()
    assert policy_from_dict(json.loads(logged.content)) == machine.store.policies(0).of["shop"]
    assert logged.weights == {"a": 0.02, "b": 0.98}


def test_nothing_is_learned_before_decisions_have_matured_or_twice_from_the_same(machine):
    machine.count("s1")
    machine.tick(MATURED_S - 1)
    assert machine.learner.learned == 0
    machine.tick(MATURED_S)
    machine.tick(MATURED_S + 5)
    assert machine.learner.learned == 1
    machine.count("s2", BEGAN_S + 10)
    machine.tick(MATURED_S + 10)
    assert machine.learner.learned == 2


@pytest.mark.parametrize("why", ["paused", "not served"])
def test_a_bandit_that_does_not_learn_stays_as_it_is(machine, why):
    machine.count("s1")
    if why == "paused":
        machine.command(Pause())
    machine.is_served = why == "paused"
    machine.tick(MATURED_S)
    assert (machine.learner.learned, machine.logged()) == (0, [])


def test_of_two_machines_one_learns(machine, tmp_path):
    machine.count("s1")
    other = Machine(tmp_path, "two")
    other.desired.look()
    machine.tick(MATURED_S)
    other.learner.tick(MATURED_S)  # it has read the documents before the first one learned
    assert (machine.learner.learned, other.learner.learned) == (1, 0)
    other.desired.look()
    machine.desired.look()
    assert other.documents == machine.documents


def test_a_route_that_cannot_learn_does_not_stop_the_others(machine):
    broken = ROUTE | {"route": "broken", "bandit": {"policy": "oracle", "reward": "click"}}
    document = apply(None, Declare(parse_spec(broken), float(BEGAN_S)))
    machine.store.compare_and_set([Entry(document, Change("ann", 0.0, "test"))])
    machine.count("s1")
    machine.store.count(
        "s2", 0, 1, {}, Rewarded({"broken": {RewardKey(BEGAN_S, 10, 1, "a", "1", "click"): RewardSum(9, 9, 9, 9)}})
    )
    machine.tick(MATURED_S)
    assert (machine.learner.learned, machine.learner.failures) == (1, 1)


def test_a_store_that_has_lost_what_was_learned_is_learned_into_anew(machine, tmp_path):
    machine.count("s1")
    machine.tick(MATURED_S)
    machine.desired.look()
    machine.store._query("DELETE FROM policies")
    assert machine.desired.look()
    assert machine.documents["shop"].weights == {"a": 5_000, "b": 5_000}
    machine.count("s2", BEGAN_S + 10)
    machine.tick(MATURED_S + 10)
    machine.desired.look()
    assert machine.documents["shop"].weights["b"] == 9_800


@pytest.mark.parametrize(("then", "phase"), [("promote", "PROMOTED"), ("ask", "WAITING")])
def test_a_bandit_ends_once_its_best_arm_is_known(tmp_path, then, phase):
    machine = Machine(tmp_path, "one")
    stop = {"within": "5%", "error": "5%", "then": then}
    machine.command(Declare(parse_spec(ROUTE | {"bandit": ROUTE["bandit"] | {"stop": stop}}), float(BEGAN_S)))
    machine.count("s1", b_clicks=40)
    machine.tick(MATURED_S)
    machine.desired.look()
    assert machine.documents["shop"].phase == "PROGRESSING"
    machine.count("s2", BEGAN_S + 10, b_clicks=200)
    machine.tick(MATURED_S + 10)
    machine.desired.look()
    document = machine.documents["shop"]
    assert document.phase == phase
    assert document.weights["b"] == (10_000 if then == "promote" else 9_800)
    machine.count("s3", BEGAN_S + 20, b_clicks=0)
    machine.tick(MATURED_S + 20)
    machine.desired.look()
    assert machine.documents["shop"] == document
