-- What each version of a route's document declares to be measured, and from when to when that held (microseconds).
-- After its store was lost, a route may have the same version twice. `until_us` is null for the last one.
SELECT
    route,
    policy_version,
    since_us,
    until_us,
    metric,
    CAST(regexp_extract(duration, '^([0-9]+)([a-z]+)$$', 1) AS DOUBLE)
        * CASE regexp_extract(duration, '^([0-9]+)([a-z]+)$$', 2)
            WHEN 'us' THEN 1e-6
            WHEN 'ms' THEN 1e-3
            WHEN 's' THEN 1e0
            WHEN 'm' THEN 60e0
            WHEN 'h' THEN 3600e0
            WHEN 'd' THEN 86400e0
        END AS window_s,
    CASE WHEN NOT is_label THEN coalesce(CAST(json_extract_scalar(declared, '$$.range[0]') AS DOUBLE), 0e0) END AS low,
    CASE WHEN NOT is_label THEN coalesce(CAST(json_extract_scalar(declared, '$$.range[1]') AS DOUBLE), 1e0) END AS high,
    CASE WHEN NOT is_label THEN coalesce(CAST(json_extract_scalar(declared, '$$.default') AS DOUBLE), 0e0) END
        AS default_value,
    CASE
        WHEN NOT is_label AND formula IS NULL THEN coalesce(json_extract_scalar(declared, '$$.aggregate'), 'last')
    END AS aggregate,
    formula,
    is_label
FROM (
    SELECT
        route,
        policy_version,
        since_us,
        until_us,
        metric,
        declared,
        json_extract_scalar(declared, '$$.window') AS duration,
        json_extract_scalar(declared, '$$.formula') AS formula,
        coalesce(json_extract_scalar(declared, '$$.label') = 'true', false) AS is_label
    FROM (
        SELECT
            route,
            policy_version,
            since_us,
            until_us,
            metric,
            json_format(element_at(declarations, metric)) AS declared
        FROM (
            SELECT
                route,
                version AS policy_version,
                CASE
                    WHEN lag(version) OVER (PARTITION BY route, version ORDER BY changed_ts_us) IS NULL THEN 0
                    ELSE changed_ts_us
                END AS since_us,
                lead(changed_ts_us) OVER (PARTITION BY route, version ORDER BY changed_ts_us) AS until_us,
                TRY_CAST(json_extract(document, '$$.spec.metrics') AS MAP(VARCHAR, JSON)) AS declarations
            FROM audit
        )
        CROSS JOIN UNNEST(map_keys(declarations)) AS t (metric)
    )
)
