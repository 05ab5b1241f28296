"""The README's commands, run as they stand, but on this run's port."""

import re
import subprocess
import sys

import pytest

from tests.support.paths import ROOT

README = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"^```(sh|python)\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
# What a block must print; the rest of the README's sample output differs from run to run.
EXPECTED = {
    "pointsman status\n": "LIVE ON ALL",
    "curl": '"datatype":"INT64","data":[0]',
    "tritonclient": "[0 1 2]",
    "pointsman shift": "live on 2 of 2 replicas",
    "pointsman log query": "STICKY",
    "pointsman apply": "fraud was created and is at version 1, READY",
    "pointsman start": "PROGRESSING 1/5",
    "pointsman abort": "ABORTED",
    "pointsman demo bandit": "blue, which the crowd likes best, has ",
}


def test_every_kind_of_block_is_expected_to_print_something():
    assert all(any(words in block for _, block in BLOCKS) for words in EXPECTED)


@pytest.mark.usefixtures("split")
def test_the_readmes_commands_do_what_it_says(gateway):
    gateway.wait_for_replicas(2)
    for language, block in BLOCKS:
        command = [sys.executable, "-c"] if language == "python" else ["bash", "-euc"]
        done = subprocess.run(
            [*command, block.replace("127.0.0.1:8000", f"127.0.0.1:{gateway.port}")],
            env=gateway.environment,
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )
        assert done.returncode == 0, (block, done.stdout, done.stderr)
        for words, output in EXPECTED.items():
            assert words not in block or output in done.stdout, (block, done.stdout)


def test_make_targets_that_the_readme_names_exist():
    makefile = (ROOT / "Makefile").read_text()
    named = set(re.findall(r"\bmake ([a-z-]+)", README))
    assert {"up", "test"} <= named
    assert all(re.search(rf"^{target}:", makefile, re.MULTILINE) for target in named)
