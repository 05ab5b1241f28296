"""The pipelines of examples/ci: their commands run against a gateway, and their files have the form that AWS documents.

There is no parser of a Jenkinsfile here, so its `sh` steps are taken out of it and run.
"""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import yaml
from onnx import helper

from runtimes.manifest import TensorSpec
from runtimes.manifest_text import parse_manifest
from tests.support.gateway_process import GatewayProcess, running
from tests.support.models import onnx_content
from tests.support.paths import ROOT

FOLDER = ROOT / "examples/ci"
STEPS = re.findall(r"^\s*sh (?:'''(.*?)'''|'(.*?)')$", (FOLDER / "Jenkinsfile").read_text(), re.MULTILINE | re.DOTALL)
BUILDSPEC = yaml.safe_load((FOLDER / "buildspec.yml").read_text())


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    home = tmp_path_factory.mktemp("ci") / "var"
    with running(GatewayProcess(home, "serve", "--engine", "uvicorn")) as gateway:
        yield gateway


@pytest.fixture
def repository(tmp_path) -> Path:
    """Make a team's repository: the example, and a model."""
    shutil.copytree(FOLDER, tmp_path, dirs_exist_ok=True)
    (tmp_path / "model").mkdir()
    specs = [TensorSpec("x", "FP32", (-1, 2))], [TensorSpec("y", "FP32", (-1, 2))]
    content = onnx_content([helper.make_node("Add", ["x", "x"], ["y"])], *specs)
    (tmp_path / "model/model.onnx").write_bytes(content)
    return tmp_path


def run(gateway: GatewayProcess, repository: Path, script: str, **variables: str) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        ["bash", "-euc", script],
        cwd=repository,
        env={**gateway.environment, "MODEL": "fraud", **variables},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, (script, done.stdout, done.stderr)
    return done


def answer(gateway: GatewayProcess) -> tuple[str, list[float]]:
    body = {"inputs": [{"name": "x", "shape": [1, 2], "datatype": "FP32", "data": [1, 2]}]}
    response = httpx.post(f"{gateway.url}/v2/models/fraud/infer", json=body, trust_env=False, timeout=60)
    content = response.json()
    return content["model_version"], content["outputs"][0]["data"]


def test_the_steps_of_the_jenkinsfile_publish_and_apply(gateway, repository):
    scripts = ["".join(step) for step in STEPS if "pip install" not in "".join(step)]
    assert sum(script.count("pointsman ") for script in scripts) == 7
    for script in scripts:
        run(gateway, repository, script, VERSION="41")
    assert parse_manifest((repository / "model.yaml").read_text()).file == "model.onnx"
    assert json.loads((repository / "validated.json").read_text())["valid"] is True
    assert answer(gateway) == ("41", [2, 4])


def test_the_commands_of_the_buildspec_validate_and_then_deploy(gateway, repository):
    phases = BUILDSPEC["phases"]
    script = "\n".join((*phases["pre_build"]["commands"], *phases["build"]["commands"]))
    run(gateway, repository, script, CODEBUILD_RESOLVED_SOURCE_VERSION="a1b2", STAGE="validate")
    assert not (gateway.home / "models/fraud/a1b2").exists()
    run(gateway, repository, script, CODEBUILD_RESOLVED_SOURCE_VERSION="a1b2", STAGE="deploy")
    assert json.loads((repository / "validated.json").read_text())["valid"] is True
    assert (gateway.home / "models/fraud/aliases.yaml").read_text() == "champion: a1b2\n"


def test_a_model_that_cannot_be_served_ends_the_build(gateway, repository):
    (repository / "model/model.onnx").write_bytes(b"damaged")
    done = subprocess.run(
        ["bash", "-euc", "".join(STEPS[1])],
        cwd=repository,
        env={**gateway.environment, "MODEL": "fraud", "VERSION": "42"},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 1
    assert "was not published as fraud:42" in done.stderr


def test_the_buildspec_has_the_keys_that_codebuild_knows():
    assert BUILDSPEC["version"] == 0.2
    assert BUILDSPEC.keys() <= {"version", "env", "phases", "artifacts", "cache", "reports", "run-as", "proxy", "batch"}
    assert BUILDSPEC["env"].keys() <= {"shell", "variables", "parameter-store", "secrets-manager", "exported-variables"}
    for phase in BUILDSPEC["phases"].values():
        assert phase.keys() <= {"run-as", "on-failure", "runtime-versions", "commands", "finally"}
        assert all(isinstance(command, str) for command in phase["commands"])


def test_the_pipeline_runs_the_build_to_validate_and_to_deploy():
    resources = yaml.safe_load((FOLDER / "pipeline.yaml").read_text())["Resources"]
    stages = resources["Pipeline"]["Properties"]["Stages"]
    assert [stage["Name"] for stage in stages] == ["Source", "Validate", "Approve", "Deploy"]
    actions = [action for stage in stages for action in stage["Actions"]]
    builds = [action for action in actions if action["ActionTypeId"]["Category"] == "Build"]
    variables = [json.loads(action["Configuration"]["EnvironmentVariables"]) for action in builds]
    assert variables == [[{"name": "STAGE", "value": stage}] for stage in ("validate", "deploy")]
    assert resources["Build"]["Properties"]["Source"]["BuildSpec"] == "buildspec.yml"


def test_the_braces_of_the_jenkinsfile_are_closed():
    quoted = r"'''.*?'''|'[^'\n]*'|\"[^\"\n]*\"|//[^\n]*"
    text = re.sub(quoted, "", (FOLDER / "Jenkinsfile").read_text(), flags=re.DOTALL)
    assert text.count("{") == text.count("}") > 10
