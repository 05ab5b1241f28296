"""The tables of a replay: `drawn` has the decisions whose arm was drawn, `documents` when each version was in force.

After its store was lost, a route may have the same version twice. So a decision belongs to the document of its version
that was in force when its request arrived.
"""

import duckdb

_DOCUMENTS = """
CREATE OR REPLACE TABLE documents AS
SELECT
    row_number() OVER (ORDER BY changed_ts_us, version) AS document_id,
    version,
    CASE WHEN lag(version) OVER in_order IS NULL THEN 0 ELSE changed_ts_us END AS since_us,
    lead(changed_ts_us) OVER in_order AS until_us,
    CASE WHEN json_valid(document) THEN coalesce((document ->> '$.declared_us')::BIGINT, 0) END AS life,
    CASE WHEN json_valid(document) THEN (document ->> '$.learning.since_version')::BIGINT END AS since_version,
    document
FROM (SELECT version, changed_ts_us, any_value(document) AS document FROM audit GROUP BY ALL)
WINDOW in_order AS (PARTITION BY version ORDER BY changed_ts_us)
"""
_DRAWN = """
CREATE OR REPLACE VIEW drawn AS
SELECT
    i.decision_id, i.policy_version, coalesce(i.policy_number, 0) AS policy_number, i.arm, i.reason, i.propensity,
    i.unit_hash, i.context, d.document_id, d.life
FROM inferences i
LEFT JOIN documents d ON d.version = i.policy_version
    AND d.since_us <= i.event_ts_us - round(1000 * i.latency_ms)
    AND (d.until_us IS NULL OR i.event_ts_us - round(1000 * i.latency_ms) < d.until_us)
WHERE i.role = 'primary' AND i.reason IN ('STICKY', 'WEIGHTED', 'EVALUATED') AND i.instance_index = 0
    AND i.event_ts_us >= {since_us}
"""


def create_drawn(connection: duckdb.DuckDBPyConnection, since_us: int) -> None:
    """Make both tables, with the decisions since a time (microseconds since the epoch)."""
    connection.execute(_DOCUMENTS)
    connection.execute(_DRAWN.format(since_us=since_us))
