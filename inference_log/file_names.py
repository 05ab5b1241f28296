"""The names of segments and of their Parquet files: `WRITER-NUMBER.segment` becomes `WRITER-NUMBER-DIGEST.parquet`.

The number has eight digits, and the digest the first eight characters of the segment's sha256. What is whole behind
damage in a segment becomes one that has `REST` at the end of its name (`inference_log.salvage`).

Parts of a segment that is not Parquet yet, for routes whose durability is strict, are `_strict/SEGMENT/BEGIN-END`: its
bytes from one offset to another, of twelve digits each.
"""

import re

PARQUET = ".parquet"
REST = "~rest"
STRICT_FOLDER = "_strict/"
_DIGEST_CHARACTERS = 8
_NUMBER = re.compile(rf"-(\d{{8}})(?:{REST})*")
_PART = re.compile(rf"{STRICT_FOLDER}([^/]+)/(\d{{12}})-(\d{{12}})")


def parquet_name(segment: str, sha256: str) -> str:
    """Return the name of the file for a segment, of which the name without suffix is given."""
    return f"{segment}-{sha256[:_DIGEST_CHARACTERS]}{PARQUET}"


def segment_of(key: str) -> str:
    """Return the name of the segment whose rows a Parquet file has, without suffix."""
    return key.rpartition("/")[2].removesuffix(PARQUET)[: -_DIGEST_CHARACTERS - 1]


def number_of(segment: str) -> int | None:
    """Return the number in the name of a segment without suffix. None if it has none, as compacted files have."""
    dash = segment.rfind("-")
    found = _NUMBER.fullmatch(segment, dash) if dash >= 0 else None
    return None if found is None else int(found[1])


def segment_name(writer_id: str, number: int) -> str:
    """Return the name of a writer's segment, without suffix."""
    return f"{writer_id}-{number:08d}"


def parts_folder(segment: str) -> str:
    """Return the folder of the parts of a segment, with a slash at its end."""
    return f"{STRICT_FOLDER}{segment}/"


def part_key(segment: str, begin: int, end: int) -> str:
    """Return the key of a part: the bytes of a segment from `begin` to before `end`."""
    return f"{parts_folder(segment)}{begin:012d}-{end:012d}"


def part_of(key: str) -> tuple[str, int, int] | None:
    """Return the segment, begin and end that the key of a part names; None if it is not that of a part."""
    found = _PART.fullmatch(key)
    return None if found is None else (found[1], int(found[2]), int(found[3]))
