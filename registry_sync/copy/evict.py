"""What leaves the copy when it is too large: what was not used longest, and never what is needed."""

from collections.abc import Collection, Mapping

from registry_sync.copy.blobs import Blob

DEFAULT_BYTES = 20 * 1024**3


def limit_bytes(setting: int, free_bytes: int, own_bytes: int) -> int:
    """Return how large the copy may be: as set, or half of what the disk has for it, and 20 GiB at most."""
    return setting or min(DEFAULT_BYTES, (free_bytes + own_bytes) // 2)


def to_evict(blobs: Mapping[str, Blob], kept: Collection[str], max_bytes: int) -> list[str]:
    """Return the files to remove, the one that was not used longest first, so that the rest is not above the limit.

    If the files that are `kept` are above it alone, all others are removed.
    """
    above = sum(blob.size for blob in blobs.values()) - max_bytes
    found = []
    for digest, blob in sorted(blobs.items(), key=lambda item: (item[1].used_s, item[0])):
        if above <= 0:
            break
        if digest not in kept:
            found.append(digest)
            above -= blob.size
    return found
