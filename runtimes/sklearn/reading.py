"""Reads estimators: skops archives, and pickles of any kind where the setting allows them.

A pickle runs code when it is read. joblib's files are pickles, compressed or not, and so are cloudpickle's.
"""

import io
import lzma
import pickle
import re
import sys
import zipfile
import zlib
from collections.abc import Collection
from typing import Any, NamedTuple

from runtimes.errors import ModelRefused
from runtimes.load_options import LoadOptions
from runtimes.sklearn.archive import unpacked
from runtimes.sklearn.arrays import require_sound_arrays
from runtimes.sklearn.structure import parts, use_one_thread, use_pandas
from runtimes.sklearn.trees import require_sound_trees
from runtimes.sklearn.trust import only_own_partials, require_trust
from runtimes.sklearn.versions import version_in_bytes, version_in_skops, versions_said_first, with_versions

_PARTIAL = "functools.partial"
_MISSING = re.compile(r"Can't get attribute '([^']+)' on |module '__main__' has no attribute '([^']+)'")
_DAMAGES = (EOFError, pickle.UnpicklingError, zlib.error, lzma.LZMAError)


class Artifact(NamedTuple):
    """An estimator, and the versions of scikit-learn that made it; none if it does not say."""

    estimator: Any
    versions: tuple[str, ...]


def read_artifact(
    file: str, content: bytes, options: LoadOptions, *, asked: Collection[str] = (), made_with: str = ""
) -> Artifact:
    """Return the estimator in a file. `asked` are the types that the manifest trusts; `made_with` is what it declares.

    Raises:
        ModelRefused: untrusted types, a pickle that is not allowed, or damaged bytes.
    """
    if not file.endswith(".skops") and not options.allow_pickle:
        raise ModelRefused(
            f"{file} is a pickle, which runs code when it is read. Save the model with skops.io.dump "
            '(in MLflow: log_model(..., serialization_format="skops")) or set POINTSMAN_ALLOW_PICKLE=true if you trust '
            "its author."
        )
    if file.endswith(".skops"):
        artifact = Artifact(*with_versions(lambda: _read_skops(file, content, options, asked)))
    else:
        with versions_said_first(file, (made_with or version_in_bytes(content),)):
            artifact = Artifact(*with_versions(lambda: _read_pickle(file, content)))
    with versions_said_first(file, artifact.versions or (made_with,)):
        _refuse_files(artifact.estimator)
        require_sound_trees(artifact.estimator)
        require_sound_arrays(artifact.estimator)
        use_one_thread(artifact.estimator)
        use_pandas(artifact.estimator)
    return artifact


def _read_skops(file: str, content: bytes, options: LoadOptions, asked: Collection[str]) -> Any:
    import skops.io  # takes seconds to import; other runtimes do not need it

    try:
        archive = unpacked(content, options.max_bytes)
        with versions_said_first(file, (version_in_skops(archive),)):
            names = skops.io.get_untrusted_types(data=archive)
            partial = {_PARTIAL} if _PARTIAL in names and only_own_partials(archive) else set()
            require_trust(set(names) - partial, asked, options.trusted_types)
            return skops.io.loads(archive, trusted=names)
    except ModelRefused:
        raise
    except zipfile.BadZipFile as error:
        raise ModelRefused(_damaged(file, content, "skops archive")) from error
    except ImportError as error:
        raise ModelRefused(f"The model needs a package that is not installed: {error}.") from error
    except Exception as error:  # zip, JSON and NumPy errors: skops did not write this file
        raise ModelRefused(f"skops cannot read the model: {error!r}.") from error


def _read_pickle(file: str, content: bytes) -> Any:
    import joblib

    try:
        return joblib.load(io.BytesIO(content))  # also reads plain pickles; allowed by a setting, sha256 is verified
    except ImportError as error:
        raise ModelRefused(
            f"The pickle cannot be read: {error!r}. It needs that module, in the version that made it."
        ) from error
    except Exception as error:  # a pickle may raise anything
        raise ModelRefused(_why_unread(file, content, error)) from error


def _why_unread(file: str, content: bytes, error: Exception) -> str:
    """Say why a pickle cannot be read."""
    own = _MISSING.match(str(error)) if isinstance(error, AttributeError) else None
    if own is not None and (own[2] or str(error).endswith(repr(sys.modules["__main__"]))):
        return (
            f"The pickle cannot be read: the class {own[1] or own[2]} was defined in a script or a notebook; put it "
            "into a module that can be imported here, and save the model again."
        )
    is_unknown_code = isinstance(error, KeyError) and isinstance(error.args[0], int)  # of Python's own unpickler
    if is_unknown_code or isinstance(error, _DAMAGES):
        return _damaged(file, content, "pickle")
    return f"The pickle cannot be read: {error!r}."


def _damaged(file: str, content: bytes, kind: str) -> str:
    what = "is empty" if not content else f"is damaged, or it is no {kind}"
    return f"The {kind} cannot be read: {file} {what}."


def _refuse_files(estimator: Any) -> None:
    """Refuse a vectorizer that opens the files that its inputs name.

    Raises:
        ModelRefused: there is one.
    """
    for part in parts(estimator):
        values = getattr(part, "__dict__", {})
        if values.get("input") in ("file", "filename") and "analyzer" in values:
            raise ModelRefused(
                f"A {type(part).__name__} with input={values['input']!r} opens the files that callers name. "
                "Save it with input='content', and send the text."
            )
