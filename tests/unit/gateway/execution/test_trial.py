"""What is new on a machine is tried in a process with limits, once; the result is remembered in the home."""

import contextlib
import os
import shutil
import socket
import stat
import threading
import time
from pathlib import Path

import numpy as np
import psutil
import pytest
import skops.io
import structlog
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

from gateway.execution import trial
from gateway.execution.checking import process, records
from gateway.execution.checking.records import Record, Trying
from gateway.execution.process.model import ProcessOptions
from gateway.execution.process.network import leave_network
from gateway.execution.trial import Trials
from registry_sync.registries.directory import DirectoryRegistry
from registry_sync.version import Tried, VersionKey
from runtimes.errors import ModelRefused
from runtimes.load_options import LoadOptions
from runtimes.manifest import Manifest, TensorSpec
from tests.support import linear
from tests.support.components import by_hand, in_soak
from tests.support.hanging_models import LINEAR_INPUTS, LINEAR_OUTPUTS, publish_bomb, publish_endless
from tests.support.models import pickled, write_version
from tests.support.noted_types import noted_late
from tests.support.polling import wait_until

MEGABYTE = 1024 * 1024


class Crashing:
    """An estimator that ends its process when it predicts."""

    def predict(self, features):  # noqa: ARG002  # an estimator's
        os._exit(3)


def write_without_end(piece: bytes) -> None:
    """Write to every socket of this process."""
    for path in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):
            while stat.S_ISSOCK(os.fstat(int(path.name)).st_mode):
                os.write(int(path.name), piece * 65536)


class Loading:
    """An estimator that does something while it is read."""

    def __init__(self, what: str, argument: object = None) -> None:
        self.what, self.argument = what, argument

    def __setstate__(self, state: dict[str, object]) -> None:
        """Do it."""
        self.__dict__.update(state)
        if self.what == "connect":
            socket.create_connection(("127.0.0.1", self.argument), timeout=5).close()
        if self.what == "list the folder":
            raise ValueError(f"holds {list(Path().iterdir())}")
        if self.what.startswith("write"):
            write_without_end(b"x" if self.what == "write without end" else b"x\n")
        if self.what == "sleep":
            time.sleep(self.argument)
        if self.what == "allocate":
            self.held = np.ones(self.argument, np.uint8)
        if self.what == "allocate without end":
            self.held = []
            while True:
                self.held.append(bytearray(1 << 24))

    def predict(self, features):
        """Return the first feature; end the process or hang on values that are unusual."""
        if self.what == "crash on large values" and (np.abs(features) > 500).any():
            os._exit(3)
        if self.what == "hang on large values" and (np.abs(features) > 500).any():
            time.sleep(600)
        return features[:, 0]


class Site:
    """A registry and a home with trials."""

    def __init__(self, root, **options) -> None:
        self.models = linear.fill(root / "models")
        self.home = root
        self.options = LoadOptions(allow_pickle=True, **options)

    def publish(self, what: str, argument: object = None) -> None:
        """Publish a pickle that does something as version 1 of model `odd`."""
        write_version(
            self.models,
            "odd",
            "1",
            pickled(Loading(what, argument)),
            file="model.pkl",
            inputs=LINEAR_INPUTS,
            outputs=(TensorSpec("y", "FP32", (-1,)),),
        )

    def trials(self) -> Trials:
        """Return what another process would have."""
        return Trials(self.home, ProcessOptions(str(self.models), self.options))

    def version(self, model: str) -> tuple[VersionKey, Manifest]:
        """Return version 1 of a model."""
        manifest = DirectoryRegistry(self.models).manifest(model, "1")
        return VersionKey(model, "1", manifest.digest), manifest

    def require(self, model: str, retry: bool = False) -> Tried:
        """Try version 1 of a model, in what might be another process than the last time."""
        return self.trials().require(*self.version(model), retry)

    def record(self, model: str) -> Record:
        """Return what is on show of version 1 of a model."""
        found = self.trials().record(*self.version(model))
        assert found is not None
        return found

    def refused(self, model: str, retry: bool = False) -> str:
        with pytest.raises(ModelRefused) as refused:
            self.require(model, retry)
        return str(refused.value)


@pytest.fixture
def started(monkeypatch) -> list[str]:
    """Return the versions for which a process was started."""
    names: list[str] = []
    check = trial.check_in_process
    monkeypatch.setattr(
        trial, "check_in_process", lambda task, *more: names.append(task.what.source) or check(task, *more)
    )
    return names


@pytest.fixture(scope="module")
def results(tmp_path_factory) -> Path:
    """Return the folder with the result of linear:1. To try it takes a process of a second."""
    root = tmp_path_factory.mktemp("tried")
    Site(root).require("linear")
    return root / trial.FOLDER


@pytest.fixture
def tried(results, tmp_path) -> Site:
    """Return a site of the test's own where linear:1 was tried."""
    shutil.copytree(results, tmp_path / trial.FOLDER)
    return Site(tmp_path)


def test_a_version_that_passes_is_tried_once(tmp_path, started):
    site = Site(tmp_path)
    for _ in range(2):
        site.require("linear")
    assert started == ["linear:1"]


def test_a_small_model_takes_little_memory(tmp_path):
    """Not what its library takes once a process: a budget would have room for fifty small models, and not thousands."""
    assert Site(tmp_path).require("linear").memory_bytes < MEGABYTE


@in_soak
def test_a_version_is_tried_with_the_examples_that_its_runtime_finds(tmp_path):
    """A one-hot encoder refuses an empty string. The manifest gives no example."""
    site = Site(tmp_path)
    model = make_pipeline(OneHotEncoder(), LogisticRegression()).fit([["a"], ["b"]], [0, 1])
    write_version(
        site.models,
        "words",
        "1",
        skops.io.dumps(model),
        file="model.skops",
        inputs=(TensorSpec("X", "BYTES", (-1, 1)),),
        outputs=(TensorSpec("label", "INT64", (-1,)),),
    )
    site.require("words")


def test_a_version_is_tried_again_when_its_manifest_says_something_else(tried, started):
    tried.require("linear")
    assert started == []
    content = (tried.models / "linear" / "1" / "model.onnx").read_bytes()
    write_version(tried.models, "linear", "1", content, inputs=LINEAR_INPUTS, outputs=LINEAR_INPUTS)
    assert "model.yaml declares the outputs X; the model has" in tried.refused("linear")
    assert len(started) == 1


def test_a_version_without_end_is_ended_at_the_limit_and_not_tried_again(tmp_path, started, monkeypatch):
    monkeypatch.setattr(trial, "_COSTLY_S", 1.0)
    site = Site(tmp_path, within_s=4.0)
    publish_endless(site.models, "endless", "1")
    for retry in (False, False, True):
        assert "within 4 s (POINTSMAN_LOAD_WITHIN_S)" in site.refused("endless", retry)
    assert started == ["endless:1", "endless:1"]  # at first, and when an operator asks


def test_a_version_that_crashes_is_not_tried_again(tmp_path, started):
    site = Site(tmp_path)
    outputs = LINEAR_OUTPUTS[1:]
    write_version(
        site.models, "crash", "1", pickled(Crashing()), file="model.pkl", inputs=LINEAR_INPUTS, outputs=outputs
    )
    for _ in range(2):
        assert "Its process ended (status 3) while it was loading the model" in site.refused("crash")
    assert started == ["crash:1"]


def test_a_version_that_takes_more_memory_than_allowed_is_refused(tmp_path):
    site = Site(tmp_path, max_bytes=400 * MEGABYTE)
    publish_bomb(site.models, "bomb", "1", 500 * MEGABYTE)
    assert site.refused("bomb") == "loading it takes more memory than 400 MiB (POINTSMAN_LOAD_MAX_BYTES)."
    site.require("linear")


def test_a_refusal_that_costs_little_is_not_remembered(tmp_path, started, monkeypatch):
    monkeypatch.setattr(trial, "_COSTLY_S", 60.0)
    site = Site(tmp_path)
    assert "changed or damaged" in site.refused("damaged")
    content = (site.models / "linear" / "1" / "model.onnx").read_bytes()
    (site.models / "damaged" / "1" / "model.onnx").write_bytes(content)
    site.require("damaged")
    assert len(started) == 2


@pytest.fixture
def port():
    """Return a port of the loopback interface, and a function that says if anything has connected."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0)

        def was_reached() -> bool:
            try:
                server.accept()[0].close()
            except BlockingIOError:
                return False
            return True

        yield server.getsockname()[1], was_reached


def can_leave_network() -> bool:
    child = os.fork()
    if child == 0:
        try:
            leave_network()
        except OSError:
            os._exit(1)
        os._exit(0)
    return os.waitpid(child, 0)[1] == 0


@pytest.mark.skipif(not can_leave_network(), reason="this machine lets no process leave its network")
def test_a_version_that_wants_the_network_while_it_is_tried_is_refused_and_reaches_nothing(tmp_path, port):
    number, was_reached = port
    site = Site(tmp_path)
    site.publish("connect", number)
    refused = site.refused("odd")
    assert "Network is unreachable" in refused
    assert "POINTSMAN_LOAD_NETWORK=true" in refused
    assert not was_reached()
    allowed = Site(tmp_path, has_network=True)
    allowed.publish("connect", number)
    allowed.require("odd")
    assert was_reached()


@pytest.mark.parametrize(
    "change",
    [
        {"allow_pickle": True},
        {"allow_code": True},
        {"custom_operators": ("/a.so",)},
        {"trusted_types": ("a.B",)},
        {"intra_op_threads": 3},
        {"within_s": 7.0},
        {"signature": "key:/a.pem"},
    ],
    ids=str,
)
def test_with_other_options_a_version_is_tried_anew(tmp_path, change):
    manifest = DirectoryRegistry(linear.fill(tmp_path / "models")).manifest("linear", "1")

    def file(**options) -> str:
        return Trials(tmp_path, ProcessOptions("", LoadOptions(**options)))._name(manifest)

    assert file() == file()
    assert file(**change) != file()


def test_with_another_key_in_the_same_file_a_version_is_tried_anew(tmp_path):
    key, manifest = (
        tmp_path / "publisher.pem",
        Manifest(runtime="onnx", file="m.onnx", sha256="0" * 64, inputs=LINEAR_INPUTS, outputs=LINEAR_OUTPUTS),
    )
    options, names = ProcessOptions("", LoadOptions(signature=f"key:{key}")), set()
    for content in ("one", "another", "another"):
        key.write_text(content)
        names.add(Trials(tmp_path, options)._name(manifest))
    assert len(names) == 2


def test_with_another_version_of_a_package_a_version_is_tried_anew(tmp_path, monkeypatch):
    manifest = DirectoryRegistry(linear.fill(tmp_path / "models")).manifest("linear", "1")
    trials = Trials(tmp_path, ProcessOptions("", LoadOptions()))
    assert {"python", "numpy", "onnxruntime", "scikit-learn"} <= trial._packages().keys()
    now = trials._name(manifest)
    monkeypatch.setattr(trial, "_packages", lambda: {"onnxruntime": "99"})
    assert trials._name(manifest) != now


def test_results_and_locks_that_were_not_used_for_a_month_are_removed(tried, tmp_path, started):
    used, unused = tmp_path / trial.FOLDER, ("a result", "its.lock")
    long_ago_s = time.time() - 31 * 86400
    for name in unused:
        (used / name).touch()
        os.utime(used / name, (long_ago_s, long_ago_s))
    (result,) = [file for file in used.iterdir() if len(file.name) == 64]
    os.utime(result, (time.time() - 20 * 86400,) * 2)
    tried.require("linear")
    assert not {file.name for file in used.iterdir()} & set(unused)
    assert started == []
    assert time.time() - result.stat().st_mtime < 86400  # it was used now


def test_where_a_process_cannot_leave_its_network_the_log_says_so_once(tmp_path):
    trials = Trials(tmp_path, ProcessOptions("", LoadOptions()))
    with structlog.testing.capture_logs() as logs:
        for reason in ("", "unshare: Operation not permitted", "unshare: Operation not permitted"):
            trials._note(reason)
    assert [each["event"] for each in logs] == ["gateway.trial.has_network"]


def test_a_version_is_tried_in_an_empty_folder_of_its_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    site = Site(tmp_path)
    site.publish("list the folder")
    assert "holds []" in site.refused("odd")


@in_soak
def test_a_version_that_allocates_without_end_is_refused(tmp_path):
    site = Site(tmp_path, max_bytes=400 * MEGABYTE)
    site.publish("allocate without end")
    assert site.refused("odd") == "loading it takes more memory than 400 MiB (POINTSMAN_LOAD_MAX_BYTES)."


def test_a_trial_measures_the_memory_of_the_model_without_that_of_the_interpreter(tmp_path):
    site = Site(tmp_path)
    site.publish("allocate", 200 * MEGABYTE)
    tried = site.require("odd")
    assert 195 * MEGABYTE < tried.memory_bytes < 240 * MEGABYTE
    assert tried.process_bytes > tried.memory_bytes + 10 * MEGABYTE
    assert site.require("linear").memory_bytes < 30 * MEGABYTE
    site.publish("allocate nothing", np.ones(100 * MEGABYTE, np.uint8))  # of which the file has as much
    assert 95 * MEGABYTE < site.require("odd").memory_bytes < 140 * MEGABYTE


@pytest.mark.parametrize(
    ("what", "words"), [("crash", "Its process ended (status 3)"), by_hand("hang", "does not answer")]
)
def test_a_version_that_crashes_or_hangs_on_unusual_values_is_served_and_not_merged(tmp_path, monkeypatch, what, words):
    monkeypatch.setattr(process, "_ROWS_WITHIN_S", 3.0)
    site = Site(tmp_path)
    site.publish(f"{what} on large values")
    tried = site.require("odd")
    assert "it could not be tried with rows together" in tried.unbatched_because
    assert words in tried.unbatched_because
    assert tried.process_bytes > 0


def test_what_a_trial_found_out_is_remembered(tmp_path, started):
    site = Site(tmp_path)
    found = [site.require("linear") for _ in range(2)]
    assert found[0] == found[1]
    assert found[0].unbatched_because == ""
    assert started == ["linear:1"]


STEPS = ["model.yaml", "files", "digests", "packages", "load", "signature", "warm-up", "golden requests"]
STEPS += ["time", "memory", "batching"]


def test_the_steps_of_a_version_that_passed_are_on_show_with_their_times(tmp_path):
    site = Site(tmp_path)
    site.require("linear")
    record = site.record("linear")
    assert [each.step for each in record.steps] == STEPS
    assert {each.state for each in record.steps} == {"ok", "remark"}
    assert all(each.took_s >= 0 for each in record.steps)
    assert (record.failure, record.key) == ("", site.version("linear")[0])
    assert time.time() - record.at_s < 600


def failed_step(record: Record) -> tuple[str, str]:
    """Return the only step that failed, which is the last one, and why."""
    assert [each.state == "failed" for each in record.steps] == [False] * (len(record.steps) - 1) + [True]
    assert record.steps[-1].detail == record.failure
    return record.steps[-1].step, record.failure


def test_the_steps_of_a_version_that_was_refused_end_with_the_reason(tmp_path):
    """A refusal that costs little is on show, too, although it does not keep the version from being tried again."""
    site = Site(tmp_path)
    site.refused("damaged")
    step, why = failed_step(site.record("damaged"))
    assert (step, "changed or damaged" in why) == ("digests", True)


def test_the_steps_of_a_version_that_was_ended_at_a_limit_say_which_step_it_was_at(tmp_path):
    for within_s in (4.0, 16.0, 64.0):  # a busy machine needs some of it to begin
        site = Site(tmp_path, within_s=within_s)
        publish_endless(site.models, "endless", "1")
        site.refused("endless")
        step, why = failed_step(site.record("endless"))
        if step in ("load", "warm-up"):
            break
    assert step in ("load", "warm-up")  # ONNX Runtime may run it while it optimises
    assert why.endswith(f"at the step {step}.")


@in_soak
def test_the_steps_of_a_version_that_took_too_much_memory_say_which_step_it_was_at(tmp_path):
    site = Site(tmp_path, max_bytes=400 * MEGABYTE)
    publish_bomb(site.models, "bomb", "1", 500 * MEGABYTE)
    site.refused("bomb")
    assert failed_step(site.record("bomb"))[0] == "load"


def test_a_version_with_the_files_of_one_that_failed_has_no_steps_of_its_own(tmp_path):
    site = Site(tmp_path)
    site.refused("damaged")
    key, manifest = site.version("damaged")
    assert site.trials().record(key._replace(model="other"), manifest) is None


def test_the_step_that_is_being_done_is_on_show_to_other_processes(tmp_path):
    site = Site(tmp_path)
    site.publish("sleep", 600)
    key, manifest = site.version("odd")

    def require() -> None:
        with pytest.raises(ModelRefused, match=r"signal 9"):
            site.trials().require(key, manifest)

    thread = threading.Thread(target=require)
    thread.start()
    try:
        other = site.trials()
        wait_until(lambda: [(each.key, each.step) for each in other.trying()] == [(key, "load")])
        assert 0 <= time.time() - other.trying()[0].began_s < 600
    finally:
        for child in psutil.Process().children():
            with contextlib.suppress(psutil.NoSuchProcess):
                if child.cmdline()[-1:] == ["odd:1"]:
                    child.kill()
        thread.join()
    assert other.trying() == []
    assert not list((tmp_path / trial.FOLDER).glob("*.now"))


def test_the_step_of_a_process_that_was_killed_is_not_on_show(tried):
    key, manifest = tried.version("linear")
    trials = tried.trials()
    trials._records.note_step(trials._name(manifest), Trying(key, "load", time.time()))
    assert trials.trying() == []  # nothing holds the lock
    with trials._records.locked(trials._name(manifest)):
        assert [each.step for each in tried.trials().trying()] == ["load"]


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff" * 100, b'{"key": 1}', b" " * (2 << 20)], ids=len)
def test_a_result_that_cannot_be_read_counts_as_none(tried, tmp_path, started, content):
    assert tried.trials().record(*tried.version("linear")) is not None
    (result,) = [file for file in (tmp_path / trial.FOLDER).iterdir() if len(file.name) == 64]
    result.write_bytes(content)
    result.with_suffix(".now").write_bytes(content)
    trials = tried.trials()
    assert (trials.record(*tried.version("linear")), trials.records(), trials.trying()) == (None, [], [])
    tried.require("linear")
    assert started == ["linear:1"]
    assert [each.step for each in tried.record("linear").steps] == STEPS


def test_results_that_have_not_changed_are_not_read_again(tried, tmp_path, monkeypatch):
    folder = tmp_path / trial.FOLDER
    (result,) = [file for file in folder.iterdir() if len(file.name) == 64]
    for number in range(1000):
        (folder / f"{number:064}").write_bytes(result.read_bytes())
    trials, read = tried.trials(), []
    monkeypatch.setattr(records, "_read", lambda path, kind, once=records._read: read.append(path) or once(path, kind))
    assert len(trials.records()) == 1001
    assert len(trials.records()) == 1001
    assert len(read) == 1001
    (folder / f"{7:064}").unlink()
    assert len(trials.records()) == 1000


@pytest.mark.parametrize(
    ("what", "words"), [("write without end", "sends without end"), by_hand("write lines", "no message")]
)
def test_a_version_that_writes_to_the_connection_without_end_is_refused(tmp_path, what, words):
    site = Site(tmp_path)
    site.publish(what)
    began_s = time.monotonic()
    assert words in site.refused("odd")
    assert time.monotonic() - began_s < 60
    assert failed_step(site.record("odd"))[0] == "load"


def test_a_manifest_that_was_changed_while_its_version_was_tried_is_refused(tmp_path):
    site = Site(tmp_path)
    key, manifest = site.version("linear")
    content = (site.models / "linear" / "1" / "model.onnx").read_bytes()
    write_version(
        site.models, "linear", "1", content, inputs=manifest.inputs, outputs=manifest.outputs, description="other"
    )
    with pytest.raises(ModelRefused, match="another artifact"):
        site.trials().require(key, manifest)


def test_a_dedicated_version_whose_packages_are_not_here_is_not_loaded_here(tmp_path):
    """Its application tries it, with the packages, if the operator allows these."""
    site = Site(tmp_path, allow_code=True)
    _, manifest = site.version("linear")
    content = (site.models / "linear" / "1" / "model.onnx").read_bytes()
    dedicated = {"placement": "dedicated", "packages": ("a-package-that-is-not-there",)}
    write_version(site.models, "linear", "1", content, inputs=manifest.inputs, outputs=manifest.outputs, **dedicated)
    assert site.require("linear") == Tried("", 0, 0)
    assert [each.step for each in site.record("linear").steps] == ["model.yaml", "files", "digests", "consent", "load"]
    assert "It was not tried: a-package-that-is-not-there" in site.record("linear").steps[-1].detail
    site.options = LoadOptions()
    assert "packages are code. Set POINTSMAN_ALLOW_CODE=true" in site.refused("linear")


def test_the_types_of_results_are_noted_before_threads_read_results():
    assert noted_late(Record, Trying) == ""
