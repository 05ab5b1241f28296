"""Rollouts advance and follow their alias; of several replicas exactly one makes each change."""

import hashlib
import shutil
import threading
from pathlib import Path

import onnx
import pytest
import yaml
from structlog.testing import capture_logs

from gateway.control.changes import Note
from router.document.commands import Pause
from router.document.step_time import step_source
from store.sqlite.store import SQLiteStore
from tests.unit.gateway.control.support_rollouts import ROLLOUT, SPLIT, T0, Replica


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
    assert site.driver.failures == 0


def test_a_rollout_by_samples_goes_as_fast_as_they_come(site):
    site.begin(rollout={"of": "canary", "steps": ["10%", "50%"], "samples": 100})
    for requests, expected in ((99, 1000), (1, 5000), (60, 5000), (40, 10_000)):
        site.count("canary", requests)
        site.count("stable", 9 * requests)
        site.tick()
        assert site.stands()[1] == expected
    assert site.now_s == T0 + 2


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


def test_a_new_version_is_followed_and_judged_by_what_it_does_itself(site, own_registry):
    site.begin()
    site.count("stable", 100)
    site.count("canary", 12, errors=1)
    site.tick()
    publish_like(own_registry / "linear" / "2", "3")
    site.follow("3")
    serving = site.replica.candidates("r")
    site.replica.candidates = lambda _: {**serving, "canary": site.document().rollout.candidate}
    site.tick()
    assert site.what() == ["apply", "start", "follow to 3"]
    assert site.newest().why == "linear@challenger names version 3 now."
    assert site.document().rollout.candidate.version == "3"
    site.count("canary", 40, errors=30, model="2")  # late records of the one before
    site.count("stable", 400)
    site.tick()
    assert site.stands() == ("PROGRESSING", 1000)
    assert site.driver.verdicts["r"][0].verdict.reason == "No requests of canary have been counted yet."
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
    other.driver.tick(site.now_s)
    other_store.close()
    assert site.document().version == 3
    assert (site.driver.aborts, other.driver.aborts) == ({("r", "canary", "errors"): 1}, {})
    assert (site.driver.failures, other.driver.failures) == (0, 0)


@pytest.mark.parametrize("is_bad", [True, False])
def test_of_many_replicas_that_look_at_once_exactly_one_acts(site, is_bad):
    site.begin()
    site.count("stable", 100)
    site.count("canary", 12, errors=8 * is_bad)
    site.store.real.count(step_source(site.document()), 0, 60_000, {})  # what was observed so far
    stores = [SQLiteStore(site.store.path) for _ in range(6)]
    replicas = [Replica(site, f"replica-{number}", store) for number, store in enumerate(stores)]
    serving, documents, barrier = site.replica.candidates("r"), site.documents(), threading.Barrier(len(stores))

    def look(replica: Replica) -> None:
        replica.seen, replica.candidates = documents, lambda _: serving
        barrier.wait()
        replica.driver.tick(site.now_s)

    threads = [threading.Thread(target=look, args=(replica,)) for replica in replicas]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for store in stores:
        store.close()
    assert site.what() == ["apply", "start", "abort canary: errors" if is_bad else "advance"]
    assert sum(len(replica.driver.aborts) for replica in replicas) == is_bad
    assert [replica.driver.failures for replica in replicas] == [0] * 6


def test_an_operator_who_was_quicker_has_the_last_word(site):
    site.begin()
    site.count("canary", 10)
    site.replica.seen = site.documents()
    site.replica.changes.change("r", lambda _: Pause(), Note("ada", "pause"))
    site.tick(after_s=60)
    assert site.stands() == ("PAUSED", 1000)
    assert site.driver.failures == 0


@pytest.mark.parametrize("is_known", [True, False])
def test_without_a_registry_bad_arms_go_and_steps_go_on_but_nothing_is_followed(site, own_registry, is_known):
    site.begin()
    serving = site.replica.candidates("r")
    site.follow("1")
    own_registry.rename(own_registry.with_name("away"))
    if not is_known:  # a replica that was started after the registry went away
        site.replica = Replica(site, "replica-1", site.store)
        site.driver = site.replica.driver
    site.replica.candidates = lambda _: serving
    site.count("stable", 100)
    site.count("canary", 12)
    site.tick(after_s=60)
    assert site.stands() == ("PROGRESSING", 5000)
    site.count("stable", 100)
    site.count("canary", 100, errors=60)
    site.tick()
    assert site.what() == ["apply", "start", "advance", "abort canary: errors"]
    assert site.driver.failures == 0


def test_while_the_store_is_away_nothing_happens_and_it_is_said_once(site):
    site.begin()
    site.count("stable", 100)
    site.count("canary", 12, errors=8)
    site.store.is_away = True
    with capture_logs() as lines:
        for _ in range(5):
            site.tick()
    assert [(line["event"], line["route"]) for line in lines] == [("gateway.advance.failed", "r")]
    assert site.driver.failures == 5
    site.store.is_away = False
    site.tick()
    assert site.stands() == ("ABORTED", 0)


def test_in_trouble_nothing_is_written(site):
    site.begin()
    site.count("stable", 100)
    site.count("canary", 12, errors=8)
    site.replica.trouble = "The store was set back."
    site.tick()
    assert (site.stands(), site.driver.failures, site.driver.aborts) == (("PROGRESSING", 1000), 1, {})
    site.replica.trouble = ""
    site.tick()
    assert site.stands() == ("ABORTED", 0)


def test_what_does_not_move_is_not_looked_at(site):
    site.declare(ROLLOUT)
    site.declare(SPLIT, guardrails=[])
    site.store.asked.clear()
    site.tick()
    assert site.store.asked == []
