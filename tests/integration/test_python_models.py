"""Models that are code or trees, on a running gateway: right answers for 32 clients, and faults that stay their own."""

import hashlib
import re
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import catboost
import httpx
import lightgbm
import numpy as np
import pytest
import xgboost

from runtimes.manifest import Manifest, PinnedFile, TensorSpec
from runtimes.manifest_text import manifest_to_yaml
from tests.integration.support_loading import Watched
from tests.support.polling import PATIENCE_S, wait_until

CLIENTS, REQUESTS = 32, 12
X = np.random.default_rng(5).normal(size=(300, 4)).astype(np.float32)
Y = (X[:, 0] * X[:, 1] > 0).astype(int)
MATRIX = TensorSpec("X", "FP32", (-1, 4))

CODE = """
import os, time
import numpy as np
from weights import WEIGHTS

print("printed while it is imported")


class Model:
    def __init__(self, folder):
        self.folder = folder

    def predict(self, inputs):
        x = inputs["X"]
        if x.size and x[0, 0] == 1111:
            os._exit(3)
        if x.size and x[0, 0] == 2222:
            time.sleep(3600)
        if x.size and x[0, 0] == 3333:
            raise ValueError("no such row")
        if x.size and x[0, 0] == 4444 and os.fork() == 0:
            return {"y": np.zeros(len(x), np.float32)}
        return {"y": (x @ np.array(WEIGHTS, np.float32)).astype(np.float32)}
"""
WEIGHTS = np.array([1, -2, 3, -4], np.float32)


def write(models: Path, name: str, runtime: str, files: Mapping[str, bytes], **more: Any) -> None:
    """Publish version 1 of a model, whose first file is the artifact."""
    (file, *_), digests = files, {each: hashlib.sha256(content).hexdigest() for each, content in files.items()}
    manifest = Manifest(
        runtime=runtime,
        file=file,
        sha256=digests[file],
        files=tuple(PinnedFile(each, digest) for each, digest in digests.items() if each != file),
        **{"inputs": (MATRIX,), **more},
    )
    folder = models / name / "1"
    folder.mkdir(parents=True)
    for each, content in files.items():
        (folder / each).write_bytes(content)
    (folder / "model.yaml").write_text(manifest_to_yaml(manifest))


def trees(folder: Path) -> dict[str, tuple[bytes, Callable[[np.ndarray], np.ndarray]]]:
    """Return each library's model, and the library itself run on some rows."""
    light = lightgbm.LGBMClassifier(n_estimators=8, n_jobs=1, verbose=-1).fit(X, Y)
    boosted = xgboost.XGBClassifier(n_estimators=8, n_jobs=1).fit(X, Y)
    cat = catboost.CatBoostClassifier(iterations=8, thread_count=1, verbose=False, allow_writing_files=False).fit(X, Y)
    cat.save_model(str(folder / "model.cbm"))
    return {
        "lightgbm": (light.booster_.model_to_string().encode(), light.predict_proba),
        "xgboost": (bytes(boosted.get_booster().save_raw("ubj")), boosted.predict_proba),
        "catboost": ((folder / "model.cbm").read_bytes(), cat.predict_proba),
    }


@pytest.fixture(scope="module")
def expected(tmp_path_factory) -> dict[str, tuple[bytes, Callable[[np.ndarray], np.ndarray]]]:
    return trees(tmp_path_factory.mktemp("trees"))


@pytest.fixture(scope="module")
def watched(tmp_path_factory, expected) -> Iterator[Watched]:
    temporary = tmp_path_factory.mktemp("temporary")
    home = tmp_path_factory.mktemp("code") / "var"
    made = Watched(home, POINTSMAN_ALLOW_CODE="true", TMPDIR=str(temporary))
    for library, (content, _) in expected.items():
        datatype = "FP32" if library == "xgboost" else "FP64"
        outputs = (TensorSpec("label", "INT64", (-1,)), TensorSpec("probabilities", datatype, (-1, 2)))
        write(made.models, library, library, {"model": content}, outputs=outputs)
    weights = b"WEIGHTS = [1, -2, 3, -4]\n"
    outputs = (TensorSpec("y", "FP32", (-1,)),)
    write(made.models, "code", "python", code(CODE, weights), outputs=outputs, placement="process")
    for name, source in FAULTY.items():
        write(made.models, name, "python", code(source, weights), outputs=outputs, placement="process")
    damaged = re.sub(rb"num_leaves=\d+", lambda found: found[0][:-1] + b"9", expected["lightgbm"][0])
    outputs = (TensorSpec("label", "INT64", (-1,)),)
    write(made.models, "torn", "lightgbm", {"model": damaged}, outputs=outputs)
    made.start()
    yield made
    try:
        made.end()
        assert list(temporary.glob("pointsman-model-*")) == []
    finally:
        made.close()


def code(source: str, weights: bytes) -> dict[str, bytes]:
    return {"model.py": source.encode(), "weights.py": weights}


FAULTY = {
    "exits": "import os\nos._exit(7)\n",
    "raises": "raise RuntimeError('no licence')\n",
    "grows": "kept = [bytearray(1 << 20) for _ in range(1 << 20)]\n",
    "crashes": "import ctypes\nctypes.string_at(0)\n",
}
WORDS = {
    "torn": "The trees of the LightGBM model are damaged",
    "exits": "Its process ended (status 7) while it was loading the model",
    "raises": "model.py raised RuntimeError: no licence (model.py, line 1)",
    "grows": "takes more memory than 700 MiB",
    "crashes": "Its process ended (signal 11) while it was loading the model",
}


def ask(watched: Watched, route: str, rows: np.ndarray) -> httpx.Response:
    tensor = {"name": "X", "datatype": "FP32", "shape": list(rows.shape), "data": rows.ravel().tolist()}
    return watched.request("POST", f"/v2/models/{route}/infer", {"inputs": [tensor]})


def serve(watched: Watched, name: str) -> None:
    watched.declare({"route": name, "arms": {"a": f"{name}:1"}, "split": {"a": "100%"}})
    wait_until(lambda: ask(watched, name, X[:1]).status_code == 200, shows=lambda: watched.trouble(name))


def by_many_clients(check: Callable[[int, np.ndarray], None]) -> None:
    """Call `check` from many threads with rows that differ, and differ in their number."""

    def client(number: int) -> None:
        generator = np.random.default_rng(number)
        for _ in range(REQUESTS):
            check(number, X[generator.choice(len(X), generator.choice([1, 2, 3, 7, 40]), replace=False)])

    with ThreadPoolExecutor(CLIENTS) as pool:
        list(pool.map(client, range(CLIENTS)))


@pytest.mark.parametrize("library", ["lightgbm", "xgboost", "catboost"])
def test_trees_answer_like_their_library_for_many_clients(watched, expected, library):
    serve(watched, library)

    def check(_: int, rows: np.ndarray) -> None:
        response = ask(watched, library, rows)
        assert response.status_code == 200, response.text
        outputs = {each["name"]: np.array(each["data"]).reshape(each["shape"]) for each in response.json()["outputs"]}
        probabilities = expected[library][1](rows)
        np.testing.assert_allclose(outputs["probabilities"], probabilities, rtol=1e-6)
        np.testing.assert_array_equal(outputs["label"], probabilities.argmax(axis=1))

    by_many_clients(check)


def test_a_class_of_ones_own_answers_many_clients(watched):
    serve(watched, "code")

    def check(_: int, rows: np.ndarray) -> None:
        response = ask(watched, "code", rows)
        assert response.status_code == 200, response.text
        np.testing.assert_allclose(response.json()["outputs"][0]["data"], rows @ WEIGHTS, rtol=1e-4, atol=1e-4)

    by_many_clients(check)


@pytest.mark.parametrize(
    ("value", "words"),
    [(1111, "Its process ended"), (2222, ""), (3333, "predict raised ValueError: no such row"), (4444, "")],
    ids=["ends its process", "hangs", "raises", "forks"],
)
def test_what_code_does_in_a_request_is_the_trouble_of_its_route(watched, value, words):
    serve(watched, "code")
    watched.serve(f"beside-{value}", arms={"a": "linear:1"}, split={"a": "100%"})
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(ask, watched, "code", np.full((1, 4), value, np.float32))
        for _ in range(20):
            assert watched.infer(f"beside-{value}").status_code == 200
        answer = waiting.result(PATIENCE_S)
    assert words in answer.text
    assert (answer.status_code == 200) == (value == 4444), answer.text
    wait_until(lambda: ask(watched, "code", X[:3]).status_code == 200)
    np.testing.assert_allclose(
        ask(watched, "code", X[:3]).json()["outputs"][0]["data"], X[:3] @ WEIGHTS, rtol=1e-4, atol=1e-4
    )


@pytest.mark.parametrize("kind", WORDS)
def test_what_ends_its_process_is_the_trouble_of_one_route(watched, kind):
    watched.declare({"route": kind, "arms": {"a": f"{kind}:1"}, "split": {"a": "100%"}})
    wait_until(lambda: WORDS[kind] in watched.trouble(kind), within_s=180.0, shows=lambda: watched.trouble(kind))
    watched.require_unharmed(f"beside-{kind}")


def test_code_in_the_replica_is_refused_whatever_the_route_says(watched):
    spec = {"route": "inside", "arms": {"a": "code:1"}, "split": {"a": "100%"}, "placement": "replica"}
    response = watched.request("POST", "/api/apply", {"routes": [{"spec": spec, "expected": 0}], "why": "a test"})
    assert "is code of its author, which must not run in the gateway's own processes" in response.text
