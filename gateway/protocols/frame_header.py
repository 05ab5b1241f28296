"""Whether the first line of CSV is a header, as MLflow sends one, or a row, as for SageMaker's built-in models.

The parameter `header` of the content type says it (RFC 4180, section 3). Without it, what may be either is refused: a
row that is taken for a header is lost in silence, and a header that is taken for a row is answered.
"""

from collections.abc import Sequence

from gateway.errors import BadRequest
from gateway.protocols.frame_layout import Layout

_WORDS_FOR_MISSING = ("NA", "N/A", "n/a", "NULL", "null", "NaN", "nan", "-NaN", "-nan", "None")
MISSING = frozenset(
    ("", *_WORDS_FOR_MISSING, "#N/A", "#N/A N/A", "#NA", "<NA>", "-1.#IND", "-1.#QNAN", "1.#IND", "1.#QNAN")
)
"""What pandas' `read_csv` takes for a missing value."""
BOOLS = {"True": True, "TRUE": True, "true": True, "False": False, "FALSE": False, "false": False}


def is_header(layout: Layout, first: Sequence[str], says: bool | None) -> bool:
    """Return whether the first line is a header. `says` is what the content type says about it.

    Raises:
        BadRequest: it may be either.
    """
    if says is not None:
        return says
    names = frozenset(layout.names if layout.is_named else ())
    if names and names.issubset(first):
        if all(map(_is_value, first)):
            raise _unclear("all columns of the model go by such names")
        return True
    if all(column.spec.datatype == "BYTES" for column in layout.columns):
        raise _unclear("the model takes texts alone, and it is not the names of all columns")
    has_a_name = any(cell in names and not _is_value(cell) for cell in first)
    if has_a_name and _fits(layout, first):
        raise _unclear("it has the name of a column, but not of all")
    return has_a_name or all(map(_is_like_a_name, first))


def _unclear(why: str) -> BadRequest:
    return BadRequest(
        f"The first line may be a header or a row, as {why}; "
        "say which with the content type `text/csv; header=present` or `text/csv; header=absent`."
    )


def _fits(layout: Layout, cells: Sequence[str]) -> bool:
    """Return True if a line may be a row of the model."""
    return len(cells) == len(layout.columns) and all(
        column.spec.datatype == "BYTES" or _is_value(cell) for column, cell in zip(layout.columns, cells, strict=True)
    )


def _is_value(cell: str) -> bool:
    """Return True for a number, a truth value, and what stands for a missing value."""
    try:
        float(cell)
    except ValueError:
        return cell.strip() in MISSING or cell in BOOLS
    return True


def _is_like_a_name(cell: str) -> bool:
    """Return True for what begins as a word, which `?`, `0x10` and `1 000` do not: those are faults in a row."""
    begin = cell.strip()[:1]
    return (begin.isalpha() or begin == "_") and not _is_value(cell)
