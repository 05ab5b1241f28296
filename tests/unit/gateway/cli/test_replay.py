"""`pointsman replay`: what it prints, and its exit code."""

import json

import msgspec
import pytest

from inference_log.record import Record
from inference_log.segment import SegmentHeader, frame, read_segment
from tests.support.logged_bandit import BEGAN_S, LoggedBandit


@pytest.fixture
def logged(tmp_path):
    bandit = LoggedBandit(tmp_path)
    for at_s in range(BEGAN_S, BEGAN_S + 150, 10):
        bandit.decide(20, at_s)
        bandit.learn(at_s + 10.0)
    return bandit


def test_a_log_as_the_gateway_wrote_it_has_no_difference(run, logged):
    result = run("replay")
    assert result.exit_code == 0, result.output
    assert "300 decisions were computed again" in result.stdout
    assert "3 learned policies" in result.stdout
    assert result.stdout.endswith("Nothing differs.\n")


def test_what_differs_is_a_table_or_json_and_the_exit_code_is_1(run, logged):
    path = logged.writer.active_path
    content = read_segment(path.read_bytes())
    first = content.records[0]
    changed = msgspec.structs.replace(first, propensity=0.25)
    entries = [*content.contexts.values(), *content.audits, changed]
    path.write_bytes(b"".join(map(frame, [SegmentHeader("w", 0), *entries])))
    assert isinstance(first, Record)
    shown, as_json = run("replay", "--route", "shop"), run("replay", "--json")
    assert (shown.exit_code, as_json.exit_code) == (1, 1)
    assert "1 differ" in shown.stdout
    (difference,) = json.loads(as_json.stdout)["differences"]
    assert (difference["of"], difference["what"], difference["logged"]) == (first.decision_id, "propensity", "0.25")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [(["--route", "fraud"], "no decisions of route fraud; it has shop"), (["--since", "soon"], "--since must be a")],
)
def test_what_cannot_be_done_is_a_sentence_and_exit_code_2(run, logged, arguments, words):
    result = run("replay", *arguments)
    assert result.exit_code == 2
    assert words in result.output
