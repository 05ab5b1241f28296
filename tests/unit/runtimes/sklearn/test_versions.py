"""Pickles of every kind where they are allowed, and artifacts of another scikit-learn."""

import copy
import gzip
import hashlib
import io
import pickle

import cloudpickle
import joblib
import numpy as np
import pytest
import sklearn
import skops.io
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from runtimes.errors import ModelRefused
from runtimes.kinds import drafter_of
from runtimes.load_options import LoadOptions
from runtimes.manifest import Manifest, TensorSpec
from tests.support.models import load_one

X, y = np.arange(40.0).reshape(10, 4) % 7, np.array([0, 1] * 5)
ALLOWED = LoadOptions(allow_pickle=True)
MODEL = make_pipeline(StandardScaler(), LogisticRegression()).fit(X, y)
HERE = sklearn.__version__
PATCH = ".".join([*HERE.split(".")[:2], "77"])


def load_content(content: bytes, file: str = "model.skops", options: LoadOptions = ALLOWED, **more):
    inputs, outputs = (TensorSpec("X", "FP64", (-1, 4)),), (TensorSpec("label", "INT64", (-1,)),)
    sha256 = hashlib.sha256(content).hexdigest()
    manifest = Manifest(runtime="sklearn", file=file, sha256=sha256, inputs=inputs, outputs=outputs, **more)
    return load_one(content, manifest, options)


def joblibbed(model, **options) -> bytes:
    buffer = io.BytesIO()
    joblib.dump(model, buffer, **options)
    return buffer.getvalue()


def made_with(version: str, dumps=skops.io.dumps) -> bytes:
    """Return a file that another scikit-learn could have written."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sklearn.base.__version__", version)
        return dumps(MODEL)


FILES = {
    "pickle": pickle.dumps(MODEL),
    "old protocol": pickle.dumps(MODEL, protocol=2),
    "gzipped pickle": gzip.compress(pickle.dumps(MODEL)),
    "joblib": joblibbed(MODEL),
    "cloudpickle": cloudpickle.dumps(make_pipeline(FunctionTransformer(lambda rows: rows * 1.0), MODEL)),
    **{f"joblib {name}": joblibbed(MODEL, compress=(name, 3)) for name in ("zlib", "gzip", "bz2", "xz", "lzma")},
}


@pytest.mark.parametrize("kind", FILES)
def test_pickles_of_every_kind_are_read_where_they_are_allowed(kind):
    (label,) = load_content(FILES[kind], "model.joblib").run({"X": X}, ["label"])
    np.testing.assert_array_equal(label, MODEL.predict(X))


@pytest.mark.parametrize("file", ["model.joblib", "model.pkl", "model.pkl.gz"])
def test_pickles_are_refused_unread_otherwise(file):
    with pytest.raises(ModelRefused, match="a pickle, which runs code when it is read"):
        load_content(FILES["joblib"], file, LoadOptions())


@pytest.mark.parametrize("dumps", [skops.io.dumps, pickle.dumps, joblibbed])
def test_a_model_of_another_version_is_refused_with_both_versions(dumps):
    content, file = made_with("1.5.2", dumps), "model.skops" if dumps is skops.io.dumps else "model.pkl"
    with pytest.raises(ModelRefused) as refused:
        load_content(content, file)
    for words in ("scikit-learn 1.5.2", HERE, "`accepts_other_versions: true`", "--accept-other-versions"):
        assert words in str(refused.value)
    (label,) = load_content(content, file, accepts_other_versions=True).run({"X": X}, ["label"])
    np.testing.assert_array_equal(label, MODEL.predict(X))
    draft = drafter_of("sklearn")({file: content}, file, ALLOWED, {"accepts_other_versions": True})
    assert draft.more["made_with"] == ["scikit-learn==1.5.2"]
    assert any("1.5.2" in remark and HERE in remark for remark in draft.remarks)


def test_another_patch_release_is_accepted():
    (label,) = load_content(made_with(PATCH)).run({"X": X}, ["label"])
    np.testing.assert_array_equal(label, MODEL.predict(X))


def test_the_version_that_a_manifest_declares_counts_where_the_artifact_says_none():
    content = cloudpickle.dumps(HomeMade(MODEL))
    with pytest.raises(ModelRefused, match=r"was made with scikit-learn 0\.24\.2"):
        load_content(cloudpickle.dumps(NoEstimator()), "model.pkl", made_with=("scikit-learn==0.24.2",))
    load_content(content, "model.pkl", made_with=(f"scikit-learn=={HERE}",))


class NoEstimator:
    """A model that does not derive from scikit-learn."""

    def predict(self, rows):
        return np.zeros(len(rows), int)


class HomeMade(NoEstimator):
    """A model with an estimator inside."""

    def __init__(self, inner: object) -> None:
        self.inner = inner


def test_a_pickle_that_cannot_be_read_says_the_versions():
    content = FILES["old protocol"].replace(b"sklearn.linear_model._logistic", b"sklearn.linear_model._logistik")
    content = content.replace(HERE.encode(), b"0.9.9"[: len(HERE)])
    with pytest.raises(ModelRefused) as refused:
        load_content(content, "model.pkl")
    for words in ("_logistik", "made with scikit-learn 0.9.9", f"has {HERE}", "Fit and save the model again"):
        assert words in str(refused.value)


def broken(model):
    """Return an estimator that lacks what this scikit-learn sets, as one of another version does."""
    model = copy.deepcopy(model)
    del model.steps[0][1].scale_
    return model


def dumped_by(version: str, model, dumps) -> bytes:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sklearn.base.__version__", version)
        return dumps(model)


@pytest.mark.parametrize("accepts", [False, True])
@pytest.mark.parametrize("dumps", [skops.io.dumps, pickle.dumps])
def test_an_estimator_of_another_version_that_fails_when_tried_says_both_versions_first(dumps, accepts):
    file = "model.skops" if dumps is skops.io.dumps else "model.pkl"
    content = dumped_by("1.5.2", broken(MODEL), dumps)
    with pytest.raises(ModelRefused) as refused:
        drafter_of("sklearn")({file: content}, file, ALLOWED, {"accepts_other_versions": accepts})
    assert str(refused.value).startswith(f"{file} was made with scikit-learn 1.5.2; this gateway has {HERE}")
    assert ("scale_" in str(refused.value)) == accepts


def test_an_archive_of_another_version_with_unknown_types_says_both_versions_first():
    content = dumped_by("1.5.2", make_pipeline(FunctionTransformer(np.load), MODEL), skops.io.dumps)
    with pytest.raises(ModelRefused) as refused:
        drafter_of("sklearn")({"m.skops": content}, "m.skops", ALLOWED, {})
    assert str(refused.value).startswith(f"m.skops was made with scikit-learn 1.5.2; this gateway has {HERE}")
    assert "not trusted: numpy.load" in str(refused.value)


@pytest.mark.parametrize(
    ("file", "content", "sentence"),
    [
        ("m.pkl", b"", "The pickle cannot be read: m.pkl is empty."),
        ("m.skops", b"", "The skops archive cannot be read: m.skops is empty."),
        ("m.pkl", b"\x14\x00\x01", "The pickle cannot be read: m.pkl is damaged, or it is no pickle."),
        ("m.pkl", pickle.dumps(MODEL)[:200], "The pickle cannot be read: m.pkl is damaged, or it is no pickle."),
        (
            "m.pkl",
            joblibbed(MODEL, compress=("zlib", 3))[:200],
            "The pickle cannot be read: m.pkl is damaged, or it is no pickle.",
        ),
        (
            "m.skops",
            b"PK\x03\x04 and no more",
            "The skops archive cannot be read: m.skops is damaged, or it is no skops archive.",
        ),
    ],
)
def test_a_file_that_is_empty_or_damaged_is_a_plain_sentence(file, content, sentence):
    with pytest.raises(ModelRefused) as refused:
        drafter_of("sklearn")({file: content}, file, ALLOWED, {})
    assert str(refused.value) == sentence


@pytest.mark.parametrize("content", [b"c__main__\nMine\n.", b"\x80\x04\x8c\x08__main__\x8c\x04Mine\x93."])
def test_a_class_of_a_script_is_named(content):
    with pytest.raises(ModelRefused, match="the class Mine was defined in a script or a notebook; put it"):
        load_content(content, "model.pkl")


def test_a_draft_says_which_scikit_learn_made_it():
    draft = drafter_of("sklearn")({"m.joblib": FILES["joblib"]}, "m.joblib", ALLOWED, {})
    assert draft.more["made_with"] == [f"scikit-learn=={HERE}"]
