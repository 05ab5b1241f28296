"""The types that an artifact may hold.

skops builds only types that it is told to trust. It knows scikit-learn's estimators, but neither trees nor kernels nor
the parts of searches. Trusted here are the classes that scikit-learn defines for models, and the few functions that its
estimators keep as parameters. They compute on arrays; none of them opens a file, imports a module or calls what an
artifact names. Packages that are not for models (tests, data sets, utilities, copies of other packages) are left out.
"""

import io
import json
import sys
import zipfile
from collections.abc import Collection, Iterable
from functools import cache
from importlib import import_module

from runtimes.errors import ModelRefused

_LIBRARY = "sklearn."
_NOT_FOR_MODELS = ("externals", "datasets", "utils", "tests", "conftest", "inspection", "experimental", "callback")
_OF_LIBRARIES = frozenset(
    {
        "collections.OrderedDict",
        "numpy.dtype",
        "numpy.floating",
        "numpy.integer",
        "numpy.max",
        "numpy.mean",
        "numpy.median",
        "numpy.min",
        "numpy.number",
        "scipy._lib.array_api_compat.numpy._aliases.asarray",
        "scipy.interpolate._bsplines.BSpline",
        "scipy.interpolate._interpolate.interp1d",
        "scipy.sparse._csc.csc_matrix",
        "scipy.sparse._csr.csr_matrix",
        "sklearn.cluster._kmeans._kmeans_single_elkan",
        "sklearn.cluster._kmeans._kmeans_single_lloyd",
        "sklearn.feature_selection._mutual_info.mutual_info_classif",
        "sklearn.feature_selection._mutual_info.mutual_info_regression",
        "sklearn.feature_selection._univariate_selection.chi2",
        "sklearn.feature_selection._univariate_selection.f_classif",
        "sklearn.feature_selection._univariate_selection.f_oneway",
        "sklearn.feature_selection._univariate_selection.f_regression",
        "sklearn.feature_selection._univariate_selection.r_regression",
        "sklearn.utils._bunch.Bunch",
        "sklearn.utils._metadata_requests.MetadataRequest",
        "sklearn.utils._metadata_requests.MethodMetadataRequest",
        "sklearn.utils.validation.check_array",
    }
)


def untrusted(names: Iterable[str], confirmed: Collection[str]) -> list[str]:
    """Return those of the types that are neither scikit-learn's own nor confirmed."""
    return sorted(name for name in names if name not in confirmed and not _is_own(name))


def require_trust(names: Iterable[str], asked: Collection[str], allowed: Collection[str]) -> None:
    """Check the types of an artifact: `asked` by its manifest, `allowed` by the operator.

    Raises:
        ModelRefused: one is not trusted. The sentence names all of them, and what to write.
    """
    left = untrusted(names, set(asked) & set(allowed))
    if not left:
        return
    steps = []
    if not set(left) <= set(asked):
        flags = " ".join(f"--trust {name}" for name in left)
        steps.append(
            f"write `trusted_types: [{', '.join(left)}]` into model.yaml (or publish it with "
            f"`pointsman models add {flags}`)"
        )
    if not set(left) <= set(allowed):
        steps.append(f"have the operator set POINTSMAN_TRUSTED_TYPES={','.join(left)}")
    raise ModelRefused(
        f"The model holds types that are not trusted: {', '.join(left)}. They can run any code. {_elsewhere(left)}"
        f"If you trust them, {' and '.join(steps)}."
    )


def _elsewhere(left: Iterable[str]) -> str:
    """Return how to save a model without types that it does not need."""
    if any(name.startswith("scipy.stats.") for name in left):
        return "If they are what a search has tried, save its best_estimator_ instead. "
    return ""


def only_own_partials(archive: bytes) -> bool:
    """Return True if every `functools.partial` in a skops archive fixes arguments of scikit-learn's `check_array`.

    Boosting with categories keeps one such. skops still checks the function itself.
    """
    with zipfile.ZipFile(io.BytesIO(archive)) as file:
        waiting = [json.loads(file.read("schema.json"))]
    while waiting:
        node = waiting.pop()
        if isinstance(node, list):
            waiting.extend(node)
        elif isinstance(node, dict):
            waiting.extend(node.values())
            if node.get("__loader__") == "PartialNode":
                function = node["content"]["func"]
                if (function["__module__"], function["__class__"]) != ("sklearn.utils.validation", "check_array"):
                    return False
    return True


def _is_own(name: str) -> bool:
    """Return True for a class that scikit-learn defines for models, or one of the functions that these keep."""
    if name in _OF_LIBRARIES or name in _score_functions():
        return True
    if not name.startswith(_LIBRARY) or not _is_for_models(name):
        return False
    module, _, attribute = name.rpartition(".")
    try:
        found = getattr(import_module(module), attribute, None)
    except ImportError:
        return False
    return isinstance(found, type) and _defines(module, found)


def _is_for_models(name: str) -> bool:
    return set(name.split(".")).isdisjoint(_NOT_FOR_MODELS)


def _defines(module: str, found: type) -> bool:
    """Return True if scikit-learn defines the class. Compiled classes may leave their packages out of their module."""
    own = found.__module__
    return _is_for_models(own) and (own.startswith(_LIBRARY) or (own not in sys.modules and module.endswith(f".{own}")))


@cache
def _score_functions() -> frozenset[str]:
    """Return the names of the metrics that scikit-learn's named scorers compute."""
    from sklearn.metrics import get_scorer, get_scorer_names

    functions = [get_scorer(name)._score_func for name in get_scorer_names()]
    return frozenset(f"{function.__module__}.{function.__name__}" for function in functions)
