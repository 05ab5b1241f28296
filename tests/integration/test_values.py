"""Arms without a model at a real gateway: decisions, rewards, the log, commands, and a value beside a model."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from onnx import helper
from tritonclient.grpc import InferenceServerClient

from runtimes.manifest import TensorSpec
from store.open import open_store
from tests.support import linear
from tests.support.gateway_process import GatewayProcess, running
from tests.support.models import onnx_content, write_version
from tests.support.polling import wait_until

VALUES = {
    "narrow": {"layout": "narrow", "columns": 2, "width": 1},
    "wide": {"layout": "wide", "columns": 3, "width": 1.5},
}
LAYOUT = {
    "route": "layout",
    "arms": {name: {"value": value} for name, value in VALUES.items()},
    "unit": "header:x-user-id",
    "metrics": {"click": {"window": "1h"}},
    "bandit": {"policy": "thompson", "reward": "click"},
    "holdout": "10%",
    "fallback": "narrow",
}
BESIDE_A_MODEL = {
    "route": "priced",
    "arms": {"model": "prices:1", "safe": {"value": {"price": 9.5}}},
    "split": {"model": "100%"},
    "fallback": "safe",
}
USERS = 40
PATH = "/v2/models/layout/infer"


class Site:
    """A gateway with a route of values."""

    def __init__(self, gateway: GatewayProcess) -> None:
        self.gateway = gateway
        self.http = httpx.Client(base_url=gateway.url, trust_env=False, timeout=60)

    def ask(self, path: str = PATH, headers: dict[str, str] | None = None, **body: Any) -> httpx.Response:
        return self.http.post(path, json={"inputs": [], **body}, headers=headers)

    def decide(self, user: str) -> tuple[str, str, str]:
        """Return the token, the arm and the reason of a decision, and require that the arm's value came back."""
        answered = self.ask(headers={"x-user-id": user})
        assert answered.status_code == 200, answered.text
        arm = answered.headers["x-arm"]
        outputs = {each["name"]: each for each in answered.json()["outputs"]}
        assert {name: each["data"] for name, each in outputs.items()} == {k: [v] for k, v in VALUES[arm].items()}
        assert {each["datatype"] for each in outputs.values()} == {"INT64", "BYTES", "FP64"}
        assert {tuple(each["shape"]) for each in outputs.values()} == {(1,)}
        return answered.headers["x-decision-token"], arm, answered.headers["x-reason"]

    def status(self) -> dict[str, Any]:
        return next(each for each in self.gateway.client.status(["layout"])["routes"] if each["route"] == "layout")

    def command(self, *arguments: str) -> str:
        done = self.gateway.cli(*arguments)
        assert done.returncode == 0, done.stderr
        return done.stdout


def publish_prices(registry: Path) -> None:
    """Write a model that looks up prices, and fails at a place where there is none."""
    inputs, outputs = (TensorSpec("place", "INT64", (-1,)),), (TensorSpec("price", "FP32", (-1,)),)
    nodes = [helper.make_node("Gather", ["prices", "place"], ["price"])]
    content = onnx_content(nodes, inputs, outputs, {"prices": np.array([10, 20], np.float32)})
    write_version(registry, "prices", "1", content, inputs=inputs, outputs=outputs)


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("values")
    registry = linear.fill(folder / "models")
    publish_prices(registry)
    gateway = GatewayProcess(
        folder / "var", "serve", POINTSMAN_REGISTRY=str(registry), POINTSMAN_ENGINE="uvicorn",
        POINTSMAN_INVOCATIONS_ROUTE="layout",
    )  # fmt: skip
    with running(gateway):
        gateway.declare(LAYOUT)
        made = Site(gateway)
        yield made
        made.http.close()


def test_decisions_are_sticky_logged_and_rewarded(site):
    decided = {f"u{number}": site.decide(f"u{number}") for number in range(USERS)}
    assert {arm for _, arm, _ in decided.values()} == set(VALUES)
    assert {reason for _, _, reason in decided.values()} <= {"STICKY", "HELD_OUT"}
    assert {user: site.decide(user)[1] for user in decided} == {user: arm for user, (_, arm, _) in decided.items()}
    drawn = [(token, arm) for token, arm, reason in decided.values() if reason == "STICKY"]
    rewards = [{"decision": token, "metric": "click", "value": int(arm == "wide")} for token, arm in drawn]

    def send() -> list[str] | None:
        answered = site.http.post("/v2/rewards", json={"rewards": rewards})
        return [each["result"] for each in answered.json()["results"]] if answered.status_code == 202 else None

    assert set(wait_until(send, within_s=120.0)) <= {"counted", "duplicate"}

    def totals() -> dict[str, tuple[int, int]]:
        store = open_store(f"sqlite:///{site.gateway.home / 'pointsman.db'}")
        try:
            sums = store.reward_sums("layout", 0, 1).totals
        finally:
            store.close()
        found: dict[str, tuple[int, int]] = {}
        for key, one in sums.items():
            rewarded, total = found.get(key.arm, (0, 0))
            found[key.arm] = (rewarded + one.rewarded, total + one.total)
        return found

    arms = [arm for _, arm in drawn]
    expected = {"narrow": (arms.count("narrow"), 0), "wide": (arms.count("wide"), 1_000_000 * arms.count("wide"))}
    wait_until(lambda: totals() == expected, within_s=120.0, shows=totals)
    sql = "SELECT DISTINCT arm, model_name, model_version, predicted_label, prediction, outcome, propensity, reason"
    printed = site.command("log", "query", f"{sql} FROM inferences WHERE reason = 'STICKY'", "--json")
    rows = {row["arm"]: row for row in json.loads(printed)}
    for arm, row in rows.items():
        assert json.loads(row["predicted_label"]) == VALUES[arm]
        assert (row["model_name"], row["prediction"], row["outcome"], row["propensity"]) == ("value", None, "ok", 0.5)
        assert row["model_version"] == site.status()["serves"][arm]


def test_all_protocols_answer_and_refuse_inputs(site):
    with InferenceServerClient(site.gateway.grpc) as client:
        answer = client.infer("layout", [], headers={"x-user-id": "u1"})
        arm = site.decide("u1")[1]
        assert answer.get_response().parameters["decision_token"].string_param
        assert {name: answer.as_numpy(name).tolist() for name in VALUES[arm]} == {
            name: [value.encode() if isinstance(value, str) else value] for name, value in VALUES[arm].items()
        }
        metadata = client.get_model_metadata("layout")
        assert (len(metadata.inputs), [each.name for each in metadata.outputs]) == (0, ["columns", "layout", "width"])
        assert client.is_model_ready("layout")
    forced = {"x-force-arm": "wide"}
    for path, body in (
        ("/v1/models/layout:predict", {"instances": [{}]}),
        ("/invocations", {"inputs": {}}),
    ):
        answered = site.http.post(path, json=body, headers=forced)
        assert answered.json() == {"predictions": [VALUES["wide"]]}
    tensor = {"name": "X", "shape": [1], "datatype": "FP32", "data": [1]}
    refused = site.ask(inputs=[tensor])
    assert (refused.status_code, refused.json()["error"][:26]) == (400, "The route takes no inputs,")
    late = site.ask(headers={"x-deadline-ms": "0.0001"})
    assert (late.status_code, "deadline" in late.text) == (504, True)


def test_readers_of_metadata_and_of_the_status_see_values_as_no_models(site):
    versions = site.http.get("/v2/models/layout").json()
    assert (versions["platform"], versions["inputs"], len(versions["versions"])) == ("constant", [], 2)
    assert site.http.get("/v2/models/layout/ready").status_code == 200
    for version in versions["versions"]:
        assert site.http.get(f"/v2/models/layout/versions/{version}/ready").status_code == 200
    assert site.http.get("/v2/health/ready").status_code == 200
    assert [each["model"] for each in site.http.get("/api/models").json() if each["model"] == "value"] == []
    assert "value" not in site.command("models", "list")
    assert '{"columns": 3, "layout": "wide", "width": 1.5}' in site.command("status", "--route", "layout")


def test_an_arm_is_aborted_released_and_brought_back(site):
    version = site.status()["serves"]["wide"]
    site.command("abort", "layout", "wide")
    assert {site.decide(f"u{number}")[1] for number in range(USERS)} == {"narrow"}
    refused = site.ask(headers={"x-force-arm": "wide"})
    assert (refused.status_code, "in quarantine" in refused.text) == (409, True)
    assert site.http.get(f"/v2/models/layout/versions/{version}/ready").status_code == 503
    assert f"value:{version} is in quarantine" in site.command("status", "--route", "layout")
    site.command("release", "layout", f"value:{version}")
    site.command("undo", "layout", "--to", "1")
    assert {site.decide(f"u{number}")[1] for number in range(USERS)} == set(VALUES)
    assert "apply" in site.command("history", "layout")


def test_a_value_is_rolled_out_and_rolled_back(site):
    promo = {
        "route": "promo",
        "arms": {"none": {"value": {"percent": 0}}, "spring": {"value": {"percent": 10}}},
        "rollout": {"of": "spring", "steps": ["50%"], "every": "1h"},
        "metrics": {"order": {"window": "1h"}},
        "guardrails": [{"errors": {"worse_by": "1%"}}, {"reward": {"metric": "order", "worse_by": "5%"}}],
    }
    site.gateway.declare(promo)

    def percents() -> set[int]:
        return {site.ask("/v2/models/promo/infer").json()["outputs"][0]["data"][0] for _ in range(40)}

    assert percents() == {0}
    site.command("start", "promo")
    assert percents() == {0, 10}
    site.command("promote", "promo")
    assert percents() == {10}
    site.command("abort", "promo", "--why", "too dear")
    assert percents() == {0}
    printed = site.command("status", "--route", "promo")
    assert "the candidate is value:" in printed
    assert "is in quarantine" in printed
    site.gateway.declare({**promo, "arms": {**promo["arms"], "spring": {"value": {"percent": 5}}}})
    site.command("start", "promo")
    assert percents() == {0, 5}


def test_a_value_answers_in_place_of_a_model_that_cannot(site):
    site.gateway.declare(BESIDE_A_MODEL)

    def ask(*places: int) -> tuple[str, list[float]]:
        tensor = {"name": "place", "shape": [len(places)], "datatype": "INT64", "data": places}
        answered = site.ask("/v2/models/priced/infer", inputs=[tensor])
        assert answered.status_code == 200, answered.text
        return answered.headers["x-arm"], answered.json()["outputs"][0]["data"]

    assert ask(0, 1) == ("model", [10.0, 20.0])
    assert ask(0, 99) == ("safe", [9.5, 9.5])
    printed = site.command("log", "query", "FROM inferences WHERE route = 'priced' AND arm = 'safe'", "--json")
    assert [(row["prediction"], row["reason"], row["outcome"]) for row in json.loads(printed)] == [
        ([9.5], "FALLBACK", "ok")
    ] * 2
    site.command("shift", "priced", "model=0", "safe=100")
    assert ask(0) == ("safe", [9.5])


def test_what_does_not_fit_is_refused_with_a_sentence(site):
    for arms, words in (
        ({"a": {"value": {"x": 1}}, "b": {"value": {"y": 1}}}, "all values of a route must have the same keys"),
        ({"a": "prices:1", "b": {"value": {"x": 1}}}, "it has the outputs x and not price"),
        ({"a": "prices:1", "b": {"value": {"price": "1"}}}, "its output price is BYTES and not FP32"),
        ({"a": {"value": {"x": None}}, "b": "linear:1"}, "value.x is null"),
    ):
        spec = {"arms": arms, "split": {"a": "50%", "b": "50%"}}
        refused = site.http.put("/api/routes/refused", json=spec, headers={"if-none-match": "*"})
        assert (refused.status_code, words in refused.text) == (400, True), refused.text
