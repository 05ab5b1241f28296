"""Pipelines on data frames: columns by name, strings, missing values, categories, booleans."""

import warnings

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import ColumnTransformer, make_column_selector
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.impute import KNNImputer, SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, OrdinalEncoder, StandardScaler, TargetEncoder

from runtimes.errors import ModelFailed, ModelRefused
from runtimes.manifest import TensorSpec
from tests.unit.runtimes.sklearn.support import (
    TARGET,
    draft_of,
    drafted,
    load_model,
    people,
    tensors_of,
    text,
)

LABEL = (TensorSpec("label", "BYTES", (-1,)),)
NUMBERS = ["age", "fare"]


def imputed(encoder, strategy="most_frequent", **imputer):
    return make_pipeline(SimpleImputer(strategy=strategy, **imputer), encoder)


def columns(*parts: tuple, **options):
    return ColumnTransformer([(str(at), *part) for at, part in enumerate(parts)], **options)


def logistic(transformer):
    return make_pipeline(transformer, LogisticRegression(max_iter=2000))


PIPELINES = {
    "one-hot": logistic(columns((StandardScaler(), NUMBERS), (OneHotEncoder(), ["sex"]))),
    "missing numbers": logistic(columns((SimpleImputer(), NUMBERS), (OneHotEncoder(), ["sex"]))),
    "missing strings": logistic(
        columns(
            (KNNImputer(), NUMBERS), (imputed(OneHotEncoder(handle_unknown="ignore"), missing_values=None), ["port"])
        )
    ),
    "a constant for missing strings": logistic(
        columns((imputed(OneHotEncoder(), "constant", fill_value="?", missing_values=None), ["port", "sex"]))
    ),
    "None is a category": logistic(columns((OneHotEncoder(), ["port", "sex"]), ("passthrough", ["age"]))),
    "ordinal": logistic(columns((OrdinalEncoder(encoded_missing_value=-1), ["port", "sex"]), ("passthrough", NUMBERS))),
    "target": logistic(columns((TargetEncoder(random_state=0), ["sex", "deck"]), (StandardScaler(), ["fare"]))),
    "boolean": logistic(columns((OneHotEncoder(), ["alone", "deck"]), remainder="drop")),
    "selected by type": logistic(
        columns(
            (StandardScaler(), make_column_selector(dtype_include=np.number)),
            (OneHotEncoder(), make_column_selector(dtype_include=["category"])),
        )
    ),
    "text in a column": logistic(columns((TfidfVectorizer(analyzer="char"), "sex"), (StandardScaler(), NUMBERS))),
    "a search": GridSearchCV(
        logistic(columns((StandardScaler(), NUMBERS), (OneHotEncoder(), ["sex"]))),
        {"logisticregression__C": [0.1, 1.0]},
        cv=2,
        scoring="accuracy",
    ),
    "a function before": make_pipeline(
        FunctionTransformer(), columns((StandardScaler(), NUMBERS), (OneHotEncoder(), ["sex"])), LogisticRegression()
    ),
    "pandas inside": make_pipeline(
        columns((StandardScaler(), NUMBERS), (OneHotEncoder(sparse_output=False), ["sex"])).set_output(
            transform="pandas"
        ),
        RandomForestClassifier(5, random_state=0, n_jobs=2),
    ),
}


@pytest.fixture
def frame() -> pd.DataFrame:
    return people()


@pytest.mark.parametrize("kind", PIPELINES)
@pytest.mark.filterwarnings("ignore")
def test_a_pipeline_on_a_frame_answers_as_it_does_itself(frame, kind):
    model = PIPELINES[kind].fit(frame, TARGET)
    draft, runtime = drafted(model)
    if kind.startswith("missing numbers"):
        frame.loc[3, "age"] = np.nan
    for rows in (frame, frame.iloc[[2]], frame.iloc[[7]]):
        label, probabilities = runtime.run(tensors_of(rows, draft), ["label", "probabilities"])
        assert [each.decode() for each in label] == model.predict(rows).tolist()
        np.testing.assert_allclose(probabilities, model.predict_proba(rows), rtol=1e-12)


@pytest.mark.parametrize("dtype", ["object", "str", "category"])
def test_strings_of_any_dtype_of_pandas(frame, dtype):
    frame = frame[["age", "sex"]].assign(sex=frame.sex.astype(dtype))
    model = logistic(columns((StandardScaler(), ["age"]), (OneHotEncoder(), ["sex"]))).fit(frame, TARGET)
    draft, runtime = drafted(model)
    (label,) = runtime.run(tensors_of(frame, draft), ["label"])
    assert [each.decode() for each in label] == model.predict(frame).tolist()


def test_boosting_with_categories_of_the_frame(frame):
    frame = frame[["age", "deck", "fare"]]
    model = HistGradientBoostingClassifier(max_iter=5, categorical_features="from_dtype", min_samples_leaf=2)
    model.fit(frame, TARGET)
    draft, runtime = drafted(model)
    assert [spec.datatype for spec in draft.inputs] == ["FP64", "BYTES", "FP64"]
    (probabilities,) = runtime.run(tensors_of(frame, draft), ["probabilities"])
    np.testing.assert_array_equal(probabilities, model.predict_proba(frame))


def test_thirty_columns_of_strings():
    random = np.random.RandomState(0)
    frame = pd.DataFrame({f"c{at}": random.choice(["a", "b", "c"], 40) for at in range(30)})
    model = logistic(OneHotEncoder(handle_unknown="ignore")).fit(frame, random.randint(0, 2, 40))
    draft, runtime = drafted(model)
    assert len(draft.inputs) == 30
    np.testing.assert_array_equal(runtime.run(tensors_of(frame, draft), ["label"])[0], model.predict(frame))


@pytest.mark.parametrize("model", [LogisticRegression(), logistic(columns((StandardScaler(), NUMBERS)))])
def test_columns_in_another_order_are_put_right_by_name(frame, model):
    model = model.fit(frame[NUMBERS], TARGET)
    runtime = load_model(model, (TensorSpec("X", "FP64", (-1, 2), columns=("fare", "age")),), LABEL)
    (label,) = runtime.run({"X": frame[["fare", "age"]].to_numpy()}, ["label"])
    assert [each.decode() for each in label] == model.predict(frame[NUMBERS]).tolist()


def test_inputs_of_columns_in_another_order_and_with_other_names(frame):
    model = PIPELINES["one-hot"].fit(frame[["age", "fare", "sex"]], TARGET)
    inputs = (
        TensorSpec("gender", "BYTES", (-1, 1), source="sex"),
        TensorSpec("numbers", "FP32", (-1, 2), columns=("fare", "age")),
    )
    runtime = load_model(model, inputs, LABEL)
    given = {
        "gender": text(*frame.sex).reshape(-1, 1),
        "numbers": frame[["fare", "age"]].to_numpy(np.float32),
    }
    (label,) = runtime.run(given, ["label"])
    assert [each.decode() for each in label] == model.predict(frame).tolist()


@pytest.mark.parametrize(
    ("inputs", "words"),
    [
        ((TensorSpec("X", "FP64", (-1, 2), columns=("age", "fair")),), "'fair', which .* not know, and not 'fare'"),
        ((TensorSpec("age", "FP64", (-1,)), TensorSpec("fair", "FP64", (-1,))), "'fair', which .*and not 'fare'"),
        ((TensorSpec("X", "FP64", (-1, 1), columns=("age",)),), "does not have the column 'fare'"),
        (
            (TensorSpec("X", "FP64", (-1, 2), columns=("age", "fare")), TensorSpec("sex", "BYTES", (-1,))),
            "'sex', which the estimator does not know; it was fitted on 'age', 'fare'",
        ),
        (
            (TensorSpec("X", "FP64", (-1, 2), columns=("age", "fare")), TensorSpec("age", "FP64", (-1,))),
            "the column 'age' twice",
        ),
        ((TensorSpec("age", "BYTES", (-1,)), TensorSpec("fare", "FP64", (-1,))), "numbers, not BYTES, in .*'age'"),
        ((TensorSpec("X", "FP64", (-1, 3)),), "declares 3 features; the estimator was fitted on 2"),
        ((TensorSpec("X", "BF16", (-1, 2)),), "Declare it as FP32"),
    ],
)
def test_columns_that_the_estimator_does_not_have_are_refused(frame, inputs, words):
    model = LogisticRegression().fit(frame[NUMBERS], TARGET)
    with pytest.raises(ModelRefused, match=words):
        load_model(model, inputs, LABEL)


def test_numbers_where_the_estimator_was_fitted_on_text_are_refused(frame):
    model = logistic(OneHotEncoder()).fit(frame[["sex"]], TARGET)
    with pytest.raises(ModelRefused, match="text, BYTES, and not FP64, in the column 'sex'"):
        load_model(model, (TensorSpec("sex", "FP64", (-1,)),), LABEL)


def test_columns_that_are_dropped_are_no_inputs(frame):
    draft = draft_of(PIPELINES["boolean"].fit(frame, TARGET))
    assert [(spec.name, spec.datatype) for spec in draft.inputs] == [("alone", "BOOL"), ("deck", "BYTES")]
    assert any("drops the columns age, fare, sex, port" in remark for remark in draft.remarks)


def test_an_empty_string_that_was_a_category_stays_one():
    frame = pd.DataFrame({"x": pd.Series(["", "a", None] * 10, dtype=object)})
    model = logistic(OneHotEncoder(handle_unknown="ignore")).fit(frame, [0, 1, 0] * 10)
    _, runtime = drafted(model)
    (probabilities,) = runtime.run({"x": text("", "a")}, ["probabilities"])
    np.testing.assert_allclose(probabilities, model.predict_proba(frame.iloc[:2]), rtol=1e-12)


def test_a_string_that_the_encoder_has_not_seen_fails_its_request_only(frame):
    model = logistic(OneHotEncoder()).fit(frame[["sex"]], TARGET)
    _, runtime = drafted(model)
    with pytest.raises(ModelFailed, match="unknown categories"):
        runtime.run({"sex": text("x")}, ["label"])
    with pytest.raises(ModelFailed, match="not UTF-8"):
        runtime.run({"sex": np.array([b"\xff"], object)}, ["label"])


def test_strings_in_an_array_without_names():
    rows = np.array([["a", "x"], ["b", "y"], ["b", "x"]] * 5, object)
    model = logistic(OneHotEncoder()).fit(rows, [0, 1, 1] * 5)
    draft, runtime = drafted(model)
    assert draft.inputs == (TensorSpec("X", "BYTES", (-1, 2)),)
    given = np.array([[b"a", b"x"], [b"b", b"y"]], object)
    np.testing.assert_array_equal(runtime.run({"X": given}, ["label"])[0], model.predict(rows[:2]))


def test_the_estimator_gives_no_warning_of_missing_names(frame):
    model = LogisticRegression().fit(frame[NUMBERS], TARGET)
    _, runtime = drafted(model)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        runtime.run({"X": frame[NUMBERS].to_numpy()}, ["label"])
