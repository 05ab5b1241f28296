"""Every decision, kept: a record in a write-ahead segment, then a row in Parquet."""
