"""LightGBM models against the library itself."""

import json
import re
import sys

import lightgbm
import numpy as np
import pandas as pd
import pytest

from runtimes.errors import ModelRefused
from runtimes.manifest import TensorSpec
from tests.support.models import load_one
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
FEW = {"n_estimators": 4, "n_jobs": 1, "verbose": -1, "min_child_samples": 5}


def content_of(model) -> bytes:
    return getattr(model, "booster_", model).model_to_string().encode()


@pytest.mark.parametrize("target", [Y2, Y3], ids=["binary", "multiclass"])
def test_a_classifier_answers_like_its_scikit_learn_class(target):
    model = lightgbm.LGBMClassifier(**FEW).fit(X, target)
    answer = answers(load_drafted("lightgbm", content_of(model)), {"X": X})
    np.testing.assert_array_equal(answer["label"], model.predict(X))
    np.testing.assert_array_equal(answer["probabilities"], model.predict_proba(X))


@pytest.mark.parametrize(
    "objective", ["regression", "quantile", "poisson", "tweedie", "huber", "cross_entropy", "gamma", "mape"]
)
def test_a_regressor_answers_its_prediction(objective):
    target = 1 / (1 + np.exp(-X[:, 0]))
    model = lightgbm.train({"objective": objective, "num_threads": 1, "verbose": -1}, lightgbm.Dataset(X, target), 4)
    runtime = load_drafted("lightgbm", content_of(model))
    np.testing.assert_array_equal(answers(runtime, {"X": X})["prediction"], model.predict(X))
    assert runtime.signature.outputs == (TensorSpec("prediction", "FP64", (-1,)),)


def test_a_ranker_answers_its_score():
    model = lightgbm.LGBMRanker(**FEW).fit(X, Y3, group=[20] * 10)
    np.testing.assert_array_equal(
        answers(load_drafted("lightgbm", content_of(model)), {"X": X})["prediction"], model.predict(X)
    )


def test_an_objective_of_ones_own_answers_the_raw_score():
    def squares(labels, predictions):
        return predictions - labels, np.ones_like(labels)

    model = lightgbm.LGBMRegressor(objective=squares, **FEW).fit(X, Y2.astype(float))
    np.testing.assert_array_equal(
        answers(load_drafted("lightgbm", content_of(model)), {"X": X})["prediction"], model.predict(X)
    )


def test_classes_are_named_by_the_columns_of_the_probabilities():
    model = lightgbm.LGBMClassifier(**FEW).fit(X, np.array(["bad", "good"])[Y2])
    said = {"outputs": [{"name": "probabilities", "columns": ["bad", "good"]}]}
    answer = answers(load_drafted("lightgbm", content_of(model), said=said), {"X": X})
    assert [each.decode() for each in answer["label"]] == model.predict(X).tolist()


def test_classes_that_are_numbers_may_be_labels_of_integers():
    model = lightgbm.LGBMClassifier(**FEW).fit(X, Y3 * 10 + 7)
    outputs = TensorSpec("label", "INT64", (-1,)), TensorSpec("probabilities", "FP64", (-1, 3), ("7", "17", "27"))
    answer = answers(load_drafted("lightgbm", content_of(model), outputs=outputs), {"X": X})
    np.testing.assert_array_equal(answer["label"], model.predict(X))


def test_words_as_labels_need_their_names():
    content = content_of(lightgbm.LGBMClassifier(**FEW).fit(X, Y2))
    with pytest.raises(ModelRefused, match="list them in this order as `columns` of the output probabilities"):
        load_drafted("lightgbm", content, outputs=(TensorSpec("label", "BYTES", (-1,)),))


def test_the_categories_of_a_data_frame_are_inputs_of_their_own():
    table = as_categories(frame())
    model = lightgbm.LGBMClassifier(**FEW).fit(table, (frame()["city"] == "Ulm") ^ (table["age"] > 0))
    runtime = load_drafted("lightgbm", content_of(model))
    assert [(spec.name, spec.datatype) for spec in runtime.signature.inputs] == [
        ("age", "FP64"),
        ("city", "BYTES"),
        ("zone", "INT64"),
        ("income", "FP64"),
    ]
    answer = answers(runtime, columns_of(frame()))
    np.testing.assert_array_equal(answer["probabilities"], model.predict_proba(table))


def test_an_unknown_category_is_a_missing_value():
    table = as_categories(frame())
    model = lightgbm.LGBMRegressor(**FEW).fit(table, (frame()["city"] == "Ulm") + table["age"])
    other = frame().assign(city="Bern")
    missing = table.assign(city=table["city"].where(np.zeros(len(table), bool)))
    answer = answers(load_drafted("lightgbm", content_of(model)), columns_of(other))
    np.testing.assert_array_equal(answer["prediction"], model.predict(missing))


def test_columns_are_reordered_by_name():
    names = ["a b", "c", "d", "e"]
    model = lightgbm.train(
        {"objective": "regression", "num_threads": 1, "verbose": -1}, lightgbm.Dataset(X, Y2, feature_name=names), 4
    )
    order = [2, 0, 3, 1]
    inputs = matrix_input(4, [names[at] for at in order])
    runtime = load_drafted("lightgbm", content_of(model), inputs=inputs)
    np.testing.assert_array_equal(answers(runtime, {"X": X[:, order]})["prediction"], model.predict(X))


@pytest.mark.parametrize(
    ("outputs", "words"),
    [
        ((TensorSpec("probabilities", "FP64", (-1, 3)),), r"probabilities is FP64 \[-1, 2\] and not FP64 \[-1, 3\]"),
        ((TensorSpec("probabilities", "INT64", (-1, 2)),), "probabilities is FP64 .* and not INT64"),
        ((TensorSpec("score", "FP64", (-1,)),), "has no output 'score'; it has label, probabilities, prediction"),
        (
            (TensorSpec("label", "INT8", (-1,)), TensorSpec("probabilities", "FP64", (-1, 2), ("3", "700"))),
            r"A label is one of \['3', '700'\], which INT8 cannot hold",
        ),
    ],
)
def test_outputs_that_the_model_does_not_have_are_refused(outputs, words):
    content = content_of(lightgbm.LGBMClassifier(**FEW).fit(X, Y2))
    with pytest.raises(ModelRefused, match=words):
        load_drafted("lightgbm", content, outputs=outputs)


@pytest.mark.parametrize("datatype", ["INT32", "UINT8", "FP32"])
def test_a_label_is_the_position_in_any_datatype_of_numbers(datatype):
    model = lightgbm.LGBMClassifier(**FEW).fit(X, Y3)
    runtime = load_drafted("lightgbm", content_of(model), outputs=(TensorSpec("label", datatype, (-1,)),))
    np.testing.assert_array_equal(answers(runtime, {"X": X})["label"], model.predict(X))


@pytest.mark.parametrize("boosting", ["rf", "dart"])
def test_other_ways_of_boosting(boosting):
    model = lightgbm.LGBMClassifier(boosting_type=boosting, bagging_freq=1, bagging_fraction=0.5, **FEW).fit(X, Y2)
    answer = answers(load_drafted("lightgbm", content_of(model)), {"X": X})
    np.testing.assert_array_equal(answer["probabilities"], model.predict_proba(X))


def test_categories_may_be_truths_and_numbers_with_a_fraction():
    generator = np.random.default_rng(2)
    table = pd.DataFrame(
        {
            "sold": pd.Categorical(generator.choice([True, False], len(X))),
            "rate": pd.Categorical(generator.choice([0.5, 1.5], len(X))),
            "age": X[:, 0],
        }
    )
    model = lightgbm.LGBMClassifier(**FEW).fit(table, (table["rate"] == 0.5) ^ (table["sold"].to_numpy() == True))  # noqa: E712
    words = {name: np.array([str(each).encode() for each in table[name]], object) for name in ("sold", "rate")}
    answer = answers(load_drafted("lightgbm", content_of(model)), {**words, "age": X[:, 0]})
    np.testing.assert_array_equal(answer["probabilities"], model.predict_proba(table))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (lambda model: json.dumps(model.dump_model()).encode(), "dump of a LightGBM model in JSON"),
        (lambda model: content_of(model)[:700], "not a whole LightGBM model"),
        (lambda model: content_of(model).replace(b"left_child=", b"left_child=9"), "not a whole LightGBM model"),
        (lambda _: b"\x80\x04pickle", "not a whole LightGBM model"),
        (lambda _: b"", "not a whole LightGBM model"),
    ],
    ids=["dump", "truncated", "edited", "pickle", "empty"],
)
def test_other_files_are_refused(content, words):
    model = lightgbm.LGBMClassifier(**FEW).fit(X, Y2).booster_
    with pytest.raises(ModelRefused, match=words):
        drafted("lightgbm", content(model))


def test_float_outputs_may_be_declared_as_fp32():
    model = lightgbm.LGBMRegressor(**FEW).fit(X, X[:, 0])
    manifest = drafted("lightgbm", content_of(model), outputs=(TensorSpec("prediction", "FP32", (-1,)),))
    (answer,) = load_one(content_of(model), manifest).run({"X": X}, ["prediction"])
    np.testing.assert_array_equal(answer, model.predict(X).astype(np.float32))


def test_the_lines_of_a_file_may_end_as_on_windows():
    model = lightgbm.LGBMRegressor(**FEW).fit(X, X[:, 0])
    content = content_of(model).replace(b"\n", b"\r\n")
    np.testing.assert_array_equal(answers(load_drafted("lightgbm", content), {"X": X})["prediction"], model.predict(X))


@pytest.mark.parametrize("library", ["lightgbm", "xgboost", "catboost"])
def test_a_library_that_is_not_installed_is_named_with_its_extra(library, monkeypatch):
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(ModelRefused, match=rf"{library} model needs a package .*pip install 'pointsman\[trees\]'"):
        drafted(library, b"")


def _damaged(content: bytes, key: str, damage: str) -> bytes:
    """Return a model with other numbers in the first tree, or of the header: `damage` is a format with `first`, `rest`.

    The text does not say how long its trees are, so that LightGBM reads it.
    """
    text = re.sub(r"^tree_sizes=.*\n", "", content.decode(), flags=re.MULTILINE)
    value = re.search(rf"^{key}=(.*)$", text, re.MULTILINE)
    first, _, rest = value[1].partition(" ")
    return (text[: value.start(1)] + damage.format(first=first, rest=rest) + text[value.end(1) :]).encode()


@pytest.mark.parametrize(
    ("key", "damage"),
    [
        ("left_child", "1000000000 {rest}"),
        ("right_child", "-1000000000 {rest}"),
        ("right_child", "0 {rest}"),
        ("right_child", "{first}"),
        ("split_feature", "1000000 {rest}"),
        ("split_feature", "-1 {rest}"),
        ("num_leaves", "0"),
        ("num_leaves", "3_1"),
        ("num_tree_per_iteration", "50"),
        ("max_feature_idx", "="),
        ("cat_boundaries", "0 1000000"),
        ("cat_boundaries", "-100 1"),
        ("decision_type", "1 {rest}"),
    ],
)
def test_a_tree_that_leads_nowhere_is_refused_before_it_ends_the_process(key, damage):
    table = as_categories(frame())
    content = content_of(lightgbm.LGBMClassifier(**FEW, min_data_per_group=5, cat_smooth=1).fit(table, Y2))
    if key in ("cat_boundaries", "decision_type"):
        only = lightgbm.LGBMClassifier(**FEW, min_data_per_group=5, cat_smooth=1)
        content = content_of(only.fit(table[["city"]], frame()["city"] == "Ulm"))
        assert b"cat_boundaries" in content
        if key == "decision_type":
            content = content_of(lightgbm.LGBMClassifier(**FEW).fit(X, Y2))
    with pytest.raises(ModelRefused, match="damaged: their nodes lead nowhere"):
        drafted("lightgbm", _damaged(content, key, damage))


def test_a_linear_leaf_has_coefficients_and_features_that_there_are():
    model = lightgbm.train({"linear_tree": True, "num_threads": 1, "verbose": -1}, lightgbm.Dataset(X, X[:, 0]), 4)
    content = content_of(model)
    np.testing.assert_array_equal(answers(load_drafted("lightgbm", content), {"X": X})["prediction"], model.predict(X))
    for key, damage in (("leaf_features", "4{rest}"), ("num_features", "1000 {rest}"), ("leaf_const", "{first}")):
        text = content.decode().partition("Tree=1\n")
        damaged = _damaged((text[1] + text[2]).encode(), key, damage).decode()
        whole = re.sub(r"^tree_sizes=.*\n", "", text[0], flags=re.MULTILINE) + damaged
        with pytest.raises(ModelRefused, match="damaged: their nodes lead nowhere"):
            drafted("lightgbm", whole.encode())
