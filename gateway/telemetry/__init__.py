"""Metrics, spans, statistics, logs: what the other rooms write to. It imports none of them."""
