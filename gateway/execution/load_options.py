"""What the settings say about loading versions."""

import os
from pathlib import Path

from gateway.settings import Settings
from registry_sync.memory_budget import MemoryBudget
from runtimes.load_options import LoadOptions

_CGROUP_LIMIT = Path("/sys/fs/cgroup/memory.max")
_SHARE = 2
_MODELS_SHARE = 0.7


def load_options(settings: Settings) -> LoadOptions:
    """Return the options. By default a version may take half of the machine's memory while it is loaded."""
    return LoadOptions(
        allow_pickle=settings.allow_pickle,
        allow_code=settings.allow_code,
        intra_op_threads=settings.onnx_threads,
        within_s=settings.load_within_s,
        trusted_types=trusted_types(settings),
        max_bytes=settings.load_max_bytes or _memory_bytes() // _SHARE,
        custom_operators=tuple(filter(None, map(str.strip, settings.custom_operators.split(",")))),
        has_network=settings.load_network,
        signature=settings.model_signature,
    )


def trusted_types(settings: Settings) -> tuple[str, ...]:
    """Return the types that the operator trusts, of a list with commas or spaces."""
    return tuple(settings.trusted_types.replace(",", " ").split())


def memory_budget(settings: Settings) -> MemoryBudget:
    """Return the memory for the models of one replica: its part of what all replicas of the machine may take."""
    total = settings.model_memory_bytes or int(_MODELS_SHARE * _memory_bytes())
    return MemoryBudget(total // (settings.replicas if settings.engine == "ray" else 1))


def _memory_bytes() -> int:
    """Return the memory of the machine, or of the container if that has less."""
    physical = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    try:
        limit = int(_CGROUP_LIMIT.read_text())
    except (OSError, ValueError):  # there is none, or it is "max"
        return physical
    return min(physical, limit)
