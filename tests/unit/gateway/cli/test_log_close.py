"""`pointsman log close`: what it prints, and its exit code."""

import json

from inference_log.completeness.marker import marker_key


def test_a_day_that_no_machine_spoke_of_stays_open(run):
    result = run("log", "close", "--day", "2026-03-01")
    assert result.exit_code == 1
    assert result.stdout == "2026-03-01 stays open: no machine has said what it has shipped.\n"


def test_force_closes_it(run, tmp_path):
    result = run("log", "close", "--day", "2026-03-01", "--force", "--json")
    assert result.exit_code == 0
    day = {"day": "2026-03-01", "why": "", "late_files": 0, "away": [], "routes": []}
    assert json.loads(result.stdout) == [day]
    assert (tmp_path / "log" / marker_key("2026-03-01")).exists()


def test_what_is_no_day_is_a_sentence(run):
    result = run("log", "close", "--day", "monday")
    assert result.exit_code == 2
    assert "monday is not a day; write it as YYYY-MM-DD." in result.output
