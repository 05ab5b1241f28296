"""The command line: help, one sentence for an error, JSON that programs can read."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from gateway.cli.main import main
from gateway.cli.output import Progress
from gateway.cli.settings_flags import read_settings
from inference_log.record import Context, Record, SegmentHeader
from inference_log.segment import frame
from tests.unit.gateway.cli.support import refused

COMMANDS = (
    "serve", "demo", "apply", "diff", "get", "shift", "start", "pause", "resume", "promote", "abort", "undo", "release",
    "restore", "status", "history", "models", "log", "keys",
)  # fmt: skip


def write_row(home: Path, value: float = 0.5) -> None:
    context = Context(0, "r", "a", "primary", "split", 1, "h", {"a": 1.0}, "m", "1", "d", prediction=(0, "<f4"))
    output = (np.array([value], "<f4").tobytes(),)
    record = Record(0, 0, "d", 0, 0, "WEIGHTED", 1.0, None, 200, "ok", "", 0, 0, 1, "", "", (), output)
    folder = home / "spool" / "0"
    folder.mkdir(parents=True)
    (folder / "w-0.segment").write_bytes(b"".join(map(frame, (SegmentHeader("w", 0), context, record))))


def test_the_entry_point_lists_the_commands(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["pointsman", "--help"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 0
    listed = capsys.readouterr().out
    for command in COMMANDS:
        assert command in listed


@pytest.mark.parametrize("command", COMMANDS)
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


def test_a_wrong_query_is_said(run, tmp_path):
    write_row(tmp_path, 1.0)
    assert "The query cannot be run" in refused(run("log", "query", "SELECT nothing FROM inferences"))


def test_what_a_query_prints_is_json(run, tmp_path):
    def never(constant: str) -> None:
        raise ValueError(constant)

    write_row(tmp_path, float("nan"))
    printed = run("log", "query", "--json", "SELECT prediction FROM inferences").stdout
    assert json.loads(printed, parse_constant=never) == [{"prediction": [None]}]


def test_without_a_gateway_it_is_said(run):
    sentence = refused(run("status", "--url", "http://127.0.0.1:9"))
    assert "No gateway answers at http://127.0.0.1:9" in sentence
    assert len(sentence.splitlines()) == 1


def test_a_url_that_is_none_is_said(run):
    refused(run("status", "--url", "http://[::1"))


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("shift", "r", "canary"), "'canary' is not of the form ARM=PERCENT"),
        (("shift", "r", "=5"), "is not of the form ARM=PERCENT"),
        (("shift", "r", "canary=5", "canary=6"), "Arm canary is named twice."),
        (("pause", ""), "Say which route"),
        (("apply", "-f", "nowhere.yaml"), "nowhere.yaml cannot be used: No such file or directory."),
        (("serve", "--port", "0"), "port: Input should be greater than or equal to 1"),
        (("serve", "--replicas", "99"), "replicas"),
    ],
)
def test_what_is_not_allowed_is_said_in_one_line(run, arguments, sentence):
    printed = refused(run(*arguments))
    assert sentence in printed
    assert len(printed.splitlines()) == 1


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
    output = capsys.readouterr().err
    assert output.startswith("· training …\n✓ training (")
    assert len(output.splitlines()) == 2


@pytest.mark.parametrize(
    ("registry", "sentence"),
    [
        ("mlfow+http://127.0.0.1:9", "There are no registries at mlfow+http://"),
        ("http://127.0.0.1:9", "write mlflow+http://HOST:PORT"),
        ("mlflow+http://me:secret@127.0.0.1:9", "must hold no password"),
        ("s3:///models", "names no bucket"),
    ],
)
def test_a_registry_that_cannot_be_meant_is_refused_before_the_gateway_starts(run, monkeypatch, registry, sentence):
    monkeypatch.setenv("POINTSMAN_REGISTRY", registry)
    result = run("serve", "--engine", "uvicorn", "--port", "9")
    assert result.exit_code == 1
    assert sentence in result.stderr


@pytest.mark.parametrize(
    ("log", "sentence"), [("s3://", "names no bucket"), ("s3:/x", "no place of a log"), ("S3://b", "no place of a log")]
)
def test_a_log_that_cannot_be_meant_is_refused_before_the_gateway_starts(run, monkeypatch, log, sentence):
    monkeypatch.setenv("POINTSMAN_LOG", log)
    result = run("serve", "--engine", "uvicorn", "--port", "9")
    assert result.exit_code == 1
    assert sentence in result.stderr
