"""Writes the table of docs/models_real.md, out of what `loadtests.studies.real_models` has found."""

import re
from collections.abc import Sequence
from pathlib import Path

from loadtests.real_packages import FEW, MORE
from loadtests.real_result import Found

PAGE = Path(__file__).resolve().parents[1] / "docs/models_real.md"
BEGINS = "<!-- models: written by python -m loadtests.studies.real_models --page -->"
ENDS = "<!-- end of models -->"


def write_page(found: Sequence[Found]) -> None:
    """Put the table between its two marks in the page."""
    text = PAGE.read_text()
    head, rest = text.split(BEGINS)
    tail = rest.split(ENDS)[1]
    PAGE.write_text(f"{head}{BEGINS}\n\n{table_of(found)}\n{ENDS}{tail}")


def table_of(found: Sequence[Found]) -> str:
    """Return the sums in a sentence, and a row of Markdown for each model."""
    served = [each for each in found if not each.refused]
    merged = sum(each.merged == "yes" for each in found)
    sums = (
        f"Of {len(found)} models, {len(served)} are served and {merged} are merged. "
        f"{sum(each.requests for each in found):,} requests were compared, and "
        f"{sum(each.wrong for each in found):,} answers differed."
    )
    head = "| package | model | needed | requests merged | compared | wrong |\n|---|---|---|---|---|---|"
    return "\n".join([sums, "", head, *map(_row, found)]) + "\n"


def _row(found: Found) -> str:
    needed = f"refused: {found.refused}" if found.refused else found.needed
    cells = (_pinned(found.package), f"`{found.model}`", needed, found.merged, str(found.requests), str(found.wrong))
    return "| " + " | ".join(re.sub(r"\s+", " ", cell).replace("|", "\\|") for cell in cells) + " |"


def _pinned(package: str) -> str:
    """Return the package with the version that was read."""
    found = next((each for each in (*FEW, *MORE) if each.split("==")[0] == package), package)
    return found.replace("==", " ")
