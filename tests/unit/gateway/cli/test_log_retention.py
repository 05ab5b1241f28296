"""`pointsman log lifecycle`, `expire` and `compact`: what they print, and their exit codes."""

import json

import pytest


@pytest.fixture
def in_s3(monkeypatch):
    monkeypatch.setenv("POINTSMAN_LOG", "s3://bucket/ledger")


def test_the_rules_are_json_and_the_command_is_on_standard_error(run, in_s3):
    result = run("log", "lifecycle", "--payloads", 5)
    assert result.exit_code == 0
    rules = json.loads(result.stdout)["Rules"]
    assert {"Days": 5} in [each["Expiration"] for each in rules]
    assert "aws s3api put-bucket-lifecycle-configuration --bucket bucket --lifecycle" in result.stderr


def test_a_directory_has_no_rules(run):
    result = run("log", "lifecycle")
    assert result.exit_code == 2
    assert "use pointsman log expire" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("expire", "--before", "2026-03-01"), "The log has no day before 2026-03-01."),
        (("compact", "--day", "2026-03-01", "--force"), "2026-03-01 has nothing to compact."),
    ],
)
def test_an_empty_log_has_nothing_to_do(run, arguments, said):
    result = run("log", *arguments)
    assert (result.exit_code, result.stdout) == (0, f"{said}\n")


@pytest.mark.parametrize("arguments", [("expire", "--before", "never"), ("compact", "--day", "never", "--force")])
def test_what_is_no_day_is_a_sentence(run, arguments):
    result = run("log", *arguments)
    assert result.exit_code == 2
    assert "never is not a day; write it as YYYY-MM-DD." in result.stderr


def test_a_day_that_is_not_closed_is_not_compacted(run):
    result = run("log", "compact", "--day", "2026-03-01")
    assert result.exit_code == 2
    assert "2026-03-01 is not closed. Close it with: pointsman log close --day 2026-03-01" in result.stderr
