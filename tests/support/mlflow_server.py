"""A real MLflow server on a free port, in a folder of its own, and what MLflow's own client does with it."""

import contextlib
import json
import os
import signal
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx

from tests.conformance.environments import Unavailable, ensure
from tests.support.components import missing
from tests.support.polling import wait_until
from tests.support.ports import free_port

_QUIET = {
    "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
    "MLFLOW_WEBHOOK_ALLOWED_SCHEMES": "http,https",
    "MLFLOW_WEBHOOK_ALLOW_PRIVATE_IPS": "true",
    "MLFLOW_WEBHOOK_SECRET_ENCRYPTION_KEY": "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=",
    "MLFLOW_WEBHOOK_CACHE_TTL": "1",
    "MLFLOW_WEBHOOK_REQUEST_MAX_RETRIES": "0",
}
_START_LIMIT_S = 300.0


def mlflow_python() -> Path:
    """Return the Python that has MLflow's server. Skip the test where it cannot be had; in CI, fail it."""
    try:
        return ensure("mlflow-server")
    except Unavailable as error:
        missing(str(error))


class MlflowServer:
    """One server. It can be killed, frozen and started again; what was written survives."""

    def __init__(self, folder: Path, python: Path, *options: str, **environment: str) -> None:
        self.folder = folder
        self._options = options
        self._python = python
        self._environment = {**os.environ, **_QUIET, **environment}
        self._environment.pop("PYTHONPATH", None)
        self._port = free_port()
        self.url = f"http://127.0.0.1:{self._port}"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def registry(self) -> str:
        """The setting POINTSMAN_REGISTRY that names this server."""
        return f"mlflow+{self.url}"

    def start(self) -> None:
        """Start the server and wait until it answers."""
        self.folder.mkdir(parents=True, exist_ok=True)
        command = [
            str(self._python), "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(self._port),
            "--workers", "1", "--backend-store-uri", f"sqlite:///{self.folder}/mlflow.db",
            "--artifacts-destination", str(self.folder / "artifacts"), "--serve-artifacts", *self._options,
        ]  # fmt: skip
        with (self.folder / "output.txt").open("ab") as output:
            self._process = subprocess.Popen(
                command, stdout=output, stderr=output, env=self._environment, cwd=self.folder, start_new_session=True
            )
        process = self._process
        shows = (self.folder / "output.txt").read_text
        wait_until(lambda: self._answers() or process.poll() is not None, within_s=_START_LIMIT_S, shows=shows)
        assert process.poll() is None, shows()

    def _answers(self) -> bool:
        try:
            return httpx.get(f"{self.url}/health", timeout=1.0, trust_env=False).status_code == 200
        except httpx.HTTPError:
            return False

    def kill(self) -> None:
        """End the server as a failing machine would."""
        if self._process is not None:
            self._signal(signal.SIGKILL)
            self._process.wait()
            self._process = None

    def stop(self) -> None:
        """Freeze the server. Its port still takes connections and bytes."""
        self._signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """Let a frozen server go on."""
        self._signal(signal.SIGCONT)

    def _signal(self, number: int) -> None:
        if self._process is not None:  # it has started others, in a group of their own
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, number)

    def ask(self, method: str, path: str, **body: Any) -> Any:
        """Send one request to MLflow's REST API, and return its answer."""
        given = {"params": body} if method == "GET" else {"json": body}
        url = f"{self.url}/api/2.0/mlflow/{path}"
        response = httpx.request(method, url, timeout=60.0, trust_env=False, **given)
        assert response.status_code == 200, response.text
        return response.json()

    def put_file(self, artifact_uri: str, file: str, content: bytes) -> None:
        """Write a file behind the server's proxy."""
        folder = artifact_uri.removeprefix("mlflow-artifacts:/")
        url = f"{self.url}/api/2.0/mlflow-artifacts/artifacts/{folder}/{file}"
        assert httpx.put(url, content=content, timeout=60.0, trust_env=False).status_code == 200

    def run(self, script: str, *arguments: str, **environment: str) -> str:
        """Run a script with MLflow's own client, and return what it has printed."""
        done = subprocess.run(
            [str(self._python), "-c", script, *arguments],
            capture_output=True,
            text=True,
            check=False,
            env={**self._environment, "MLFLOW_TRACKING_URI": self.url, **environment},
            cwd=self.folder,
            timeout=240,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def log_sklearn(self, model: str, experiment: str, **tags: str) -> Mapping[str, Any]:
        """Let MLflow's client log a small model of scikit-learn with a data set, and register it."""
        printed = self.run(_LOG_SKLEARN, model, experiment, json.dumps(tags))
        found: Mapping[str, Any] = json.loads(printed.splitlines()[-1])
        return found


_LOG_SKLEARN = """
import json, sys, warnings
import mlflow, mlflow.sklearn, pandas
from mlflow.models import infer_signature
from sklearn.linear_model import LogisticRegression

warnings.simplefilter("ignore")
model, experiment, tags = sys.argv[1], sys.argv[2], json.loads(sys.argv[3])
table = pandas.DataFrame({"age": [1.0, 2.0, 3.0, 4.0], "n": [0, 1, 0, 1]})
target = [0, 0, 1, 1]
fitted = LogisticRegression().fit(table, target)
mlflow.set_experiment(experiment)
with mlflow.start_run() as run:
    mlflow.log_input(mlflow.data.from_pandas(table, name="customers"), context="training")
    info = mlflow.sklearn.log_model(
        fitted, name="model", signature=infer_signature(table, fitted.predict(table)), input_example=table,
        registered_model_name=model, pip_requirements=["scikit-learn"],
    )
client = mlflow.MlflowClient()
version = info.registered_model_version
for key, value in tags.items():
    client.set_model_version_tag(model, str(version), key, value)
print(json.dumps({"version": str(version), "run_id": run.info.run_id, "model_id": info.model_id}))
"""
