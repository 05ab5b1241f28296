"""The parts of segments: listed, put together, removed."""

from collections.abc import Sequence
from typing import NamedTuple

from inference_log.errors import LogUnavailable
from inference_log.file_names import STRICT_FOLDER, part_of, parts_folder
from inference_log.files import LogFiles


class Part(NamedTuple):
    """The bytes of a segment from `begin` to before `end`, stored under a key."""

    begin: int
    end: int
    key: str


def parts_by_segment(files: LogFiles, segment: str = "") -> dict[str, list[Part]]:
    """Return the parts that there are, of all segments or of one, by segment and in order.

    Raises:
        LogUnavailable: the log cannot be read now.
    """
    found: dict[str, list[Part]] = {}
    for stored in files.list(parts_folder(segment) if segment else STRICT_FOLDER):
        named = part_of(stored.key)
        if named is not None:
            found.setdefault(named[0], []).append(Part(*named[1:], stored.key))
    return found


def read_parts(files: LogFiles, parts: Sequence[Part]) -> bytes:
    """Return the beginning of a segment, up to the first byte that no part has.

    Parts may overlap: one that was put while its process died is put again with more.

    Raises:
        LogUnavailable: the log cannot be read now, or a part is not as long as its name says.
    """
    content = bytearray()
    for part in sorted(parts):
        if part.begin > len(content):
            break
        if part.end <= len(content):
            continue
        read = files.read(part.key)
        if read is None:
            break  # the segment was stored meanwhile, and its parts are being removed
        if len(read) != part.end - part.begin:
            raise LogUnavailable(f"{files.path(part.key)} has {len(read):,} bytes, which is not what its name says.")
        content += read[len(content) - part.begin :]
    return bytes(content)


def remove_parts(files: LogFiles, parts: Sequence[Part]) -> None:
    """Remove parts, the last one first: what is left is a beginning.

    Raises:
        LogUnavailable: the log cannot be changed now.
    """
    for part in sorted(parts, reverse=True):
        files.remove(part.key)
