"""Weight changes, refusals and metrics on a gateway with two replicas."""

import hashlib
import pickle
import shutil
import time

import httpx
import pytest
import yaml
from sklearn.linear_model import LogisticRegression

from tests.support.load import Answered, Load
from tests.support.polling import wait_until

CHANGES = 50


@pytest.mark.usefixtures("split")
def test_fifty_weight_changes_under_load_fail_nothing_and_take_effect_once_status_says_so(gateway, body):
    wrong: list[Answered] = []

    def is_in_force() -> bool:
        return next(each["converged"] for each in gateway.client.status()["routes"] if each["route"] == "cancer")

    with Load(gateway.port, body) as load:
        load.wait_for(200)
        for number in range(CHANGES):
            full, none = ("canary", "stable") if number % 2 == 0 else ("stable", "canary")
            seen = gateway.client.route("cancer")["version"]
            gateway.client.command("cancer", "shift", {"weights": {full: "100"}, "why": "test"}, seen)
            if number % 10 == 9:
                wait_until(is_in_force)
                since_s, earlier = time.monotonic(), len(load.answered)
                load.wait_for(200)
                wrong += [each for each in load.answered[earlier:] if each.sent_s > since_s and each.arm == none]
            else:
                load.wait_for(20)
    assert load.failed == []
    assert wrong == []


def test_status_shows_what_each_replica_has_applied(gateway):
    status = gateway.client.status()
    (route,) = [route for route in status["routes"] if route["route"] == "cancer"]
    assert route["converged"]
    assert set(route["applied"].values()) == {route["version"]}
    assert len(route["applied"]) == 2


def test_any_scrape_counts_the_requests_of_both_replicas(gateway, body):
    def counted() -> float:
        text = httpx.get(f"{gateway.url}/metrics", trust_env=False).text
        return sum(
            float(line.rsplit(" ", 1)[1]) for line in text.splitlines() if line.startswith("pointsman_requests_total")
        )

    def settled() -> float | None:
        """Return the count once it rests: each replica writes its counts down several times a second."""
        first = counted()
        time.sleep(2)
        return first if counted() == first else None

    before = wait_until(settled)
    for _ in range(100):  # a connection each, so that the kernel spreads them
        assert httpx.post(f"{gateway.url}/v2/models/cancer/infer", content=body, trust_env=False).status_code == 200
    wait_until(lambda: counted() - before >= 100)
    assert {counted() - before for _ in range(8)} == {100.0}


def test_a_scrape_says_what_the_companion_knows(gateway):
    def values() -> dict[str, float]:
        text = httpx.get(f"{gateway.url}/metrics", trust_env=False).text
        return {line.rsplit(" ", 1)[0]: float(line.rsplit(" ", 1)[1]) for line in text.splitlines() if line[0] != "#"}

    shown = wait_until(lambda: values() if "pointsman_store_distrusted" in values() else None)
    assert shown["pointsman_store_distrusted"] == 0
    weights = [value for name, value in shown.items() if name.startswith("pointsman_arm_weight{") and "cancer" in name]
    assert len(weights) == 2
    assert sum(weights) == pytest.approx(1.0)
    failures = {name for name in shown if name.startswith("pointsman_control_failures_total")}
    assert failures == {
        f'pointsman_control_failures_total{{task="{task}"}}' for task in ("rollouts", "learning", "audit")
    }


def _new_version(gateway, version, **changes):
    """Copy cancer:1, change its manifest, and return the folder."""
    source, target = gateway.home / "models/cancer/1", gateway.home / "models/cancer" / version
    shutil.copytree(source, target)
    manifest = yaml.safe_load((target / "model.yaml").read_text()) | changes
    (target / "model.yaml").write_text(yaml.safe_dump(manifest))
    return target


def _flipped_byte(gateway):
    path = _new_version(gateway, "flipped") / "model.skops"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    return {"arms": {"stable": "cancer:flipped"}}, "sha256"


def _wrong_signature(gateway):
    _new_version(gateway, "narrow", inputs=[{"name": "X", "datatype": "FP32", "shape": [-1, 29]}])
    return {"arms": {"stable": "cancer:narrow"}}, "declares 29 features; the estimator was fitted on 30"


def _broken_pickle(gateway):
    content = pickle.dumps(LogisticRegression())[:-20]
    folder = _new_version(
        gateway, "pickle", file="model.pkl", runtime="sklearn", sha256=hashlib.sha256(content).hexdigest()
    )
    (folder / "model.pkl").write_bytes(content)
    return {"arms": {"stable": "cancer:pickle"}}, "pickle"


def _unknown_version(gateway):
    return {"arms": {"stable": "cancer:99"}}, "Model cancer has no version '99'; it has"


def _wrong_sum(gateway):
    return {"arms": {"stable": "cancer:2", "canary": "cancer:3"}, "split": {"stable": 0.9, "canary": 0.07}}, "97%"


@pytest.mark.parametrize("make", [_flipped_byte, _wrong_signature, _broken_pickle, _unknown_version, _wrong_sum])
def test_a_bad_document_is_refused_with_a_sentence_and_changes_nothing(gateway, make):
    spec, words = make(gateway)
    before = gateway.client.status()
    version = gateway.client.route("cancer")["version"]
    answer = httpx.put(
        f"{gateway.url}/api/routes/cancer",
        json={"split": {"stable": "100%"}, **spec},
        headers={"if-match": f'"{version}"'},
        timeout=60,  # the version is loaded first
        trust_env=False,
    )
    assert answer.status_code == 400
    assert words in answer.json()["error"]
    after = gateway.client.status()
    assert [each["version"] for each in after["routes"]] == [each["version"] for each in before["routes"]]
    assert {each["snapshot"] for each in after["replicas"]} == {each["snapshot"] for each in before["replicas"]}


def test_a_stale_if_match_is_refused_with_the_current_version(gateway):
    current = gateway.client.route("cancer")
    answer = httpx.put(
        f"{gateway.url}/api/routes/cancer", json=current["spec"], headers={"if-match": '"0"'}, trust_env=False
    )
    assert answer.status_code == 409
    assert f"at version {current['version']}, not 0" in answer.json()["error"]
    assert gateway.client.route("cancer") == current


def test_a_body_of_a_hundred_megabytes_is_refused_and_the_replica_goes_on(gateway, body):
    answer = httpx.post(
        f"{gateway.url}/v2/models/cancer/infer", content=b" " * 100_000_000, timeout=120, trust_env=False
    )
    assert answer.status_code == 413
    assert "larger than" in answer.json()["error"]
    assert httpx.post(f"{gateway.url}/v2/models/cancer/infer", content=body, trust_env=False).status_code == 200


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ("[[1, 2], [3]]", "ragged"),
        ("[" + ", ".join(['"one"'] * 30) + "]", "one"),
        ("[1, 2, 3]", "has 3 elements, but its shape [1, 30] needs 30"),
    ],
)
def test_data_that_do_not_fit_are_refused_with_a_sentence(gateway, data, words):
    content = f'{{"inputs": [{{"name": "X", "shape": [1, 30], "datatype": "FP32", "data": {data}}}]}}'
    answer = httpx.post(f"{gateway.url}/v2/models/cancer/infer", content=content, trust_env=False)
    assert answer.status_code == 400
    assert words in answer.json()["error"]
