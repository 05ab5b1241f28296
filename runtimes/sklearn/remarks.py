"""What a draft says of an estimator: what was read, and what was guessed."""

from collections.abc import Iterator, Sequence
from typing import Any

import sklearn

from runtimes.manifest import TensorSpec
from runtimes.sklearn.columns import Takes, untext
from runtimes.sklearn.outputs import LABEL, PROBABILITIES
from runtimes.sklearn.structure import unwrapped
from runtimes.sklearn.versions import refused_versions


def remarks_on(estimator: Any, taken: Takes, outputs: Sequence[TensorSpec], versions: Sequence[str]) -> Iterator[str]:
    """Return sentences on what the estimator takes, what it answers, and which scikit-learn made it."""
    final = unwrapped(estimator)
    yield f"It is a {type(final).__name__} of {type(final).__module__.partition('.')[0]}."
    if taken.form == "text":
        yield "It takes text: a list of strings."
    elif taken.form == "frame":
        yield f"It was fitted on {len(taken.columns)} named columns; inputs are put in its order by name."
    dropped = [column.name for column in taken.columns if column.dropped]
    if dropped:
        yield f"It drops the columns {', '.join(dropped)}, so they are no inputs."
    if taken.columns and not untext(column for column in taken.columns if column.datatype):
        missing = [
            column.name for column in taken.columns if column.missing is None or column.missing != column.missing
        ]
        if missing and taken.form != "records":
            yield f"An empty string in {', '.join(missing)} is a missing value."
    unknown = [column.name for column in taken.columns if not column.datatype and not column.dropped]
    if unknown:
        yield (
            f"Nothing says what {', '.join(unknown[:20])} {'hold' if len(unknown) > 1 else 'holds'}; numbers are "
            "assumed. Correct the datatype if that is wrong."
        )
    for spec in outputs:
        if spec.name == LABEL:
            yield "label is what predict answers."
        elif spec.name.startswith(f"{PROBABILITIES}_") and spec.name.endswith("_0"):
            yield "Each target has probabilities of its own: probabilities_0 is the first target's."
    yield from _version_remarks(versions)


def _version_remarks(versions: Sequence[str]) -> Iterator[str]:
    if not versions:
        yield "The artifact does not say which scikit-learn made it."
        return
    yield f"It was made with scikit-learn {', '.join(versions)}."
    for refused in refused_versions(versions):
        yield (
            f"This scikit-learn is {sklearn.__version__}, which may answer wrongly for {refused}. Fit it again, or "
            "write `accepts_other_versions: true`."
        )
