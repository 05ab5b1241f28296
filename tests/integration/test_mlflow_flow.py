"""An alias moves in a real MLflow server, and the rollout opens, takes its steps, and is promoted; nobody helps.

The models are logged by MLflow's own client and have no `model.yaml`.
"""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest

from tests.integration.test_following import Followed
from tests.support.gateway_process import GatewayProcess, running
from tests.support.load import PacedLoad
from tests.support.mlflow_server import MlflowServer
from tests.support.polling import wait_until

WITHIN_S = 120.0
POLL_S = 2.0
OPENS_WITHIN_S = 10.0
"""Twice what is promised (one poll and a webhook: 5 s), for a busy machine."""
SECRET = "a secret of the tests"  # noqa: S105
BODY = json.dumps({"inputs": [{"name": "X", "shape": [1, 2], "datatype": "FP32", "data": [1, 2]}]}).encode()
EVENTS = [
    {"entity": "MODEL_VERSION_ALIAS", "action": "CREATED"},
    {"entity": "MODEL_VERSION_TAG", "action": "SET"},
    {"entity": "MODEL_VERSION", "action": "CREATED"},
]
_LOG = """
import json, sys, warnings
import mlflow, mlflow.onnx, numpy, pandas
from mlflow.models import infer_signature
from onnx import helper, numpy_helper

warnings.simplefilter("ignore")
mlflow.set_experiment(sys.argv[1])
found, X = [], numpy.ones((2, 2), "f4")
for factor in map(float, sys.argv[2:]):
    graph = helper.make_graph(
        [helper.make_node("Mul", ["X", "k"], ["y"])], "graph",
        [helper.make_tensor_value_info("X", 1, [None, 2])], [helper.make_tensor_value_info("y", 1, [None, 2])],
        [numpy_helper.from_array(numpy.float32(factor), "k")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 19)], ir_version=9)
    with mlflow.start_run() as run:
        mlflow.log_input(mlflow.data.from_pandas(pandas.DataFrame({"a": [factor]}), name="customers"))
        info = mlflow.onnx.log_model(
            model, name="model", signature=infer_signature({"X": X}, {"y": X}), input_example={"X": X},
            pip_requirements=["numpy"],
        )
    found.append([info.model_id, run.info.run_id])
print(json.dumps(found))
"""


class Team:
    """What a team does in MLflow with one model, whose version N answers its input times N."""

    def __init__(self, server: MlflowServer, model: str, logged: list[list[str]]) -> None:
        self.server = server
        self.model = model
        self._logged = logged
        server.ask("POST", "registered-models/create", name=model)

    def register(self, version: int, **tags: str) -> None:
        model_id, run_id = self._logged[version - 1]
        said = [{"key": key, "value": value} for key, value in tags.items()]
        made = self.server.ask(
            "POST",
            "model-versions/create",
            name=self.model,
            source=f"models:/{model_id}",
            model_id=model_id,
            run_id=run_id,
            tags=said,
        )
        assert made["model_version"]["version"] == str(version)

    def run_of(self, version: int) -> str:
        return self._logged[version - 1][1]

    def point(self, alias: str, version: int) -> None:
        self.server.ask("POST", "registered-models/alias", name=self.model, alias=alias, version=str(version))

    def tag(self, version: int, key: str, value: str) -> None:
        self.server.ask("POST", "model-versions/set-tag", name=self.model, version=str(version), key=key, value=value)


@pytest.fixture(scope="module")
def logged(mlflow_server) -> list[list[str]]:
    found: list[list[str]] = json.loads(mlflow_server.run(_LOG, "mlflow", "1", "2", "3").splitlines()[-1])
    return found


@contextmanager
def following(server: MlflowServer, s3_server: Any, tmp_path: Any, **settings: str) -> Iterator[Followed]:
    home = tmp_path / "var"
    more = {"POINTSMAN_ENGINE": "uvicorn", "POINTSMAN_REGISTRY": server.registry, "POINTSMAN_REGISTRY_EVERY_S": "0.5"}
    with running(GatewayProcess(home, "serve", **{**more, **s3_server.environment, **settings})) as gateway:
        yield Followed(gateway, home)


def route(name: str, model: str, every: str, **more: Any) -> dict[str, Any]:
    return {
        "route": name,
        "arms": {"stable": f"{model}@champion", "canary": f"{model}@champion"},
        "rollout": {"of": "canary", "steps": ["20%", "50%"], "every": every, "samples": 5, "starts": "by_alias"},
        "guardrails": [{"errors": {"worse_by": "1%"}}],
        "fallback": "stable",
        **more,
    }


def reachable(gateway: GatewayProcess) -> float:
    text = httpx.get(f"{gateway.url}/metrics", timeout=60.0, trust_env=False).text
    (line,) = [each for each in text.splitlines() if each.startswith("pointsman_registry_reachable ")]
    return float(line.split()[1])


def seconds_until(followed: Followed, name: str, **wanted: Any) -> float:
    began_s = time.monotonic()
    followed.wait_for(name, **wanted)
    return time.monotonic() - began_s


@pytest.mark.timeout(900)
def test_a_champion_is_rolled_out_and_promoted_also_if_mlflow_is_killed_on_the_way(
    mlflow_server, s3_server, logged, tmp_path
):
    """A version without the required tag waits; an older one, to which the alias is set back, is rolled out, too."""
    team = Team(mlflow_server, "fraud", logged)
    team.register(1, approved="true")
    team.point("champion", 1)
    with following(mlflow_server, s3_server, tmp_path) as followed:
        gateway = followed.gateway
        gateway.declare(route("fraud", "fraud", "3s", require_tags={"approved": "true"}))
        followed.wait_for("fraud", phase="READY", serves={"stable": "1", "canary": "1"})
        with PacedLoad(gateway.port, BODY, "/v2/models/fraud/infer", 30.0) as load:
            team.register(2)
            team.point("champion", 2)
            wait_until(lambda: "lacks the tag approved" in followed.warnings("fraud"), within_s=WITHIN_S)
            assert followed.history("fraud") == ["apply"]
            team.tag(2, "approved", "true")
            followed.wait_for("fraud", bound={"stable": "1", "canary": "2"})
            mlflow_server.kill()
            try:
                followed.wait_for("fraud", phase="PROMOTED")
                wait_until(lambda: reachable(gateway) == 0.0, within_s=WITHIN_S)
                wait_until(lambda: "cannot be asked" in followed.warnings("fraud"), within_s=WITHIN_S)
            finally:
                mlflow_server.start()
            wait_until(lambda: reachable(gateway) == 1.0, within_s=WITHIN_S)
            assert followed.history("fraud") == ["apply", "follow to 2", "advance", "advance"]
            team.register(3, approved="true")
            team.point("champion", 3)  # it is the second move, so it waits for ten seconds
            followed.wait_for("fraud", phase="PROMOTED", bound={"stable": "2", "canary": "3"})
            team.point("champion", 2)  # the third waits for twenty
            followed.wait_for("fraud", phase="PROMOTED", bound={"stable": "3", "canary": "2"})
        assert load.failures() == []
        steps = ["advance", "advance"]
        assert followed.history("fraud")[1:] == [
            "follow to 2", *steps, "follow to 3", *steps, "follow to 2", *steps
        ]  # fmt: skip
        require_names(followed, team)


def require_names(followed: Followed, team: Team) -> None:
    """Require that the history, the API, the command and the log name what serves, and where it comes from."""
    gateway = followed.gateway
    entries = gateway.client.history("fraud", 100)
    (opened,) = [each for each in entries if each["what"] == "follow to 3"]
    assert opened["who"] == "pointsman"
    for words in ("fraud@champion names version 3 now", f"run {team.run_of(3)}"):
        assert words in opened["why"]
    held = {each["version"]: each for each in gateway.client.models() if each["model"] == "fraud"}
    for version in (2, 3):
        shown = held[str(version)]
        assert (shown["run_id"], shown["tags"]["approved"]) == (team.run_of(version), "true")
        assert shown["data_set"].startswith("customers@")
        assert {"digests", "load", "warm-up"} <= {each["step"] for each in shown["steps"]}
    done = gateway.cli("models", "show", "fraud:3")
    assert done.returncode == 0, done.stdout + done.stderr
    for words in (
        f"run: {team.run_of(3)}",
        "data set: customers@",
        "tag approved: true",
        "warm-up",
        held["3"]["digest"],
    ):
        assert words in done.stdout
    rows = gateway.query("SELECT DISTINCT model_version, model_digest FROM inferences WHERE route = 'fraud'")
    found = {row["model_version"]: row["model_digest"] for row in rows}
    assert {version: held[version]["digest"] for version in ("2", "3")}.items() <= found.items()


@pytest.mark.timeout(900)
@pytest.mark.parametrize("hurried", [False, True], ids=["poll", "webhook"])
def test_a_rollout_opens_within_one_poll_or_five_seconds_of_a_webhook_and_is_withdrawn(
    mlflow_server, s3_server, logged, tmp_path, hurried
):
    """The version was tried before, since another route serves it. A new one is copied and tried first."""
    model = f"fraud-{'webhook' if hurried else 'poll'}"
    team = Team(mlflow_server, model, logged)
    for version in (1, 2, 3):
        team.register(version)
    team.point("champion", 1)
    every_s = "3600" if hurried else str(POLL_S)
    settings = {"POINTSMAN_REGISTRY_EVERY_S": every_s, "POINTSMAN_REGISTRY_WEBHOOK_SECRET": SECRET}
    webhook = ""
    with following(mlflow_server, s3_server, tmp_path, **settings) as followed:
        arms = {"a": f"{model}:1", "b": f"{model}:2"}
        followed.gateway.declare({"route": "known", "arms": arms, "split": {"a": "50%", "b": "50%"}})
        followed.gateway.declare(route("slow", model, "1h"))
        if hurried:
            url = f"{followed.gateway.url}/api/registry/webhook"
            made = mlflow_server.ask("POST", "webhooks", name=model, url=url, secret=SECRET, events=EVENTS)
            webhook = made["webhook"]["webhook_id"]
        try:
            team.point("champion", 2)
            took_s = seconds_until(followed, "slow", phase="PROGRESSING", serves={"stable": "1", "canary": "2"})
            assert took_s < OPENS_WITHIN_S
            print(f"{'webhook' if hurried else 'poll'}: opened {took_s:.2f} s after the alias was set")  # noqa: T201
            team.point("champion", 1)  # it is the second move, so it waits for ten seconds
            took_s = seconds_until(followed, "slow", phase="READY", serves={"stable": "1", "canary": "1"})
            print(f"withdrawn {took_s:.2f} s after the alias was set back")  # noqa: T201
            assert followed.history("slow") == ["apply", "follow to 2", "withdraw"]
            assert followed.status("slow")["quarantine"] == []
        finally:
            if webhook:
                mlflow_server.ask("DELETE", f"webhooks/{webhook}")


@pytest.mark.timeout(600)
def test_a_command_is_not_refused_for_a_tag_that_was_set_just_now(mlflow_server, s3_server, logged, tmp_path):
    """Nothing hurries the companion, which reads aliases and tags once an hour here."""
    team = Team(mlflow_server, "tagged", logged)
    for version in (1, 2):
        team.register(version)
    team.point("champion", 1)
    with following(mlflow_server, s3_server, tmp_path, POINTSMAN_REGISTRY_EVERY_S="3600") as followed:
        gateway, required = followed.gateway, {"approved": "true"}
        raw = {"arms": {"a": "tagged@champion"}, "split": {"a": "100%"}, "require_tags": required}
        with pytest.raises(AssertionError, match="lacks the tag approved=true in the registry"):
            gateway.declare({"route": "one", **raw})
        team.tag(1, "approved", "true")
        gateway.declare({"route": "one", **raw})
        team.tag(1, "approved", "false")
        team.point("champion", 2)
        with pytest.raises(AssertionError, match="names version 2, which lacks the tag approved=true"):
            gateway.declare({"route": "two", **raw})
        team.tag(2, "approved", "true")
        gateway.declare({"route": "two", **raw})
        assert followed.status("two")["serves"] == {"a": "2"}
