"""`pointsman simulate`: what it prints, and its exit code."""

import json
import time

import numpy as np
import pytest
import yaml

from runtimes.manifest import TensorSpec
from tests.support.logged_bandit import BANDIT, Asked, LoggedBandit
from tests.support.models import write_version

SPLIT = {key: value for key, value in BANDIT.items() if key != "bandit"}

HEADERS = {"policy": "linucb", "reward": "click", "context": {"headers.x-device": ["phone"]}}


@pytest.fixture
def declared(tmp_path):
    """Return a function that writes a file with declarations, of one bandit if they are not given."""

    def write(*routes: object):
        path = tmp_path / "route.yaml"
        path.write_text(yaml.safe_dump_all(routes or [BANDIT]))
        return path

    return write


@pytest.fixture
def _logged(tmp_path):
    began_s = int(time.time()) // 10 * 10 - 3600
    bandit = LoggedBandit(tmp_path, SPLIT | {"split": {"a": "40%", "b": "30%", "c": "30%"}}, began_s=began_s)
    for at_s in range(began_s, began_s + 250, 10):
        bandit.decide(100, at_s)


@pytest.mark.usefixtures("_logged")
def test_the_prediction_is_sentences_or_json(run, declared):
    file = declared()
    shown, as_json = (run("simulate", "-f", file, "--runs", "2", *more) for more in ([], ["--json"]))
    assert (shown.exit_code, as_json.exit_code) == (0, 0), shown.output
    found = json.loads(as_json.stdout)
    assert found["decisions"] == 2500
    assert found["low"] < found["predicted"] < found["high"]
    assert f"thompson on route shop would have earned a mean click of {found['predicted']:.4g}" in shown.stdout
    assert "2,500 decisions were used" in shown.stdout


def with_columns(chance) -> Asked:
    """Return a request of a model whose input has columns: on the second of them the best arm depends."""
    height = chance.choice((1.0, 9.0))
    rates = {"a": 0.1 * height, "b": 0.1, "c": 1 - 0.1 * height}
    return Asked(rates, (np.array([[0.5, height]], np.float32).tobytes(),))


def test_a_context_is_read_where_the_registry_says_how_the_log_names_the_inputs(run, declared, tmp_path):
    began_s = int(time.time()) // 10 * 10 - 3600
    x, y = TensorSpec("x", "FP32", (-1, 2), ("age", "height")), TensorSpec("y", "FP32", (-1,))
    manifest = write_version(tmp_path / "models", "ranker", "3", b"", inputs=(x,), outputs=(y,))
    split = SPLIT | {"split": {"a": "40%", "b": "30%", "c": "30%"}}
    bandit = LoggedBandit(tmp_path, split, began_s=began_s, ask=with_columns, manifest=manifest)
    for at_s in range(began_s, began_s + 200, 10):
        bandit.decide(60, at_s)
    context = {"inputs.x.1": {"from": 0, "to": 10}}
    file = declared(BANDIT | {"bandit": {"policy": "linucb", "reward": "click", "context": context}})
    result = run("simulate", "-f", file, "--runs", "2", "--json")
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert (found["decisions"], found["left_out"]) == (1200, {})
    assert found["notes"][-1] == "The weights at the end are those of an average request."
    (tmp_path / "models" / "ranker" / "3" / "model.yaml").unlink()
    refused = run("simulate", "-f", file, "--runs", "2")
    assert refused.exit_code == 1
    assert "does not have inputs.x.1 of these requests" in refused.output


@pytest.mark.usefixtures("_logged")
@pytest.mark.parametrize(
    ("routes", "words"),
    [
        ([BANDIT | {"arms": BANDIT["arms"] | {"d": "ranker:4"}}], "says nothing of arm d"),
        ([SPLIT | {"split": {"a": "100%"}}], "declares no bandit"),
        ([BANDIT, BANDIT | {"route": "other"}], "declares 2 routes; give a file with one"),
        ([BANDIT | {"bandit": {"policy": "oracle", "reward": "click"}}], "There is no policy 'oracle'"),
        ([BANDIT | {"bandit": HEADERS}], "does not have headers.x-device of these requests"),
        ([BANDIT | {"route": "fraud"}], "no decisions of route fraud; it has shop"),
    ],
)
def test_what_cannot_be_predicted_is_a_sentence_and_exit_code_1(run, declared, routes, words):
    result = run("simulate", "-f", declared(*routes))
    assert result.exit_code == 1
    assert words in result.output
    assert result.output.startswith("pointsman: ")
