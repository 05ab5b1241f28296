"""Declared files are compared with what is stored, and applied."""

import json

import pytest

from tests.unit.gateway.cli.support import refused, without_progress


def split(route: str, percent: int) -> str:
    arms = "arms: {a: 'linear:1', b: 'linear:2'}"
    return f"route: {route}\n{arms}\nsplit: {{a: {100 - percent}%, b: {percent}%}}\n"


def test_routes_are_applied_shown_shifted_and_remembered(here, tmp_path):
    path = tmp_path / "routes.yaml"
    path.write_text(f"{split('cli1', 10)}---\nroute: cli2\narms: {{a: 'linear:1'}}\nsplit: {{a: 100%}}\n")
    applied = here("apply", "-f", path, "--why", "a test")
    assert applied.exit_code == 0, applied.output
    assert "cli1 was created and is at version 1 (a=90% b=10%), live on 1 of 1 replicas after " in applied.stdout
    assert "cli2 was created and is at version 1" in applied.stdout

    shifted = json.loads(here("shift", "cli1", "b=25", "--json").stdout)
    assert shifted["spec"]["split"] == {"a": "75%", "b": "25%"}
    shown = here("get", "cli1")
    assert "split:\n  a: 75%" in shown.stdout
    assert json.loads(here("get", "cli1", "--json").stdout)["version"] == 2
    history = json.loads(here("history", "cli1", "--json").stdout)
    assert [(entry["version"], entry["what"]) for entry in history] == [(2, "shift b=25"), (1, "apply")]
    assert history[1]["why"] == "a test"


def test_only_what_differs_is_written(here, tmp_path):
    (tmp_path / "one.yaml").write_text(split("cli3", 10))
    (tmp_path / "two.yml").write_text(split("cli4", 10))
    assert here("apply", "-f", tmp_path).exit_code == 0
    (tmp_path / "two.yml").write_text(split("cli4", 20))
    (tmp_path / "three.yml").write_text(split("cli5", 30))
    output = here("apply", "-f", tmp_path).stdout
    assert "cli3 is unchanged at version 1 (a=90% b=10%), live on" in output
    assert "cli4 was changed and is at version 2 (a=80% b=20%)" in output
    assert "cli5 was created and is at version 1" in output
    again = json.loads(here("apply", "-f", tmp_path, "--json").stdout)
    assert {(each["route"], each["outcome"], each["version"]) for each in again} == {
        ("cli3", "unchanged", 1), ("cli4", "unchanged", 2), ("cli5", "unchanged", 1),
    }  # fmt: skip
    assert all(list(each["live_on"].values()) == [True] for each in again)


def test_all_routes_are_applied_or_none(here, tmp_path):
    (tmp_path / "good.yaml").write_text(split("cli6", 10))
    (tmp_path / "poor.yaml").write_text(split("cli7", 10).replace("linear:2", "wide:1"))
    assert "another signature" in refused(here("apply", "-f", tmp_path))
    assert "no route 'cli6'" in refused(here("get", "cli6"))


def test_a_difference_is_shown_and_is_the_exit_code(here, tmp_path):
    path = tmp_path / "routes.yaml"
    path.write_text(split("cli8", 10))
    new = here("diff", "-f", path)
    assert new.exit_code == 1
    assert f"--- /dev/null\n+++ cli8 ({path})\n" in new.stdout
    assert here("apply", "-f", path).exit_code == 0

    path.write_text("route: cli8\nsplit: {a: 0.9, b: 0.1}\narms: {a: 'linear:1', b: 'linear:2'}\nseed: cli8\n")
    same = here("diff", "-f", path)
    assert (same.exit_code, same.stdout) == (0, "")
    assert without_progress(same.stderr) == ""
    folder = here("diff", "-f", tmp_path)
    assert (folder.exit_code, folder.stdout) == (0, "")
    assert "Stored, but not declared in" in folder.stderr
    assert "plain" in folder.stderr

    path.write_text(split("cli8", 20))
    other = here("diff", "-f", path)
    assert other.exit_code == 1
    assert f"--- cli8 (version 1)\n+++ cli8 ({path})\n" in other.stdout
    assert "\n-  a: 90%\n-  b: 10%\n+  a: 80%\n+  b: 20%\n" in other.stdout
    compared = here("diff", "-f", path, "--json")
    assert compared.exit_code == 1
    comparison = json.loads(compared.stdout)
    assert "plain" in comparison["undeclared"]
    (route,) = comparison["routes"]
    assert (route["route"], route["version"], route["differs"], route["file"]) == ("cli8", 1, True, str(path))
    assert route["diff"] == other.stdout


def test_a_difference_that_cannot_be_told_is_another_exit_code(here, run, tmp_path):
    path = tmp_path / "routes.yaml"
    path.write_text("route: [")
    assert "is not YAML" in refused(here("diff", "-f", path), 2)
    path.write_text(split("cli9", 10))
    assert "No gateway answers" in refused(run("diff", "-f", path, "--url", "http://127.0.0.1:9"), 2)


@pytest.mark.parametrize("content", ["route: [", "- a\n", "arms: {}\n"])
def test_a_file_that_holds_no_route_is_said(here, tmp_path, content):
    path = tmp_path / "routes.yaml"
    path.write_text(content)
    assert str(path) in refused(here("apply", "-f", path))


def test_every_file_that_is_named_is_applied(here, tmp_path):
    for name in ("cli20", "cli21"):
        (tmp_path / f"{name}.yaml").write_text(split(name, 10))
    files = ("-f", tmp_path / "cli20.yaml", "-f", tmp_path / "cli21.yaml")
    assert here("diff", *files).stdout.count("+++ cli2") == 2
    applied = here("apply", *files)
    assert applied.exit_code == 0, applied.output
    assert "cli20 was created" in applied.stdout
    assert "cli21 was created" in applied.stdout
