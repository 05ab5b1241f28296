"""Which applications are deployed and deleted; Ray Serve is simulated."""

import asyncio
import warnings
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from gateway.settings import Settings
from registry_sync.registries.texts import read_manifest
from registry_sync.version import Version, VersionKey, VersionState
from runtimes.errors import ModelRefused
from runtimes.manifest import Manifest, Resources, Signature

with warnings.catch_warnings():  # Ray warns while it is imported
    warnings.simplefilter("ignore")
    from gateway.execution import ray_applications
    from gateway.execution.load_options import load_options
from gateway.execution.model_replica import Profile
from gateway.execution.ray_applications import PREFIX, RayApplications

LONG_S = 31.0


class Serve:
    """The part of Ray Serve that is used. It raises `down` if that is set."""

    def __init__(self) -> None:
        self.applications: dict[str, Any] = {}
        self.deployed: list[str] = []
        self.deleted: list[str] = []
        self.bound: list[tuple[Any, ...]] = []
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

    def deployment(self, _: Any, **options: Any) -> Any:
        self.options = options
        return SimpleNamespace(bind=lambda *arguments: self.bound.append(arguments))

    def run_many(self, targets: Any, **options: Any) -> None:
        """Start nothing."""

    def RunTarget(self, *_: Any, **__: Any) -> None:  # noqa: N802  # Serve's name
        """Describe nothing."""

    def get_app_handle(self, name: str) -> str:
        return name


class Simulation:
    """The applications of one replica, with a clock that the test sets."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.serve, self.now_s = Serve(), 1000.0
        clock = SimpleNamespace(time=lambda: self.now_s, monotonic=lambda: self.now_s)
        monkeypatch.setattr(ray_applications, "serve", self.serve)
        monkeypatch.setattr(ray_applications, "time", clock)
        self.applications = RayApplications(Settings(registry="models"), asyncio.new_event_loop())
        monkeypatch.setattr(self.applications, "_deploy", self._deploy)
        monkeypatch.setattr(ray_applications, "_reach", lambda _: None)
        reached = SimpleNamespace(result=lambda _: (SimpleNamespace(run=None), Profile("", 0.001, 16, 0.002, {})))
        monkeypatch.setattr("gateway.execution.ray_applications.asyncio.run_coroutine_threadsafe", lambda *_: reached)

    def _deploy(self, name: str, _: Version) -> None:
        self.serve.deployed.append(name)
        self.set(name, "DEPLOYING")

    def set(self, name: str, status: str, message: str = "") -> None:
        self.serve.applications[name] = SimpleNamespace(status=status, message=message, last_deployed_time_s=self.now_s)

    def refused(self, version: Version) -> str:
        """Open a version that is refused. Return the sentence."""
        with pytest.raises(ModelRefused) as refused:
            self.applications.open(version)
        return str(refused.value)

    def run(self, version: Version) -> str:
        """Open a version until it runs. Return the name of its application."""
        self.refused(version)
        name = self.serve.deployed[-1]
        self.set(name, "RUNNING")
        assert self.applications.open(version)[1] == ""
        return name

    def retain(self, *versions: Version, after_s: float = 0.0, is_all: bool = True) -> None:
        self.now_s += after_s
        self.applications.retain({(version.key, version.seen) for version in versions}, is_all=is_all)


@pytest.fixture
def simulation(monkeypatch):
    built = Simulation(monkeypatch)
    yield built
    built.applications._loop.close()


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


def test_an_application_is_started_once_and_used_when_it_runs(simulation, version):
    assert "is being started" in simulation.refused(version())
    assert "is being started" in simulation.refused(version())
    (name,) = simulation.serve.deployed
    simulation.set(name, "RUNNING")
    assert simulation.applications.open(version())[1] == ""
    assert simulation.serve.deployed == [name]


def test_an_application_that_takes_long_to_start_is_not_ended(simulation, version):
    for _ in range(10):
        assert "is being started" in simulation.refused(version())
        simulation.retain(version(), after_s=LONG_S, is_all=False)
    assert (len(simulation.serve.deployed), simulation.serve.deleted) == (1, [])


def test_an_application_that_no_route_uses_is_ended_after_a_while(simulation, version):
    name = simulation.run(version())
    simulation.retain(version(), after_s=LONG_S)
    simulation.retain()
    simulation.retain(after_s=LONG_S / 2)
    assert simulation.serve.deleted == []
    simulation.retain(after_s=LONG_S)
    assert simulation.serve.deleted == [name]
    simulation.retain(after_s=LONG_S)
    assert simulation.serve.deleted == [name]


def test_an_application_that_is_used_again_in_time_stays(simulation, version):
    simulation.run(version())
    simulation.retain()
    simulation.retain(after_s=LONG_S / 2)
    simulation.applications.open(version())
    simulation.retain(version(), after_s=LONG_S)
    simulation.retain(version(), after_s=LONG_S)
    assert simulation.serve.deleted == []


def test_an_application_that_is_deleted_behind_its_back_is_started_again_while_it_is_used(simulation, version):
    name = simulation.run(version())
    simulation.retain(version())
    del simulation.serve.applications[name]
    simulation.retain(version(), after_s=6.0)
    assert simulation.serve.deployed == [name, name]
    simulation.retain(version(), after_s=6.0)
    assert simulation.serve.deployed == [name, name]
    simulation.retain(after_s=6.0)
    del simulation.serve.applications[name]
    simulation.retain(after_s=6.0)
    assert simulation.serve.deployed == [name, name]


def test_other_resources_are_another_application_and_the_old_one_serves_meanwhile(simulation, version):
    old, wanted = simulation.run(version()), version(min_replicas=2, max_replicas=2)
    assert "is being started" in simulation.refused(wanted)
    simulation.retain(wanted, after_s=LONG_S)
    simulation.retain(wanted, after_s=LONG_S)
    assert simulation.serve.deleted == []
    new = simulation.serve.deployed[-1]
    simulation.set(new, "RUNNING")
    simulation.applications.open(wanted)
    simulation.retain(wanted, after_s=LONG_S)
    assert (new != old, simulation.serve.deleted) == (True, [old])


def test_a_version_behind_two_signatures_has_two_applications_and_each_ends_when_it_is_unused(simulation, version):
    own = version()
    inputs = tuple(msgspec.structs.replace(spec, datatype="FP64") for spec in own.manifest.inputs)
    seen = own.seen_as(Signature(inputs, own.manifest.outputs))
    one, other = simulation.run(own), simulation.run(seen)
    assert one != other
    for _ in range(3):
        simulation.retain(own, seen, after_s=LONG_S)
    assert simulation.serve.deleted == []
    simulation.retain(own)
    simulation.retain(own, after_s=LONG_S)
    assert simulation.serve.deleted == [other]
    simulation.retain()
    simulation.retain(after_s=LONG_S)
    assert simulation.serve.deleted == [other, one]


def test_applications_that_other_replicas_left_behind_are_ended_if_no_route_needs_them(simulation, version):
    used = simulation.run(version())
    orphan = f"{PREFIX}m-0-abc"
    simulation.set(orphan, "RUNNING")
    simulation.set("pointsman", "RUNNING")
    for _ in range(3):
        simulation.retain(version(), after_s=LONG_S, is_all=False)
    assert simulation.serve.deleted == []
    for _ in range(3):
        simulation.retain(version(), after_s=LONG_S)
    assert simulation.serve.deleted == [orphan]
    assert set(simulation.serve.applications) == {used, "pointsman"}


def test_an_application_that_failed_to_start_says_why_and_is_started_again_later(simulation, version):
    simulation.refused(version())
    (name,) = simulation.serve.deployed
    simulation.set(name, "DEPLOY_FAILED", "no module named torch")
    assert simulation.refused(version()) == "m:1: its application is DEPLOY_FAILED. no module named torch"
    assert simulation.serve.deleted == []
    simulation.now_s += LONG_S
    assert "no module named torch" in simulation.refused(version())
    assert simulation.serve.deleted == [name]
    simulation.refused(version())
    assert simulation.serve.deployed == [name, name]


def test_while_serve_is_down_opening_is_refused_and_ending_is_tried_again(simulation, version):
    name = simulation.run(version())
    simulation.serve.down = RuntimeError("the controller is gone")
    assert "m:2: its application does not answer: RuntimeError('the controller is gone')." in simulation.refused(
        version("2")
    )
    for _ in range(3):
        simulation.retain(after_s=LONG_S)
    simulation.serve.down = None
    simulation.retain()
    simulation.retain(after_s=LONG_S)
    assert name in simulation.serve.deleted


def test_an_application_gets_the_registry_and_no_password_of_the_gateway(simulation, version, monkeypatch):
    """Ray's processes inherit the environment of the cluster. Variables with a value of their own take its place."""
    store = "redis://:a-secret@store"
    monkeypatch.setenv("POINTSMAN_STORE", store)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "a-secret")
    simulation.applications._settings = Settings(registry="models", store=store, allow_code=True)
    RayApplications._deploy(simulation.applications, "name", version(pip=("numpy",)))
    runtime = simulation.serve.options["ray_actor_options"]["runtime_env"]
    assert runtime["env_vars"]["POINTSMAN_STORE"] == runtime["env_vars"]["AWS_SECRET_ACCESS_KEY"] == ""
    assert runtime["pip"] == ["numpy"]
    assert "PATH" not in runtime["env_vars"]
    assert not {name for name in runtime["env_vars"] if name.startswith("RAY_")}
    assert "a-secret" not in str([simulation.serve.bound, simulation.serve.options])
    ((registry, key, options, _, manifest_text),) = simulation.serve.bound
    assert (registry, key, options) == ("models", ("m", "1", "0" * 64), load_options(Settings(allow_code=True)))
    assert read_manifest(manifest_text) == version(pip=("numpy",)).manifest


def test_an_application_of_a_remote_registry_is_started_with_what_reads_it(simulation, version, monkeypatch):
    """It forgets that before it loads the model: see `gateway.execution.forget_variables`."""
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "a-secret")
    monkeypatch.setenv("POINTSMAN_STORE", "redis://:another@store")
    simulation.applications._settings = Settings(registry="s3://models")
    RayApplications._deploy(simulation.applications, "name", version())
    variables = simulation.serve.options["ray_actor_options"]["runtime_env"]["env_vars"]
    assert "AWS_SECRET_ACCESS_KEY" not in variables
    assert variables["POINTSMAN_STORE"] == ""


def test_packages_are_code_which_the_operator_must_allow(simulation, version):
    """Else a model.yaml that a stranger writes beside an ONNX file would have anything installed and run."""
    simulation.applications._settings = Settings(registry="models")
    with pytest.raises(ModelRefused, match="would install numpy, and packages are code"):
        RayApplications._deploy(simulation.applications, "name", version(pip=("numpy",)))
    assert not simulation.serve.bound


def test_the_packages_of_a_model_are_installed_for_its_application_alone(simulation, version):
    plain = version(pip=("numpy",))
    needs = replace(plain, manifest=msgspec.structs.replace(plain.manifest, packages=("prophet>=1.1",)))
    simulation.applications._settings = Settings(registry="models", allow_code=True)
    RayApplications._deploy(simulation.applications, "name", needs)
    assert simulation.serve.options["ray_actor_options"]["runtime_env"]["pip"] == ["numpy", "prophet>=1.1"]
    assert simulation.serve.bound[0][2].allow_code
    assert ray_applications._name(needs) != ray_applications._name(plain)
