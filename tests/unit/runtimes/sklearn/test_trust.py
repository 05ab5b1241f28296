"""Artifacts made to run code, to open files, or to fill the memory: refused before anything of them runs."""

import functools
import hashlib
import io
import json
import operator
import os
import subprocess
import zipfile
import zlib

import numpy as np
import pytest
import skops.io
from scipy import sparse
from scipy.stats import loguniform
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.datasets import fetch_openml, load_files, load_svmlight_file
from sklearn.ensemble import GradientBoostingClassifier, HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.feature_selection import SelectKBest, chi2
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score
from sklearn.model_selection import GridSearchCV, RandomizedSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.tree import DecisionTreeClassifier
from sklearn.utils import parallel

from runtimes.errors import ModelRefused
from runtimes.load_options import LoadOptions
from runtimes.manifest import Manifest, TensorSpec
from runtimes.sklearn.archive import unpacked
from runtimes.sklearn.trust import untrusted
from tests.support.models import load_one

X, y = np.arange(40.0).reshape(10, 4) % 7, np.array([0, 1] * 5)
INPUTS, OUTPUTS = (TensorSpec("X", "FP64", (-1, 4)),), (TensorSpec("y", "FP64", (-1, 4)),)
MEGABYTE = 1 << 20


class HomeMade(TransformerMixin, BaseEstimator):
    """A transformer of a team's own package."""

    def fit(self, rows, _target=None):
        self.n_features_in_ = rows.shape[1]
        return self

    def transform(self, rows):
        return rows * 2


HOME_MADE = f"{HomeMade.__module__}.HomeMade"


def load_content(content: bytes, options: LoadOptions | None = None, **more):
    known = {"runtime": "sklearn", "file": "model.skops", "sha256": hashlib.sha256(content).hexdigest()}
    return load_one(content, Manifest(**{**known, "inputs": INPUTS, "outputs": OUTPUTS, **more}), options)


@pytest.mark.parametrize(
    "function",
    [
        os.system,
        subprocess.Popen,
        eval,
        load_files,
        load_svmlight_file,
        fetch_openml,
        parallel.Parallel,
        parallel._FuncWrapper,
        np.load,
        np.fromfile,
        functools.partial(os.system, "true"),
        functools.partial(np.add, 1),
        functools.reduce,
        operator.attrgetter("__class__"),
        operator.methodcaller("mean"),
        CountVectorizer(input="content").fit_transform,
    ],
    ids=lambda each: getattr(each, "__name__", type(each).__name__),
)
def test_a_transformer_of_any_function_is_refused(function):
    content = skops.io.dumps(FunctionTransformer(function).fit(X))
    with pytest.raises(ModelRefused, match="types that are not trusted: "):
        load_content(content)


@pytest.mark.parametrize(
    "name",
    [
        "os.system",
        "builtins.eval",
        "sklearn.datasets._base.load_files",
        "sklearn.externals._arff.ArffDecoder",
        "sklearn.utils._testing.TempMemmap",
        "sklearn.utils.parallel._FuncWrapper",
        "sklearn.ensemble._forest.Parallel",
        "sklearn.base._SetOutputMixin",
        "sklearn.utils.validation.check_is_fitted",
        "sklearn.tree.tests.test_tree.os",
        "sklearn.base.os",
        "sklearn.tree._classes.Integral",
        "sklearn.pipeline.make_pipeline",
        "sklearn.compose._column_transformer.clone",
        "sklearn.there.is.no.such",
        "sklearnish.Evil",
        "operator.attrgetter",
        "functools.partial",
    ],
)
def test_names_that_are_no_classes_for_models_are_not_trusted(name):
    assert untrusted([name], ()) == [name]


def test_a_dictionary_that_keeps_its_order_is_trusted():
    assert not untrusted(["collections.OrderedDict"], ())


def test_a_vectorizer_that_opens_files_is_refused():
    content = skops.io.dumps(CountVectorizer(input="filename", vocabulary=["a"]))
    with pytest.raises(ModelRefused, match="input='filename' opens the files that callers name"):
        load_content(content)


def test_a_named_class_that_is_swapped_in_the_archive_is_refused():
    content = skops.io.dumps(LogisticRegression().fit(X, y))
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        entries = {name: archive.read(name) for name in archive.namelist()}
    schema = json.loads(entries["schema.json"])
    schema["__module__"], schema["__class__"] = "subprocess", "Popen"
    entries["schema.json"] = json.dumps(schema).encode()
    with pytest.raises(ModelRefused, match=r"not trusted: subprocess\.Popen"):
        load_content(_zipped(entries))


def test_a_home_made_type_needs_the_manifest_and_the_operator():
    content = skops.io.dumps(HomeMade().fit(X))
    named, allowed = {"trusted_types": (HOME_MADE,)}, LoadOptions(trusted_types=(HOME_MADE,))
    with pytest.raises(ModelRefused) as neither:
        load_content(content)
    assert f"`trusted_types: [{HOME_MADE}]` into model.yaml" in str(neither.value)
    assert f"POINTSMAN_TRUSTED_TYPES={HOME_MADE}" in str(neither.value)
    assert f"`pointsman models add --trust {HOME_MADE}`" in str(neither.value)
    with pytest.raises(ModelRefused, match="operator set POINTSMAN_TRUSTED_TYPES"):
        load_content(content, **named)
    with pytest.raises(ModelRefused, match=r"into model\.yaml"):
        load_content(content, allowed)
    (answer,) = load_content(content, allowed, **named).run({"X": X}, ["y"])
    np.testing.assert_array_equal(answer, X * 2)


def test_a_search_over_distributions_is_refused_with_the_way_out():
    search = RandomizedSearchCV(LogisticRegression(), {"C": loguniform(0.1, 1.0)}, n_iter=2, cv=2).fit(X, y)
    with pytest.raises(ModelRefused, match=r"scipy\.stats.*save its best_estimator_ instead"):
        load_content(skops.io.dumps(search))


@pytest.mark.parametrize(
    "model",
    [
        RandomForestClassifier(3),
        make_pipeline(SelectKBest(chi2, k=2), LogisticRegression()),
        GridSearchCV(LogisticRegression(), {"C": [1.0]}, scoring="f1_macro", cv=2),
        GridSearchCV(GradientBoostingClassifier(), {"n_estimators": [2]}, cv=2),
    ],
)
def test_what_scikit_learn_itself_keeps_is_trusted(model):
    content = skops.io.dumps(model.fit(X, y))
    assert not untrusted(skops.io.get_untrusted_types(data=content), ())
    load_content(content, outputs=(TensorSpec("label", "INT64", (-1,)),))
    assert not untrusted([f"{accuracy_score.__module__}.accuracy_score"], ())


def _changed_nodes(model, field: str, value: int) -> bytes:
    """Return a skops file of a model with another number in the first node of its trees."""
    content = skops.io.dumps(model)
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        entries = {name: archive.read(name) for name in archive.namelist()}
    for name, data in entries.items():
        if name.endswith(".npy"):
            array = np.load(io.BytesIO(data), allow_pickle=False)
            if array.dtype.names and field in array.dtype.names:
                array[field][0] = value
                buffer = io.BytesIO()
                np.save(buffer, array)
                entries[name] = buffer.getvalue()
    return _zipped(entries)


@pytest.mark.parametrize(
    ("model", "field", "value"),
    [
        (DecisionTreeClassifier(), "left_child", 1 << 40),
        (RandomForestClassifier(2), "right_child", 0),
        (RandomForestClassifier(2), "feature", 1 << 20),
        (GradientBoostingClassifier(n_estimators=2), "feature", 1 << 20),
        (HistGradientBoostingClassifier(max_iter=2, min_samples_leaf=1), "left", 1 << 30),
        (HistGradientBoostingClassifier(max_iter=2, min_samples_leaf=1), "feature_idx", -5_000_000),
    ],
)
def test_a_tree_that_leads_nowhere_is_refused_before_it_ends_the_process(model, field, value):
    content = _changed_nodes(model.fit(X, X[:, 0] > 2), field, value)
    with pytest.raises(ModelRefused, match="damaged: their nodes lead nowhere"):
        load_content(content)


def _zipped(entries: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as archive:
        for name, data in entries.items():
            archive.writestr(name, data)
    return buffer.getvalue()


def test_an_archive_that_unpacks_to_too_much_is_refused():
    bomb = _zipped({"schema.json": b" " * (64 * MEGABYTE)}, zipfile.ZIP_DEFLATED)
    assert len(bomb) < MEGABYTE
    with pytest.raises(ModelRefused, match="takes more memory than 8 MiB"):
        load_content(bomb, LoadOptions(max_bytes=8 * MEGABYTE))


def test_an_archive_inside_an_archive_counts():
    inner = _zipped({"data.npy": b"\0" * (64 * MEGABYTE)}, zipfile.ZIP_DEFLATED)
    for compression in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        with pytest.raises(ModelRefused, match="takes more memory than 8 MiB"):
            unpacked(_zipped({"schema.json": b"{}", "m.npz": inner}, compression), 8 * MEGABYTE)


def test_an_archive_whose_directory_lies_is_cut_at_what_it_says():
    bomb = bytearray(_zipped({"a": b"\0" * (64 * MEGABYTE)}, zipfile.ZIP_DEFLATED))
    size, crc = (64 * MEGABYTE).to_bytes(4, "little"), zlib.crc32(b"\0" * (64 * MEGABYTE)).to_bytes(4, "little")
    lying = (
        bytes(bomb).replace(size, (10).to_bytes(4, "little")).replace(crc, zlib.crc32(b"\0" * 10).to_bytes(4, "little"))
    )
    with zipfile.ZipFile(io.BytesIO(unpacked(lying, 8 * MEGABYTE))) as archive:
        assert archive.read("a") == b"\0" * 10


def test_another_compression_is_refused():
    with pytest.raises(ModelRefused, match="other than DEFLATE"):
        unpacked(_zipped({"a": b"\0" * MEGABYTE}, zipfile.ZIP_LZMA), 8 * MEGABYTE)


@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_a_compressed_model_with_a_sparse_matrix_is_read(compression):
    model = LogisticRegression().fit(X, y).sparsify()
    assert sparse.issparse(model.coef_)
    content = skops.io.dumps(model, compression=compression)
    assert (
        load_one(
            content,
            Manifest(
                runtime="sklearn",
                file="model.skops",
                sha256=hashlib.sha256(content).hexdigest(),
                inputs=INPUTS,
                outputs=(TensorSpec("label", "INT64", (-1,)),),
            ),
        )
        .run({"X": X}, ["label"])[0]
        .tolist()
        == model.predict(X).tolist()
    )
