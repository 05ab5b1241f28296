-- The rows of one route, with a column for each feature and output of its model.
SELECT
    ${columns}
FROM inferences
WHERE route = '${route}'
