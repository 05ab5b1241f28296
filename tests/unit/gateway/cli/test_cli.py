"""The command line: help, one sentence per error, JSON that programs can read."""

import json
import sys
from pathlib import Path

import httpx
import numpy as np
import pytest
from typer.testing import CliRunner

from gateway.cli.main import app, main
from gateway.cli.output import Progress
from gateway.cli.serving import read_settings
from inference_log.record import Context, Header, Record
from inference_log.segment import frame


@pytest.fixture
def run(monkeypatch, tmp_path):
    opened = []

    class Closed(httpx.Client):
        """A command leaves its connections to the end of its process, which is not near here."""

        def __init__(self, **arguments) -> None:
            super().__init__(**arguments)
            opened.append(self)

    monkeypatch.setenv("POINTSMAN_HOME", str(tmp_path))
    monkeypatch.setattr("gateway.cli.client.httpx.Client", Closed)
    runner = CliRunner()
    yield lambda *arguments: runner.invoke(app, [str(argument) for argument in arguments])
    for client in opened:
        client.close()


@pytest.fixture
def here(gateway, run):
    """Runs a command against the replica that the session shares."""
    return lambda *arguments: run(*arguments, "--url", f"http://127.0.0.1:{gateway.port}")


def refused(result) -> str:
    """What a command that failed says."""
    assert result.exit_code == 1
    assert isinstance(result.exception, SystemExit), result.exception
    assert result.stderr.startswith("pointsman: ")
    assert "Traceback" not in result.output
    return result.stderr


def write_row(home: Path, value: float = 0.5) -> None:
    context = Context(0, "r", "a", "primary", "split", 1, "h", {"a": 1.0}, "m", "1", "d", prediction=(0, "<f4"))
    output = (np.array([value], "<f4").tobytes(),)
    record = Record(0, 0, "d", 0, 0, "WEIGHTED", 1.0, None, 200, "ok", "", 0, 0, 1, "", "", (), output)
    folder = home / "spool" / "0"
    folder.mkdir(parents=True)
    (folder / "w-0.segment").write_bytes(b"".join(map(frame, (Header("w", 0), context, record))))


def test_the_entry_point_lists_the_commands(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["pointsman", "--help"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 0
    listed = capsys.readouterr().out
    for command in ("serve", "demo", "apply", "get", "shift", "status", "history", "models", "log", "keys"):
        assert command in listed


@pytest.mark.parametrize(
    "command", ["serve", "demo", "apply", "get", "shift", "status", "history", "models", "log", "keys"]
)
def test_every_command_helps(run, command):
    result = run(command, "--help")
    assert result.exit_code == 0
    assert "Usage" in result.stdout


def test_a_query_prints_objects(run, tmp_path):
    write_row(tmp_path)
    result = run("log", "query", "--json", "SELECT decision_id, prediction, propensity, unit_hash FROM inferences")
    assert result.exit_code == 0
    assert json.loads(result.stdout) == [
        {"decision_id": "d", "prediction": [0.5], "propensity": 1.0, "unit_hash": None}
    ]


def test_a_query_prints_a_table(run, tmp_path):
    write_row(tmp_path)
    result = run("log", "query", "SELECT route, count(*) AS n FROM inferences GROUP BY ALL")
    assert result.exit_code == 0
    assert [line.split() for line in result.stdout.splitlines()] == [["route", "n"], ["r", "1"]]


def test_an_empty_log_is_an_empty_list(run):
    assert json.loads(run("log", "query", "--json", "SELECT * FROM inferences").stdout) == []


def test_a_wrong_query_is_said(run):
    assert "The query cannot be run" in refused(run("log", "query", "SELECT nothing FROM inferences"))


def test_what_a_query_prints_is_json(run, tmp_path):
    def never(constant: str) -> None:
        raise ValueError(constant)

    write_row(tmp_path, float("nan"))
    printed = run("log", "query", "--json", "SELECT prediction FROM inferences").stdout
    assert json.loads(printed, parse_constant=never) == [{"prediction": [None]}]


def test_without_a_gateway_it_is_said(run):
    said = refused(run("status", "--url", "http://127.0.0.1:9"))
    assert "No gateway answers at http://127.0.0.1:9" in said
    assert len(said.splitlines()) == 1


def test_a_url_that_is_none_is_said(run):
    refused(run("status", "--url", "http://[::1"))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("shift", "r", "canary"), "'canary' is not of the form ARM=PERCENT"),
        (("shift", "r", "=5"), "is not of the form ARM=PERCENT"),
        (("apply", "-f", "nowhere.yaml"), "No such file"),
        (("serve", "--port", "0"), "port: Input should be greater than or equal to 1"),
        (("serve", "--replicas", "99"), "replicas"),
    ],
)
def test_what_is_not_allowed_is_said_in_one_line(run, arguments, said):
    printed = refused(run(*arguments))
    assert said in printed
    assert len(printed.splitlines()) == 1


@pytest.mark.parametrize("content", ["route: [", "- a\n", "arms: {}\n"])
def test_a_file_that_holds_no_route_is_said(here, tmp_path, content):
    path = tmp_path / "routes.yaml"
    path.write_text(content)
    refused(here("apply", "-f", path))


def test_routes_are_applied_shown_shifted_and_remembered(here, tmp_path):
    path = tmp_path / "routes.yaml"
    path.write_text(
        "route: cli1\narms: {a: 'linear:1', b: 'linear:2'}\nsplit: {a: 90%, b: 10%}\n"
        "---\nroute: cli2\narms: {a: 'linear:1'}\nsplit: {a: 100%}\n"
    )
    applied = here("apply", "-f", path, "--why", "a test")
    assert applied.exit_code == 0, applied.output
    assert "cli1 is at version 1 (a=90% b=10%), live on 1 of 1 replicas" in applied.stdout
    assert "cli2 is at version 1" in applied.stdout

    shown = here("get", "cli1")
    assert "split:\n  a: 90%" in shown.stdout
    path.write_text(shown.stdout)
    again = json.loads(here("apply", "-f", path, "--json").stdout)
    assert [(entry["route"], entry["version"], list(entry["live_on"].values())) for entry in again] == [
        ("cli1", 2, [True])
    ]

    shifted = json.loads(here("shift", "cli1", "b=25", "--json").stdout)
    assert shifted[0]["spec"]["split"] == {"a": "75%", "b": "25%"}
    history = json.loads(here("history", "cli1", "--json").stdout)
    assert [(entry["version"], entry["what"]) for entry in history] == [(3, "shift b=25"), (2, "apply"), (1, "apply")]
    assert history[2]["why"] == "a test"
    assert "a=75% b=25%" in here("history", "cli1").stdout
    assert "a=75% b=25%" in here("status").stdout
    assert "READY" in here("models").stdout


@pytest.mark.parametrize("arguments", [("get", "nowhere"), ("shift", "nowhere", "a=1"), ("history", "nowhere")])
def test_what_the_gateway_refuses_is_said(here, arguments):
    assert "There is no route 'nowhere'" in refused(here(*arguments))


def test_flags_go_over_the_environment(monkeypatch, tmp_path):
    monkeypatch.setenv("POINTSMAN_PORT", "9001")
    monkeypatch.setenv("POINTSMAN_HOME", str(tmp_path))
    assert read_settings(port=None).port == 9001
    assert read_settings(port=9002).port == 9002
    with pytest.raises(ValueError, match=r"A setting .* is not allowed: engine"):
        read_settings(engine="flask")


def test_progress_says_what_is_being_done(capsys):
    progress = Progress()
    progress.step("training")
    progress.done()
    progress.done()
    said = capsys.readouterr().err
    assert said.startswith("· training …\n✓ training (")
    assert len(said.splitlines()) == 2
