"""`pointsman reward`: what it sends, and what it says of the result."""

import json

import pytest

from gateway.cli.client import ApiClient
from gateway.cli.reward import _label
from tests.unit.gateway.cli.support import refused


@pytest.fixture
def sent(monkeypatch):
    """Return the rewards that were sent, of which the next result may be set in `sent.result`."""

    class Sent(list):
        result = {"result": "counted"}  # noqa: RUF012  # a test replaces it

    made = Sent()
    monkeypatch.setattr(ApiClient, "reward", lambda _, rewards: made.extend(rewards) or [made.result])
    return made


def test_a_number_is_sent(run, sent):
    result = run("reward", "AQtoken", "click", "0.5", "--event", "e-17")
    assert (result.exit_code, result.stdout) == (0, "Counted.\n")
    assert sent == [{"decision": "AQtoken", "metric": "click", "op": "add", "event": "e-17", "value": 0.5}]


def test_options_may_come_first_and_a_retraction_needs_no_value(run, sent):
    assert run("reward", "--op", "retract", "AQtoken", "click").exit_code == 0
    assert sent == [{"decision": "AQtoken", "metric": "click", "op": "retract"}]


@pytest.mark.parametrize(
    ("text", "label"),
    [("cat", "cat"), ("7", 7), ("-0.5", -0.5), ("007", "007"), ("1e3", "1e3"), ("true", "true"), ("NaN", "NaN")],
)
def test_a_label_is_a_number_only_if_json_would_write_it_so(run, sent, text, label):
    assert _label(text) == label
    assert run("reward", "AQtoken", "was", "--label", "--", text).exit_code == 0
    assert sent[0]["label"] == label


def test_what_is_no_number_is_refused_before_it_is_sent(run, sent):
    assert "'yes' is not a number; a label is sent with --label" in refused(run("reward", "AQtoken", "click", "yes"))
    assert sent == []


def test_a_refusal_is_an_error_and_says_why(run, sent):
    sent.result = {"result": "refused", "error": "Route fraud has no metric 'x'; it has click."}
    assert "it has click" in refused(run("reward", "AQtoken", "x", "1"))
    as_json = run("reward", "AQtoken", "x", "1", "--json")
    assert (as_json.exit_code, json.loads(as_json.stdout)) == (1, sent.result)


def test_a_late_reward_is_no_error(run, sent):
    sent.result = {"result": "late"}
    assert (run("reward", "AQtoken", "click", "1").stdout, len(sent)) == ("Late.\n", 1)
