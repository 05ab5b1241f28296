"""From rows of the log to the contexts that a declared bandit would have seen.

Where the route declared the same context, the log has its vector (column `context`). Elsewhere the log has of a request
only the values of its inputs (`features_num`, `features_cat`): from these, `inputs` are encoded as the gateway does.
Headers and parameters are not there.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import duckdb
import numpy as np

from analysis.off_policy.sums import Integers
from analysis.route_log import quoted
from bandits.linear.context import SCALE, Context, Value
from router.document.stored import from_dict
from router.errors import Corrupt
from router.spec.context import ContextColumn

_TRUTHS = ("false", "true")


@dataclass(frozen=True)
class DeclaredContext:
    """The context of a bandit. `encoder` makes its vectors.

    `names` has the names under which the log has the values of an input. Of an input that is not there they are its
    own name, or that and a position: `x_0`, `x_1`.
    """

    columns: tuple[ContextColumn, ...]
    encoder: Context
    names: Mapping[str, Sequence[str]] = field(default_factory=dict)

    @property
    def size(self) -> int:
        """The number of features, with the intercept."""
        return len(self.encoder.features)

    @property
    def not_in_rows(self) -> list[str]:
        """The attributes that are no inputs, which the log has in the column `context` alone."""
        return [column.path for column in self.columns if column.attribute.source != "inputs"]

    def logged_sql(self, connection: duckdb.DuckDBPyConnection) -> str:
        """Return the SQL of the features that the log has of this very context; null without them."""
        versions = ", ".join(map(str, _versions(connection, self.columns))) or "NULL"
        return f"CASE WHEN policy_version IN ({versions}) AND len(context) = {self.size - 1} THEN context END"

    def inputs_sql(self) -> tuple[str, str, str]:
        """Return the SQL of the numbers, of the texts, and of whether each column has one of both."""
        if self.not_in_rows:
            return "NULL::DOUBLE[]", "NULL::VARCHAR[]", "FALSE"
        numbers, texts = zip(*map(self._places, self.columns), strict=True)
        is_there = [
            f"({number} IS NOT NULL OR {text} IS NOT NULL)" for number, text in zip(numbers, texts, strict=True)
        ]
        return f"[{', '.join(numbers)}]", f"[{', '.join(texts)}]", " AND ".join(is_there)

    def _places(self, column: ContextColumn) -> tuple[str, str]:
        """Return the SQL of the number and of the text that the log has of an attribute, null where it has none."""
        _, name, offset = column.attribute
        own = [f"{name}_{offset}", *([] if offset else [name])]
        numbers = [f"features_num[{quoted(each)}]" for each in self.names.get(name, own)]
        if name in self.names:
            numbers = numbers[offset : offset + 1]
        text = "NULL" if offset else f"features_cat[{quoted(name)}]"
        return f"coalesce({', '.join([*numbers, 'NULL'])})::DOUBLE", f"{text}::VARCHAR"

    def vectors(self, logged: Sequence[Any], numbers: Sequence[Any], texts: Sequence[Any]) -> Integers:
        """Return the vectors of rows: lists of features, or else of numbers and texts. Shape: (rows, features)."""
        return np.array(
            [
                self._encoded(row_numbers, row_texts) if features is None else _fixed_point(features)
                for features, row_numbers, row_texts in zip(logged, numbers, texts, strict=True)
            ],
            np.int64,
        ).reshape(-1, self.size)

    def _encoded(self, numbers: Sequence[float | None], texts: Sequence[str | None]) -> tuple[int, ...]:
        return self.encoder.encode([_value(*each) for each in zip(self.columns, numbers, texts, strict=True)])


def _versions(connection: duckdb.DuckDBPyConnection, columns: tuple[ContextColumn, ...]) -> list[int]:
    """Return the versions of the route's document that declare this very context, and never another one."""
    same: dict[int, bool] = {}
    for version, document in connection.execute("SELECT DISTINCT version, document FROM audit").fetchall():
        same[version] = same.get(version, True) and _declares(document, columns)
    return sorted(version for version, is_same in same.items() if is_same)


def _declares(document: str, columns: tuple[ContextColumn, ...]) -> bool:
    try:
        bandit = from_dict(json.loads(document)).spec.bandit
    except (Corrupt, ValueError, AttributeError):
        return False
    return bandit is not None and bandit.context == columns


def _fixed_point(features: Sequence[float]) -> tuple[int, ...]:
    return (SCALE, *(round(SCALE * feature) for feature in features))


def _value(column: ContextColumn, number: float | None, text: str | None) -> Value:
    """Return the value that a request had. The log has truth values as 1 and 0."""
    if number is None:
        return text
    return bool(number) if number in (0, 1) and set(column.words) & set(_TRUTHS) else number
