"""A model with one input for each column of a data frame, over every protocol of HTTP, and in the log."""

from collections.abc import Iterator

import numpy as np
import pytest
from onnx import helper

from runtimes.manifest import TensorSpec
from store.open import open_store
from tests.support.models import onnx_content, write_version
from tests.support.polling import wait_until
from tests.support.replica import Gateway

AGES, SEXES, VISITS = [1.5, 40.0], ["f", "m"], [2, 3]
RECORDS = [dict(zip(("age", "sex", "visits"), row, strict=True)) for row in zip(AGES, SEXES, VISITS, strict=True)]
SPLIT = {"columns": ["visits", "age", "sex"], "data": [[2, 1.5, "f"], [3, 40, "m"]]}


@pytest.fixture(scope="module")
def framed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    from tests.support import linear, replica, routes

    registry, home = linear.fill(tmp_path_factory.mktemp("registry")), tmp_path_factory.mktemp("home")
    inputs = (
        TensorSpec("age", "FP64", (-1,)),
        TensorSpec("sex", "BYTES", (-1,)),
        TensorSpec("visits", "INT64", (-1,)),
    )
    outputs = (TensorSpec("is_f", "BOOL", (-1,)), TensorSpec("y", "FP64", (-1,)))
    nodes = [
        helper.make_node("Equal", ["sex", "f"], ["is_f"]),
        helper.make_node("Cast", ["visits"], ["number"], to=11),
        helper.make_node("Mul", ["age", "number"], ["y"]),
    ]
    content = onnx_content(nodes, inputs, outputs, {"f": np.array(["f"], object)})
    write_version(registry, "frame", "1", content, inputs=inputs, outputs=outputs)
    settings = replica.settings_of(registry, home)
    store = open_store(settings.store)
    routes.declare(store, {"route": "frame", "arms": {"a": "frame:1"}, "split": {"a": "100%"}})
    store.close()
    with replica.serving(settings) as gateway:
        wait_until(lambda: gateway.http.get("/v2/models/frame/ready").status_code == 200)
        yield gateway


def tensor(name: str, datatype: str, data: list[object]) -> dict[str, object]:
    return {"name": name, "datatype": datatype, "shape": [len(data)], "data": data}


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/models/frame:predict", {"instances": RECORDS}),
        ("/v1/models/frame:predict", {"inputs": {"age": AGES, "sex": SEXES, "visits": VISITS}}),
        (
            "/v2/models/frame/infer",
            {"inputs": [tensor("visits", "INT64", VISITS), tensor("sex", "BYTES", SEXES), tensor("age", "FP64", AGES)]},
        ),
        ("/endpoints/frame/invocations", {"dataframe_split": SPLIT}),
        ("/endpoints/frame/invocations", {"dataframe_records": RECORDS}),
        ("/endpoints/frame/invocations", {"instances": RECORDS}),
        ("/endpoints/frame/invocations", {"inputs": {"age": AGES, "sex": SEXES, "visits": VISITS}}),
    ],
)
def test_every_protocol_gives_the_same_answer_and_the_same_rows_of_the_log(framed, path, body):
    response = framed.http.post(path, json=body)
    assert response.status_code == 200, response.text
    answered = response.json().get("predictions") or response.json()["outputs"]
    if isinstance(answered, dict):
        answered = [dict(zip(answered, row, strict=True)) for row in zip(*answered.values(), strict=True)]
    if "data" in answered[0]:
        answered = [{"is_f": a, "y": b} for a, b in zip(*(each["data"] for each in answered), strict=True)]
    assert answered == [{"is_f": True, "y": 3.0}, {"is_f": False, "y": 120.0}]
    rows = framed.rows(response)
    assert [row["features_num"] for row in rows] == [{"age": 1.5, "visits": 2.0}, {"age": 40.0, "visits": 3.0}]
    assert [row["features_cat"] for row in rows] == [{"sex": "f"}, {"sex": "m"}]
    assert [row["prediction"] for row in rows] == [[3.0], [120.0]]
    assert [row["predicted_label"] for row in rows] == ["True", "False"]
