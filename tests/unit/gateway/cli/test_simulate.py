"""`pointsman simulate`: what it prints, and its exit code."""

import json
import time

import pytest
import yaml

from tests.support.logged_bandit import BANDIT, LoggedBandit

SPLIT = {key: value for key, value in BANDIT.items() if key != "bandit"}


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


@pytest.mark.usefixtures("_logged")
@pytest.mark.parametrize(
    ("routes", "words"),
    [
        ([BANDIT | {"arms": BANDIT["arms"] | {"d": "ranker:4"}}], "says nothing of arm d"),
        ([SPLIT | {"split": {"a": "100%"}}], "declares no bandit"),
        ([BANDIT, BANDIT | {"route": "other"}], "declares 2 routes; give a file with one"),
        ([BANDIT | {"bandit": {"policy": "oracle", "reward": "click"}}], "There is no policy 'oracle'"),
        ([BANDIT | {"route": "fraud"}], "no decisions of route fraud; it has shop"),
    ],
)
def test_what_cannot_be_predicted_is_a_sentence_and_exit_code_1(run, declared, routes, words):
    result = run("simulate", "-f", declared(*routes))
    assert result.exit_code == 1
    assert words in result.output
    assert result.output.startswith("pointsman: ")
