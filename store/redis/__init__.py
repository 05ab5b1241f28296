"""A store in Redis 7: one server, Sentinel, or a cluster."""
