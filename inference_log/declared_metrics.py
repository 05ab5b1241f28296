"""The table `metrics`: what each version of a route's document declares, read from the table `audit`.

After its store was lost, a route may have the same version twice. So a declaration holds from one time to another:
`since_us` is 0 for the first one of a version, and `until_us` is null for the last.
"""

import duckdb
import msgspec
import pyarrow as pa

from router.errors import Rejected
from router.spec.metric import MetricSpec
from router.spec.parse_metrics import parse_metrics

_DOCUMENTS = """
SELECT
    route,
    version,
    CASE WHEN lag(version) OVER in_order IS NULL THEN 0 ELSE changed_ts_us END AS since_us,
    lead(changed_ts_us) OVER in_order AS until_us,
    document
FROM audit
WINDOW in_order AS (PARTITION BY route, version ORDER BY changed_ts_us)
"""
_COLUMNS = pa.schema(
    [
        ("route", pa.string()),
        ("policy_version", pa.int64()),
        ("since_us", pa.int64()),
        ("until_us", pa.int64()),
        ("metric", pa.string()),
        ("window_s", pa.float64()),
        ("low", pa.float64()),
        ("high", pa.float64()),
        ("default_value", pa.float64()),
        ("aggregate", pa.string()),
        ("formula", pa.string()),
        ("is_label", pa.bool_()),
    ]
)
_BATCH = 1000


def create_metrics(connection: duckdb.DuckDBPyConnection) -> None:
    """Make the table `metrics` beside the view `audit`."""
    found: dict[str, list[object]] = {name: [] for name in _COLUMNS.names}
    documents = connection.execute(_DOCUMENTS)
    while batch := documents.fetchmany(_BATCH):
        for route, version, since_us, until_us, document in batch:
            for metric in metrics_of(document):
                row = (route, version, since_us, until_us, *_values(metric))
                for name, value in zip(_COLUMNS.names, row, strict=True):
                    found[name].append(value)
    connection.register("declared_metrics", pa.table(found, schema=_COLUMNS))
    connection.execute("CREATE TABLE metrics AS FROM declared_metrics")


def metrics_of(document: str) -> tuple[MetricSpec, ...]:
    """Return the metrics that a document in the log declares. One that cannot be read declares none."""
    try:
        return parse_metrics(msgspec.json.decode(document)["spec"].get("metrics"))
    except (msgspec.MsgspecError, Rejected, KeyError, TypeError, AttributeError):
        return ()


def _values(metric: MetricSpec) -> tuple[object, ...]:
    numbers = (None,) * 3 if metric.is_label else (metric.low, metric.high, metric.default)
    how = None if metric.is_label or metric.formula else str(metric.aggregate)
    return metric.name, metric.window_s, *numbers, how, metric.formula or None, metric.is_label
