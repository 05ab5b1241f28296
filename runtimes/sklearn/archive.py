"""Checks a skops archive before it is unpacked. It is a zip file, which can hold a thousand times its own size."""

import io
import zipfile

from runtimes.errors import ModelRefused

MOST_BYTES = 4 * 1024 * 1024 * 1024
"""The limit of what an archive may hold where the settings give none."""

_PIECE = 1 << 20
_DEPTH = 2
"""skops unpacks the archive, and sparse matrices in it, which are archives, too."""


def unpacked(content: bytes, limit: int) -> bytes:
    """Return the archive without compression, for a reader that trusts what its directory says.

    Raises:
        ModelRefused: it holds more than `limit` bytes, or uses a compression other than DEFLATE.
        zipfile.BadZipFile: it is no archive, or damaged.
    """
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        entries = archive.infolist()
        left = _Budget(limit or MOST_BYTES)
        left.take(sum(entry.file_size for entry in entries))
        left = _Budget(limit or MOST_BYTES)
        target = io.BytesIO()
        with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as copy:
            for entry in entries:
                data = _entry(archive, entry, left)
                _check_nested(data, left, _DEPTH)
                copy.writestr(entry.filename, data)
    return target.getvalue()


class _Budget:
    """The bytes that may still be unpacked."""

    def __init__(self, limit: int) -> None:
        self._limit = self._left = limit

    def take(self, size: int) -> None:
        self._left -= size
        if self._left < 0:
            raise ModelRefused(
                f"The skops archive unpacks to more than {self._limit} bytes, the limit for loading a model "
                "(POINTSMAN_LOAD_MAX_BYTES)."
            )


def _entry(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, budget: _Budget) -> bytes:
    """Return the bytes of an entry. `read` of a small piece never inflates more than that piece."""
    if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise ModelRefused("The skops archive uses a compression other than DEFLATE. Save it with skops.io.dump.")
    pieces = []
    with archive.open(entry) as file:
        while piece := file.read(_PIECE):
            budget.take(len(piece))
            pieces.append(piece)
    return b"".join(pieces)


def _check_nested(data: bytes, budget: _Budget, depth: int) -> None:
    """Check an entry that is an archive itself, such as a sparse matrix."""
    if depth == 0 or not data.startswith(b"PK\x03\x04"):
        return
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        for entry in archive.infolist():
            budget.take(entry.file_size)
            inner = _entry(archive, entry, budget)
            _check_nested(inner, budget, depth - 1)
