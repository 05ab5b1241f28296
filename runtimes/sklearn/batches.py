"""Estimators whose answer to a row depends on the other rows of the request, so that requests must not be merged."""

from typing import Any

from sklearn.decomposition import NMF, MiniBatchNMF
from sklearn.impute._iterative import IterativeImputer  # the public name asks for an experimental switch
from sklearn.preprocessing import FunctionTransformer

from runtimes.sklearn.structure import parts


def why_together(estimator: Any) -> str:
    """Return why requests for this estimator must not be merged, as a clause; empty if they may be."""
    for part in parts(estimator):
        if isinstance(part, (NMF, MiniBatchNMF)):
            return f"{type(part).__name__} iterates over all rows of a request until they fit together"
        if isinstance(part, IterativeImputer) and part.sample_posterior:
            return "IterativeImputer with sample_posterior draws random numbers for each request"
        if isinstance(part, FunctionTransformer) and part.func is not None and not hasattr(part.func, "nin"):
            return "the function of its FunctionTransformer may look at all rows of a request"
    return ""
