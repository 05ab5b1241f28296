"""The table `wide`: the rows of `inferences`, with a column for each feature. A query reads only those that it names.

The columns are `feature_` and the name of the feature in lower case, with `_` for what is no letter, digit or `_`:
Athena knows no other names. If several features would get the same name, all but the first (by name, numbers first)
have a number at the end. Numbers are double, texts are strings; a row without the feature has no value. A day with more
than `MOST_COLUMNS` features has the others in the maps `features_num` and `features_cat`, which then have all of them.
"""

from collections.abc import Sequence
from typing import NamedTuple

import duckdb

from inference_log.column_names import plain, unique
from inference_log.compaction.rows import quoted

WIDE = "wide"
MOST_COLUMNS = 2000
MAPS = ("features_num", "features_cat")


class Feature(NamedTuple):
    """A feature: the map that has it, its name there, and the name of its column."""

    map_name: str
    name: str
    column: str


def find_features(connection: duckdb.DuckDBPyConnection, relation: str, columns: Sequence[str]) -> list[Feature]:
    """Return the features that rows of a relation have, those of numbers first, each kind by name."""
    found = []
    for map_name in MAPS:
        if map_name in columns:
            names = f"SELECT DISTINCT unnest(map_keys({map_name})) AS name FROM {relation} ORDER BY name"  # noqa: S608
            found += [(map_name, name) for (name,) in connection.execute(names).fetchall()]
    return _named(found)


def wide_columns(columns: Sequence[str], features: Sequence[Feature]) -> dict[str, str]:
    """Return the expression of each column of `wide`, given the columns of `inferences`."""
    left_out = MAPS if len(features) <= MOST_COLUMNS else ()
    kept = [name for name in columns if name not in left_out]
    expressions = {name: quoted(name) for name in kept}
    for feature in features[:MOST_COLUMNS]:
        name = feature.name.replace("'", "''")
        expressions[feature.column] = f"{feature.map_name}['{name}']"
    return expressions


def _named(features: Sequence[tuple[str, str]]) -> list[Feature]:
    taken: set[str] = set()
    found = []
    for map_name, name in features:
        found.append(Feature(map_name, name, unique(f"feature_{plain(name)}", taken)))
    return found
