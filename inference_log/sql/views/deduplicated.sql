-- Each row of a table once: a segment may be stored twice, and a reward reported again.
SELECT ${columns}
FROM (
    SELECT *, row_number() OVER (PARTITION BY ${identity} ORDER BY ${order}) AS nth
    FROM ${table}_raw
)
WHERE nth = 1
