"""Writes folders as MLflow's users have them, with what MLflow itself answers: run this module with FOLDER [NAME]....

Beside each folder lies `NAME.json` with the input example by column, and the predictions of `mlflow.pyfunc`.
"""

import json
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

ROWS = 60


def frame() -> pd.DataFrame:
    """Return numbers, words and truths."""
    generator = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "age": generator.normal(size=ROWS),
            "city": generator.choice(["Basel", "Ulm"], ROWS),
            "n": generator.integers(0, 9, ROWS),
            "ok": generator.choice([True, False], ROWS),
        }
    )


def main(folder: Path, only: list[str]) -> None:
    """Write every folder, or `only` some."""
    warnings.simplefilter("ignore")
    import catboost
    import lightgbm
    import mlflow
    import mlflow.catboost
    import mlflow.lightgbm
    import mlflow.onnx
    import mlflow.pyfunc
    import mlflow.sklearn
    import mlflow.xgboost
    import xgboost
    from mlflow.models import infer_signature
    from onnx import helper, numpy_helper
    from sklearn.compose import make_column_transformer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    table = frame()
    numbers, target = table[["age", "n"]], (table["age"] > 0).astype(int)

    def save(name: str, flavor: Any, model: Any, example: Any, answers: Any, **more: Any) -> None:
        if only and name not in only:
            return
        path = str(folder / name)
        signature = infer_signature(example, answers)
        flavor.save_model(model, path, signature=signature, input_example=example, pip_requirements=["numpy"], **more)
        predicted = mlflow.pyfunc.load_model(path).predict(example)
        given = example if isinstance(example, dict) else {name: example[name].tolist() for name in example}
        (folder / f"{name}.json").write_text(
            json.dumps(
                {
                    "inputs": {key: np.asarray(value).tolist() for key, value in given.items()},
                    "answers": _plain(predicted),
                }
            )
        )

    encoder = make_column_transformer(
        (OneHotEncoder(handle_unknown="ignore"), ["city"]), (StandardScaler(), ["age", "n"]), remainder="passthrough"
    )
    pipeline = make_pipeline(encoder, LogisticRegression()).fit(table, np.where(target, "yes", "no"))
    for form in ("skops", "cloudpickle"):
        save(f"sklearn_{form}", mlflow.sklearn, pipeline, table, pipeline.predict(table), serialization_format=form)
    light = lightgbm.LGBMClassifier(n_estimators=2, n_jobs=1, verbose=-1).fit(numbers, target)
    save("lightgbm", mlflow.lightgbm, light.booster_, numbers, light.booster_.predict(numbers))
    save("lightgbm_wrapper", mlflow.lightgbm, light, numbers, light.predict(numbers))
    boosted = xgboost.XGBClassifier(n_estimators=2, n_jobs=1).fit(numbers, target)
    save("xgboost", mlflow.xgboost, boosted, numbers, boosted.predict(numbers))
    cat = catboost.CatBoostClassifier(iterations=2, thread_count=1, verbose=False, allow_writing_files=False).fit(
        numbers, target
    )
    save("catboost", mlflow.catboost, cat, numbers, cat.predict(numbers))
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["X", "W"], ["y"])],
        "graph",
        [helper.make_tensor_value_info("X", 1, [None, 2])],
        [helper.make_tensor_value_info("y", 1, [None, 1])],
        [numpy_helper.from_array(np.ones((2, 1), "f4"), "W")],
    )
    matrix = {"X": numbers.to_numpy("f4")}
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 19)], ir_version=9)
    save("onnx", mlflow.onnx, made, matrix, {"y": matrix["X"].sum(axis=1, keepdims=True)})

    class Twice(mlflow.pyfunc.PythonModel):  # type: ignore[misc]
        def predict(self, context: Any, model_input: pd.DataFrame, params: Any = None) -> pd.DataFrame:  # noqa: ARG002
            return pd.DataFrame({"twice": model_input["age"] * 2, "town": model_input["city"].str.upper()})

    class Function:
        """Gives `mlflow.pyfunc.save_model` the arguments of the other flavors."""

        @staticmethod
        def save_model(model: Any, path: str, **more: Any) -> None:
            mlflow.pyfunc.save_model(path, python_model=model, **more)

    example = table[["age", "city"]]
    save("pyfunc", Function, Twice(), example, Twice().predict(None, example))


def _plain(answers: Any) -> Any:
    if isinstance(answers, pd.DataFrame):
        return {name: answers[name].tolist() for name in answers}
    if isinstance(answers, dict):
        return {name: np.asarray(each).tolist() for name, each in answers.items()}
    return np.asarray(answers).tolist()


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
