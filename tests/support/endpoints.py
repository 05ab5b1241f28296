"""Where requests to the pods of a cluster may go, as a Service of Kubernetes knows it."""

import threading
from contextlib import suppress

import httpx

from tests.support.pods import Pod, Pods

_PROBE_EVERY_S = 1.0


class Endpoints:
    """`with Endpoints(pods) as endpoints`: where requests may go, by the probe that KubeRay gives workers.

    Assign another cluster to `pods` to have requests go there, as KubeRay does with the selector of the Service.
    """

    def __init__(self, pods: Pods) -> None:
        self.pods, self._ports, self._stop = pods, list[int](), threading.Event()
        self._thread = threading.Thread(target=self._probe, daemon=True)

    def __enter__(self) -> "Endpoints":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def ports(self) -> list[int]:
        """Return the ports of the pods that are ready."""
        return self._ports

    def _probe(self) -> None:
        with httpx.Client(trust_env=False, timeout=2.0) as client:
            while not self._stop.wait(_PROBE_EVERY_S):
                self._ports = [pod.port for pod in self.pods.pods if _is_healthy(client, pod)]


def _is_healthy(client: httpx.Client, pod: Pod) -> bool:
    with suppress(httpx.HTTPError):
        return client.get(f"http://127.0.0.1:{pod.port}/-/healthz").text == "success"
    return False
