"""Aliases of a real registry are followed: into the history, with the reason, and with what is waited for."""

import os
import shutil
from fractions import Fraction

import pytest
import yaml

from gateway.control.binding import candidate_of
from gateway.control.changes import Note
from gateway.control.follower import Follower
from gateway.control.required_tags import require_tags
from gateway.control.waits_file import MACHINE, WaitsFile, WaitsReader, with_waits
from registry_sync.details_reader import DetailsReader
from registry_sync.registries import Details
from registry_sync.version import VersionKey
from router.document.commands import Abort, Promote, Shift, Undo
from router.errors import Rejected
from router.spec.parse import parse_spec
from store.report import Report
from store.sqlite.store import SQLiteStore
from tests.support import linear
from tests.unit.gateway.control.support_rollouts import ROLLOUT, SPLIT, Replica

ALIASES = {"stable": "linear@champion", "b": "linear@challenger"}
BY_ALIAS = {**ROLLOUT["rollout"], "starts": "by_alias"}


@pytest.fixture
def split(site):
    """Declare a split whose arms follow aliases that name versions 1 and 2; there is a version 3."""
    linear.publish(site.registry, "linear", "3", 3 * linear.WEIGHTS["1"])
    site.declare(SPLIT, arms=ALIASES)
    site.tick()
    return site


def versions(site, route: str = "s") -> dict[str, str]:
    return {name: each.version for name, each in site.document(route).bound.items()}


def waits(site, route: str = "s") -> str:
    return site.driver._follower.waits.get(route, "")


def tag(site, version: str, *tags: str) -> None:
    path = site.registry / "linear" / version / "model.yaml"
    path.write_text(yaml.safe_dump({**yaml.safe_load(path.read_text()), "tags": list(tags)}))


def test_a_declaration_binds_what_its_aliases_name_and_the_same_one_changes_nothing(site):
    site.declare(SPLIT, arms=ALIASES)
    assert versions(site) == {"stable": "1", "b": "2"}
    before = site.document("s").bound
    site.point(champion="2", challenger="1")
    site.declare(SPLIT, arms=ALIASES)
    assert site.document("s").bound == before


def test_an_alias_that_moves_is_followed_at_once_with_who_and_why_in_the_history(split, monkeypatch):
    monkeypatch.setattr(split.replica.details, "_read", lambda *_: Details(run_id="4f2", registered_by="ada"))
    split.point(champion="3", challenger="2")
    split.tick()
    assert versions(split) == {"stable": "3", "b": "2"}
    newest = split.newest("s")
    assert (newest.who, newest.what) == ("pointsman", "follow stable to 3")
    assert newest.why == "linear@champion names version 3 now (registered by ada, run 4f2)."
    assert waits(split) == ""


def test_aliases_that_move_together_make_one_change(split):
    split.point(champion="3", challenger="1")
    split.tick()
    assert split.what("s") == ["apply", "follow stable to 3, b to 1"]


def test_what_is_known_of_a_version_is_asked_for_only_when_it_is_about_to_be_followed(split, monkeypatch):
    asked = []
    monkeypatch.setattr(split.replica.details, "_read", lambda *key: asked.append(key) or Details())
    split.tick(after_s=10)
    assert asked == []
    split.point(champion="3", challenger="2")
    split.tick()
    assert asked == [("linear", "3")]


def test_a_version_that_cannot_take_the_place_is_not_followed_and_status_says_why(split):
    shutil.copytree(split.registry / "wide" / "1", split.registry / "linear" / "4")
    split.point(champion="1", challenger="4")
    split.tick()
    assert versions(split) == {"stable": "1", "b": "2"}
    assert waits(split).startswith("linear@challenger names version 4 now. It is not followed yet: Arm b (linear:4)")
    split.point(champion="3", challenger="4")  # the other one does not wait for it
    split.tick()
    assert versions(split) == {"stable": "3", "b": "2"}
    split.point(champion="3", challenger="2")
    split.tick(after_s=30)
    assert waits(split) == ""


@pytest.mark.parametrize(("raw", "more", "route"), [
    (ROLLOUT, {}, "r"),
    (SPLIT, {"shadow": [{"arm": "linear@challenger"}]}, "s"),
], ids=["an arm without traffic", "a shadow"])  # fmt: skip
def test_a_version_that_fails_its_trial_is_not_followed_where_the_route_does_not_need_it(site, raw, more, route):
    site.declare(raw, **more)
    site.tick()
    broken = site.registry / "linear" / "4"
    shutil.copytree(site.registry / "linear" / "2", broken)
    (broken / "model.onnx").write_bytes(b"broken")
    before = site.document(route)
    site.point(champion="1", challenger="4")
    site.tick(after_s=10)
    assert site.document(route) == before
    assert "linear@challenger names version 4 now. It is not followed yet: linear:4" in waits(site, route)
    site.point(champion="1", challenger="1")
    site.tick(after_s=10)
    assert "1" in versions(site, route).values()
    assert waits(site, route) == ""


@pytest.mark.parametrize("aliases", [{"challenger": "2"}, {"champion": "99", "challenger": "2"}])
def test_an_alias_that_is_gone_or_names_what_is_gone_changes_nothing(split, aliases):
    split.point(**aliases)
    split.tick()
    assert versions(split) == {"stable": "1", "b": "2"}
    assert waits(split).startswith("Arm stable goes on as it is: ")


def test_a_version_that_is_deleted_while_it_serves_changes_nothing(split):
    serving = split.replica.candidates("s")
    split.replica.candidates = lambda _: serving
    shutil.rmtree(split.registry / "linear" / "1")
    split.tick()
    assert versions(split) == {"stable": "1", "b": "2"}
    assert "1" in waits(split)


def test_a_registry_that_is_away_changes_nothing(split):
    split.registry.rename(split.registry.with_name("away"))
    serving = split.replica.candidates("s")
    split.replica.candidates = lambda _: serving
    split.tick()
    assert "linear@champion is not followed: The registry directory" in waits(split)
    assert versions(split) == {"stable": "1", "b": "2"}
    split.registry.with_name("away").rename(split.registry)
    split.point(champion="3", challenger="2")
    split.tick()
    assert versions(split) == {"stable": "3", "b": "2"}


def test_a_version_waits_for_its_tag(site):
    linear.publish(site.registry, "linear", "3", 3 * linear.WEIGHTS["1"])
    required = {"approved": "true"}
    with pytest.raises(
        Rejected, match="linear@champion names version 1, which lacks the tag approved=true in the regi"
    ):
        site.declare(SPLIT, arms={**ALIASES, "b": "linear:2"}, require_tags=required)
    tag(site, "1", "approved=true")
    site.declare(SPLIT, arms={**ALIASES, "b": "linear:2"}, require_tags=required)
    site.point(champion="3")
    site.tick()
    assert versions(site) == {"stable": "1"}
    assert "because it lacks the tag approved=true in the registry" in waits(site)
    tag(site, "3", "approved=true")
    site.replica.details._clock = lambda: 1e12  # what was read is old by now
    site.tick()
    assert versions(site) == {"stable": "3"}
    tag(site, "3")
    site.tick(after_s=10)
    assert versions(site) == {"stable": "3"}


def test_an_undo_is_not_followed_at_once(split):
    split.point(champion="3", challenger="2")
    split.tick()
    then, named = split.store.real.version("s", 1).document, split.document("s").bound
    split.replica.changes.change("s", lambda _: Undo(then, split.now_s, named), Note("ada", "undo"))
    split.tick(after_s=400)
    assert versions(split) == {"stable": "1", "b": "2"}
    assert "was taken back from it" in waits(split)
    split.point(champion="2", challenger="2")
    split.tick(after_s=60)
    assert versions(split) == {"stable": "2", "b": "2"}


def test_an_abort_in_a_split_leads_back_to_what_the_other_arm_served(split):
    split.point(champion="2", challenger="2")
    split.tick()
    bound = split.document("s").bound["b"]
    split.replica.changes.change("s", lambda _: Abort(split.now_s, "It fails.", "b", bound), Note("ada", "abort"))
    split.tick(after_s=60)
    assert versions(split) == {"stable": "1", "b": "2"}
    assert [held.name for held in split.document("s").quarantine] == ["linear:2"]


def test_an_alias_begins_the_rollout_which_takes_its_steps_and_every_next_one(site):
    linear.publish(site.registry, "linear", "3", 3 * linear.WEIGHTS["1"])
    arms = {"stable": "linear@champion", "canary": "linear@champion"}
    site.declare(ROLLOUT, arms=arms, rollout=BY_ALIAS)
    site.tick()
    serving = "1"
    for newest in ("2", "3"):
        site.point(champion=newest)
        site.tick(after_s=20)
        assert versions(site, "r") == {"stable": serving, "canary": newest}
        for _ in range(30):
            site.count("canary", 20)
            site.count("stable", 150)
            site.tick(after_s=10)
        assert site.stands() == ("PROMOTED", 10_000)
        serving = newest
    assert site.what() == ["apply", "follow to 2", "advance", "advance", "follow to 3", "advance", "advance"]


def test_an_alias_that_moves_back_withdraws_its_rollout(site):
    site.declare(ROLLOUT, arms={"stable": "linear@champion", "canary": "linear@champion"}, rollout=BY_ALIAS)
    site.tick()
    site.point(champion="2")
    site.tick()
    assert site.stands() == ("PROGRESSING", 1000)
    site.point(champion="1")
    site.tick(after_s=30)
    assert (site.stands(), site.document().quarantine) == (("READY", 0), ())
    assert site.what() == ["apply", "follow to 2", "withdraw"]


def test_an_alias_that_moves_all_the_time_is_followed_seldom(split):
    for number in range(400):
        split.point(champion=str(1 + number % 3), challenger="2")
        split.tick(after_s=3)
    follows = [what for what in split.what("s") if what.startswith("follow stable")]
    assert len(follows) <= 2
    assert "because the alias moves often" in waits(split)
    split.point(champion="3", challenger="2")
    split.tick(after_s=301)
    assert versions(split)["stable"] == "3"


def test_another_companion_goes_on_where_one_was_killed(split):
    split.point(champion="3", challenger="2")
    split.tick()
    store = SQLiteStore(split.store.path)
    other = Replica(split, "replica-1", store)
    for _ in range(3):
        other.reader.read_all()
        other.driver.tick(split.now_s)
    assert split.what("s") == ["apply", "follow stable to 3"]  # it was made, and is not made again
    split.point(champion="1", challenger="2")
    other.reader.read_all()
    other.driver.tick(split.now_s)
    assert "the alias moves often" in other.driver._follower.waits["s"]  # it knows of the move from the document
    for _ in range(2):
        split.now_s += 20
        other.driver.tick(split.now_s)
    store.close()
    assert versions(split) == {"stable": "1", "b": "2"}


def test_a_route_with_nothing_to_follow_costs_one_comparison(split, monkeypatch):
    split.declare(ROLLOUT)
    split.tick(after_s=10)
    looked = []
    due = Follower.due
    monkeypatch.setattr(Follower, "due", lambda self, route, now_s: looked.append(route) or due(self, route, now_s))
    split.tick(after_s=10)
    assert looked == []
    split.replica.changes.change("s", lambda _: Shift({"b": Fraction(1, 10)}), Note("ada", "shift"))
    split.tick()
    assert set(looked) == {"s"}


def test_what_was_promoted_by_hand_stays(site):
    site.begin()
    site.replica.changes.change("r", lambda _: Promote(site.now_s), Note("ada", "promote"))
    site.follow("1")
    site.tick(after_s=60)
    assert site.stands() == ("PROMOTED", 10_000)


def test_what_is_waited_for_reaches_the_report_of_each_replica_of_the_machine(tmp_path):
    reader, file = WaitsReader(tmp_path), WaitsFile(tmp_path)
    assert reader.read() == {}
    file.write({"s": "It waits.", "gone": "It waits."})
    report = Report("me", 1, 1.0, 1.0, "hash", routes={"s": 1, "r": 1}, warnings={"s": "Served without b.", "r": "x"})
    assert with_waits(report, reader.read()).warnings == {"s": "Served without b. It waits.", "r": "x"}
    file.write({})
    assert reader.read() == {}
    (tmp_path / "follow-waits.json").write_text("{")
    assert reader.read() == {}


def test_what_concerns_the_machine_is_added_to_the_trouble_of_its_replicas(tmp_path):
    reader, file = WaitsReader(tmp_path), WaitsFile(tmp_path)
    file.write({"s": "It waits.", MACHINE: "The log lags."})
    report = Report("me", 1, 1.0, 1.0, "hash", routes={"s": 1}, trouble="The registry is away.")
    found = with_waits(report, reader.read())
    assert (found.trouble, found.warnings) == ("The registry is away. The log lags.", {"s": "It waits."})
    file.write({"s": "It waits.", MACHINE: ""})
    assert with_waits(report, reader.read()).trouble == "The registry is away."


def test_what_a_companion_that_is_gone_said_is_not_shown_as_of_now(tmp_path):
    now_s = [100.0]
    file = WaitsFile(tmp_path, clock=lambda: now_s[0])
    reader = WaitsReader(tmp_path, clock=lambda: 1000.0 + now_s[0])

    def write(at_s: float) -> None:
        now_s[0] = at_s
        before = path.stat().st_mtime_ns if path.exists() else 0
        file.write({"s": "It waits."})
        if not before or path.stat().st_mtime_ns != before:  # the system's clock is another one
            os.utime(path, (1000.0 + at_s, 1000.0 + at_s))

    path = tmp_path / "follow-waits.json"
    for at_s in range(100, 200):
        write(at_s)
        assert reader.read() == {"s": "It waits."}
    now_s[0] = 285.0
    said = "Nothing was heard of the companion of this machine for 1m 30s. It said before: It waits."
    assert reader.read() == {"s": said}
    write(286.0)
    assert reader.read() == {"s": "It waits."}
    path.unlink()
    assert reader.read() == {}
    now_s[0] = 300.0
    file.write({"s": "It waits."})  # it cannot be touched
    file.write({"s": "It waits."})
    assert path.exists()


def test_details_are_read_again_after_a_while_and_forgotten_when_unused():
    now_s, asked = [0.0], []
    reader = DetailsReader(lambda *named: asked.append(named) or Details(), clock=lambda: now_s[0])
    key = VersionKey("linear", "1", "d")
    for now_s[0] in (0.0, 1.0, 2.5):
        reader.details(key)
    assert len(asked) == 2
    reader.retain(set())
    reader.details(key)
    assert len(asked) == 3


@pytest.mark.parametrize("ref", ["linear@challenger", "linear:2"])
def test_an_operators_command_follows_no_alias_to_a_version_without_the_tags(site, ref):
    raw = {"route": "r", "arms": {"a": ref}, "split": {"a": "100%"}, "require_tags": {"approved": "true"}}
    spec, catalogue = parse_spec(raw), site.replica.catalogue
    named = candidate_of(catalogue, spec.arms["a"])
    if ref == "linear:2":  # no alias led to it
        require_tags(catalogue, spec, spec.arms["a"], named)
        return
    with pytest.raises(Rejected, match="lacks the tag approved=true in the registry; route r requires it"):
        require_tags(catalogue, spec, spec.arms["a"], named)
    tag(site, "2", "approved=true")
    require_tags(catalogue, spec, spec.arms["a"], named)


def test_an_operators_command_is_not_refused_for_a_tag_that_was_set_just_now(site, monkeypatch):
    """What the companion has read of the registry may be 30 s old."""
    raw = {
        "route": "r",
        "arms": {"a": "linear@challenger"},
        "split": {"a": "100%"},
        "require_tags": {"approved": "true"},
    }
    spec, catalogue = parse_spec(raw), site.replica.catalogue
    named = candidate_of(catalogue, spec.arms["a"])
    monkeypatch.setattr(catalogue, "details", lambda *_: Details())
    with pytest.raises(Rejected, match="lacks the tag approved=true"):
        require_tags(catalogue, spec, spec.arms["a"], named)
    monkeypatch.setattr(catalogue, "fresh_details", lambda *_: Details({"approved": "true"}))
    require_tags(catalogue, spec, spec.arms["a"], named)
