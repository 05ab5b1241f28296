"""Drafts: what is read out of an estimator, what a person adds, and the sentences for that person."""

import numpy as np
import pytest
import skops.io
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import RadiusNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler

from runtimes.adapted import adapt
from runtimes.errors import ModelRefused
from runtimes.kinds import drafter_of
from runtimes.load_options import LoadOptions
from runtimes.manifest import Manifest, Signature, TensorSpec
from runtimes.manifest_text import manifest_to_yaml, parse_manifest
from runtimes.runtime import example_inputs, warm_up
from tests.support.sklearn_estimators import manifest_of
from tests.unit.runtimes.sklearn.support import TARGET, draft_of, drafted, load_model, people
from tests.unit.runtimes.sklearn.test_trust import HOME_MADE, HomeMade

X = np.random.RandomState(0).randn(40, 3)
CLASSES = (X[:, 0] > 0).astype(int)


def test_a_draft_of_numbers_with_names():
    frame = people()[["age", "fare"]]
    draft = draft_of(LogisticRegression().fit(frame, TARGET))
    assert draft.inputs == (TensorSpec("X", "FP64", (-1, 2), columns=("age", "fare")),)
    label, probabilities = draft.outputs
    assert (label.name, label.datatype, probabilities.columns) == ("label", "BYTES", ("died", "lived"))
    assert "It was fitted on 2 named columns; inputs are put in its order by name." in draft.remarks
    assert {name: len(tensor) for name, tensor in draft.examples.items()} == {"X": 5}


def test_a_draft_becomes_a_manifest_that_is_read_back():
    content = skops.io.dumps(make_pipeline(OneHotEncoder(), LogisticRegression()).fit(people()[["sex"]], TARGET))
    draft = drafter_of("sklearn")({"model.skops": content}, "model.skops", LoadOptions(), {})
    manifest = manifest_of(draft, content)
    assert isinstance(manifest, Manifest)
    assert parse_manifest(manifest_to_yaml(manifest)) == manifest


def test_an_example_that_a_person_gives_is_used():
    model = make_pipeline(FunctionTransformer(np.log), LogisticRegression()).fit(np.abs(X), CLASSES)
    said = [{"name": "rows", "datatype": "FP32", "shape": [-1, 3], "example": {"data": [[5.0, 6.0, 7.0]]}}]
    draft = draft_of(model, inputs=said)
    assert draft.inputs[0].name == "rows"
    assert draft.examples["rows"].tolist() == [[5.0, 6.0, 7.0]] * 5


def test_inputs_that_cannot_be_read_are_refused():
    with pytest.raises(ModelRefused, match="inputs that you gave cannot be read"):
        draft_of(LogisticRegression().fit(X, CLASSES), inputs=[{"name": "X"}])


def test_an_estimator_that_answers_no_made_up_row_asks_for_an_example():
    model = LogisticRegression().fit(X, CLASSES)
    model.coef_ = np.zeros((1, 7))
    with pytest.raises(ModelRefused, match=r"none of the rows .*Give it inputs with examples"):
        draft_of(model)


def test_types_that_a_person_and_the_operator_trust_are_in_the_draft():
    content, options = skops.io.dumps(HomeMade().fit(X)), LoadOptions(trusted_types=(HOME_MADE,))
    draft = drafter_of("sklearn")({"m.skops": content}, "m.skops", options, {"trusted_types": [HOME_MADE]})
    assert draft.more["trusted_types"] == [HOME_MADE]
    with pytest.raises(ModelRefused, match="types that are not trusted"):
        drafter_of("sklearn")({"m.skops": content}, "m.skops", LoadOptions(), {"trusted_types": [HOME_MADE]})


def test_a_column_of_which_nothing_is_known_is_a_remark():
    model = make_pipeline(FunctionTransformer(np.abs), LogisticRegression()).fit(people()[["age"]], TARGET)
    assert not [remark for remark in draft_of(model).remarks if "Nothing says" in remark]  # the next step takes numbers
    model = FunctionTransformer(np.abs).fit(people()[["age", "fare"]])
    assert any(remark.startswith("Nothing says what age, fare hold") for remark in draft_of(model).remarks)


def test_an_estimator_without_a_number_of_features_gets_one_column():
    draft, runtime = drafted(IsotonicRegression(out_of_bounds="clip").fit(X[:, 0], X[:, 1]))
    assert draft.inputs == (TensorSpec("X", "FP64", (-1, 1)),)
    assert runtime.run({"X": X[:, :1]}, ["prediction"])[0].shape == (40,)


@pytest.mark.parametrize(
    ("model", "inputs"),
    [
        (
            make_pipeline(OneHotEncoder(), LogisticRegression()).fit(people()[["sex"]], TARGET),
            (TensorSpec("sex", "BYTES", (-1, 1)),),
        ),
        (
            RadiusNeighborsClassifier(radius=0.1).fit(X + 50, CLASSES),
            (TensorSpec("X", "FP64", (-1, 3)),),
        ),
    ],
)
def test_a_runtime_finds_an_example_where_zeros_and_empty_strings_are_none(model, inputs):
    datatype = "BYTES" if inputs[0].datatype == "BYTES" else "INT64"
    runtime = load_model(model, inputs, (TensorSpec("label", datatype, (-1,)),))
    assert all(spec.example for spec in runtime.signature.inputs)
    for rows in (1, 3):
        runtime.run(example_inputs(runtime.signature, rows), ["label"])


def test_an_example_that_was_found_is_kept_behind_another_signature():
    model = make_pipeline(OneHotEncoder(), LogisticRegression()).fit(people()[["sex"]], [0, 1] * 15)
    own = load_model(model, (TensorSpec("sex", "BYTES", (-1,)),), (TensorSpec("probabilities", "FP64", (-1, 2)),))
    seen = Signature((TensorSpec("sex", "BYTES", (-1,)),), (TensorSpec("probabilities", "FP32", (-1, 2)),))
    adapted = adapt(own, seen)
    assert adapted.signature.inputs[0].example == own.signature.inputs[0].example
    warm_up(adapted)


def test_a_runtime_needs_no_example_where_zeros_are_one():
    runtime = load_model(
        make_pipeline(StandardScaler(), LogisticRegression()).fit(X, CLASSES),
        (TensorSpec("X", "FP64", (-1, 3)),),
        (TensorSpec("label", "INT64", (-1,)),),
    )
    assert runtime.signature.inputs[0].example is None
