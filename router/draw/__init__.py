"""Draw an arm: hash a unit into a bucket, look the bucket up in the slot table, keep layers apart."""
