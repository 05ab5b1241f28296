"""Arrays that do not fit each other: refused before scikit-learn follows them out of the memory."""

import numpy as np
import pytest
import skops.io
from scipy import sparse
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor
from sklearn.svm import SVC, SVR, NuSVC, OneClassSVM

from runtimes.errors import ModelRefused
from runtimes.load_options import LoadOptions
from runtimes.sklearn.reading import read_artifact

X = np.random.default_rng(0).normal(size=(120, 3))
Y = np.arange(120) % 3
ORDER, NODES, BOUNDS, COUNT = 1, 2, 3, 6


def read(model):
    return read_artifact("model.skops", skops.io.dumps(model), LoadOptions()).estimator


def searcher(algorithm: str, place: int, change) -> KNeighborsClassifier:
    """Return a model whose tree has another array."""
    model = KNeighborsClassifier(algorithm=algorithm, leaf_size=10).fit(X, Y)
    state = list(model._tree.__getstate__())
    state[place] = change(np.array(state[place]))
    model._tree.__setstate__(tuple(state))
    return model


def put(value, field=None, at=-1):
    def change(array):
        (array if field is None else array[field])[at] = value
        return array

    return change


@pytest.mark.parametrize("algorithm", ["kd_tree", "ball_tree"])
@pytest.mark.parametrize(
    ("place", "change"),
    [
        (ORDER, put(1 << 40)),
        (ORDER, put(-1)),
        (ORDER, lambda array: array[:5].copy()),
        (NODES, put(1 << 40, "idx_end")),
        (NODES, put(-1, "idx_start")),
        (NODES, put(0, "is_leaf")),
        (NODES, lambda array: array[:1].copy()),
        (BOUNDS, lambda array: array[:, :, :1].copy()),
        (COUNT, lambda count: int(count) * 2),
    ],
)
def test_a_search_tree_that_leads_nowhere_is_refused(algorithm, place, change):
    with pytest.raises(ModelRefused, match="Tree in the model are damaged: they do not fit each other"):
        read(searcher(algorithm, place, change))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("_n_support", np.array([2_000_000, 0, 0], np.int32)),
        ("_n_support", np.array([120], np.int32)),
        ("_dual_coef_", np.zeros((2, 1))),
        ("_intercept_", np.zeros(1)),
        ("support_vectors_", np.zeros((1, 3))),
        ("support_", np.zeros(1, np.int32)),
        ("_probA", np.zeros(1)),
        ("shape_fit_", (120, 5)),
    ],
)
def test_a_support_vector_machine_whose_arrays_do_not_fit_is_refused(name, value):
    model = SVC().fit(X, Y)
    setattr(model, name, value)
    with pytest.raises(ModelRefused, match="SVC in the model are damaged: they do not fit each other"):
        read(model)


@pytest.mark.parametrize("rows", [X, sparse.csr_matrix(X)], ids=["dense", "sparse"])
@pytest.mark.parametrize("model", [SVC(), NuSVC(nu=0.3), SVR(), OneClassSVM()], ids=lambda each: type(each).__name__)
def test_a_sound_support_vector_machine_is_read(model, rows):
    np.testing.assert_array_equal(read(model.fit(rows, Y)).predict(rows), model.predict(rows))


@pytest.mark.parametrize("metric", ["euclidean", "chebyshev", "minkowski", "manhattan"])
@pytest.mark.parametrize("algorithm", ["kd_tree", "ball_tree", "brute"])
def test_a_sound_search_is_read(algorithm, metric):
    model = KNeighborsRegressor(algorithm=algorithm, metric=metric).fit(X, Y)
    np.testing.assert_array_equal(read(model).predict(X), model.predict(X))


def test_a_precomputed_kernel_is_read():
    kernel = X @ X.T
    assert read(SVC(kernel="precomputed").fit(kernel, Y)).predict(kernel).shape == (120,)


def test_a_node_that_asks_for_categories_that_boosting_does_not_know_is_refused():
    model = HistGradientBoostingClassifier(max_iter=2, min_samples_leaf=1).fit(X, X[:, 0] > 0)
    tree = model._predictors[0][0]
    tree.raw_left_cat_bitsets = np.zeros((1, 8), np.uint32)
    tree.nodes["is_categorical"][0] = 2
    with pytest.raises(ModelRefused, match="damaged: their nodes lead nowhere"):
        read(model)
