"""The inference log: each decision is a record in a write-ahead segment first, then a row in Parquet."""
