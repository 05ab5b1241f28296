"""How the C library returns freed memory to the system.

By default glibc keeps blocks as large as those that were freed before, up to 32 MB, for later ones. After a rush of
large bodies, a replica would go on holding what they took.
"""

import ctypes

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
"""The parameters' numbers in malloc.h."""
_MAPPED_ABOVE_BYTES = 4 * 1024 * 1024
_KEPT_BYTES = 32 * 1024 * 1024


def return_large_blocks() -> None:
    """Have each block above 4 MiB returned when it is freed. Do nothing where the C library is not glibc."""
    tune = getattr(ctypes.CDLL(None), "mallopt", None)
    if tune is not None:
        tune(_MMAP_THRESHOLD, _MAPPED_ABOVE_BYTES)
        tune(_TRIM_THRESHOLD, _KEPT_BYTES)
