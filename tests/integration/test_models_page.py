"""The commands of docs/models.md, run as they stand, section by section, but on this run's port."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path

import msgspec
import pytest
import sklearn
import skops.io
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression

from runtimes.manifest import Manifest, Resources, TensorSpec
from tests.support.gateway_process import GatewayProcess, running
from tests.support.paths import ROOT

PAGE = (ROOT / "docs/models.md").read_text()
SECTIONS = dict(re.findall(r"^## (.*?)\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL))
# What the commands of a section must print. A section that is not here has no commands.
EXPECTED = {
    "ONNX": '"name":"output_label","shape":[1],"datatype":"INT64","data":[0]',
    "scikit-learn": '"name":"label","shape":[1],"datatype":"INT64","data":[0]',
    "scikit-learn on a data frame": '"name":"label","shape":[1],"datatype":"BYTES","data":["yes"]',
    "scikit-learn on text": '"name":"label","shape":[1],"datatype":"BYTES","data":["liked"]',
    "LightGBM": '"name":"prediction","shape":[1],"datatype":"FP64"',
    "XGBoost": '"name":"label","shape":[1],"datatype":"INT64","data":[0]',
    "CatBoost": '"name":"label","shape":[1],"datatype":"BYTES","data":["yes"]',
    "MLflow folder": '"name":"label","shape":[1],"datatype":"INT64","data":[0]',
    "Python class": '"name":"price","shape":[1],"datatype":"FP64","data":[7',
    "The same model over other protocols": '{"predictions":[{"output_label":0,"output_probability":[0.98',
    "Validate, list, show": "flowers:1 can be served.",
}
AT_A_TIME = 2
"""A section waits for processes that start, one after the other. Two at a time take about half as long."""
MLMODEL = """
flavors:
  python_function: {loader_module: mlflow.sklearn, model_path: model.skops, predict_fn: predict, python_version: 3.11.7}
  sklearn: {code: null, pickled_model: model.skops, serialization_format: skops, sklearn_version: %s}
mlflow_version: 3.17.0
saved_input_example_info: {artifact_path: input_example.json, pandas_orient: split, type: dataframe}
signature:
  inputs: '%s'
  outputs: '[{"type": "long", "required": true}]'
"""


def write_mlflow_folder(folder: Path) -> None:
    """Write what MLflow writes for the model of the page. MLflow itself has too many packages for these tests."""
    features, species = load_iris(return_X_y=True, as_frame=True)
    folder.mkdir()
    skops.io.dump(LogisticRegression(max_iter=1000).fit(features, species), folder / "model.skops")
    inputs = json.dumps([{"type": "double", "name": name, "required": True} for name in features.columns])
    (folder / "MLmodel").write_text(MLMODEL % (sklearn.__version__, inputs))
    (folder / "input_example.json").write_text(features[:2].to_json(orient="split"))


def blocks(section: str) -> list[tuple[str, str]]:
    return re.findall(r"^```(sh|python)\n(.*?)^```$", SECTIONS[section], re.MULTILINE | re.DOTALL)


class Sections:
    """Runs the commands of each section once, and meanwhile those of the next one. All use what the first publishes."""

    def __init__(self, gateway: GatewayProcess, folder: Path) -> None:
        self._gateway = gateway
        self._folder = folder
        self._pool = ThreadPoolExecutor(AT_A_TIME)
        self._printed: dict[str, Future[str]] = {}

    def printed(self, section: str) -> str:
        """Return what the commands of a section print."""
        names = list(EXPECTED)
        place = names.index(section)
        for each in (names[0], *names[place : place + AT_A_TIME]):
            if each not in self._printed:
                self._printed[each] = self._pool.submit(self._run, each)
        return self._printed[section].result()

    def end(self) -> None:
        """Wait for the section that is under way."""
        self._pool.shutdown(cancel_futures=True)

    def _run(self, section: str) -> str:
        first = next(iter(EXPECTED))
        if section != first:
            self._printed[first].result()
        folder = self._folder / section
        folder.mkdir()
        printed = ""
        for language, block in blocks(section):
            if block.startswith("import mlflow") and find_spec("mlflow") is None:
                write_mlflow_folder(folder / "species")
            else:
                printed += run(self._gateway, language, block, folder)
        return printed


@pytest.fixture(scope="module")
def sections(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sections]:
    home = tmp_path_factory.mktemp("models-page") / "var"
    with running(GatewayProcess(home, "serve", "--engine", "uvicorn", POINTSMAN_ALLOW_CODE="true")) as gateway:
        made = Sections(gateway, tmp_path_factory.mktemp("sections"))
        yield made
        made.end()


def test_every_section_with_commands_is_expected_to_print_something():
    assert {section for section in SECTIONS if blocks(section)} == EXPECTED.keys()


@pytest.mark.parametrize("section", EXPECTED)
def test_the_commands_of_a_section_do_what_the_page_says(sections, section):
    assert EXPECTED[section] in sections.printed(section)


def run(gateway: GatewayProcess, language: str, block: str, folder: Path) -> str:
    command = [sys.executable, "-W", "ignore", "-c"] if language == "python" else ["bash", "-euo", "pipefail", "-c"]
    done = subprocess.run(
        [*command, block.replace("127.0.0.1:8000", f"127.0.0.1:{gateway.port}")],
        cwd=folder,
        env=gateway.environment,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, (block, done.stdout, done.stderr)
    return done.stdout


def rows(section: str) -> set[str]:
    """Return the words in backquotes of the first column of the tables of a section."""
    return {
        word
        for row in re.findall(r"^\| (`.*?) \|", SECTIONS[section], re.MULTILINE)
        for word in re.findall(r"`(\w+)`", row)
    }


def test_every_key_of_a_manifest_is_explained():
    named = {field.name for struct in (Manifest, TensorSpec) for field in msgspec.structs.fields(struct)}
    assert rows("What you can say") == named
    assert all(f"`{field.name}`" in PAGE for field in msgspec.structs.fields(Resources))
