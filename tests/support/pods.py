"""A Ray cluster of several "pods" on one machine: `ray start --block`, each with a home, ports and a hostname.

They share the store, the registry and the log, as pods do. Settings are those of `k8s/overlays/prod`, but for
addresses, access, keys and those three. `Pod.end` does what kubelet does.
"""

import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx
import psutil
import yaml

from gateway.cli.demo_home import prepare_home
from gateway.cli.output import Progress
from gateway.companion.keeper import CompanionKeeper
from gateway.settings import Settings
from tests.support.kustomize import build, ray_service
from tests.support.paths import ROOT
from tests.support.polling import wait_until
from tests.support.ports import free_ports

START_S = 180.0
_STARTS = 3
_STARTED = "Ray runtime started"
_LOOK_EVERY_S = 0.2
_UNSHARE = ("unshare", "--uts") if os.geteuid() == 0 else ("unshare", "--user", "--map-root-user", "--uts")
_BIN = Path(sys.executable).parent
_OBJECTS_BYTES = 100_000_000
_OWN = ("REGISTRY", "LOG", "TOKEN_KEYS_FILE", "UNIT_SECRET_FILE")


class Pod:
    """A container that runs `ray start --block`, which KubeRay makes its first process."""

    def __init__(self, home: Path, environment: dict[str, str], *arguments: str) -> None:
        self.home = home
        self.port, self.grpc_port = free_ports(2)
        self.environment = environment | {
            "POINTSMAN_HOME": str(home), "POINTSMAN_PORT": str(self.port), "POINTSMAN_GRPC_PORT": str(self.grpc_port),
        }  # fmt: skip
        home.mkdir(parents=True, exist_ok=True)
        self.output = home.with_suffix(".txt")
        # A hostname of its own, since replicas and their reports are named after it.
        in_container = [*_UNSHARE, "sh", "-c", f'hostname {home.name} && exec "$@"', "sh"]
        started = [str(_BIN / "ray"), "start", *arguments, "--block", "--disable-usage-stats"]
        with self.output.open("ab") as output:
            self.process = subprocess.Popen(
                [*in_container, *started, "--object-store-memory", str(_OBJECTS_BYTES)],
                env=self.environment, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True,
            )  # fmt: skip
        self._seen: set[psutil.Process] = set()

    def wait_until_started(self) -> bool:
        """Wait until the node is part of the cluster. Return False if its process has ended."""
        wait_until(
            lambda: self.process.poll() is not None or _STARTED in self.output.read_text(),
            within_s=START_S,
            shows=self.output.read_text,
        )
        return self.process.poll() is None

    def look(self) -> set[psutil.Process]:
        """Return what has run in the container, as far as it was looked at: what the first process began."""
        with suppress(psutil.NoSuchProcess):
            self._seen |= {*psutil.Process(self.process.pid).children(recursive=True)}
        return self._seen

    def running(self, title: str) -> set[psutil.Process]:
        """Return the pod's processes whose titles begin with this one, such as `gcs_server` or `ray::ServeReplica`."""
        return {each for each in self.look() if _title(each).startswith(title)}

    def is_serving(self) -> bool:
        """Return True if a replica of the pod serves every route."""
        url = f"http://127.0.0.1:{self.port}/v2/health/ready"
        with suppress(httpx.HTTPError):
            return httpx.get(url, trust_env=False, timeout=5).status_code == httpx.codes.OK
        return False

    def wait_until_serving(self) -> None:
        """Wait until a replica of the pod serves every route."""
        wait_until(self.is_serving, within_s=START_S, shows=self.output.read_text)

    def pre_stop(self, within_s: float) -> str:
        """Run the pod's hook, and return what it has printed."""
        done = subprocess.run(
            [_BIN / "pointsman", "drain", "--within-s", str(within_s)],
            env=self.environment, capture_output=True, text=True, timeout=within_s + 60, check=False, cwd=ROOT,
        )  # fmt: skip
        return f"{done.stdout}{done.stderr}"

    def terminate(self, grace_s: float) -> None:
        """Send SIGTERM to the first process. Kill what runs when it has ended, or after `grace_s`."""
        self.look()
        self.process.send_signal(signal.SIGTERM)
        until_s = time.monotonic() + grace_s
        while self.process.poll() is None and time.monotonic() < until_s:
            self.look()
            time.sleep(_LOOK_EVERY_S)
        self.kill()

    def kill(self) -> None:
        """Kill every process of the pod at once, as the loss of its machine does."""
        for each in self.look():
            with suppress(psutil.NoSuchProcess):
                each.kill()
        self.process.kill()
        self.process.wait()

    def ship_from_disk(self) -> None:
        """Ship what the disk of a pod that has ended still holds. In a cluster the disk is gone with the pod."""
        prefix = "POINTSMAN_"
        given = {key.removeprefix(prefix).lower(): value for key, value in self.environment.items() if prefix in key}
        settings = Settings.model_validate(given | {"ship_at_end_s": START_S}).resolved()
        CompanionKeeper(settings, is_first=True).finish()


def _title(process: psutil.Process) -> str:
    """Return what the process calls itself, without its folder. It is empty if the process has ended."""
    with suppress(psutil.Error):
        if process.status() != psutil.STATUS_ZOMBIE:
            return Path((process.cmdline() or [""])[0]).name
    return ""


class Pods:
    """One cluster: a head, and the pods that were added."""

    def __init__(self, folder: Path, shared: Path | None = None, **settings: str) -> None:
        self.shared = folder / "shared" if shared is None else shared
        self._folder = folder
        folder.mkdir(exist_ok=True)
        if shared is None:
            prepare_home(Settings(home=self.shared).resolved(), Progress())
        objects = build("overlays/prod")
        given = {
            name: value
            for each in objects
            if each["kind"] == "ConfigMap" and each["metadata"]["name"] in ("pointsman-settings", "pointsman-ray")
            for name, value in each["data"].items()
            if name.removeprefix("POINTSMAN_") not in _OWN
        }
        token = folder / "token"
        token.write_text(secrets.token_hex(32))
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("POINTSMAN_")}
        self._environment = inherited | given | {
            "POINTSMAN_HOST": "127.0.0.1", "POINTSMAN_ACCESS": "open",
            "POINTSMAN_STORE": f"sqlite:///{self.shared / 'pointsman.db'}",
            "POINTSMAN_REGISTRY": str(self.shared / "models"), "POINTSMAN_LOG": str(self.shared / "log"),
            "RAY_agent_register_timeout_ms": "120000", "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": str(token),
            **settings,
        }  # fmt: skip
        self._service = ray_service(objects)
        self.pods: list[Pod] = []
        (self._port,) = free_ports(1)
        self.address = f"127.0.0.1:{self._port}"
        # The paths of Ray's sockets must be short.
        self._sessions = tempfile.mkdtemp(prefix="pods-", dir="/tmp")
        self.head = self.start_head("head")

    def start_head(self, name: str) -> Pod:
        """Start a head at the address of the cluster. With `RAY_REDIS_ADDRESS` it knows what the one before it knew."""
        # In the folder of an earlier head, Ray would not start while it sees the workers, which in a pod it does not.
        return self._start_one(
            name, "--head", "--port", str(self._port), "--num-cpus", "0", "--include-dashboard=false",
            "--temp-dir", f"{self._sessions}/{len(self.pods)}",
        )  # fmt: skip

    def add(self, name: str, cpus: int) -> Pod:
        """Start a pod with room for so many replicas."""
        return self._start_one(name, "--address", self.address, "--num-cpus", str(cpus))

    def deploy(self, generation: int = 1, **deployment: object) -> None:
        """Deploy the overlay's application, with these changes to its deployment. It goes on when this has returned."""
        config = yaml.safe_load(self._service["spec"]["serveConfigV2"])
        (application,) = config["applications"]
        application["args"]["generation"] = generation
        if "num_replicas" in deployment:
            del application["deployments"][0]["autoscaling_config"]
        application["deployments"][0].update(deployment)
        file = self._folder / "serve.yaml"
        file.write_text(yaml.safe_dump(config))
        done = subprocess.run(
            [sys.executable, "-m", "tests.support.deploy", self.address, str(file)],
            env=self._environment, capture_output=True, text=True, timeout=START_S, check=False, cwd=ROOT,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr

    def logged(self) -> set[str]:
        """Return the decisions whose rows are shipped."""
        import duckdb

        rows = duckdb.execute(f"SELECT DISTINCT decision_id FROM read_parquet('{self._files}')").fetchall()
        return {decision for (decision,) in rows}

    def differences(self) -> int:
        """Return how many sums of the store differ from those that `pointsman log verify` rebuilds from the log."""
        done = subprocess.run(
            [_BIN / "pointsman", "log", "verify", "--json"],
            env=self.pods[-1].environment, capture_output=True, text=True, timeout=START_S, check=False, cwd=ROOT,
        )  # fmt: skip
        return len(json.loads(done.stdout)["differences"])

    def writers(self, from_s: float, to_s: float) -> list[tuple[str, str]]:
        """Return door and replica of each shipped row between two times (seconds since the epoch)."""
        import duckdb

        between = f"event_ts_us BETWEEN {from_s * 1e6:.0f} AND {to_s * 1e6:.0f}"
        return duckdb.execute(f"SELECT door, writer_id FROM read_parquet('{self._files}') WHERE {between}").fetchall()

    @property
    def _files(self) -> str:
        return str(self.shared / "log/inferences/**/*.parquet")

    def close(self) -> None:
        """Kill everything."""
        for pod in self.pods:
            pod.kill()
        shutil.rmtree(self._sessions, ignore_errors=True)

    def _start_one(self, name: str, *arguments: str) -> Pod:
        for _ in range(_STARTS):  # on a busy machine Ray's own limits end a start
            pod = Pod(self._folder / name, self._environment, *arguments)
            self.pods.append(pod)
            if pod.wait_until_started():
                return pod
            pod.kill()
        raise AssertionError(pod.output.read_text())


@contextmanager
def cluster(folder: Path, shared: Path | None = None, **settings: str) -> Iterator[Pods]:
    """Start a head. After the block, end it and all pods. `shared` is the folder of a cluster with the same store."""
    pods = Pods(folder, shared, **settings)
    try:
        yield pods
    finally:
        pods.close()
