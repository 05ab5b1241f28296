"""Documents are changed by compare-and-set: a change that expects a version gets a Conflict, any other is repeated."""

import contextlib
import threading
import time
from fractions import Fraction
from types import SimpleNamespace

import pytest

from gateway.control.binding import bind, candidate_of
from gateway.control.changes import Changes, Note
from registry_sync.catalogue import Catalogue
from registry_sync.errors import UnknownModel
from registry_sync.registries.directory import DirectoryRegistry
from router.document.commands import Abort, Pause, Promote, Release, Resume, Shift, Start, Undo
from router.document.document import Candidate
from router.errors import Rejected, UnknownRoute
from router.spec.parse import parse_spec
from router.spec.references import parse_ref
from runtimes.errors import ModelRefused
from runtimes.load_options import LoadOptions
from store.errors import Conflict, Moved, StoreUnavailable
from store.sqlite.store import SQLiteStore
from tests.support.flaky_store import FlakyStore
from tests.support.polling import PATIENCE_S

ARMS = {"stable": "linear:1", "canary": "linear:2"}
SPLIT = {"route": "r", "arms": ARMS, "split": {"stable": "90%", "canary": "10%"}, "fallback": "stable"}
ROLLOUT = {
    "route": "r",
    "arms": {"stable": "linear@champion", "canary": "linear@challenger"},
    "rollout": {"of": "canary", "steps": ["5%", "50%"], "every": "1m"},
}
NOTE = Note("ada", "shift", "to see")


def layered(route: str, start: str, end: str, layer: str = "checkout") -> dict:
    return {**SPLIT, "route": route, "layer": {"name": layer, "range": [start, end]}}


def shift(percent: int):
    return lambda _: Shift({"canary": Fraction(percent, 100)})


class Desk:
    """One store and one registry; replicas that change documents there. It is their `ReplicaView`, too."""

    def __init__(self, folder, registry) -> None:
        self.store = FlakyStore(folder)
        self.registry = registry
        self.trouble = ""
        self.served: dict[str, Candidate] | None = None
        self.catalogue = Catalogue(DirectoryRegistry(registry), LoadOptions())
        self.changes = Changes(self.store, self.catalogue, "replica-0", self)

    def replica(self, name: str) -> Changes:
        return Changes(self.store, Catalogue(DirectoryRegistry(self.registry), LoadOptions()), name, self)

    def candidates(self, route: str) -> dict[str, Candidate] | None:  # noqa: ARG002  # the View's
        return self.served

    def candidate(self, ref: str) -> Candidate:
        return candidate_of(self.catalogue, parse_ref(ref))

    def declare(self, *raws: dict, by: Changes | None = None, **expected: int):
        specs = [parse_spec(dict(raw)) for raw in raws]
        known = {spec.route: expected.get(spec.route, 0) for spec in specs}
        return (by or self.changes).declare(specs, known, Note("ada", "apply"))

    def version(self, route: str = "r") -> int:
        return self.store.read(route).document.version

    def registry_goes_away(self) -> None:
        self.registry.rename(self.registry.with_name("away"))


@pytest.fixture
def desk(tmp_path, own_registry):
    made = Desk(tmp_path, own_registry)
    yield made
    made.store.real.close()


@pytest.fixture
def racing(desk, monkeypatch):
    """Return a list for calls of other writers. Each runs once, between the reading and the writing of a change."""
    left = []

    def write(entries, at=None):
        if left:
            left.pop(0)()
        desk.store.real.compare_and_set(entries, at)

    monkeypatch.setattr(desk.store, "compare_and_set", write, raising=False)
    monkeypatch.setattr("gateway.control.changes.random.uniform", lambda *_: 0.0)
    return left


def test_a_change_is_written_with_who_what_why_when_and_by_whom(desk):
    desk.declare(SPLIT)
    before_s = time.time()
    entry = desk.changes.change("r", shift(20), NOTE)
    assert entry == desk.store.read("r")
    assert entry.document.weights == {"stable": 8000, "canary": 2000}
    change = entry.change
    assert (change.who, change.what, change.why, change.by) == ("ada", "shift", "to see", "replica-0")
    assert before_s <= change.at_s <= time.time()
    assert len(change.id) == 32
    assert desk.changes.change("r", shift(30), NOTE).change.id != change.id


def test_what_is_asked_is_asked_of_the_newest_document(desk):
    desk.declare(SPLIT)
    desk.changes.change("r", shift(20), NOTE)
    seen = []

    def command_for(document):
        seen.append(document.version)
        return Shift({"canary": Fraction(1, 2)})

    desk.changes.change("r", command_for, NOTE)
    assert seen == [2]


def test_names_of_routes_that_there_are_not_leave_nothing_behind(desk):
    before = held(desk.changes)
    for number in range(500):
        with pytest.raises(UnknownRoute):
            desk.changes.change(f"z{number}", lambda _: shift(20), NOTE)
    assert held(desk.changes) == before


def held(changes: Changes) -> int:
    """Return how many objects the fields of `changes` hold directly."""
    return sum(len(each) for each in vars(changes).values() if isinstance(each, list | dict | set))


def test_a_route_that_there_is_not_is_unknown(desk):
    with pytest.raises(UnknownRoute, match=r"There is no route 'z'; there are none\."):
        desk.changes.change("z", shift(20), NOTE)
    desk.declare(SPLIT)
    with pytest.raises(UnknownRoute, match=r"There is no route 'z'; there are r\."):
        desk.changes.existing("z")


def test_a_command_that_is_not_allowed_changes_nothing(desk):
    desk.declare(SPLIT)
    with pytest.raises(Rejected, match="is a split, not a rollout"):
        desk.changes.change("r", lambda _: Pause(), NOTE)
    assert desk.version() == 1


def test_who_names_the_version_that_there_is_may_change_it(desk):
    desk.declare(SPLIT)
    assert desk.changes.change("r", shift(20), NOTE, expected=1).document.version == 2


def test_who_names_another_version_is_told_of_it(desk):
    desk.declare(SPLIT)
    desk.changes.change("r", shift(20), NOTE)
    with pytest.raises(Conflict, match="Route r is at version 2, not 1") as raised:
        desk.changes.change("r", shift(30), NOTE, expected=1)
    assert raised.value.current == 2
    assert desk.version() == 2


def test_who_names_a_version_is_told_of_who_was_quicker(desk, racing):
    desk.declare(SPLIT)
    other = desk.replica("replica-1")
    racing.append(lambda: other.change("r", shift(20), NOTE))
    with pytest.raises(Conflict):
        desk.changes.change("r", shift(30), NOTE, expected=1)
    assert desk.store.read("r").change.by == "replica-1"
    assert desk.version() == 2


def test_who_names_no_version_goes_on_top_of_who_was_quicker(desk, racing):
    desk.declare(SPLIT)
    rivals = {percent: desk.replica(f"replica-{percent}") for percent in (20, 25)}
    # The second writer beats the first, and the third beats the second: the history has all of them.
    racing.extend([lambda: rivals[20].change("r", shift(20), NOTE), lambda: rivals[25].change("r", shift(25), NOTE)])
    assert desk.changes.change("r", shift(30), NOTE).document.version == 4
    history = [(entry.document.version, entry.document.weights["canary"]) for entry in desk.store.history("r", 9)]
    assert [version for version, _ in history] == [4, 3, 2, 1]
    assert {slots for _, slots in history[:3]} == {2000, 2500, 3000}
    assert history[0] == (4, 3000)


def test_nobody_is_beaten_for_ever(desk, racing, monkeypatch):
    desk.declare(SPLIT)
    racing.extend([lambda: (_ for _ in ()).throw(Conflict("r", 1, 2))] * 50)
    now_s = [0.0]

    def monotonic() -> float:
        now_s[0] += 1.0
        return now_s[0]

    clock = SimpleNamespace(monotonic=monotonic, time=lambda: 1.0, sleep=lambda _: None)
    monkeypatch.setattr(
        "gateway.control.changes.time", clock
    )  # in this module alone: other threads read the clock, too
    with pytest.raises(Conflict):
        desk.changes.change("r", shift(30), NOTE)
    assert len(racing) == 44  # patience is 5 s


def test_of_many_who_change_at_once_none_is_lost(desk):
    desk.declare(SPLIT)
    # Two replicas are two processes: each has its own connection.
    stores = [SQLiteStore(desk.store.path) for _ in range(2)]
    replicas = [Changes(store, None, f"replica-{i}", SimpleNamespace(trouble="")) for i, store in enumerate(stores)]
    barrier, made = threading.Barrier(8), []

    def work(number: int) -> None:
        barrier.wait()
        for each in range(10):
            percent = 10 + (number * 10 + each) % 80
            made.append(replicas[number % 2].change("r", shift(percent), NOTE).change.id)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for store in stores:
        store.close()
    history = desk.store.history("r", 100)
    assert [entry.document.version for entry in history] == list(range(81, 0, -1))
    assert {entry.change.id for entry in history[:-1]} == set(made)
    assert len(set(made)) == 80


def test_several_routes_are_declared_together(desk):
    entries = desk.declare(SPLIT, {**SPLIT, "route": "s"})
    assert [(entry.document.spec.route, entry.document.version) for entry in entries] == [("r", 1), ("s", 1)]
    assert len({entry.change.id for entry in entries}) == 2
    assert sorted(desk.store.routes()) == ["r", "s"]


@pytest.mark.parametrize(
    ("second", "error"),
    [
        ({**SPLIT, "route": "s", "arms": {"stable": "linear:1", "canary": "linear:9"}}, UnknownModel),
        ({**SPLIT, "route": "s", "arms": {"stable": "linear:1", "canary": "damaged:1"}}, ModelRefused),
        ({**SPLIT, "route": "s", "arms": {"stable": "linear:1", "canary": "wide:1"}}, Rejected),
        ({**SPLIT, "route": "s", "shadow": [{"arm": "linear:9"}]}, Rejected),
    ],
)
def test_several_routes_are_declared_all_or_none(desk, second, error):
    with pytest.raises(error):
        desk.declare(SPLIT, second)
    assert list(desk.store.routes()) == []


def test_a_declaration_that_somebody_was_quicker_than_declares_nothing(desk, racing):
    desk.declare({**SPLIT, "route": "s"})
    other = desk.replica("replica-1")
    racing.append(lambda: other.change("s", shift(20), NOTE))
    with pytest.raises(Conflict, match="Route s is at version 2, not 1"):
        desk.declare(SPLIT, {**SPLIT, "route": "s", "deadline": "1s"}, s=1)
    assert list(desk.store.routes()) == ["s"]
    with pytest.raises(Conflict, match="Route s is at version 2, not 0"):
        desk.declare({**SPLIT, "route": "s"})


def test_parts_of_a_layer_that_overlap_are_refused_whoever_has_them(desk):
    desk.declare(layered("one", "0%", "50%"))
    with pytest.raises(Rejected, match=r"overlap in layer checkout; free in it: 60% to 100%"):
        desk.declare(layered("two", "40%", "60%"))
    with pytest.raises(Rejected, match="overlap"):
        desk.declare(layered("two", "50%", "70%"), layered("three", "60%", "80%"))
    desk.declare(layered("two", "50%", "70%"), layered("three", "40%", "60%", layer="search"))
    assert sorted(desk.store.routes()) == ["one", "three", "two"]


def test_a_route_may_be_declared_anew_in_its_own_part_of_a_layer(desk):
    desk.declare(layered("one", "0%", "50%"))
    assert desk.declare(layered("one", "10%", "60%"), one=1)[0].document.version == 2


def test_routes_may_exchange_their_parts_of_a_layer(desk):
    desk.declare(layered("one", "0%", "50%"), layered("two", "50%", "100%"))
    desk.declare(layered("one", "50%", "100%"), layered("two", "0%", "50%"), one=1, two=1)
    assert desk.store.read("one").document.spec.layer.start == 0.5


def test_of_two_who_declare_the_same_part_of_a_layer_at_once_one_wins(desk, racing):
    other = desk.replica("replica-1")
    racing.append(lambda: desk.declare(layered("two", "40%", "60%"), by=other))
    with pytest.raises(Moved):
        desk.declare(layered("one", "0%", "50%"))
    assert list(desk.store.routes()) == ["two"]


def test_who_is_in_no_layer_does_not_care_what_others_declare_meanwhile(desk, racing):
    other = desk.replica("replica-1")
    racing.append(lambda: desk.declare(layered("two", "40%", "60%"), by=other))
    desk.declare(SPLIT)
    assert sorted(desk.store.routes()) == ["r", "two"]


def test_undoing_does_not_take_back_a_part_of_a_layer_that_another_route_has_by_now(desk):
    (first,) = desk.declare(layered("one", "0%", "50%"))
    desk.declare(layered("one", "0%", "20%"), one=1)
    desk.changes.change("one", lambda _: Undo(first.document, 1.0), NOTE)
    desk.declare(layered("one", "0%", "20%"), one=3)
    desk.declare(layered("two", "20%", "60%"))
    with pytest.raises(Rejected, match="overlap in layer checkout"):
        desk.changes.change("one", lambda _: Undo(first.document, 1.0), NOTE)
    assert desk.version("one") == 4


def test_undoing_sees_a_part_of_a_layer_go_in_the_last_moment(desk, racing):
    (first,) = desk.declare(layered("one", "0%", "50%"))
    desk.declare(layered("one", "0%", "20%"), one=1)
    other = desk.replica("replica-1")
    racing.append(lambda: desk.declare(layered("two", "20%", "60%"), by=other))
    with pytest.raises(Rejected, match="overlap in layer checkout"):
        desk.changes.change("one", lambda _: Undo(first.document, 1.0), NOTE, expected=2)
    assert desk.version("one") == 2


def aborted(desk) -> None:
    desk.declare(SPLIT)
    bound = desk.candidate("linear:2")
    desk.changes.change("r", lambda _: Abort(1.0, "It failed.", "canary", bound), NOTE)


def test_no_shift_gives_a_version_in_quarantine_traffic(desk):
    aborted(desk)
    with pytest.raises(Rejected, match=r"Arm canary would serve linear:2, which is in quarantine: It failed\."):
        desk.changes.change("r", shift(5), NOTE)
    desk.changes.change("r", lambda _: Release("2"), NOTE)
    assert desk.changes.change("r", shift(5), NOTE).document.weights["canary"] == 500


@pytest.mark.parametrize("command", [Start(None, 1.0), Promote(1.0, "canary")])
def test_no_command_of_a_bandit_gives_a_version_in_quarantine_traffic(desk, command):
    learned = {"metrics": {"click": {"window": "1h"}}, "bandit": {"policy": "thompson", "reward": "click"}}
    desk.declare({**SPLIT, **learned, "split": None})
    desk.changes.change("r", lambda _: Abort(1.0, "It failed.", "canary", desk.candidate("linear:2")), NOTE)
    if isinstance(command, Start):
        desk.changes.change("r", lambda _: Abort(1.0, "enough"), NOTE)
    with pytest.raises(Rejected, match="would serve linear:2, which is in quarantine"):
        desk.changes.change("r", lambda _: command, NOTE)
    desk.changes.change("r", lambda _: Release("linear:2", 2.0), NOTE)
    desk.changes.change("r", lambda _: command, NOTE)


def test_no_undo_gives_a_version_in_quarantine_traffic(desk):
    aborted(desk)
    first = desk.changes.version("r", 1)
    with pytest.raises(Rejected, match="would serve linear:2, which is in quarantine"):
        desk.changes.change("r", lambda _: Undo(first, 1.0), NOTE)
    assert desk.version() == 2
    with pytest.raises(Rejected, match="Route r has no version 9; `pointsman history r` lists what there is"):
        desk.changes.version("r", 9)


def test_no_undo_makes_a_version_in_quarantine_the_one_that_others_rely_on(desk):
    """A unit outside the layer gets the trusted arm, although that arm has no weight."""
    exclusive = {**SPLIT, "split": {"stable": 0, "canary": 1}, "layer": {"name": "x", "range": ["0%", "50%"]}}
    (first,) = desk.declare(exclusive)
    desk.declare({**SPLIT, "split": {"stable": "50%", "canary": "50%"}}, r=1)
    bound = desk.candidate("linear:1")
    desk.changes.change("r", lambda _: Abort(1.0, "It failed.", "stable", bound), NOTE)
    with pytest.raises(Rejected, match="Arm stable would serve linear:1, which is in quarantine"):
        desk.changes.change("r", lambda _: Undo(first.document, 1.0), NOTE)


def test_a_shift_where_nothing_is_in_quarantine_needs_no_registry(desk):
    desk.declare(SPLIT)
    desk.registry_goes_away()
    assert desk.replica("new").change("r", shift(5), NOTE).document.version == 2


def test_an_abort_needs_no_registry(desk):
    desk.declare(ROLLOUT)
    candidate = desk.candidate("linear@challenger")
    assert candidate.version == "2"
    desk.changes.change("r", lambda _: Start(candidate, 1.0), NOTE)
    desk.registry_goes_away()
    entry = desk.replica("new").change("r", lambda _: Abort(2.0, "It failed."), NOTE)
    assert entry.document.weights == {"stable": 10_000, "canary": 0}
    assert [(held.version, held.why) for held in entry.document.quarantine] == [("2", "It failed.")]
    with pytest.raises(Rejected, match="in quarantine"):
        desk.changes.change("r", lambda _: Start(candidate, 3.0), NOTE)


def move_alias(desk, **aliases: str) -> None:
    (desk.registry / "linear" / "aliases.yaml").write_text("".join(f"{name}: '{v}'\n" for name, v in aliases.items()))


def test_an_abort_goes_back_to_what_was_there_though_the_alias_names_the_candidate_by_now(desk):
    desk.declare(ROLLOUT)
    candidate = desk.candidate("linear@challenger")
    desk.changes.change("r", lambda _: Start(candidate, 1.0), NOTE)
    move_alias(desk, champion="2", challenger="2")
    replica = desk.replica("new")
    entry = replica.change("r", lambda _: Abort(2.0, "It failed."), NOTE)
    assert entry.document.weights == {"stable": 10_000, "canary": 0}
    assert [held.name for held in entry.document.quarantine] == ["linear:2"]
    assert bind(replica._versions, entry.document).arms["stable"].key.version == "1"


def test_an_abort_compares_with_what_is_served_and_not_with_a_registry_that_does_not_answer(desk):
    """The arm that takes over serves the version that is aborted, which only the replicas know."""
    arms = {"stable": "linear:2", "canary": "linear:2"}
    desk.declare({**SPLIT, "arms": arms})
    candidate = desk.candidate("linear:2")
    desk.served = {"stable": candidate, "canary": candidate}
    replica = desk.replica("new")
    desk.registry_goes_away()
    entry = replica.change("r", lambda _: Abort(2.0, "It failed.", "canary", candidate), NOTE)
    assert entry.document.weights == {"stable": 10_000, "canary": 0}
    assert entry.document.quarantine == ()


def test_an_abort_does_not_wait_for_a_command_that_waits_for_the_registry(desk):
    desk.declare(ROLLOUT)
    candidate = desk.candidate("linear@challenger")
    desk.changes.change("r", lambda _: Start(candidate, 1.0), NOTE)
    waits, answers = threading.Event(), threading.Event()

    def hang(document):
        waits.set()
        assert answers.wait(PATIENCE_S)
        return Shift({"canary": Fraction(1, 10)})

    shift = threading.Thread(target=lambda: suppressed(lambda: desk.changes.change("r", hang, NOTE)))
    shift.start()
    assert waits.wait(PATIENCE_S)
    entry = desk.changes.change("r", lambda _: Abort(2.0, "It failed."), NOTE)
    assert entry.document.weights["canary"] == 0
    answers.set()
    shift.join()


def suppressed(work) -> None:
    with contextlib.suppress(Rejected, Conflict):
        work()


@pytest.mark.parametrize("is_split", [True, False])
def test_an_abort_takes_the_traffic_away_though_the_arm_that_takes_over_serves_the_same_version(desk, is_split):
    """That arm served no other version before, so the version that both serve is not put in quarantine."""
    move_alias(desk, champion="2")
    arms = {"stable": "linear@champion", "canary": "linear:2"}
    desk.declare({**SPLIT, "arms": arms} if is_split else {**ROLLOUT, "arms": arms})
    candidate = desk.candidate("linear:2")
    if not is_split:
        desk.changes.change("r", lambda _: Start(candidate, 1.0), NOTE)
    entry = desk.replica("new").change("r", lambda _: Abort(2.0, "It failed.", "canary", candidate), NOTE)
    assert entry.document.weights == {"stable": 10_000, "canary": 0}
    assert entry.document.quarantine == ()
    assert entry.change.why == "to see The version is not in quarantine, because an arm that takes over serves it, too."


def test_an_arm_in_quarantine_keeps_no_traffic_and_keeps_no_other_route_from_being_declared(desk):
    aborted(desk)
    other = {**SPLIT, "route": "s"}
    entries = desk.declare(SPLIT, other, r=2)
    assert [(each.document.spec.route, each.document.version) for each in entries] == [("r", 2), ("s", 1)]
    assert entries[0].document.weights == {"stable": 10_000, "canary": 0}
    changed = {**SPLIT, "deadline": "1s", "limits": {"canary": {"floor": "5%"}}}
    (entry,) = desk.declare(changed, r=2)
    assert (entry.document.version, entry.document.spec.deadline_s) == (3, 1.0)
    assert entry.document.weights == {"stable": 10_000, "canary": 0}
    desk.changes.change("r", lambda _: Release("linear:2"), NOTE)
    assert desk.declare(SPLIT, r=4)[0].document.weights == {"stable": 9000, "canary": 1000}


def test_where_all_arms_are_in_quarantine_the_declaration_is_refused(desk):
    aborted(desk)
    with pytest.raises(Rejected, match="Arm canary would serve linear:2, which is in quarantine"):
        desk.declare({**SPLIT, "arms": {"canary": "linear:2"}, "split": {"canary": "100%"}, "fallback": None}, r=2)


def test_a_declaration_gives_no_promoted_traffic_back_in_silence(desk):
    desk.declare(ROLLOUT)
    candidate = desk.candidate("linear@challenger")
    desk.changes.change("r", lambda _: Start(candidate, 1.0), NOTE)
    desk.changes.change("r", lambda _: Promote(2.0), NOTE)
    edited = {**ROLLOUT, "arms": {"stable": "linear@champion", "canary": "linear:1"}}
    with pytest.raises(Rejected, match=r"linear:2 is promoted .*`pointsman shift r stable=100%` first"):
        desk.declare(edited, r=3)
    assert desk.declare({**ROLLOUT, "deadline": "1s"}, r=3)[0].document.weights["canary"] == 10_000
    both = {**edited, "arms": {"stable": "linear:2", "canary": "linear:1"}}
    (entry,) = desk.declare(both, r=4)
    assert entry.document.weights == {"stable": 10_000, "canary": 0}


def test_the_way_that_a_refused_declaration_advises_works(desk):
    desk.declare(ROLLOUT)
    candidate = desk.candidate("linear@challenger")
    desk.changes.change("r", lambda _: Start(candidate, 1.0), NOTE)
    desk.changes.change("r", lambda _: Promote(2.0), NOTE)
    desk.changes.change("r", lambda _: Shift({"stable": Fraction(1)}), NOTE)
    edited = {**ROLLOUT, "arms": {"stable": "linear@champion", "canary": "linear:1"}}
    assert desk.declare(edited, r=4)[0].document.weights == {"stable": 10_000, "canary": 0}


def test_in_trouble_nothing_is_changed(desk):
    desk.declare(ROLLOUT)
    desk.trouble = "The store has lost its routes."
    for attempt in (
        lambda: desk.changes.change("r", lambda _: Resume(1.0), NOTE),
        lambda: desk.changes.change("r", shift(20), NOTE, expected=1),
        lambda: desk.declare({**SPLIT, "route": "s"}),
    ):
        with pytest.raises(StoreUnavailable, match="The store has lost its routes"):
            attempt()
    assert (list(desk.store.routes()), desk.version()) == (["r"], 1)


def test_while_the_store_is_away_nothing_is_changed_and_nobody_waits(desk, monkeypatch):
    desk.declare(SPLIT)
    desk.store.is_away = True
    monkeypatch.setattr("gateway.control.changes.time.sleep", lambda _: pytest.fail("It waited."))
    with pytest.raises(StoreUnavailable):
        desk.changes.change("r", shift(20), NOTE)
    desk.store.is_away = False
    assert desk.version() == 1


def test_a_strict_route_is_refused_where_the_log_is_on_the_machines_own_disk(desk):
    strict = {**SPLIT, "log": {"durability": "strict"}}
    with pytest.raises(Rejected, match=r"the log is in a directory\..* declare durable"):
        desk.declare(strict)
    in_s3 = Changes(desk.store, desk.catalogue, "replica-1", desk, may_be_strict=True)
    assert [entry.document.version for entry in desk.declare(strict, by=in_s3)] == [1]
