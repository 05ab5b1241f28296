"""The commands of a page of the documentation, so that a test runs what operators read."""

import os
import re
import subprocess
from pathlib import Path

from tests.support.gateway_process import GatewayProcess
from tests.support.paths import ROOT

_FOREIGN = ("kubectl", "aws", "helm")


def commands(heading: str, page: str = "docs/runbooks.md") -> list[str]:
    """Return the indented lines below a heading that are commands of this machine, in their order."""
    section = re.split(rf"^#+ {re.escape(heading)}$", (ROOT / page).read_text(), flags=re.MULTILINE)[1]
    section = re.split(r"^#+ ", section, maxsplit=1, flags=re.MULTILINE)[0]
    lines = re.findall(r"^    (\S.*)$", section, re.MULTILINE)
    return [line for line in lines if not line.startswith(_FOREIGN)]


def run(gateway: GatewayProcess, folder: Path, command: str, **values: str) -> str:
    """Run a command as an operator of this gateway would, in a folder. `values` replace the words in capitals.

    Return what it printed. It must succeed; the exit code 1 of `diff` says that something would change.
    """
    for name, value in values.items():
        command = re.sub(rf"\b{name}\b", value, command)
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", command],
        cwd=folder,
        env={**gateway.environment, "PYTHONPATH": f"{ROOT}:{os.environ.get('PYTHONPATH', '')}"},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    codes = (0, 1) if command.startswith("pointsman diff") else (0,)
    assert done.returncode in codes, f"{command}\n{done.stdout}{done.stderr}"
    return done.stdout
