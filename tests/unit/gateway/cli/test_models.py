"""`pointsman models`: a model becomes a version with one command, is validated offline, and is shown."""

import json
import pickle
import shutil
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from click.testing import Result
from cryptography.hazmat.primitives.asymmetric import ec
from onnx import helper
from typer.testing import CliRunner

from gateway.cli.main import app
from registry_sync.registries.directory import DirectoryRegistry
from runtimes.golden import golden_requests, golden_tensor
from runtimes.manifest import TensorSpec
from runtimes.manifest_text import parse_manifest
from tests.support.components import need_package
from tests.support.models import onnx_content
from tests.support.sigstore_instance import E_MAIL, ISSUER, SigstoreInstance
from tests.unit.runtimes.test_signed import public_file, signed, statement

X, Y = TensorSpec("x", "FP32", (-1, 2)), TensorSpec("y", "FP32", (-1, 2))
SAID = {
    "inputs": [{"name": "x", "datatype": "FP32", "shape": [-1, 2]}],
    "outputs": [{"name": "y", "datatype": "FP32", "shape": [-1, 2]}],
}


def doubling(op: str = "Add") -> bytes:
    return onnx_content([helper.make_node(op, ["x", "x"] if op == "Add" else ["x"], ["y"])], [X], [Y])


def refused(result: Result, exit_code: int = 1) -> str:
    """Return the error of a command that must have failed, without the progress before it."""
    assert result.exit_code == exit_code, result.output
    assert "Traceback" not in result.output
    *_, last = result.stderr.splitlines()
    assert last.startswith("pointsman: ")
    return last


def write_model(parent: Path) -> Path:
    """Write y = 2x, and what a person may say of it."""
    folder = parent / "mine"
    folder.mkdir()
    (folder / "model.onnx").write_bytes(doubling())
    (folder / "model.yaml").write_text(yaml.safe_dump(SAID))
    return folder


@pytest.fixture
def model(tmp_path) -> Path:
    return write_model(tmp_path)


@pytest.fixture(scope="module")
def published_once(tmp_path_factory) -> Path:
    """Return a registry in which the command has published fraud:18 as champion. Its processes take two seconds."""
    home = tmp_path_factory.mktemp("published")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("POINTSMAN_HOME", str(home))
        result = CliRunner().invoke(app, ["models", "add", "fraud:18", str(write_model(home)), "--alias", "champion"])
    assert result.exit_code == 0, result.output
    return home / "models"


@pytest.fixture
def added(published_once, tmp_path) -> None:
    """Put fraud:18 with the alias champion into the test's own registry."""
    shutil.copytree(published_once, tmp_path / "models")


@pytest.fixture
def add(run) -> Callable[..., Result]:
    return lambda *arguments: run("models", "add", *arguments)


def published(home: Path, model: str = "fraud", version: str = "18") -> Path:
    return home / "models" / model / version


def test_one_command_publishes_a_model_and_says_what_it_understood(add, model, tmp_path):
    result = add("fraud:18", model, "--alias", "challenger")
    assert result.exit_code == 0, result.output
    for words in (
        "kind onnx",
        "x  FP32 [-1, 2]",
        "y  FP32 [-1, 2]",
        "batched",
        "golden requests: 2",
        "apply -f fraud.yaml",
    ):
        assert words in result.stdout
    registry = DirectoryRegistry(tmp_path / "models")
    manifest = registry.manifest("fraud", "18")
    assert manifest.golden == "golden.json"
    assert registry.fetch("fraud", "18", manifest)["model.onnx"] == doubling()
    assert registry.aliases("fraud") == {"challenger": "18"}


def test_a_dry_run_prints_the_manifest_and_writes_nothing(add, model, tmp_path):
    result = add("fraud:18", model, "--dry-run", "--set", "max_batch=7", "--description", "mine")
    assert result.exit_code == 0, result.output
    manifest = parse_manifest(result.stdout)
    assert (manifest.max_batch, manifest.description, manifest.inputs) == (7, "mine", (X,))
    assert not (tmp_path / "models").exists()


def test_the_same_again_is_success_and_something_else_is_not(add, model):
    assert add("fraud:18", model).exit_code == 0
    again = add("fraud:18", model, "--json")
    assert again.exit_code == 0
    assert json.loads(again.stdout)["new"] is False
    assert "choose another" in refused(add("fraud:18", model, "--set", "max_batch=1"))


@pytest.mark.parametrize(
    "reference", ["fraud", "fraud@champion", "../fraud:1", "fraud:..", "fraud:1/2", ":1", "fraud:"]
)
def test_names_are_checked_as_everywhere(add, model, reference, tmp_path):
    refused(add(reference, model))
    assert not (tmp_path / "models").exists()


def test_a_wrong_alias_publishes_nothing(add, model, tmp_path):
    assert "An alias must be a name" in refused(add("fraud:18", model, "--alias", "a/b"))
    assert not published(tmp_path).exists()


def test_a_file_of_no_known_kind_is_refused_and_the_kinds_are_listed(add, tmp_path):
    (tmp_path / "model.pt").write_bytes(b"hello")
    assert "Known are ONNX" in refused(add("fraud:18", tmp_path / "model.pt"))


def test_what_contradicts_the_model_is_refused_by_loading_it(add, model, tmp_path):
    (model / "model.yaml").write_text(yaml.safe_dump({**SAID, "outputs": [{**SAID["outputs"][0], "shape": [-1, 3]}]}))
    assert "y" in refused(add("fraud:18", model))
    assert not published(tmp_path).exists()


def test_a_models_yaml_that_pins_another_file_is_refused(add, model):
    said = {**SAID, "file": "model.onnx", "sha256": "0" * 64}
    (model / "model.yaml").write_text(yaml.safe_dump(said))
    assert "remove the key sha256" in refused(add("fraud:18", model))


@pytest.mark.parametrize(
    ("said", "sentence"),
    [
        ({"runtime": "tensorflow"}, "no runtime 'tensorflow'; there are onnx, sklearn"),
        ({"file": 3}, "file must be the name of a file"),
        ({"file": "other.onnx"}, "no file other.onnx"),
        ({"inputs": {}}, "inputs must be a list of tensors"),
        ({"outputs": [3]}, "Each output must be a name"),
        ({"max_batch": "x"}, "Expected `int`"),
        ({"golden": "none.json"}, "not among its files"),
    ],
)
def test_what_a_person_says_wrongly_is_said_in_a_sentence(add, model, said, sentence):
    (model / "model.yaml").write_text(yaml.safe_dump({**SAID, **said}))
    error = refused(add("fraud:18", model))
    assert sentence in error
    assert "Error(" not in error


def test_random_answers_make_no_golden_request(add, model, tmp_path):
    (model / "model.onnx").write_bytes(doubling("RandomNormalLike"))
    result = add("fraud:18", model)
    assert result.exit_code == 0, result.output
    assert "does not answer the same request twice alike" in result.stdout
    assert parse_manifest((published(tmp_path) / "model.yaml").read_text()).golden == ""


def test_a_request_that_is_too_large_makes_no_golden_request(add, model, tmp_path):
    said = {**SAID, "inputs": [{**SAID["inputs"][0], "example": {"shape": [200_000, 2]}}], "batch": "none"}
    (model / "model.yaml").write_text(yaml.safe_dump(said))
    result = add("fraud:18", model)
    assert result.exit_code == 0, result.output
    assert "No golden request was made: its values take more than 256 KiB" in result.stdout
    assert not (published(tmp_path) / "golden.json").exists()


def golden(answer: float) -> str:
    inputs = golden_tensor("x", np.array([[1, 2]], np.float32))
    return json.dumps([{"inputs": [inputs], "outputs": [golden_tensor("y", np.array([[answer, 4]], np.float32))]}])


def test_golden_requests_of_a_person_are_run_and_pinned(add, model, tmp_path):
    given = tmp_path / "given.json"
    given.write_text(golden(3))
    assert "must be" in refused(add("fraud:18", model, "--golden", given))
    given.write_text(golden(2))
    assert add("fraud:18", model, "--golden", given).exit_code == 0
    assert len(golden_requests((published(tmp_path) / "golden.json").read_bytes())) == 1


class Reduced:
    """Runs a function when it is read from a pickle."""

    def __init__(self, function: str, *arguments: Any) -> None:
        self.function, self.arguments = function, arguments

    def __reduce__(self) -> tuple[Any, ...]:
        import ctypes
        import time

        functions = {
            "crash": ctypes.string_at,
            "sleep": time.sleep,
            "fill": bytearray,
            "open": open,
            "connect": socket.create_connection,
        }
        return functions[self.function], self.arguments


@pytest.mark.parametrize(
    ("function", "argument", "sentence"),
    [
        ("crash", 0, "Its process ended (signal 11)"),
        ("sleep", 600, "within 4 s (POINTSMAN_LOAD_WITHIN_S)"),
        ("fill", 3 << 30, "more memory than 2048 MiB (POINTSMAN_LOAD_MAX_BYTES)"),
    ],
)
def test_a_model_that_misbehaves_while_it_loads_does_so_in_a_process_alone(
    add, tmp_path, monkeypatch, function, argument, sentence
):
    monkeypatch.setenv("POINTSMAN_ALLOW_PICKLE", "true")
    monkeypatch.setenv("POINTSMAN_LOAD_MAX_BYTES", str(2 << 30))
    if function == "sleep":
        monkeypatch.setenv("POINTSMAN_LOAD_WITHIN_S", "4")
    (tmp_path / "model.pkl").write_bytes(pickle.dumps(Reduced(function, argument)))
    (tmp_path / "said.yaml").write_text(yaml.safe_dump(SAID))
    assert sentence in refused(add("fraud:18", tmp_path / "model.pkl", "--with", tmp_path / "said.yaml"))
    assert not published(tmp_path).exists()


def test_a_model_is_tried_without_network_and_not_where_the_command_is_run(add, tmp_path, monkeypatch):
    monkeypatch.setenv("POINTSMAN_ALLOW_PICKLE", "true")
    monkeypatch.chdir(tmp_path)
    with socket.create_server(("127.0.0.1", 0)) as server:
        for function, argument in (("connect", server.getsockname()), ("open", "said.yaml")):
            (tmp_path / "model.pkl").write_bytes(pickle.dumps(Reduced(function, argument)))
            (tmp_path / "said.yaml").write_text(yaml.safe_dump(SAID))
            said = refused(add("fraud:18", "model.pkl", "--with", "said.yaml"))
            assert "unreachable" in said if function == "connect" else "No such file" in said


def test_a_version_is_validated_offline(run, added, tmp_path):
    for what in ("fraud:18", "fraud@champion", published(tmp_path)):
        result = run("models", "validate", what)
        assert result.exit_code == 0, result.output
    for step in ("digests", "load", "signature", "warm-up", "golden requests", "batching", "time", "memory"):
        assert step in result.stdout
    assert "can be served" in result.stdout


def test_a_damaged_version_fails_at_its_digests_with_exit_code_1(run, added, tmp_path):
    (published(tmp_path) / "model.onnx").write_bytes(doubling()[:-1])
    result = run("models", "validate", "fraud:18", "--json")
    assert result.exit_code == 1
    report = json.loads(result.stdout)
    assert report["valid"] is False
    assert [each["step"] for each in report["steps"] if each["state"] == "failed"] == ["digests"]
    assert "damaged" in report["reason"]


def test_a_version_with_a_link_fails(run, added, model, tmp_path):
    artifact = published(tmp_path) / "model.onnx"
    artifact.unlink()
    artifact.symlink_to(model / "model.onnx")
    result = run("models", "validate", "fraud:18")
    assert result.exit_code == 1
    assert "is a link" in result.stdout


@pytest.mark.parametrize("what", ["fraud:19", "nothing:1", "fraud@nothing", "nowhere", "/nowhere/at/all"])
def test_what_is_unknown_ends_with_exit_code_4(run, added, what):
    refused(run("models", "validate", what), exit_code=4)


def test_an_alias_is_moved_to_a_version_that_is_there(add, model, run, tmp_path):
    for version in ("1", "2"):
        assert add(f"fraud:{version}", model, "--alias", "champion").exit_code == 0
    assert "champion names 1; before, it named 2." in run("models", "alias", "fraud:1", "champion").stdout
    assert DirectoryRegistry(tmp_path / "models").aliases("fraud") == {"champion": "1"}
    assert "no version '3'" in refused(run("models", "alias", "fraud:3", "champion"))
    assert "must be a name" in refused(run("models", "alias", "fraud:1", "a b"))


def test_list_and_show_need_no_gateway(run, added, monkeypatch):
    monkeypatch.setenv("POINTSMAN_URL", "http://127.0.0.1:9")
    listed = run("models", "list")
    assert [line.split()[:4] for line in listed.stdout.splitlines()[1:]] == [["fraud", "18", "champion", "onnx"]]
    assert "The states are not known" in listed.stderr
    shown = run("models", "show", "fraud@champion")
    assert "fraud:18 is a model of the kind onnx" in shown.stdout
    assert json.loads(run("models", "show", "fraud:18", "--json").stdout)["manifest"]["file"] == "model.onnx"
    refused(run("models", "show", "fraud:19"), exit_code=4)


def test_list_shows_what_a_gateway_says_of_the_registrys_versions(here, registry, monkeypatch):
    monkeypatch.setenv("POINTSMAN_REGISTRY", str(registry))
    rows = json.loads(here("models", "list", "linear", "--json").stdout)
    assert {row["version"]: row["state"] for row in rows}["1"] == "READY"


def test_json_before_the_command_is_honoured(run, added):
    (row,) = json.loads(run("models", "--json", "list").stdout)
    assert (row["model"], row["version"]) == ("fraud", "18")


@pytest.mark.parametrize(
    ("batching", "shown"), [("batched", "yes"), ("NMF iterates over all rows of a request", "no"), ("", "")]
)
def test_list_says_in_a_word_if_requests_share_runs(run, added, monkeypatch, batching, shown):
    held = {"model": "fraud", "version": "18", "state": "READY", "reason": "", "batching": batching}
    monkeypatch.setattr("gateway.cli.models_show.ApiClient.models", lambda _: [held])
    head, line = run("models", "list").stdout.splitlines()
    assert line[head.index("BATCHING") :].strip() == shown
    if batching:
        assert f"batching: {batching}" in run("models", "show", "fraud:18").stdout


def test_a_name_that_is_none_is_told_which_characters_there_may_be(add, model):
    for reference in ("a/b:1", "Fraud Model:1"):
        assert "letters, digits, dots, dashes and underscores" in refused(add(reference, model))


def test_a_version_that_a_replica_serves_is_shown_without_a_command(here):
    assert "linear" in here("models").stdout


def held(**more: Any) -> dict[str, Any]:
    """Return what a gateway says of fraud:18."""
    return {"model": "fraud", "version": "18", "state": "READY", "reason": "", "batching": "", **more}


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ({"serves": True}, "READY, serves"),
        ({"state": "LOADING", "trying": {"step": "warm-up", "seconds": 12.3}}, "trying: warm-up, 12 s"),
        ({"state": "LOADING", "reason": "waits for memory"}, "waits"),
        ({"state": "QUARANTINED", "trying": {"step": "load", "seconds": 1}}, "QUARANTINED, trying: load, 1 s"),
        ({"state": "TRIED"}, "TRIED"),
    ],
)
def test_list_and_show_say_what_is_being_done_with_a_version(run, added, monkeypatch, said, shown):
    monkeypatch.setattr("gateway.cli.client.ApiClient.models", lambda _: [{**held(**said), "digest": "0"}])
    for arguments in (["list"], []):
        head, line = run("models", *arguments).stdout.splitlines()
        assert f"{line[head.index('STATE') :]} ".startswith(f"{shown} ")
    assert f"state: {shown}\n" in run("models", "show", "fraud:18").stdout
    assert json.loads(run("models", "show", "fraud:18", "--json").stdout)["state"] == held(**said)["state"]


def test_show_lists_the_steps_of_a_version_with_their_times(run, added, monkeypatch):
    step = {"step": "warm-up", "state": "failed", "seconds": 1.5, "detail": "It does not run."}
    monkeypatch.setattr("gateway.cli.client.ApiClient.models", lambda _: [held(steps=[step])])
    lines = run("models", "show", "fraud:18").stdout.splitlines()
    assert lines[-1].split(maxsplit=3) == ["warm-up", "failed", "1.50", "It does not run."]
    assert json.loads(run("models", "show", "fraud:18", "--json").stdout)["steps"] == [step]


def test_tags_say_where_a_version_comes_from(add, model, run):
    assert add("fraud:18", model, "--tag", "run_id=3f2a", "--tag", "data_set=2026-11", "--tag", "a=b=c").exit_code == 0
    shown = run("models", "show", "fraud:18").stdout
    for line in ("  run: 3f2a\n", "  data set: 2026-11\n", "  tag a: b=c\n"):
        assert line in shown
    (row,) = json.loads(run("models", "list", "--json").stdout)
    assert (row["run_id"], row["tags"]["a"]) == ("3f2a", "b=c")
    for tag in ("run_id", "=3f2a", ""):
        assert "is no tag" in refused(add("fraud:19", model, "--tag", tag))


def test_a_version_that_must_be_signed_is_checked_when_it_is_published_and_when_it_is_validated(
    add, model, run, tmp_path, monkeypatch
):
    key = ec.generate_private_key(ec.SECP256R1())
    monkeypatch.setenv("POINTSMAN_MODEL_SIGNATURE", public_file(tmp_path / "publisher.pem", key))
    assert "has no file model.sig" in refused(add("fraud:18", model))
    (model / "model.sig").write_bytes(signed(key, statement({"model.onnx": doubling()})))
    assert add("fraud:18", model).exit_code == 0
    validated = run("models", "validate", "fraud:18")
    assert "signature of the publisher  ok" in validated.stdout
    (published(tmp_path) / "model.sig").write_bytes(b"{}")
    assert run("models", "validate", "fraud:18").exit_code == 1


def test_a_version_that_an_identity_must_have_signed_is_checked_in_the_process_without_a_network(
    add, model, run, tmp_path, monkeypatch
):
    need_package("sigstore")
    instance = SigstoreInstance()
    wanted = f"identity:{E_MAIL},issuer:{ISSUER},trust:{instance.trust_root(tmp_path / 'trusted_root.json')}"
    monkeypatch.setenv("POINTSMAN_MODEL_SIGNATURE", wanted)
    of_another = instance.sign(statement({"model.onnx": doubling()}), "other@example.com")
    (model / "model.sig").write_text(json.dumps(of_another))
    assert f"was not signed by {E_MAIL}" in refused(add("fraud:18", model))
    (model / "model.sig").write_text(json.dumps(instance.sign(statement({"model.onnx": doubling()}))))
    assert add("fraud:18", model).exit_code == 0
    validated = run("models", "validate", "fraud:18")
    assert "signature of the publisher  ok" in validated.stdout
    assert f"signed by {E_MAIL}, for whom {ISSUER} has vouched" in validated.stdout


def test_what_is_not_signed_is_not_read_for_a_pickle_runs_code_then(add, tmp_path, monkeypatch):
    key = ec.generate_private_key(ec.SECP256R1())
    monkeypatch.setenv("POINTSMAN_MODEL_SIGNATURE", public_file(tmp_path / "publisher.pem", key))
    monkeypatch.setenv("POINTSMAN_ALLOW_PICKLE", "true")
    folder, was_read = tmp_path / "mine", tmp_path / "was read"
    folder.mkdir()
    (folder / "model.pkl").write_bytes(pickle.dumps(Reduced("open", str(was_read), "w")))
    (folder / "model.yaml").write_text(yaml.safe_dump(SAID))
    assert "has no file model.sig" in refused(add("fraud:18", folder))
    (folder / "model.sig").write_bytes(signed(key, statement({"model.pkl": b"another pickle"})))
    assert "model.pkl is not the file that was signed" in refused(add("fraud:18", folder))
    assert not was_read.exists()
    (folder / "model.sig").write_bytes(signed(key, statement({"model.pkl": (folder / "model.pkl").read_bytes()})))
    add("fraud:18", folder)
    assert was_read.exists()
