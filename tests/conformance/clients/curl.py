"""curl, as somebody types it: plain JSON, and no content type."""

import json
import subprocess
from typing import Any

from wire import Json, array, from_list

_NO_CONTENT_TYPE = "Content-Type:"


class Refused(Exception):
    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self._status = status

    def status(self) -> int:
        return self._status


class Client:
    def __init__(self, http: str, _grpc: str) -> None:
        self._url = f"http://{http}"

    def infer(self, ask: Json) -> Json:
        version = f"/versions/{ask['version']}" if ask["version"] else ""
        said, _ = self.post(f"/v2/models/{ask['route']}{version}/infer", json.dumps(_body(ask)), ask["headers"])
        return {
            "id": said["id"],
            "route": said["model_name"],
            "version": said["model_version"],
            "parameters": said["parameters"],
            "outputs": [from_list(*(each[key] for key in _KEYS)) for each in said["outputs"]],
        }

    def predict(self, route: str, body: Json, headers: Json) -> Any:
        return self.post(f"/v1/models/{route}:predict", json.dumps(body), headers)[0]

    def post(self, path: str, body: str, headers: Json, options: tuple[str, ...] = ()) -> tuple[Any, Json]:
        """The answer's JSON and its headers."""
        lines = [part for name, value in headers.items() for part in ("-H", f"{name}: {value}")]
        command = ["curl", "-sS", "--noproxy", "*", "-m", "60", "-X", "POST", "-H", _NO_CONTENT_TYPE, *lines, *options]
        report = "\n%{http_code}\n%{header_json}"
        done = subprocess.run(
            [*command, "--data-binary", "@-", "-w", report, self._url + path],
            input=body.encode(),
            capture_output=True,
            check=True,
        )
        content, status, said = done.stdout.decode().split("\n", 2)
        if status != "200":
            raise Refused(int(status), json.loads(content)["error"])
        return json.loads(content), json.loads(said)


_KEYS = ("name", "datatype", "shape", "data")


def _body(ask: Json) -> Json:
    body: Json = {"inputs": [_input(given) for given in ask["inputs"]]}
    if ask["id"]:
        body["id"] = ask["id"]
    if ask["parameters"]:
        body["parameters"] = ask["parameters"]
    if ask["outputs"] is not None:
        classes = {"parameters": {"classification": ask["classes"]}} if ask["classes"] else {}
        body["outputs"] = [{"name": name, **classes} for name in ask["outputs"]]
    return body


def _input(given: Json) -> Json:
    elements = array(given).ravel().tolist()
    if given["datatype"] == "BYTES":
        elements = [each.decode() for each in elements]
    return {**given, "data": elements}
