"""scikit-learn's versions: the one that made an artifact, and the one that loads it.

scikit-learn warns (InconsistentVersionWarning) that an estimator of any other version "might lead to breaking code or
invalid results". Releases with the same first two numbers only mend faults, so they may load each other's estimators.
"""

import re
from collections.abc import Iterable

import sklearn

from runtimes.errors import ModelRefused
from runtimes.sklearn.structure import parts

PACKAGE = "scikit-learn"
_IN_PICKLE = re.compile(rb"_sklearn_version.{1,12}?(\d+\.\d+[0-9.a-z]*)", re.DOTALL)


def versions_in(estimator: object) -> tuple[str, ...]:
    """Return the versions of scikit-learn that the parts of an estimator were made with, the root's first."""
    found = (getattr(part, "__dict__", {}).get("_sklearn_version") for part in parts(estimator))
    return tuple(dict.fromkeys(version for version in found if isinstance(version, str)))


def version_in_bytes(content: bytes) -> str:
    """Return the version that a pickle names, or an empty text. This does not read the pickle."""
    match = _IN_PICKLE.search(content)
    return match[1].decode() if match else ""


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
    others = [version for version in made_with if version and _release(version) != _release(sklearn.__version__)]
    if others and not accepts_others:
        raise ModelRefused(
            f"{file} was made with scikit-learn {others[0]}; this gateway has {sklearn.__version__}, which may answer "
            f"wrongly for it. Fit and save the model again with {sklearn.__version__}, or write "
            "`accepts_other_versions: true` into model.yaml, best with golden requests that check its answers."
        )


def _release(version: str) -> tuple[str, ...]:
    return tuple(version.split(".")[:2])
