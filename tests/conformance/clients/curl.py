"""curl as it is typed by hand: plain JSON and no content type."""

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

    def infer(self, request: Json) -> Json:
        version = f"/versions/{request['version']}" if request["version"] else ""
        response, _ = self.post(
            f"/v2/models/{request['route']}{version}/infer", json.dumps(_body(request)), request["headers"]
        )
        return {
            "id": response["id"],
            "route": response["model_name"],
            "version": response["model_version"],
            "parameters": response["parameters"],
            "outputs": [from_list(*(each[key] for key in _KEYS)) for each in response["outputs"]],
        }

    def predict(self, route: str, body: Json, headers: Json) -> Any:
        return self.post(f"/v1/models/{route}:predict", json.dumps(body), headers)[0]

    def post(self, path: str, body: str, headers: Json, options: tuple[str, ...] = ()) -> tuple[Any, Json]:
        """Return the response's JSON and its headers."""
        lines = [part for name, value in headers.items() for part in ("-H", f"{name}: {value}")]
        command = ["curl", "-sS", "--noproxy", "*", "-m", "60", "-X", "POST", "-H", _NO_CONTENT_TYPE, *lines, *options]
        report = "\n%{http_code}\n%{header_json}"
        done = subprocess.run(
            [*command, "--data-binary", "@-", "-w", report, self._url + path],
            input=body.encode(),
            capture_output=True,
            check=True,
        )
        content, status, received = done.stdout.decode().split("\n", 2)
        if status != "200":
            raise Refused(int(status), json.loads(content)["error"])
        return json.loads(content), json.loads(received)


_KEYS = ("name", "datatype", "shape", "data")


def _body(request: Json) -> Json:
    body: Json = {"inputs": [_input(given) for given in request["inputs"]]}
    if request["id"]:
        body["id"] = request["id"]
    if request["parameters"]:
        body["parameters"] = request["parameters"]
    if request["outputs"] is not None:
        classes = {"parameters": {"classification": request["classes"]}} if request["classes"] else {}
        body["outputs"] = [{"name": name, **classes} for name in request["outputs"]]
    return body


def _input(given: Json) -> Json:
    elements = array(given).ravel().tolist()
    if given["datatype"] == "BYTES":
        elements = [each.decode() for each in elements]
    return {**given, "data": elements}
