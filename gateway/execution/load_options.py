"""What the settings say about loading a version."""

import os
from pathlib import Path

from gateway.settings import Settings
from runtimes.load_options import LoadOptions

_CGROUP_LIMIT = Path("/sys/fs/cgroup/memory.max")
_SHARE = 2


def load_options(settings: Settings) -> LoadOptions:
    """Return the options. By default a version may take half of the machine's memory while it is loaded."""
    return LoadOptions(
        allow_pickle=settings.allow_pickle,
        intra_op_threads=settings.onnx_threads,
        within_s=settings.load_within_s,
        max_bytes=settings.load_max_bytes or _memory_bytes() // _SHARE,
        custom_operators=tuple(filter(None, map(str.strip, settings.custom_operators.split(",")))),
    )


def _memory_bytes() -> int:
    """Return the memory of the machine, or of the container if that has less."""
    physical = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    try:
        limit = int(_CGROUP_LIMIT.read_text())
    except (OSError, ValueError):  # there is none, or it is "max"
        return physical
    return min(physical, limit)
