"""The application in an overlay's text starts on a real Ray cluster, serves, and is replaced by its next generation."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from gateway.cli.demo_home import prepare_home
from gateway.cli.output import Progress
from gateway.settings import Settings
from tests.support.kustomize import build, ray_service
from tests.support.paths import ROOT
from tests.support.polling import wait_until
from tests.support.ports import free_ports
from tests.unit.k8s.test_overlays import config_map

START_S = 120.0


@contextmanager
def declared(text: Path, environment: dict[str, str], output: Path) -> Iterator[subprocess.Popen[bytes]]:
    with output.open("ab") as to:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.serve.declared", str(text)],
            env=environment, stdin=subprocess.PIPE, stdout=to, stderr=to, cwd=ROOT, start_new_session=True,
        )  # fmt: skip
    try:
        yield process
        process.stdin.close()
        assert process.wait(120) == 0, output.read_text()
    finally:
        process.kill()


def generations(output: Path) -> int:
    return output.read_text().splitlines().count("running")


def test_the_application_of_the_overlay_serves_and_is_replaced(tmp_path, body):
    """Only what differs in a pod is replaced: addresses, access, keys, the store, the registry, the log."""
    objects = build("overlays/prod")
    settings = config_map(objects, "pointsman-settings") | config_map(objects, "pointsman-ray")
    for name in ("REGISTRY", "LOG", "TOKEN_KEYS_FILE", "UNIT_SECRET_FILE"):
        del settings[f"POINTSMAN_{name}"]
    http, grpc = map(str, free_ports(2))
    home = tmp_path / "var"
    prepare_home(Settings(home=home).resolved(), Progress())
    environment = os.environ | settings | {
        "POINTSMAN_HOST": "127.0.0.1", "POINTSMAN_PORT": http, "POINTSMAN_GRPC_PORT": grpc, "POINTSMAN_HOME": str(home),
        "POINTSMAN_ACCESS": "open",
    }  # fmt: skip
    text, output = tmp_path / "serve.yaml", tmp_path / "output.txt"
    text.write_text(ray_service(objects)["spec"]["serveConfigV2"])
    url = f"http://127.0.0.1:{http}"
    with declared(text, environment, output) as process, httpx.Client(trust_env=False, timeout=30.0) as client:

        def replicas() -> set[int]:
            status = client.get(f"{url}/api/status").json()
            return {each["pid"] for each in status["replicas"] if each["state"] == "LIVE"}

        wait_until(lambda: generations(output) == 1, within_s=START_S, shows=output.read_text)
        assert client.get(f"{url}/-/healthz").text == "success"
        assert client.post(f"{url}/v2/models/cancer/infer", content=body).status_code == 200
        first = replicas()
        assert len(first) == 2

        text.write_text(text.read_text().replace("generation: 1", "generation: 2"))
        process.stdin.write(b"\n")
        process.stdin.flush()
        wait_until(lambda: len(replicas()) == 2 and not replicas() & first, within_s=START_S, shows=output.read_text)
        assert client.post(f"{url}/v2/models/cancer/infer", content=body).status_code == 200
