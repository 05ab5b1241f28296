"""What a user's training does: logs models with MLflow's own client, and registers them as versions.

It is run in the environment of MLflow's server, with a JSON object: a model's name leads to what it is, to its
experiment and, for a folder, to its place. It prints for each model a request, and what the model answers directly.
"""

import json
import sys
import warnings

import mlflow
import mlflow.onnx
import mlflow.pyfunc
import mlflow.sklearn
import numpy as np
import onnxruntime
import pandas as pd
from mlflow.models import infer_signature
from onnx import helper, numpy_helper
from sklearn.compose import make_column_transformer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

ROWS = 40
generator = np.random.default_rng(0)
table = pd.DataFrame(
    {
        "age": generator.normal(size=ROWS),
        "city": generator.choice(["Basel", "Zürich"], ROWS),
        "n": generator.integers(0, 9, ROWS),
    }
)
target = np.where(table["age"] > 0, "yes", "no")


class Twice(mlflow.pyfunc.PythonModel):
    def predict(self, context, model_input, params=None):  # noqa: ARG002
        return pd.DataFrame({"twice": model_input["age"] * 2, "town": model_input["city"].str.upper()})


def log(flavor, example, answers, **what):
    signature = infer_signature(example, answers)
    more = {"signature": signature, "input_example": example, "pip_requirements": ["numpy"]}
    return flavor.log_model(**what, name="model", **more).model_id


def fitted(columns):
    encoder = make_column_transformer((OneHotEncoder(), ["city"]), remainder="passthrough")
    steps = [encoder] if "city" in columns else []
    return make_pipeline(*steps, LogisticRegression()).fit(table[columns], target)


def sklearn(columns):
    model = fitted(columns)
    logged = log(mlflow.sklearn, table[columns], model.predict(table[columns]), sk_model=model)
    answers = {"label": model.predict(table[columns]), "probabilities": model.predict_proba(table[columns])}
    return logged, table[columns], answers


def words():
    return sklearn(["age", "city", "n"])


def numbers():
    return sklearn(["age", "n"])


def onnx():
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["X", "W"], ["y"])],
        "graph",
        [helper.make_tensor_value_info("X", 1, [None, 2])],
        [helper.make_tensor_value_info("y", 1, [None, 1])],
        [numpy_helper.from_array(np.array([[2.0], [-1.0]], "f4"), "W")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 19)], ir_version=9)
    inputs = {"X": table[["age", "n"]].to_numpy("f4")}
    (answer,) = onnxruntime.InferenceSession(model.SerializeToString()).run(["y"], inputs)
    return log(mlflow.onnx, inputs, {"y": answer}, onnx_model=model), inputs, {"y": answer}


def pyfunc():
    example = table[["age", "city"]]
    answers = Twice().predict(None, example)
    logged = log(mlflow.pyfunc, example, answers, python_model=Twice())
    return logged, example, mlflow.pyfunc.load_model(f"models:/{logged}").predict(example)


def plain(given):
    return {name: np.asarray(given[name]).tolist() for name in given}


def main(wanted):
    client, found = mlflow.MlflowClient(), {}
    for name, (what, experiment, *more) in wanted.items():
        mlflow.set_experiment(experiment)
        with mlflow.start_run() as run:
            if what == "folder":
                mlflow.log_artifacts(more[0], "model")
                if not client.search_registered_models(f"name = '{name}'"):
                    client.create_registered_model(name)
                client.create_model_version(name, f"runs:/{run.info.run_id}/model", run_id=run.info.run_id)
                continue
            logged, inputs, answers = globals()[what]()
        for file in more:
            client.log_model_artifact(logged, file)
        mlflow.register_model(f"models:/{logged}", name)
        found[name] = {"inputs": plain(inputs), "answers": plain(answers)}
    return found


warnings.simplefilter("ignore")
print(json.dumps(main(json.loads(sys.argv[1]))))  # noqa: T201  # the output of this program
