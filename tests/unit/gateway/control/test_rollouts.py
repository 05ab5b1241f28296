"""Rollouts advance, and bad arms go, by what traffic has added up to: any replica does it, and one of them once."""

import hashlib
import shutil
import threading
from fractions import Fraction
from pathlib import Path

import onnx
import pytest
import yaml
from structlog.testing import capture_logs

from gateway.control.binding import bind, candidates
from gateway.control.changes import Changes, Note
from gateway.control.rollouts import RECENT_S, Observer, RolloutDriver
from registry_sync.catalogue import Catalogue
from registry_sync.registries.directory import DirectoryRegistry
from router.document.commands import Pause, Release, Shift, Start
from router.evidence import guardrails
from router.evidence.sums import BUCKET_S, ERRORS, FLIPS, PAIRS, REQUESTS, SumKey
from router.evidence.verdict import VerdictState
from router.spec.parse import parse_spec
from runtimes.load import LoadOptions
from store.sqlite.store import SQLiteStore
from tests.support.flaky_store import Served

T0 = 1_800_000_000.0
ROLLOUT = {
    "route": "r",
    "arms": {"stable": "linear@champion", "canary": "linear@challenger"},
    "rollout": {"of": "canary", "steps": ["10%", "50%"], "every": "1m"},
    "guardrails": [{"errors": {"worse_by": "1%"}}],
}
SPLIT = {
    "route": "s",
    "arms": {"stable": "linear:1", "b": "linear:2"},
    "split": {"stable": "50%", "b": "50%"},
    "fallback": "stable",
    "guardrails": [{"errors": {"worse_by": "1%"}}],
}


class Replica:
    """One that looks when it is told to, with a connection and a catalogue of its own."""

    def __init__(self, site, name: str, store) -> None:
        self.store = store
        self.trouble = ""
        self.catalogue = Catalogue(DirectoryRegistry(site.registry), LoadOptions())
        self.changes = Changes(store, self.catalogue, name, lambda: self.trouble)
        self.seen = None
        self.bound = lambda route: candidates(bind(self.catalogue, site.store.real.read(route).document).arms)
        self.advancer = RolloutDriver(
            store, self.changes, lambda: self.seen or site.documents(), lambda route: self.bound(route)
        )


class Site:
    """A store, a registry, replicas, and traffic as its sums; time is a number."""

    def __init__(self, folder, registry) -> None:
        self.registry = registry
        self.now_s = T0
        self.store = Served(folder, now=lambda: self.now_s)
        self.replica = Replica(self, "replica-0", self.store)
        self.advancer = self.replica.advancer
        self._counted = 0

    def documents(self):
        return dict(self.store.real.documents())

    def document(self, route: str = "r"):
        return self.store.real.read(route).document

    def stands(self, route: str = "r") -> tuple[str, int]:
        document = self.document(route)
        return str(document.rollout.phase), document.weights["canary"]

    def declare(self, raw: dict, **more) -> None:
        spec = parse_spec({**raw, **more})
        known = self.store.real.read(spec.route)
        self.replica.changes.declare([spec], {spec.route: known.document.version if known else 0}, Note("ada", "apply"))

    def start(self) -> None:
        candidate = self.replica.changes.candidate(self.document().spec.arms["canary"])
        self.replica.changes.change("r", lambda _: Start(candidate, self.now_s), Note("ada", "start"))

    def begin(self, **more) -> None:
        """A rollout that has been started."""
        self.declare(ROLLOUT, **more)
        self.start()

    def count(self, arm: str, requests: int, errors: int = 0, route: str = "r", **more) -> None:
        """Traffic of now, under the document of now."""
        self.add({REQUESTS: requests, ERRORS: errors}, arm, route, **more)

    def add(self, added: dict, arm: str, route: str = "r", model: str = "", against: str = "") -> None:
        model = model or self.replica.bound(route)[arm].version
        bucket_s = int(self.now_s) // BUCKET_S * BUCKET_S
        policy = self.document(route).version
        beside = self.replica.bound(route)[against].version if against else ""
        sums = {SumKey(bucket_s, policy, arm, model, against, name, beside): value for name, value in added.items()}
        assert self.store.real.count("segment", self._counted, self._counted + 1, {route: sums}) == self._counted + 1
        self._counted += 1

    def tick(self, after_s: float = 0.5) -> None:
        self.now_s += after_s
        self.advancer.tick(self.now_s)

    def what(self, route: str = "r") -> list[str]:
        """What was asked, oldest first."""
        return [entry.change.what for entry in self.store.real.history(route, 100)][::-1]

    def newest(self, route: str = "r"):
        return self.store.real.read(route).change

    def follow(self, version: str) -> None:
        (self.registry / "linear" / "aliases.yaml").write_text(f"champion: '1'\nchallenger: '{version}'\n")


@pytest.fixture
def site(tmp_path, own_registry):
    made = Site(tmp_path, own_registry)
    yield made
    made.store.real.close()


def test_a_good_canary_gets_everything_step_by_step(site):
    site.begin()
    seen = []
    for _ in range(20):
        site.count("canary", 20)
        site.count("stable", 150, errors=1)
        site.tick(after_s=10)
        if not seen or seen[-1][1:] != site.stands():
            seen.append((site.now_s - T0, *site.stands()))
    assert seen == [(10, "PROGRESSING", 1000), (60, "PROGRESSING", 5000), (120, "PROMOTED", 10_000)]
    assert site.what() == ["apply", "start", "advance", "advance"]
    assert (site.newest().who, site.newest().by) == ("pointsman", "replica-0")
    assert site.newest().why == "The step is over, with 120 requests."
    assert site.advancer.failures == 0


def test_a_rollout_by_samples_goes_as_fast_as_they_come(site):
    site.begin(rollout={"of": "canary", "steps": ["10%", "50%"], "samples": 100})
    for requests, expected in ((99, 1000), (1, 5000), (60, 5000), (40, 10_000)):
        site.count("canary", requests)
        site.count("stable", 9 * requests)
        site.tick()
        assert site.stands()[1] == expected
    assert site.now_s == T0 + 2


def test_requests_of_another_version_are_no_samples(site):
    site.begin(rollout={"of": "canary", "steps": ["10%", "50%"], "samples": 100})
    site.count("canary", 500, model="1")
    site.count("stable", 500)
    site.tick()
    assert site.stands() == ("PROGRESSING", 1000)


def test_time_alone_is_no_evidence(site):
    site.begin()
    for _ in range(10):
        site.tick(after_s=60)
    assert site.stands() == ("PROGRESSING", 1000)


def test_approval_is_waited_for_and_said_once(site):
    site.begin(
        rollout={"of": "canary", "steps": [{"weight": "10%", "every": "1m", "approve": True}, "50%"], "every": "1m"}
    )
    site.count("canary", 10)
    for _ in range(3):
        site.tick(after_s=60)
    assert site.what() == ["apply", "start", "hold"]
    assert "pointsman resume r" in site.newest().why
    assert site.stands() == ("WAITING", 1000)


def test_a_canary_that_fails_loses_its_traffic_and_everybody_is_told_why(site):
    site.begin()
    site.count("stable", 100)
    site.count("canary", 12, errors=8)
    with capture_logs() as lines:
        site.tick()
    assert site.stands() == ("ABORTED", 0)
    change = site.newest()
    assert (change.who, change.what) == ("pointsman", "abort canary: errors")
    assert change.why.startswith("8 of 12 (66.7%) requests of canary failed, against 0 of 100 (0%) of the other arms;")
    assert [(held.version, held.why) for held in site.document().quarantine] == [("2", change.why)]
    assert site.advancer.aborts == {("r", "canary", "errors"): 1}
    (line,) = [line for line in lines if line["event"] == "gateway.guardrail.aborted"]
    assert (line["route"], line["arm"], line["guardrail"], line["why"], line["log_level"]) == (
        "r", "canary", "errors", change.why, "error",
    )  # fmt: skip
    site.tick()
    assert site.document().version == 3
    assert site.advancer.aborts == {("r", "canary", "errors"): 1}


def test_a_bad_canary_goes_even_when_its_step_is_over_and_its_alias_has_moved(site):
    site.begin()
    site.count("stable", 100)
    site.count("canary", 12, errors=8)
    site.follow("1")
    site.tick(after_s=60)
    assert site.what() == ["apply", "start", "abort canary: errors"]


def test_one_error_of_a_canary_is_not_enough(site):
    site.begin()
    site.count("stable", 100)
    site.count("canary", 12, errors=1)
    site.tick()
    assert site.stands() == ("PROGRESSING", 1000)
    (found,) = site.advancer.verdicts["r"]
    assert (found.arm, found.guardrail, found.verdict.state) == ("canary", "errors", VerdictState.UNDECIDED)
    assert found.verdict.reason.startswith("1 of 12 (8.33%)")


def test_a_canary_that_is_paused_is_watched_all_the_same(site):
    site.begin()
    site.replica.changes.change("r", lambda _: Pause(), Note("ada", "pause"))
    site.count("stable", 100)
    site.count("canary", 12, errors=8)
    site.tick()
    assert site.stands() == ("ABORTED", 0)


def test_a_good_hour_does_not_save_a_canary_that_turns_bad(site):
    site.begin(rollout={"of": "canary", "steps": ["10%", "50%"], "every": "10h"})
    for _ in range(59):
        site.count("stable", 900)
        site.count("canary", 100)
        site.tick(after_s=60)
    assert site.advancer.verdicts["r"][0].verdict.reason.startswith("0 of 5900 (0%)")
    site.count("stable", 200)
    site.count("canary", 24, errors=16)
    site.tick()
    assert site.stands() == ("ABORTED", 0)
    assert site.newest().why.startswith("16 of 5924 ")


def test_what_was_before_the_trial_is_no_evidence(site):
    site.declare(SPLIT)
    site.count("stable", 100, route="s")
    site.count("b", 60, errors=2, route="s")
    site.tick()
    assert site.advancer.verdicts["s"][0].verdict.reason.startswith("2 of 60")
    site.now_s += 20
    site.declare(SPLIT, guardrails=[{"errors": {"worse_by": "2%"}}])
    site.tick()
    assert site.advancer.verdicts["s"][0].verdict.reason == "No requests of b have been counted yet."


def test_what_is_released_begins_a_new_trial(site):
    site.declare(SPLIT)
    site.count("stable", 400, route="s")
    site.count("b", 40, errors=30, route="s")
    site.tick()
    assert site.document("s").weights["b"] == 0
    site.replica.changes.change("s", lambda _: Release("2", site.now_s), Note("ada", "release"))
    site.replica.changes.change("s", lambda _: Shift({"b": Fraction(1, 2)}), Note("ada", "shift"))
    site.tick()
    assert site.document("s").weights["b"] == 5000


def test_a_new_version_is_followed_and_judged_by_what_it_does_itself(site, own_registry):
    site.begin()
    site.count("stable", 100)
    site.count("canary", 12, errors=1)
    site.tick()
    publish_like(own_registry / "linear" / "2", "3")
    site.follow("3")
    bound = site.replica.bound("r")
    site.replica.bound = lambda _: {**bound, "canary": site.document().rollout.candidate}
    site.tick()
    assert site.what() == ["apply", "start", "follow to 3"]
    assert site.newest().why == "The alias names version 3 now."
    assert site.document().rollout.candidate.version == "3"
    site.count("canary", 40, errors=30, model="2")  # late records of the one before
    site.count("stable", 400)
    site.tick()
    assert site.stands() == ("PROGRESSING", 1000)
    assert site.advancer.verdicts["r"][0].verdict.reason == "No requests of canary have been counted yet."
    site.count("canary", 12, errors=8, model="3")
    site.tick()
    assert site.stands() == ("ABORTED", 0)
    assert [held.version for held in site.document().quarantine] == ["3"]


def publish_like(folder: Path, version: str) -> None:
    """Another artifact that does the same."""
    model, manifest = onnx.load(folder / "model.onnx"), yaml.safe_load((folder / "model.yaml").read_text())
    model.doc_string = version
    content = model.SerializeToString()
    published = folder.with_name(version)
    published.mkdir()
    (published / "model.onnx").write_bytes(content)
    described = manifest | {"sha256": hashlib.sha256(content).hexdigest()}
    (published / "model.yaml").write_text(yaml.safe_dump(described))


def test_a_version_that_cannot_take_the_candidates_place_is_not_followed(site, own_registry):
    site.begin()
    shutil.copytree(own_registry / "wide" / "1", own_registry / "linear" / "3")  # it takes other tensors
    site.follow("3")
    site.tick()
    assert site.what() == ["apply", "start"]


def test_of_two_replicas_that_see_the_same_one_acts(site):
    site.begin()
    other_store = SQLiteStore(site.store.path)
    other = Replica(site, "replica-1", other_store)
    site.count("stable", 100)
    site.count("canary", 12, errors=8)
    site.replica.seen = other.seen = site.documents()
    site.tick()
    other.advancer.tick(site.now_s)
    other_store.close()
    assert site.document().version == 3
    assert (site.advancer.aborts, other.advancer.aborts) == ({("r", "canary", "errors"): 1}, {})
    assert (site.advancer.failures, other.advancer.failures) == (0, 0)


@pytest.mark.parametrize("is_bad", [True, False])
def test_of_many_replicas_that_look_at_once_exactly_one_acts(site, is_bad):
    site.begin()
    site.count("stable", 100)
    site.count("canary", 12, errors=8 * is_bad)
    site.now_s += 60
    stores = [SQLiteStore(site.store.path) for _ in range(6)]
    replicas = [Replica(site, f"replica-{number}", store) for number, store in enumerate(stores)]
    bound, documents, barrier = site.replica.bound("r"), site.documents(), threading.Barrier(len(stores))

    def look(replica: Replica) -> None:
        replica.seen, replica.bound = documents, lambda _: bound
        barrier.wait()
        replica.advancer.tick(site.now_s)

    threads = [threading.Thread(target=look, args=(replica,)) for replica in replicas]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for store in stores:
        store.close()
    assert site.what() == ["apply", "start", "abort canary: errors" if is_bad else "advance"]
    assert sum(len(replica.advancer.aborts) for replica in replicas) == is_bad
    assert [replica.advancer.failures for replica in replicas] == [0] * 6


def test_an_operator_who_was_quicker_has_the_last_word(site):
    site.begin()
    site.count("canary", 10)
    site.replica.seen = site.documents()
    site.replica.changes.change("r", lambda _: Pause(), Note("ada", "pause"))
    site.tick(after_s=60)
    assert site.stands() == ("PAUSED", 1000)
    assert site.advancer.failures == 0


@pytest.mark.parametrize("is_known", [True, False])
def test_without_a_registry_bad_arms_go_and_steps_go_on_but_nothing_is_followed(site, own_registry, is_known):
    site.begin()
    bound = site.replica.bound("r")
    site.follow("1")
    own_registry.rename(own_registry.with_name("away"))
    if not is_known:  # a replica that was started after the registry went away
        site.replica = Replica(site, "replica-1", site.store)
        site.advancer = site.replica.advancer
    site.replica.bound = lambda _: bound
    site.count("stable", 100)
    site.count("canary", 12)
    site.tick(after_s=60)
    assert site.stands() == ("PROGRESSING", 5000)
    site.count("stable", 100)
    site.count("canary", 100, errors=60)
    site.tick()
    assert site.what() == ["apply", "start", "advance", "abort canary: errors"]
    assert site.advancer.failures == 0


def test_while_the_store_is_away_nothing_happens_and_it_is_said_once(site):
    site.begin()
    site.count("stable", 100)
    site.count("canary", 12, errors=8)
    site.store.is_away = True
    with capture_logs() as lines:
        for _ in range(5):
            site.tick()
    assert [(line["event"], line["route"]) for line in lines] == [("gateway.advance.failed", "r")]
    assert site.advancer.failures == 5
    site.store.is_away = False
    site.tick()
    assert site.stands() == ("ABORTED", 0)


def test_in_trouble_nothing_is_written(site):
    site.begin()
    site.count("stable", 100)
    site.count("canary", 12, errors=8)
    site.replica.trouble = "The store was set back."
    site.tick()
    assert (site.stands(), site.advancer.failures, site.advancer.aborts) == (("PROGRESSING", 1000), 1, {})
    site.replica.trouble = ""
    site.tick()
    assert site.stands() == ("ABORTED", 0)


def test_a_route_that_cannot_be_looked_at_does_not_stop_the_others(site):
    site.begin()
    site.declare(SPLIT)
    site.count("stable", 100, route="s")
    site.count("b", 30, errors=20, route="s")
    site.count("stable", 100)
    documents, bound = site.documents(), {route: site.replica.bound(route) for route in ("r", "s")}
    site.replica.seen, site.replica.bound = documents, bound.get
    site.store.damage("r")
    site.tick()
    assert site.advancer.failures == 1
    assert list(site.advancer.verdicts) == ["s"]
    assert site.document("s").weights == {"stable": 10_000, "b": 0}


def test_of_a_split_a_bad_arm_goes_and_stays_away(site):
    site.declare(SPLIT)
    site.count("stable", 100, route="s")
    site.count("b", 30, errors=20, route="s")
    for _ in range(3):
        site.tick()
    assert site.what("s") == ["apply", "abort b: errors"]
    assert site.document("s").weights == {"stable": 10_000, "b": 0}
    assert site.advancer.aborts == {("s", "b", "errors"): 1}
    assert (
        site.advancer.verdicts["s"][0].verdict.state is VerdictState.UNHEALTHY
    )  # it has no traffic that could be taken


def test_who_does_not_serve_a_route_says_nothing_of_it(site):
    site.begin()
    site.count("stable", 100)
    site.count("canary", 12, errors=8)
    bound = site.replica.bound("r")
    site.replica.bound = lambda _: None
    site.tick()
    assert site.advancer.verdicts == {}
    site.replica.bound = lambda _: {"stable": bound["stable"]}  # what is live is older than the document
    site.tick()
    assert (site.advancer.verdicts, site.advancer.failures) == ({"r": ()}, 0)
    site.replica.bound = lambda _: bound
    site.tick()
    assert site.stands() == ("ABORTED", 0)


def test_what_does_not_move_is_not_looked_at(site):
    site.declare(ROLLOUT)
    site.declare(SPLIT, guardrails=[])
    site.store.asked.clear()
    site.tick()
    assert site.store.asked == []


def test_disagreement_with_the_trusted_arm_ends_a_rollout_whoever_answered_the_caller(site):
    site.begin(guardrails=[{"disagreement": {"above": "5%"}}])
    site.add({PAIRS: 40, FLIPS: 4}, arm="stable", against="canary")
    site.tick()
    assert site.stands() == ("PROGRESSING", 1000)
    site.add({PAIRS: 40, FLIPS: 36}, arm="canary", against="stable")
    site.tick()
    assert site.stands() == ("ABORTED", 0)
    assert site.newest().why.startswith("40 of 80 (50%) answers of canary differ from what stable answers")


def test_what_another_version_said_differently_is_not_held_against_this_one(site):
    site.declare(SPLIT, guardrails=[{"disagreement": {"above": "5%"}}])
    before = site.document("s").version
    keys = [SumKey(0, before, "stable", "1", "b", name, "7") for name in (PAIRS, FLIPS)]  # it was b's then
    assert site.store.real.count("before", 0, 1, {"s": dict(zip(keys, (100, 50), strict=True))}) == 1
    site.tick()
    assert site.document("s").weights["b"] == 5000


def test_what_comes_in_between_two_readings_is_counted_once(site, monkeypatch):
    """In every stratum, for whoever counts beside us: nothing negative, and nothing twice."""
    compared, compare = [], guardrails.compare

    def note(strata, margin, **more):
        compared.append(strata)
        return compare(strata, margin, **more)

    monkeypatch.setattr(guardrails, "compare", note)
    site.begin()
    site.count("stable", 100, errors=2)
    site.count("canary", 12)
    site.now_s += 30
    read = site.store.real.sums

    def sums(route: str, since_version: int):
        site.count("canary", 5, errors=5)
        site.count("stable", 50, errors=1)
        return read(route, since_version)

    site.store.real.sums = sums
    site.tick()
    ((_, *strata),) = compared
    assert all(number >= 0 for stratum in strata for number in stratum)
    assert [sum(column) for column in zip(*strata, strict=True)][1:5] == [17, 5, 150, 3]


def test_a_version_of_a_document_is_read_once(site):
    site.begin()
    site.count("stable", 100)
    site.count("canary", 10)
    site.tick(after_s=60)
    site.count("stable", 10)
    site.count("canary", 10)
    for _ in range(5):
        site.tick()
    assert site.store.asked.count("version") == 2


def test_only_the_last_hour_is_read_by_the_bucket(site):
    site.begin()
    observer, asked = Observer(site.store), []
    recent = site.store.real.recent_sums

    def recent_sums(route: str, since_s: int):
        asked.append(since_s)
        return recent(route, since_s)

    site.store.real.recent_sums = recent_sums
    observer.look(site.document(), {"stable": "1", "canary": "2"}, T0 + 0.7)
    assert asked == [T0 - RECENT_S]


def test_without_guardrails_only_samples_are_looked_at(site):
    site.begin(guardrails=[])
    site.count("canary", 12)
    evidence = Observer(site.store).look(site.document(), {"stable": "1", "canary": "2"}, T0)
    assert (evidence.findings, evidence.samples) == ((), 12)
    assert "recent_sums" not in site.store.asked


def test_sums_that_the_store_has_lost_are_not_taken_from_what_is_left(site, monkeypatch):
    compared, compare = [], guardrails.compare

    def note(strata, margin, **more):
        compared.append(strata)
        return compare(strata, margin, **more)

    site.begin(rollout={"of": "canary", "steps": ["10%", "50%"], "every": "10m"})
    for _ in range(6):
        site.count("stable", 1000, errors=2)
        site.count("canary", 100, errors=1)
        site.tick(after_s=10)
    site.tick(after_s=90)
    before = site.what()
    identity, entries = site.store.revision().identity, list(site.store.history("r", 9))[::-1]
    site.store.lose()
    site.store.restore(identity, entries, [])
    site._counted = 0
    site.count("stable", 20)
    site.count("canary", 2)
    monkeypatch.setattr(guardrails, "compare", note)
    site.tick()
    ((_, *strata),) = compared
    assert all(number >= 0 for stratum in strata for number in stratum)
    assert [sum(column) for column in zip(*strata, strict=True)][1:5] == [2, 0, 20, 0]
    assert site.what() == before
