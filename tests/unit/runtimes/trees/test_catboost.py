"""CatBoost models against the library itself."""

import catboost
import numpy as np
import pytest

from runtimes.errors import ModelRefused
from runtimes.manifest import TensorSpec
from tests.unit.runtimes.trees.support import answers, columns_of, drafted, frame, load_drafted, matrix_input, numbers

X = numbers()
Y2 = (X[:, 0] > 0).astype(int)
Y3 = np.digitize(X[:, 0], [-0.5, 0.5])
FEW = {"iterations": 4, "thread_count": 1, "verbose": False, "allow_writing_files": False}


def content_of(model, folder, form: str = "cbm") -> bytes:
    path = folder / f"model.{form}"
    model.save_model(str(path), format=form)
    return path.read_bytes()


@pytest.mark.parametrize("form", ["cbm", "json"])
@pytest.mark.parametrize(
    "target",
    [Y2, Y3 + 4, Y2 == 1, np.array(["no", "yes"])[Y2], np.array(["a", "b", "c"])[Y3], Y3 / 2],
    ids=["binary", "multiclass", "bool", "words", "many words", "floats"],
)
def test_a_classifier_answers_like_its_scikit_learn_class(target, form, tmp_path):
    model = catboost.CatBoostClassifier(**FEW).fit(X, target)
    answer = answers(load_drafted("catboost", content_of(model, tmp_path, form)), {"X": X.astype(np.float32)})
    label = answer["label"]
    shown = [each.decode() for each in label] if label.dtype == object else label
    np.testing.assert_array_equal(shown, model.predict(X).ravel())
    # JSON has decimal numbers: CatBoost itself answers differently in the last bit
    np.testing.assert_allclose(answer["probabilities"], model.predict_proba(X), rtol=1e-14 if form == "json" else 0)


def test_the_threshold_of_a_classifier_decides_its_label(tmp_path):
    model = catboost.CatBoostClassifier(**FEW).fit(X, Y2)
    model.set_probability_threshold(0.8)
    answer = answers(load_drafted("catboost", content_of(model, tmp_path)), {"X": X.astype(np.float32)})
    np.testing.assert_array_equal(answer["label"], model.predict(X))
    assert (answer["label"] != answer["probabilities"].argmax(axis=1)).any()


@pytest.mark.parametrize(
    ("loss", "target"),
    [
        ("RMSE", X[:, 0]),
        ("Poisson", Y3),
        ("Tweedie:variance_power=1.5", Y3),
        ("Quantile:alpha=0.9", X[:, 0]),
        ("MultiQuantile:alpha=0.1,0.9", X[:, 0]),
        ("RMSEWithUncertainty", X[:, 0]),
        ("MultiRMSE", np.nan_to_num(X[:, :2])),
    ],
)
def test_a_regressor_answers_its_prediction(loss, target, tmp_path):
    model = catboost.CatBoostRegressor(loss_function=loss, **FEW).fit(X, target)
    answer = answers(load_drafted("catboost", content_of(model, tmp_path)), {"X": X.astype(np.float32)})
    np.testing.assert_array_equal(answer["prediction"], model.predict(X))


def test_several_labels_are_answered_one_by_one(tmp_path):
    target = np.stack([Y2, X[:, 2] > 0], 1).astype(int)
    model = catboost.CatBoostClassifier(loss_function="MultiLogloss", **FEW).fit(X, target)
    answer = answers(load_drafted("catboost", content_of(model, tmp_path)), {"X": X.astype(np.float32)})
    np.testing.assert_array_equal(answer["label"], model.predict(X))
    np.testing.assert_array_equal(answer["probabilities"], model.predict_proba(X))


def test_a_ranker_answers_its_score(tmp_path):
    model = catboost.CatBoostRanker(**FEW).fit(X, Y2, group_id=np.repeat(np.arange(10), 20))
    answer = answers(load_drafted("catboost", content_of(model, tmp_path)), {"X": X.astype(np.float32)})
    np.testing.assert_array_equal(answer["prediction"], model.predict(X))


def test_words_and_texts_are_inputs_of_their_own(tmp_path):
    table = frame(text=True)
    model = catboost.CatBoostClassifier(cat_features=["city", "zone"], text_features=["note"], **FEW)
    model.fit(table, (table["city"] == "Ulm") ^ (table["age"] > 0))
    runtime = load_drafted("catboost", content_of(model, tmp_path))
    assert [spec.datatype for spec in runtime.signature.inputs] == ["FP32", "BYTES", "BYTES", "FP32", "BYTES"]
    inputs = columns_of(table.assign(zone=table["zone"].astype(str)))
    np.testing.assert_array_equal(answers(runtime, inputs)["probabilities"], model.predict_proba(table))
    unknown = table.assign(city="Bern")
    inputs = columns_of(unknown.assign(zone=unknown["zone"].astype(str)))
    np.testing.assert_array_equal(answers(runtime, inputs)["probabilities"], model.predict_proba(unknown))


def test_a_category_may_be_an_integer_and_names_may_differ(tmp_path):
    table = frame()
    model = catboost.CatBoostRegressor(cat_features=["city", "zone"], **FEW).fit(table, table["zone"] + table["age"])
    inputs = (
        TensorSpec("numbers", "FP64", (-1, 2), ("income", "age")),
        TensorSpec("area", "INT64", (-1,), source="zone"),
        TensorSpec("city", "BYTES", (-1, 1)),
    )
    runtime = load_drafted("catboost", content_of(model, tmp_path), inputs=inputs)
    given = columns_of(table)
    request = {
        "numbers": np.column_stack([given["income"], given["age"]]),
        "area": given["zone"],
        "city": given["city"].reshape(-1, 1),
    }
    np.testing.assert_array_equal(answers(runtime, request)["prediction"], model.predict(table))


def test_a_category_as_a_float_is_refused(tmp_path):
    table = frame()[["age", "zone"]]
    content = content_of(catboost.CatBoostRegressor(cat_features=["zone"], **FEW).fit(table, table["age"]), tmp_path)
    with pytest.raises(ModelRefused, match="zone is categorical: declare BYTES or an integer datatype"):
        load_drafted("catboost", content, inputs=matrix_input(2, ["age", "zone"]))


def test_other_classes_than_those_of_the_model_are_refused(tmp_path):
    content = content_of(catboost.CatBoostClassifier(**FEW).fit(X, np.array(["no", "yes"])[Y2]), tmp_path)
    outputs = (TensorSpec("probabilities", "FP64", (-1, 2), ("yes", "no")),)
    with pytest.raises(ModelRefused, match=r"names the classes \['yes', 'no'\]; the model has \['no', 'yes'\]"):
        load_drafted("catboost", content, outputs=outputs)
    with pytest.raises(
        ModelRefused, match=r"A label is one of \['no', 'yes'\], which INT64 cannot hold: declare BYTES"
    ):
        load_drafted("catboost", content, outputs=(TensorSpec("label", "INT64", (-1,)),))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda content: content[: len(content) // 2], "CatBoost cannot read the model"),
        (lambda content: content[:8], "CatBoost cannot read the model"),
        (lambda _: b"", "not a CatBoost model in its formats cbm or json"),
        (lambda content: b"\x80\x04" + content, "not a CatBoost model in its formats cbm or json"),
        (lambda _: b"{}", "a model without features"),
    ],
    ids=["truncated", "only its head", "empty", "pickle", "other JSON"],
)
def test_other_files_are_refused(change, words, tmp_path):
    content = content_of(catboost.CatBoostClassifier(**FEW).fit(X, Y2), tmp_path)
    with pytest.raises(ModelRefused, match=words):
        drafted("catboost", change(content))
