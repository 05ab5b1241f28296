"""XGBoost models against the library itself."""

import json

import numpy as np
import pytest
import xgboost

from runtimes.errors import ModelFailed, ModelRefused
from runtimes.kinds import drafter_of
from runtimes.load_options import LoadOptions
from runtimes.manifest import TensorSpec
from runtimes.trees import xgboost_trees
from tests.support.noted_types import noted_late
from tests.unit.runtimes.trees.support import (
    answers,
    as_categories,
    columns_of,
    drafted,
    frame,
    load_drafted,
    matrix_input,
    numbers,
)

X = numbers()
Y2 = (X[:, 0] > 0).astype(int)
Y3 = np.digitize(X[:, 0], [-0.5, 0.5])


def content_of(model, form: str = "ubj") -> bytes:
    booster = model if isinstance(model, xgboost.Booster) else model.get_booster()
    return bytes(booster.save_raw(form))


@pytest.mark.parametrize("form", ["ubj", "json"])
@pytest.mark.parametrize("target", [Y2, Y3], ids=["binary", "multiclass"])
def test_a_classifier_answers_like_its_scikit_learn_class(target, form):
    model = xgboost.XGBClassifier(n_estimators=4, n_jobs=1).fit(X, target)
    answer = answers(load_drafted("xgboost", content_of(model, form)), {"X": X.astype(np.float32)})
    np.testing.assert_array_equal(answer["label"], model.predict(X))
    np.testing.assert_array_equal(answer["probabilities"], model.predict_proba(X))


def test_several_labels_are_answered_one_by_one():
    model = xgboost.XGBClassifier(n_estimators=4, n_jobs=1).fit(X, np.stack([Y2, X[:, 2] > 0], 1).astype(int))
    runtime = load_drafted("xgboost", content_of(model))
    assert [spec.shape for spec in runtime.signature.outputs] == [(-1, 2), (-1, 2)]
    answer = answers(runtime, {"X": X.astype(np.float32)})
    np.testing.assert_array_equal(answer["label"], model.predict(X))
    np.testing.assert_array_equal(answer["probabilities"], model.predict_proba(X))


def test_a_booster_that_answers_classes_has_probabilities_too():
    data = xgboost.DMatrix(X, Y3)
    model = xgboost.train({"objective": "multi:softmax", "num_class": 3, "nthread": 1}, data, 4)
    soft = xgboost.train({"objective": "multi:softprob", "num_class": 3, "nthread": 1}, data, 4)
    answer = answers(load_drafted("xgboost", content_of(model)), {"X": X.astype(np.float32)})
    np.testing.assert_array_equal(answer["label"], model.predict(data))
    np.testing.assert_allclose(answer["probabilities"], soft.predict(data), rtol=1e-5)


@pytest.mark.parametrize(
    "parameters",
    [
        {"objective": "reg:squarederror"},
        {"objective": "count:poisson"},
        {"objective": "reg:gamma"},
        {"objective": "survival:cox"},
        {"objective": "binary:logitraw"},
        {"objective": "reg:quantileerror", "quantile_alpha": [0.1, 0.5, 0.9]},
        {"booster": "dart", "rate_drop": 0.5},
        {"booster": "gblinear"},
    ],
    ids=lambda parameters: "-".join(map(str, parameters.values())),
)
def test_a_regressor_answers_its_prediction(parameters):
    table = np.nan_to_num(X)
    data = xgboost.DMatrix(table, Y2 + 1.0 if "binary" not in str(parameters) else Y2)
    model = xgboost.train({**parameters, "nthread": 1}, data, 4)
    answer = answers(load_drafted("xgboost", content_of(model)), {"X": table.astype(np.float32)})
    np.testing.assert_allclose(answer["prediction"], model.predict(data), rtol=1e-6)


def test_a_regressor_of_several_targets_answers_all_of_them():
    model = xgboost.XGBRegressor(n_estimators=4, n_jobs=1).fit(X, np.stack([X[:, 0], -X[:, 0]], 1))
    answer = answers(load_drafted("xgboost", content_of(model)), {"X": X.astype(np.float32)})
    np.testing.assert_array_equal(answer["prediction"], model.predict(X))


def test_a_ranker_answers_its_score():
    model = xgboost.XGBRanker(n_estimators=4, n_jobs=1).fit(X, Y3, qid=np.repeat(np.arange(10), 20))
    answer = answers(load_drafted("xgboost", content_of(model)), {"X": X.astype(np.float32)})
    np.testing.assert_array_equal(answer["prediction"], model.predict(X))


def test_the_best_iteration_answers_if_training_stopped_early():
    noise = np.random.default_rng(3).integers(0, 2, len(X))
    model = xgboost.XGBClassifier(n_estimators=60, n_jobs=1, early_stopping_rounds=3, learning_rate=1.0)
    model.fit(X, Y2, eval_set=[(X, noise)], verbose=False)
    assert model.get_booster().num_boosted_rounds() > model.best_iteration + 1
    answer = answers(load_drafted("xgboost", content_of(model)), {"X": X.astype(np.float32)})
    np.testing.assert_array_equal(answer["probabilities"], model.predict_proba(X))


def test_the_categories_of_a_data_frame_are_inputs_of_their_own():
    table = as_categories(frame())
    target = ((frame()["city"] == "Ulm") ^ (table["age"] > 0)).astype(int)
    model = xgboost.XGBClassifier(n_estimators=4, n_jobs=1, enable_categorical=True).fit(table, target)
    runtime = load_drafted("xgboost", content_of(model))
    assert [spec.datatype for spec in runtime.signature.inputs] == ["FP32", "BYTES", "INT64", "FP32"]
    np.testing.assert_array_equal(answers(runtime, columns_of(frame()))["probabilities"], model.predict_proba(table))
    with pytest.raises(ModelFailed, match="city has the category 'Bern', which the model does not know"):
        answers(runtime, columns_of(frame().assign(city="Bern")))


def test_a_missing_category_is_an_empty_string():
    table = as_categories(frame())
    model = xgboost.XGBRegressor(n_estimators=4, n_jobs=1, enable_categorical=True).fit(table, table["city"] == "Ulm")
    missing = table.assign(city=table["city"].where(np.zeros(len(table), bool)))
    answer = answers(load_drafted("xgboost", content_of(model)), columns_of(frame().assign(city="")))
    np.testing.assert_array_equal(answer["prediction"], model.predict(missing))


def test_columns_are_held_against_the_names_of_the_model():
    table = frame()[["age", "income"]]
    content = content_of(xgboost.XGBRegressor(n_estimators=4, n_jobs=1).fit(table, table["age"]))
    inputs = matrix_input(2, ["size", "income"], "FP32")
    with pytest.raises(ModelRefused, match=r"It has no 'size'; model\.yaml has no 'age'"):
        load_drafted("xgboost", content, inputs=inputs)
    assert drafted("xgboost", content).inputs == matrix_input(2, ["age", "income"], "FP32")


@pytest.mark.parametrize("width", [3, 5])
def test_another_number_of_features_is_refused(width):
    content = content_of(xgboost.XGBRegressor(n_estimators=4, n_jobs=1).fit(X, Y2))
    with pytest.raises(ModelRefused, match=f"declares {width} features; the model has 4"):
        load_drafted("xgboost", content, inputs=matrix_input(width))


def test_the_raw_score_is_an_output_of_its_own():
    model = xgboost.XGBClassifier(n_estimators=4, n_jobs=1).fit(X, Y2)
    outputs = (TensorSpec("score", "FP32", (-1,), source="raw_score"),)
    answer = answers(load_drafted("xgboost", content_of(model), outputs=outputs), {"X": X.astype(np.float32)})
    np.testing.assert_array_equal(answer["score"], model.predict(X, output_margin=True))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda content: content[:-200], "XGBoost cannot read the model"),
        (lambda content: b"binf" + content, "not an XGBoost model in JSON or UBJSON"),
        (lambda _: b"", "not an XGBoost model in JSON or UBJSON"),
        (lambda _: b'{"a": 1}', "XGBoost cannot read the model"),
        (lambda _: json.dumps({"learner": {}}).encode(), "XGBoost cannot read the model"),
    ],
    ids=["truncated", "binary", "empty", "other JSON", "no learner"],
)
def test_other_files_are_refused(change, words):
    content = content_of(xgboost.XGBClassifier(n_estimators=4, n_jobs=1).fit(X, Y2), "json")
    with pytest.raises(ModelRefused, match=words):
        drafted("xgboost", change(content))


@pytest.mark.parametrize(
    ("objective", "target"), [("binary:logistic", Y2), ("multi:softmax", Y3), ("multi:softprob", Y3)]
)
def test_what_a_booster_predicts_may_be_asked_for(objective, target):
    classes = {} if "binary" in objective else {"num_class": 3}
    data = xgboost.DMatrix(X, target)
    model = xgboost.train({"objective": objective, "nthread": 1, **classes}, data, 4)
    said = {"outputs": [{"name": "score", "source": "prediction"}, "raw_score"]}
    runtime = load_drafted("xgboost", content_of(model), said=said)
    assert [spec.name for spec in runtime.signature.outputs] == ["label", "probabilities", "prediction", "raw_score"]
    answer = answers(runtime, {"X": X.astype(np.float32)})
    np.testing.assert_array_equal(answer["prediction"], model.predict(data))
    np.testing.assert_array_equal(answer["raw_score"], model.predict(data, output_margin=True))


def _damaged(model, damage) -> bytes:
    saved = json.loads(content_of(model, "json"))
    damage(saved["learner"]["gradient_booster"])
    return json.dumps(saved).encode()


def _root(field: str, value: int):
    return lambda own: own["model"]["trees"][0][field].__setitem__(0, value)


def _tree_of_no_group(own) -> None:
    own.get("gbtree", own)["model"]["tree_info"][0] = 1000


def _too_few_weights(own) -> None:
    del own["model"]["weights"][1:]


TREES = {"n_estimators": 2, "max_depth": 2, "n_jobs": 1}


@pytest.mark.parametrize(
    ("parameters", "target", "damage"),
    [
        ({}, Y2, _root("left_children", 1_000_000)),
        ({}, Y2, _root("right_children", 0)),
        ({}, Y2, _root("right_children", -5)),
        ({}, Y2, _root("split_indices", 1_000_000)),
        ({"booster": "dart"}, Y2, _tree_of_no_group),
        ({}, Y2, _tree_of_no_group),
        ({"booster": "gblinear", "max_depth": None}, Y2, _too_few_weights),
        ({"multi_strategy": "multi_output_tree"}, X[:, [0, 2]], _root("left_children", 1_000_000)),
    ],
)
def test_a_tree_that_leads_nowhere_is_refused_before_it_ends_the_process(parameters, target, damage):
    model = xgboost.XGBRegressor(**{**TREES, **parameters}).fit(X, target)
    with pytest.raises(ModelRefused, match="damaged: their nodes lead nowhere"):
        drafted("xgboost", _damaged(model, damage), file="model.json")


@pytest.mark.parametrize("booster", ["gbtree", "gblinear"])
def test_the_value_that_means_missing_is_what_the_manifest_says(booster):
    table = np.nan_to_num(X).astype(np.float32)
    table[::3] = -999
    model = xgboost.XGBRegressor(n_estimators=4, n_jobs=1, missing=-999, booster=booster).fit(table, Y2)
    unsaid = answers(load_drafted("xgboost", content_of(model)), {"X": table})["prediction"]
    said = load_drafted("xgboost", content_of(model), missing=-999.0)
    np.testing.assert_array_equal(answers(said, {"X": table})["prediction"], model.predict(table))
    assert not np.array_equal(unsaid, model.predict(table))
    as_nan = np.where(table == -999, np.nan, table).astype(np.float32)
    np.testing.assert_array_equal(answers(said, {"X": as_nan})["prediction"], model.predict(table))


def test_a_draft_says_that_the_file_does_not_know_the_missing_value():
    content = content_of(xgboost.XGBRegressor(n_estimators=2, n_jobs=1).fit(X, Y2))
    sentence = "NaN is taken. If it was another one, say --set missing=-999."
    for said, count in (({}, 1), ({"missing": -999}, 0)):
        draft = drafter_of("xgboost")({"m.ubj": content}, "m.ubj", LoadOptions(), said)
        assert sum(sentence in remark for remark in draft.remarks) == count


def test_the_types_of_saved_trees_are_noted_before_threads_read_trees():
    assert noted_late(xgboost_trees._Saved) == ""
