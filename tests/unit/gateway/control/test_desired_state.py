"""A store is believed unless it has lost data. Then replicas keep what they know, and can put it back."""

from fractions import Fraction

import pytest

from gateway.control.desired_state import DesiredState
from gateway.control.last_known import LastKnownFile, StoreState
from gateway.control.learned_file import LearnedFile
from router.document.apply import apply
from router.document.commands import Shift
from router.document.learned import LearnedPolicy
from store.api_key import ApiKey
from store.entry import Change, Entry
from store.errors import Foreign, StoreUnavailable
from tests.support.flaky_store import FlakyStore

URL = "redis://store.example"


def route(name: str, version: str = "1") -> dict:
    return {"route": name, "arms": {"a": f"linear:{version}"}, "split": {"a": "100%"}}


def key(key_id: str) -> ApiKey:
    return ApiKey(key_id, "checkout", bytes(32), ("predict",), 1.5, "ada")


class Machine:
    """A machine with a store beside it, and replicas that start and end."""

    def __init__(self, folder, declare) -> None:
        self.store = FlakyStore(folder)
        self.last_known_path = folder / "remembered.json"
        self._declare = declare

    def declare(self, name: str, version: str = "1") -> None:
        self._declare(self.store, route(name, version))

    def replica(self, *, has_file: bool = True) -> DesiredState:
        return DesiredState(self.store, LastKnownFile(self.last_known_path, URL) if has_file else None)


@pytest.fixture
def machine(tmp_path, declare):
    made = Machine(tmp_path, declare)
    yield made
    made.store.real.close()


def serves(desired: DesiredState) -> dict[str, int]:
    return {name: document.version for name, document in desired.documents.items()}


def test_what_the_store_has_is_wanted_once_it_is_new(machine):
    desired = machine.replica()
    assert (desired.look(), serves(desired)) == (True, {})
    assert desired.look() is False
    machine.declare("r")
    assert (desired.look(), serves(desired)) == (True, {"r": 1})
    assert desired.look() is False
    machine.declare("r", "2")
    machine.declare("other")
    assert (desired.look(), serves(desired), desired.trouble) == (True, {"other": 1, "r": 2}, "")


def test_without_news_the_store_is_asked_one_question(machine):
    machine.declare("r")
    desired = machine.replica()
    desired.look()
    machine.store.asked.clear()
    desired.look()
    assert machine.store.asked == ["marks"]


def test_after_a_change_only_what_has_changed_is_read(machine):
    for name in ("r", "other", "third"):
        machine.declare(name)
    desired = machine.replica()
    desired.look()
    machine.store.asked.clear()
    machine.declare("other", "2")
    machine.declare("new")
    machine.store.asked.clear()
    assert (desired.look(), serves(desired)) == (True, {"r": 1, "other": 2, "third": 1, "new": 1})
    assert machine.store.asked == ["marks", "changes"]
    assert machine.replica().known.entries == desired.known.entries


def test_while_the_store_is_away_what_is_remembered_is_wanted(machine):
    machine.declare("r")
    machine.store.add_key(key("k"))
    before = machine.replica()
    before.look()
    before.look_for_keys()
    machine.store.is_away = True
    started = machine.replica()
    with pytest.raises(StoreUnavailable):
        started.look()
    assert (serves(started), started.was_read, started.trouble) == ({"r": 1}, False, "")
    assert [each.id for each in started.known.keys] == ["k"]
    machine.store.is_away = False
    machine.declare("r", "2")
    assert (started.look(), serves(started)) == (True, {"r": 2})
    assert [each.id for each in started.look_for_keys()] == ["k"]


def test_the_first_look_is_news_even_if_it_says_what_is_remembered(machine):
    machine.declare("r")
    machine.replica().look()
    assert machine.replica().look() is True


def test_a_store_that_has_lost_its_routes_changes_nothing(machine):
    machine.declare("r")
    machine.store.add_key(key("k"))
    desired = machine.replica()
    desired.look()
    desired.look_for_keys()
    machine.store.lose()
    assert desired.look() is False
    assert desired.look_for_keys() is None
    assert serves(desired) == {"r": 1}
    assert [each.id for each in desired.known.keys] == ["k"]
    assert desired.trouble.startswith("The store has lost its routes. `pointsman restore` puts back")


def test_a_store_that_was_emptied_while_nobody_looked_changes_nothing(machine):
    machine.declare("r")
    machine.replica().look()
    machine.store.lose()
    started = machine.replica()
    assert started.look() is False
    assert serves(started) == {"r": 1}
    assert "has lost its routes" in started.trouble
    assert started.was_read


def test_what_is_put_back_is_believed_by_every_replica(machine):
    machine.declare("r")
    machine.declare("r", "2")
    machine.declare("other")
    machine.store.add_key(key("k"))
    machine.store.add_key(key("revoked"))
    machine.store.revoke_key("revoked", 9.0)
    replicas = [machine.replica(), machine.replica(has_file=False)]
    for each in replicas:
        each.look()
        each.look_for_keys()
    identity = machine.store.revision().identity
    machine.store.lose()
    for each in replicas:
        each.look()
    assert sorted(replicas[0].restore()) == ["other", "r"]
    assert machine.store.revision().identity == identity
    kept = machine.store.keys()
    assert [(each.id, each.revoked_at_s) for each in kept] == [("k", None), ("revoked", 9.0)]
    for each in replicas:
        each.look()
        each.look_for_keys()
        assert (each.trouble, serves(each)) == ("", {"other": 1, "r": 2})
    assert replicas[1].restore() == []
    machine.declare("r")
    assert [(each.look(), serves(each)["r"]) for each in replicas] == [(True, 3), (True, 3)]


def test_what_another_replica_put_back_in_part_is_not_believed_until_the_rest_is(machine):
    machine.declare("r")
    behind = machine.replica(has_file=False)
    behind.look()
    machine.declare("r", "2")
    ahead = machine.replica(has_file=False)
    ahead.look()
    machine.store.lose()
    behind.look()
    behind.restore()
    assert ahead.look() is False
    assert "The store was set back: of r it has an older version" in ahead.trouble
    ahead.restore()
    assert [(each.look(), each.trouble, serves(each)) for each in (behind, ahead)] == [(True, "", {"r": 2})] * 2


def test_a_store_that_was_set_back_is_not_believed(machine):
    machine.declare("r")
    backup = machine.store.back_up()
    machine.declare("r", "2")
    machine.declare("other")
    desired = machine.replica()
    desired.look()
    machine.store.set_back(backup)
    assert desired.look() is False
    assert serves(desired) == {"r": 2, "other": 1}
    assert desired.trouble.startswith("The store was set back: of other, r it has an older version, or none.")
    assert machine.replica().look() is False  # a new replica reads the file, and does not believe the store either
    assert sorted(desired.restore()) == ["other", "r"]
    assert (desired.look(), desired.trouble, serves(desired)) == (True, "", {"r": 2, "other": 1})


def test_a_store_that_was_set_back_and_grew_again_is_still_not_believed(machine):
    machine.declare("r")
    backup = machine.store.back_up()
    machine.declare("r", "2")
    desired = machine.replica(has_file=False)
    desired.look()
    machine.store.set_back(backup)
    machine.declare("other")  # by a writer that never saw the lost data
    machine.declare("another")
    assert desired.look() is False
    assert "set back: of r it has an older version" in desired.trouble
    assert serves(desired) == {"r": 2}
    desired.restore()
    assert desired.look() is True
    assert (desired.trouble, serves(desired)) == ("", {"r": 2, "other": 1, "another": 1})


def test_trouble_does_not_flicker_while_the_store_is_looked_at(machine):
    machine.declare("r")
    backup = machine.store.back_up()
    machine.declare("r", "2")
    desired = machine.replica()
    desired.look()
    machine.store.set_back(backup)
    desired.look()
    seen, routes = [], machine.store.real.routes

    def look() -> list:
        seen.append(desired.trouble)
        return routes()

    machine.store.real.routes = look
    desired.look()
    machine.store.is_away = True
    with pytest.raises(StoreUnavailable):
        desired.look()
    seen.append(desired.trouble)
    assert len(seen) == 2
    assert all("was set back" in each for each in seen)


def test_another_store_is_taken_as_it_is_by_who_starts_anew_and_by_nobody_else(machine):
    machine.declare("r")
    machine.declare("r", "2")
    running = machine.replica()
    running.look()
    machine.store.lose()
    machine.declare("s")
    assert running.look() is False
    assert serves(running) == {"r": 2}
    assert "The store has other routes than those that were there before" in running.trouble
    with pytest.raises(Foreign):
        running.restore()
    started = machine.replica()
    assert (started.look(), started.trouble, serves(started)) == (True, "", {"s": 1})
    assert running.look() is False


def test_another_store_is_taken_as_it_is_even_if_its_first_reading_fails(machine):
    machine.declare("r")
    machine.replica().look()
    machine.store.lose()
    machine.declare("s")
    started, routes = machine.replica(), machine.store.real.routes

    def fail() -> list:
        machine.store.real.routes = routes
        raise StoreUnavailable("It went away just now.")

    machine.store.real.routes = fail
    with pytest.raises(StoreUnavailable):
        started.look()
    assert (started.look(), started.trouble, serves(started)) == (True, "", {"s": 1})


def test_a_store_that_is_new_and_empty_is_believed_by_who_knows_nothing(machine):
    desired = machine.replica()
    desired.look()
    assert (desired.trouble, desired.restore()) == ("", [])
    machine.declare("r")
    desired.look()
    machine.store.lose()
    desired.look()
    assert "has lost its routes" in desired.trouble  # so the store got an identity with its first document


def test_a_document_that_cannot_be_read_keeps_its_last_good_form(machine):
    machine.declare("r")
    machine.declare("other")
    desired = machine.replica()
    desired.look()
    machine.declare("r", "2")
    machine.store.damage("r")
    machine.declare("other", "2")
    assert desired.look() is True
    assert (serves(desired), list(desired.corrupt), desired.trouble) == ({"r": 1, "other": 2}, ["r"], "")
    started = machine.replica()
    started.look()
    assert (serves(started), list(started.corrupt)) == ({"r": 1, "other": 2}, ["r"])


def test_a_document_that_was_never_good_is_only_named(machine):
    machine.declare("r")
    machine.store.damage("r")
    desired = machine.replica()
    desired.look()
    assert (serves(desired), list(desired.corrupt)) == ({}, ["r"])


def test_the_last_good_form_of_another_store_is_not_kept(machine):
    machine.declare("r")
    machine.replica().look()
    machine.store.lose()
    machine.declare("r", "2")
    machine.store.damage("r")
    started = machine.replica()
    started.look()
    assert (serves(started), list(started.corrupt)) == ({}, ["r"])


def test_keys_are_given_when_they_have_changed(machine):
    desired = machine.replica()
    desired.look()
    assert desired.look_for_keys() == []
    assert desired.look_for_keys() is None
    machine.store.add_key(key("k"))
    desired.look()
    assert [each.id for each in desired.look_for_keys()] == ["k"]
    machine.store.revoke_key("k", 2.0)
    desired.look()
    assert [each.revoked_at_s for each in desired.look_for_keys()] == [2.0]
    assert [each.revoked_at_s for each in machine.replica().known.keys] == [2.0]


BANDIT = {
    "route": "b",
    "arms": {"a": "linear:1", "b": "linear:2"},
    "metrics": {"click": {"window": "1m"}},
    "bandit": {"policy": "thompson", "reward": "click"},
}


class Learning:
    """A bandit `b` on a machine, its policies, and the file of its companion. Every look may write the file."""

    def __init__(self, machine: Machine, path) -> None:
        machine._declare(machine.store, BANDIT)
        self.machine, self.path = machine, path

    def learn(self, number: int, of_a: int) -> None:
        document = self.machine.store.read("b").document
        slots = {"a": ((0, of_a),), "b": ((of_a, 10_000 - of_a),)}
        since = document.learning.since_version
        assert self.machine.store.learn(LearnedPolicy("b", document.declared_us, number, since, slots, 5), number - 1)

    def replica(self) -> DesiredState:
        return DesiredState(
            self.machine.store, LastKnownFile(self.machine.last_known_path, URL), LearnedFile(self.path, URL)
        )

    def keep(self, desired: DesiredState) -> None:
        LearnedFile(self.path, URL).keep(desired.known.revision.identity, desired.policies or {})


@pytest.fixture
def learning(machine, tmp_path):
    return Learning(machine, tmp_path / "learned.jsonl")


def weights(desired: DesiredState) -> tuple[int, int]:
    """Return the number of the policy in force, and the slots of arm a."""
    document = desired.documents["b"]
    return document.policy_number, document.weights["a"]


def test_while_the_store_is_away_learned_policies_are_served_until_it_answers(machine, learning):
    learning.learn(1, 7000)
    running = learning.replica()
    running.look()
    learning.keep(running)
    machine.store.is_away = True
    started = learning.replica()
    with pytest.raises(StoreUnavailable):
        started.look()
    assert weights(started) == weights(running) == (1, 7000)
    assert started.policies is None
    machine.store.is_away = False
    learning.learn(2, 9000)
    assert started.look() is True
    assert weights(started) == (2, 9000)
    assert started.look() is False


def test_a_store_that_has_no_policies_any_more_is_believed_as_by_a_replica_that_ran(machine, learning):
    backup = machine.store.back_up()
    learning.learn(1, 7000)
    running = learning.replica()
    running.look()
    learning.keep(running)
    machine.store.set_back(backup)
    started = learning.replica()
    started.look()
    running.look()
    assert weights(started) == weights(running) == (0, 5000)


def test_a_store_that_is_not_believed_leaves_what_the_file_has(machine, learning):
    learning.learn(1, 7000)
    running = learning.replica()
    running.look()
    learning.keep(running)
    machine.store.lose()
    started = learning.replica()
    assert started.look() is False
    assert weights(started) == (1, 7000)


def test_a_policy_of_an_earlier_life_or_of_weights_that_were_replaced_is_not_served(machine, learning):
    learning.learn(1, 7000)
    running = learning.replica()
    running.look()
    learning.keep(running)
    entry = machine.store.read("b")
    document = apply(entry.document, Shift({"a": Fraction(1, 5), "b": Fraction(4, 5)}))
    machine.store.compare_and_set([Entry(document, Change("ann", 1.0, "shift"))])
    running.look()
    machine.store.is_away = True
    assert weights(learning.replica()) == (0, 2000)


def test_policies_of_routes_that_are_gone_are_not_kept(machine, learning):
    learning.learn(1, 7000)
    running = learning.replica()
    running.look()
    assert set(running.policies) == {"b"}
    running.known = StoreState(running.known.revision, {}, [])
    assert running.policies == {}
