"""The names of segments and of their Parquet files: `WRITER-NUMBER.segment` becomes `WRITER-NUMBER-DIGEST.parquet`.

The number has eight digits, and the digest the first eight characters of the segment's sha256. What is whole behind
damage in a segment becomes one that has `REST` at the end of its name (`inference_log.salvage`).
"""

import re

PARQUET = ".parquet"
REST = "~rest"
_DIGEST_CHARACTERS = 8
_NUMBER = re.compile(rf"-(\d{{8}})(?:{REST})*")


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
