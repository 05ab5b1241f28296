"""Which applications are asked for, given up and ended: Serve's answers are the test's."""

import asyncio
import warnings
from types import SimpleNamespace
from typing import Any

import pytest

from gateway.settings import Settings
from registry_sync.catalogue import Version, VersionKey, VersionState
from runtimes.errors import ModelRefused
from runtimes.manifest import Manifest, Resources

with warnings.catch_warnings():  # Ray's own, while it is imported
    warnings.simplefilter("ignore")
    from gateway.execution import ray_applications as ray_models
    from gateway.execution.ray_applications import PREFIX, Profile, RayApplications

LONG_S = 31.0


class Serve:
    """Ray Serve, as far as it is asked; `down` is what it raises."""

    def __init__(self) -> None:
        self.applications: dict[str, Any] = {}
        self.deployed: list[str] = []
        self.deleted: list[str] = []
        self.down: Exception | None = None

    def status(self) -> Any:
        if self.down is not None:
            raise self.down
        return SimpleNamespace(applications=self.applications)

    def delete(self, name: str, _blocking: bool) -> None:
        if self.down is not None:
            raise self.down
        assert not _blocking
        self.deleted.append(name)
        self.applications.pop(name, None)

    def get_app_handle(self, name: str) -> str:
        return name


class Bench:
    """The applications of one replica, in a time that the test tells."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.serve, self.now_s = Serve(), 1000.0
        clock = SimpleNamespace(time=lambda: self.now_s, monotonic=lambda: self.now_s)
        monkeypatch.setattr(ray_models, "serve", self.serve)
        monkeypatch.setattr(ray_models, "time", clock)
        self.models = RayApplications(Settings(registry="models"), asyncio.new_event_loop())
        monkeypatch.setattr(self.models, "_deploy", self._deploy)
        monkeypatch.setattr(ray_models, "_reach", lambda _: None)
        reached = SimpleNamespace(result=lambda _: (SimpleNamespace(run=None), Profile(True, 0.001, 16, 0.002)))
        monkeypatch.setattr("gateway.execution.ray_applications.asyncio.run_coroutine_threadsafe", lambda *_: reached)

    def _deploy(self, name: str, _: Version) -> None:
        self.serve.deployed.append(name)
        self.set(name, "DEPLOYING")

    def set(self, name: str, status: str, message: str = "") -> None:
        self.serve.applications[name] = SimpleNamespace(status=status, message=message, last_deployed_time_s=self.now_s)

    def refused(self, version: Version) -> str:
        with pytest.raises(ModelRefused) as refused:
            self.models.open(version)
        return str(refused.value)

    def run(self, version: Version) -> str:
        """Opens a version, and says what its application is called."""
        self.refused(version)
        name = self.serve.deployed[-1]
        self.set(name, "RUNNING")
        assert self.models.open(version)[1]
        return name

    def retain(self, *versions: Version, after_s: float = 0.0, is_all: bool = True) -> None:
        self.now_s += after_s
        self.models.retain({version.key for version in versions}, is_all=is_all)


@pytest.fixture
def bench(monkeypatch):
    built = Bench(monkeypatch)
    yield built
    built.models._loop.close()


@pytest.fixture
def version(signature):
    def make(number: str = "1", **resources: Any) -> Version:
        manifest = Manifest(
            runtime="onnx",
            file="f",
            sha256="0" * 64,
            inputs=signature.inputs,
            outputs=signature.outputs,
            resources=Resources(**resources),
        )
        return Version(VersionKey("m", number, "0" * 64), manifest, VersionState.READY)

    return make


def test_an_application_is_started_once_and_reached_when_it_runs(bench, version):
    assert "is being started" in bench.refused(version())
    assert "is being started" in bench.refused(version())
    (name,) = bench.serve.deployed
    bench.set(name, "RUNNING")
    assert bench.models.open(version())[1]
    assert bench.serve.deployed == [name]


def test_an_application_that_takes_long_to_start_is_not_ended_meanwhile(bench, version):
    for _ in range(10):
        assert "is being started" in bench.refused(version())
        bench.retain(version(), after_s=LONG_S, is_all=False)
    assert (len(bench.serve.deployed), bench.serve.deleted) == (1, [])


def test_an_application_that_nobody_uses_is_ended_after_a_while(bench, version):
    name = bench.run(version())
    bench.retain(version(), after_s=LONG_S)
    bench.retain()
    bench.retain(after_s=LONG_S / 2)
    assert bench.serve.deleted == []
    bench.retain(after_s=LONG_S)
    assert bench.serve.deleted == [name]
    bench.retain(after_s=LONG_S)
    assert bench.serve.deleted == [name]


def test_an_application_that_is_used_again_in_time_stays(bench, version):
    bench.run(version())
    bench.retain()
    bench.retain(after_s=LONG_S / 2)
    bench.models.open(version())
    bench.retain(version(), after_s=LONG_S)
    bench.retain(version(), after_s=LONG_S)
    assert bench.serve.deleted == []


def test_other_resources_are_another_application_and_the_old_one_serves_until_the_new_one_does(bench, version):
    old, wanted = bench.run(version()), version(min_replicas=2, max_replicas=2)
    assert "is being started" in bench.refused(wanted)
    bench.retain(wanted, after_s=LONG_S)
    bench.retain(wanted, after_s=LONG_S)
    assert bench.serve.deleted == []
    new = bench.serve.deployed[-1]
    bench.set(new, "RUNNING")
    bench.models.open(wanted)
    bench.retain(wanted, after_s=LONG_S)
    assert (new != old, bench.serve.deleted) == (True, [old])


def test_what_replicas_that_are_gone_have_left_is_ended_when_it_is_known_that_nobody_wants_it(bench, version):
    used = bench.run(version())
    orphan = f"{PREFIX}m-0-abc"
    bench.set(orphan, "RUNNING")
    bench.set("pointsman", "RUNNING")
    for _ in range(3):
        bench.retain(version(), after_s=LONG_S, is_all=False)
    assert bench.serve.deleted == []
    for _ in range(3):
        bench.retain(version(), after_s=LONG_S)
    assert bench.serve.deleted == [orphan]
    assert set(bench.serve.applications) == {used, "pointsman"}


def test_an_application_that_could_not_be_started_says_why_and_is_started_anew_after_a_while(bench, version):
    bench.refused(version())
    (name,) = bench.serve.deployed
    bench.set(name, "DEPLOY_FAILED", "no module named torch")
    assert bench.refused(version()) == "m:1: its application is DEPLOY_FAILED. no module named torch"
    assert bench.serve.deleted == []
    bench.now_s += LONG_S
    assert "no module named torch" in bench.refused(version())
    assert bench.serve.deleted == [name]
    bench.refused(version())
    assert bench.serve.deployed == [name, name]


def test_a_serve_that_does_not_answer_is_no_fault_of_the_refresh(bench, version):
    name = bench.run(version())
    bench.serve.down = RuntimeError("the controller is gone")
    assert "m:2: its application does not answer: RuntimeError('the controller is gone')." in bench.refused(
        version("2")
    )
    for _ in range(3):
        bench.retain(after_s=LONG_S)
    bench.serve.down = None
    bench.retain()
    bench.retain(after_s=LONG_S)
    assert name in bench.serve.deleted
