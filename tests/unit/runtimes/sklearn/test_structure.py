"""What is inside an estimator: a part that is not found cannot be checked."""

import functools
from collections import defaultdict

import numpy as np
import pytest
import skops.io
from scipy import sparse
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.pipeline import make_pipeline

from runtimes.errors import ModelRefused
from runtimes.load_options import LoadOptions
from runtimes.sklearn import structure
from runtimes.sklearn.reading import read_artifact
from runtimes.sklearn.structure import parts


class InSlots:
    """An object without a dictionary."""

    __slots__ = ("inner",)

    def __init__(self, inner) -> None:
        self.inner = inner


def _closure(part):
    return lambda: part


def _sparse(part):
    matrix = sparse.csr_matrix(np.eye(1))
    matrix.data = np.array([part], object)
    return matrix


def _record(part):
    records = np.zeros(1, np.dtype([("number", "f8"), ("part", object)]))
    records[0]["part"] = part
    return records


def _default(part):
    return lambda given=part: given


@pytest.mark.parametrize(
    "hide",
    [
        lambda part: {part: 1},
        lambda part: frozenset([part]),
        lambda part: defaultdict(functools.partial(part.get_params)),
        lambda part: functools.partial(print, part),
        lambda part: part.transform,
        lambda part: np.array([part], object),
        lambda part: np.ma.MaskedArray(np.array([part], object)),
        _record,
        _sparse,
        InSlots,
        _closure,
        _default,
    ],
)
def test_a_part_is_found_wherever_it_hides(hide):
    part = CountVectorizer()
    assert any(each is part for each in parts(make_pipeline(hide(part))))


def test_a_part_behind_more_objects_than_are_looked_at_is_refused(monkeypatch):
    monkeypatch.setattr(structure, "_MOST_PARTS", 1000)
    pipeline = make_pipeline(CountVectorizer(input="filename", vocabulary=["a"]))
    pipeline.padding = [[] for _ in range(1000)]
    with pytest.raises(ModelRefused, match="more than 1,000 objects, too many to check"):
        read_artifact("model.skops", skops.io.dumps(pipeline), LoadOptions())
