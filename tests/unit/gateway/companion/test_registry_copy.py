"""The companion copies what documents name, and shows how that goes."""

import time
from types import SimpleNamespace

import pytest

from gateway.companion.registry_copy import RegistryCopy, document_refs
from gateway.telemetry.metrics import Metrics
from registry_sync.background import at_once
from registry_sync.copy.sync import Sync
from router.document.declare import first_document
from router.spec.parse import parse_spec
from tests.unit.registry_sync.copy.support import Remote, adopt, away, nothing


def document(**spec):
    return first_document(parse_spec({"route": "r", **spec}), 0.0, {})


@pytest.fixture
def remote() -> Remote:
    made = Remote()
    made.add("m", "1", b"weights")
    made.named["m"]["champion"] = "1"
    return made


def test_everything_that_a_document_names_is_wanted():
    split = document(arms={"a": "m@champion", "b": "m:2"}, split={"a": "50%", "b": "50%"}, shadow=[{"arm": "n:3"}])
    assert {str(ref) for ref in document_refs({"r": split})} == {"m@champion", "m:2", "n:3"}


def test_an_arm_without_a_model_needs_nothing_of_the_registry():
    made = document(arms={"a": "m:1", "b": {"value": {"label": 0}}}, split={"a": 1})
    assert {str(ref) for ref in document_refs({"r": made})} == {"m:1"}


def test_nothing_is_removed_if_the_documents_become_known_while_they_are_read(tmp_path, remote):
    class View:
        """The store is read by another thread just after the documents were read here."""

        knows_documents = False

        @property
        def documents(self):
            self.knows_documents = True
            return {}

    ticks = []
    sync = SimpleNamespace(
        is_due=lambda _: True, tick=lambda *_, may_evict: ticks.append(may_evict), trouble="", troubles={}
    )
    RegistryCopy(sync, View()).look()
    assert ticks == [False]


def test_the_copy_is_made_and_its_metrics_say_how_it_goes(tmp_path, remote):
    view = SimpleNamespace(documents={"r": document(arms={"a": "m@champion"}, split={"a": 1})}, knows_documents=True)
    copy = RegistryCopy(Sync(tmp_path, remote, start=at_once, adopt=adopt, every_s=0.01), view)
    metrics = Metrics(tmp_path / "metrics", "companion")
    copy.look()
    copy.publish(metrics)
    gauges = {name: values[0][1] for name, values in metrics._gauges.items()}
    assert gauges["pointsman_registry_reachable"] == 1.0
    assert gauges["pointsman_registry_copy_bytes"] == len(b"weights")
    assert metrics._totals["pointsman_registry_versions", ("copied",)] == 1
    remote.before = away
    time.sleep(0.02)
    copy.look()
    copy.publish(metrics)
    assert metrics._gauges["pointsman_registry_reachable"] == [((), 0.0)]
    assert copy._outage.trouble == "The cable is out."
    remote.before = nothing
    time.sleep(0.05)
    copy.look()
    assert copy._outage.trouble == ""
