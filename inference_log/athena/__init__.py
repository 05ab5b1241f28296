"""The log as Athena sees it: statements that make tables and views, and queries for analysts. All are text.

Columns come from `inference_log.schema`, and the SQL of views and queries from the files in `inference_log/sql`.
"""
