"""scikit-learn's versions: the one that made an artifact, and the one that loads it.

scikit-learn warns (InconsistentVersionWarning) that an estimator of any other version "might lead to breaking code or
invalid results". Releases with the same first two numbers only mend faults, so they may load each other's estimators.
"""

import io
import re
import threading
import warnings
import zipfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import sklearn
from sklearn.base import BaseEstimator
from sklearn.exceptions import InconsistentVersionWarning

from runtimes.errors import ModelRefused, RuntimesError
from runtimes.sklearn.structure import parts

PACKAGE = "scikit-learn"
_IN_PICKLE = re.compile(rb"_sklearn_version.{1,12}?(\d+\.\d+[0-9.a-z]*)", re.DOTALL)
_IN_SKOPS = re.compile(rb'"_sklearn_version": {[^}]{1,2000}?\\"(\d+\.\d+[0-9.a-z]*)\\"')
_RECORDING = threading.Lock()
"""Python's filters of warnings belong to the process."""


def with_versions(read: Callable[[], Any]) -> tuple[Any, tuple[str, ...]]:
    """Return what `read` returns, and the versions of scikit-learn that made the estimators in it.

    scikit-learn says the version in a warning if it is another one than its own, and forgets it otherwise.
    """
    with _RECORDING, warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        estimator = read()
    others = (each.message for each in caught if isinstance(each.message, InconsistentVersionWarning))
    versions = tuple(dict.fromkeys(str(other.original_sklearn_version) for other in others))
    if versions or not any(_says_version(part) for part in parts(estimator)):
        return estimator, versions
    return estimator, (sklearn.__version__,)


def _says_version(part: object) -> bool:
    return isinstance(part, BaseEstimator) and type(part).__module__.startswith("sklearn.")


def version_in_bytes(content: bytes) -> str:
    """Return the version that a pickle names, or an empty text. This does not read the pickle."""
    match = _IN_PICKLE.search(content)
    return match[1].decode() if match else ""


def version_in_skops(archive: bytes) -> str:
    """Return the version that a skops archive names, or an empty text. This builds nothing of it."""
    with zipfile.ZipFile(io.BytesIO(archive)) as file:
        match = _IN_SKOPS.search(file.read("schema.json"))
    return match[1].decode() if match else ""


@contextmanager
def versions_said_first(file: str, made_with: Iterable[str]) -> Iterator[None]:
    """Say both versions before what is wrong with an estimator of another one: that is most likely why.

    Raises:
        ModelRefused: what is inside failed.
    """
    try:
        yield
    except Exception as error:  # an estimator of another version may lack anything
        others = refused_versions(made_with)
        if not others:
            raise
        sentence = str(error) if isinstance(error, RuntimesError) else f"{error!r}."
        raise ModelRefused(
            f"{_made_with(file, others[0])}. Fit and save the model again with {sklearn.__version__}. {sentence}"
        ) from error


def _made_with(file: str, version: str) -> str:
    return f"{file} was made with scikit-learn {version}; this gateway has {sklearn.__version__}"


def declared(made_with: Iterable[str]) -> str:
    """Return the version that model.yaml's `made_with` names, or an empty text."""
    for each in made_with:
        package, _, version = each.partition("==")
        if package.strip().lower().replace("_", "-") == PACKAGE:
            return version.strip()
    return ""


def require_version(file: str, made_with: Iterable[str], *, accepts_others: bool) -> None:
    """Check that this scikit-learn may load what those versions have made.

    Raises:
        ModelRefused: one of them is another, and the manifest does not accept that.
    """
    others = refused_versions(made_with)
    if others and not accepts_others:
        raise ModelRefused(
            f"{_made_with(file, others[0])}, which may answer wrongly for it. Fit and save the model again with "
            f"{sklearn.__version__}, or write `accepts_other_versions: true` into model.yaml (`pointsman models add "
            "--accept-other-versions`), best with golden requests that check its answers."
        )


def refused_versions(versions: Iterable[str]) -> list[str]:
    """Return those of the versions that this scikit-learn is not known to load rightly."""
    return [version for version in versions if version and _release(version) != _release(sklearn.__version__)]


def _release(version: str) -> tuple[str, ...]:
    return tuple(version.split(".")[:2])
