"""The environment variables that processes of models get.

A model may be code of its author. It gets what it needs to run: paths, languages, threads, accelerators. It gets no
passwords, such as those of a store, a cloud or a tracing service. Their names cannot be known, so the allowed ones are
listed.
"""

from collections.abc import Mapping

_NAMES = frozenset({"HOME", "LANG", "LANGUAGE", "LOGNAME", "PATH", "SHELL", "TMPDIR", "TZ", "USER", "VIRTUAL_ENV"})
_PREFIXES = (
    "LC_",
    "LD_",
    "MALLOC_",
    "PYTHON",
    # Threads of numerical libraries.
    "GOMP_",
    "GOTO_",
    "KMP_",
    "MKL_",
    "NUMEXPR_",
    "OMP_",
    "OPENBLAS_",
    "VECLIB_",
    # Accelerators.
    "CUDA_",
    "HIP_",
    "NVIDIA_",
    "ROCR_",
)


def passed_on(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that a process of a model gets."""
    return {name: value for name, value in environment.items() if _is_allowed(name)}


def blanked(environment: Mapping[str, str], kept: str | tuple[str, ...]) -> dict[str, str]:
    """Return the other variables, empty, for processes that inherit all of them. Names that begin with `kept` stay."""
    return {name: "" for name in environment if not _is_allowed(name) and not name.startswith(kept)}


def _is_allowed(name: str) -> bool:
    return name in _NAMES or name.startswith(_PREFIXES)
