"""What the companion answers before it knows the store, and what it publishes."""

import json
import threading
import time

import pytest

from gateway.companion.node_view import NodeView
from gateway.companion.rewards.messages import Asked, Outcome
from gateway.companion.rewards.results import RewardResults
from gateway.companion.rewards.service import RewardService
from gateway.control.last_known import LastKnownFile
from gateway.control.log_counter import LogCounter
from gateway.inference.decision_token import seal
from gateway.inference.token_key_file import open_token_keys
from gateway.telemetry.metrics import Metrics
from gateway.telemetry.published import read_all
from gateway.telemetry.render import render
from inference_log.writer import LogWriter
from tests.support.polling import wait_until
from tests.unit.gateway.companion.rewards.support import decision
from tests.unit.gateway.companion.support import home


@pytest.fixture
def settings(tmp_path):
    return home(tmp_path)


@pytest.fixture
def parts(settings, store):
    """Return the service over a store that it has not read, its view and its keys."""
    view = NodeView(store, LastKnownFile(settings.last_known_file, settings.store, read_only=True), settings.spool)
    folder = settings.spool / "companion"
    folder.mkdir(parents=True)
    writer = LogWriter(folder, "here-rewards-1")
    results, keys = RewardResults(writer.writer_id), open_token_keys(settings)
    counter = LogCounter(store, settings.spool, settled=results.settled)
    yield RewardService(settings, store, view, keys, writer, counter, results), view, keys
    writer.close()


def test_before_the_store_was_read_rewards_may_be_sent_again_and_are_not_refused(parts):
    service, view, keys = parts
    now_us = time.time_ns() // 1000
    token = seal(decision(decided_us=now_us), keys.current)
    body = json.dumps({"rewards": [{"decision": token, "metric": "click", "value": 1}]}).encode()
    answered = service._intake.answer(Asked("http", None, body))
    assert (answered.outcome, answered.content) == (
        Outcome.NOT_COUNTED,
        b"The companion has not read the store yet.",
    )
    view.refresh()
    assert service._intake.answer(Asked("http", None, body)).content == b'{"results":[{"result":"counted"}]}'


def test_what_became_of_rewards_is_published(settings, parts):
    service, view, _ = parts
    view.refresh()
    service._intake.answer(Asked("http", None, b'{"rewards": [1, 2]}'))
    metrics = Metrics(settings.metrics_dir, "companion")
    service.publish(metrics)
    metrics.publish()
    text = render(read_all(settings.metrics_dir), {"companion"})
    assert b'pointsman_rewards_total{metric="",result="refused",route=""} 2.0' in text


def test_it_listens_until_it_is_stopped(settings, parts):
    service, _, _ = parts
    stop = threading.Event()
    thread = threading.Thread(target=service.run, args=(stop,))
    thread.start()
    path = settings.home / "rewards.socket"
    wait_until(path.exists)
    stop.set()
    thread.join(60)
    assert not path.exists()
