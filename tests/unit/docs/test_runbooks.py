"""The runbooks name commands, queries, metrics and lines of the log that exist."""

import re

import pytest
import typer

from gateway.cli.main import app
from tests.support.exposed_metrics import exposed
from tests.support.paths import ROOT
from tests.support.promql import faults

PAGE = (ROOT / "docs/runbooks.md").read_text()
COMMANDS = sorted(set(re.findall(r"(?<!-n )\bpointsman ([a-z][a-z-]*(?: [a-z][a-z-]*)?)", PAGE)))
PACKAGES = ("gateway", "inference_log", "registry_sync", "store")


@pytest.mark.parametrize("words", COMMANDS)
def test_a_command_exists(words):
    command, *rest = words.split()
    found = typer.main.get_command(app).commands.get(command)
    assert found is not None
    if rest and hasattr(found, "commands") and not getattr(found, "invoke_without_command", False):
        assert rest[0] in found.commands


def test_named_queries_exist():
    named = set(re.findall(r"--named (\w+)", PAGE))
    assert named
    assert named <= {path.stem for path in (ROOT / "inference_log/sql/queries").glob("*.sql")}


def test_metrics_exist():
    (expression,) = re.findall(r"^    (sum by .*)$", PAGE, re.MULTILINE)
    assert faults(expression) == []
    assert set(re.findall(r"`(pointsman_\w+)`", PAGE)) <= exposed().keys()


def test_lines_of_the_log_exist():
    code = "".join(path.read_text() for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
    lines = set(re.findall(r"`((?:gateway|inference_log)\.\w+\.[\w.]+)`", PAGE))
    assert len(lines) >= 4
    assert {line for line in lines if f'"{line}"' not in code} == set()
