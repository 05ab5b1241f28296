"""Scenario files become scenarios, and suites find theirs."""

import pytest

from loadtests.bench.launch import Form
from loadtests.bench.payload import Payload
from loadtests.bench.scenarios import FOLDER, Kind, load_scenarios, parse_scenarios
from loadtests.bench.suites import SUITES, chosen_suites
from loadtests.targets.registry import BUILDERS

CLOSED = {"name": "c", "suite": "http", "kind": "closed", "summary": "s", "connections": 32, "warmup_s": 1}


@pytest.mark.parametrize("suite", SUITES)
def test_every_suite_has_a_scenario_and_targets_that_exist(suite: str) -> None:
    assert load_scenarios(suite, frozenset(Kind))
    assert SUITES[suite]
    assert set(SUITES[suite]) <= BUILDERS.keys()


def test_no_scenario_file_belongs_to_an_unknown_suite_or_repeats_a_name() -> None:
    known = [one.name for suite in SUITES for one in load_scenarios(suite, frozenset(Kind))]
    files = FOLDER.glob("*.toml")
    assert len(set(known)) == len(known) >= len(list(files))


def test_closed_scenarios_come_first_then_open_ones_by_rate() -> None:
    names = [scenario.name for scenario in load_scenarios("http", frozenset(Kind))]
    assert names == ["closed-32", "open-500", "open-1000"]


def test_scenarios_of_another_kind_are_left_out() -> None:
    assert {one.kind for one in load_scenarios("http", frozenset({Kind.OPEN}))} == {Kind.OPEN}


def test_scenario_is_about_one_row_of_json_unless_it_says_otherwise() -> None:
    (scenario,) = parse_scenarios(CLOSED)
    assert scenario.payload == Payload("cancer", Form.JSON, 1)
    assert scenario.name == "c"


def test_several_numbers_of_rows_become_several_scenarios() -> None:
    scenarios = list(parse_scenarios({**CLOSED, "rows": [1, 64], "form": "binary"}))
    assert [(one.name, one.rows, one.form) for one in scenarios] == [("c-1", 1, Form.BINARY), ("c-64", 64, Form.BINARY)]


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"kind": "open"}, "rate_per_s"),
        ({"colour": "red"}, "colour"),
        ({"form": "xml"}, "xml"),
        ({"rows": "x"}, "rows"),
    ],
)
def test_wrong_scenario_is_refused_with_what_is_wrong(change: dict[str, object], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        list(parse_scenarios({**CLOSED, **change}))


def test_suites_are_chosen_by_name_once_each_or_all() -> None:
    assert chosen_suites("grpc, http,grpc") == ["grpc", "http"]
    assert chosen_suites("all") == list(SUITES)


@pytest.mark.parametrize("names", ["", "ftp", "http,ftp", "all,http"])
def test_unknown_suite_is_refused(names: str) -> None:
    with pytest.raises(ValueError, match="name some of http"):
        chosen_suites(names)
